"""Every kind of search finds on PostgreSQL what a naive reader finds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import suites
from databases import Databases

CONFTEST = suites.load("record/conftest.py")
AT_ONCE = 8
"""The suite keeps six stores, each of a world of its own."""
pytestmark = pytest.mark.slow
globals().update(suites.tests_of(suites.load("record/test_record_search_crowd.py"), without={}))
globals().update(suites.tests_of(suites.load("record/test_record_search_model.py"), without={}))


@pytest.fixture(scope="module")
def shelf_class(databases: Databases) -> Iterator[type[Any]]:
    """Stores on databases of the server."""
    taken: list[Any] = []

    class Lent:
        """A connection that goes back to the pool when it is closed."""

        def connect(self, *_words: object, **_more: object) -> Any:
            if len(taken) == AT_ONCE:
                databases.give_back(taken.pop(0))
            taken.append(databases.take())
            taken[-1].executescript = lambda _schema: None  # the tables are there
            return taken[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CONFTEST, "sqlite3", Lent())
        yield CONFTEST.Shelf
    for conn in taken:
        databases.give_back(conn)


@pytest.fixture
def shelf(shelf_class: type[Any]) -> Any:
    return shelf_class()
