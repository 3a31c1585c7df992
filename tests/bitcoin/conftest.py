"""A chain in a fresh folder, and one shared by tests that only read it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hilum.base.ids import UnixMs
from hilum.bitcoin.adapters.embedded import EmbeddedChain

SEED = b"seed of a chain for tests only.."


def now() -> UnixMs:
    return UnixMs(time.time_ns() // 1_000_000)


@pytest.fixture
def open_chain(tmp_path: Path) -> Iterator[Callable[..., EmbeddedChain]]:
    """Open the chain in this test's folder; closed at the end."""
    opened: list[EmbeddedChain] = []

    def make(folder: Path = tmp_path / "chain") -> EmbeddedChain:
        opened.append(EmbeddedChain(folder, seed=SEED, clock=now, entropy=os.urandom))
        return opened[-1]

    yield make
    for chain in opened:
        chain.close()
