"""Shared fixtures: test material with a reason to skip, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("hilum", deadline=None)  # timings belong to benchmarks
settings.load_profile("hilum")

MATERIAL = Path(__file__).resolve().parents[2] / "shared" / "material"


def missing(reason: str) -> None:
    """Skip with a reason on a developer's machine; fail where everything must be present."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"missing under CI: {reason}")
    pytest.skip(reason)


SLOW = (
    "api/test_leaks.py",
    "api/test_api_authorisation.py",
    "api/test_api_claims.py",
    "api/test_api_fuzz.py",
    "api/test_api_long_walk.py",
    "bitcoin/test_bitcoin_faults.py",
    "bitcoin/test_bitcoin_anchor.py",
    "journal/test_journal_tiles.py",
    "portal/test_portal_pages.py",
    "record/test_record_expressions.py",
    "record/test_record_gate.py",
    "record/test_record_validation_examples.py",
    "record/test_record_validation_fuzz.py",
    "verifier/test_verifier_browser.py",
    "verifier/test_verifier_proof.py",
)
"""Modules of more than a few seconds: part of `make test`, not of `make check`."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make check` leaves out."""
    here = Path(__file__).resolve().parent
    for item in items:
        if item.path.relative_to(here).as_posix() in SLOW:
            item.add_marker("slow")


@pytest.fixture(scope="session")
def material() -> Callable[[str], Path]:
    """Return the path of a test material file or folder; skip (fail under CI) where it is absent."""

    def find(name: str) -> Path:
        path = MATERIAL / name
        if not path.exists():
            missing(f"test material {name} is not beside this checkout")
        return path

    return find
