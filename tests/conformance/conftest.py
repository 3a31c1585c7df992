"""What the conformance suites share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "api"))

from us_core_node import Examples, open_examples


@pytest.fixture(scope="session")
def us_core(
    material: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Examples]:
    """The node with the US Core examples."""
    with open_examples(material("us-core-7.0.0"), tmp_path_factory.mktemp("us-core")) as opened:
        yield opened
