"""The ledger's rows keep the embedded store's promises on PostgreSQL."""

from __future__ import annotations

import suites

WITHOUT = {"conn": "the engine's own"}
globals().update(suites.tests_of(suites.load("ledger/test_ledger_sqlite.py"), without=WITHOUT))
