"""Readers, tokens and facts keep the embedded store's promises on PostgreSQL."""

from __future__ import annotations

import suites

WITHOUT = {
    "conn": "the engine's own",
    "test_the_text_of_a_token_is_not_stored": "dumps the embedded database",
}
globals().update(suites.tests_of(suites.load("identity/test_identity_tokens.py"), without=WITHOUT))
