"""What journeys share: served nodes. A journey that changes what others see takes a node of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from node import Node


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """An empty served node of the test's own."""
    with Node(tmp_path) as served:
        yield served


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A served node that the journeys of one module share; each makes subjects of its own."""
    with Node(tmp_path_factory.mktemp("shared")) as served:
        yield served
