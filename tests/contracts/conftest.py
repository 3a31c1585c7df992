"""The suites of the stores, run a second time on PostgreSQL: one contract, two engines."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from databases import Databases
from server import Server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A private PostgreSQL 15."""
    made = Server()
    yield made
    made.throw_away()


@pytest.fixture(scope="session")
def databases(server: Server) -> Iterator[Databases]:
    made = Databases(server)
    yield made
    made.close()


@pytest.fixture
def conn(databases: Databases) -> Iterator[Any]:
    """The write connection of an empty database with every table."""
    taken = databases.take()
    yield taken
    databases.give_back(taken)
