"""Series keep the embedded store's promises on PostgreSQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
import suites
from databases import Databases

MODULE = suites.load("signals/test_signals_store.py")
MAKE = MODULE.make_store
AT_ONCE = 4
globals().update(suites.tests_of(MODULE, without={}))


@pytest.fixture(autouse=True)
def _stores(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every store that a test makes is on a database of the server."""
    taken = []

    def make_store() -> Any:
        embedded, store = MAKE()
        assert isinstance(embedded, sqlite3.Connection)
        embedded.close()
        if len(taken) == AT_ONCE:  # an example of a property is over when so many others began
            databases.give_back(taken.pop(0))
        taken.append(databases.take())
        return taken[-1], store

    monkeypatch.setattr(MODULE, "make_store", make_store)
    yield
    for conn in taken:
        databases.give_back(conn)
