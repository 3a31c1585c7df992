"""What the tests of the HTTP edge share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from edge import Edge, open_edge


@pytest.fixture(scope="session")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """One node for all tests of the edge; each makes people of its own."""
    with open_edge(tmp_path_factory.mktemp("edge") / "node") as opened:
        yield opened
