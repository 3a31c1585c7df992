"""Receipts keep the embedded store's promises on PostgreSQL."""

from __future__ import annotations

import suites

WITHOUT = {
    "conn": "the engine's own",
    "test_names_of_an_older_store_are_sorted_into_runs": "an embedded store of an older version",
}
globals().update(suites.tests_of(suites.load("journal/test_journal_sqlite.py"), without=WITHOUT))
