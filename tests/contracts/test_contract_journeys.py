"""Journeys of a served node, walked on PostgreSQL."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import suites
from server import Server

sys.path.insert(0, str(suites.TESTS / "journeys"))
from node import Node, run

pytestmark = pytest.mark.slow
globals().update(suites.tests_of(suites.load("journeys/test_journey_fhir.py"), without={}))
globals().update(suites.tests_of(suites.load("journeys/test_journey_devices.py"), without={}))
EMBEDDED = "looks into the files of the embedded database"
MOVING = {
    "test_an_erased_subject_is_absent_everywhere": EMBEDDED,
    "test_a_copied_data_directory_does_not_open_without_its_key": EMBEDDED,
}
globals().update(suites.tests_of(suites.load("journeys/test_journey_moving.py"), without=MOVING))


class ServedNode(Node):
    """A node whose rows are on a database of the server."""

    def __init__(self, folder: Path, server: Server) -> None:
        super().__init__(folder)
        name = f"journey_{folder.name}".replace("-", "_")
        server.sql(f"create database {name}")
        made = run("init", "--database", server.url(name), data=self.data)
        assert made.code == 0, made.err


@pytest.fixture
def node(server: Server, tmp_path: Path) -> Iterator[Any]:
    with ServedNode(tmp_path, server) as served:
        yield served


@pytest.fixture(scope="module")
def shared(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with ServedNode(tmp_path_factory.mktemp("shared"), server) as served:
        yield served
