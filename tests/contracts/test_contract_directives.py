"""Directives and broken glass keep the embedded store's promises on PostgreSQL."""

from __future__ import annotations

import suites

WITHOUT = {"conn": "the engine's own"}
globals().update(suites.tests_of(suites.load("consent/test_consent_store.py"), without=WITHOUT))
