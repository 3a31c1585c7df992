"""Suites of stores, loaded again for another engine."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

TESTS = Path(__file__).resolve().parents[1]


def load(name: str) -> ModuleType:
    """Return a module of tests as one of its own, apart from the one that pytest collects."""
    path = TESTS / name
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(f"contract_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


def tests_of(module: ModuleType, *, without: Mapping[str, str]) -> dict[str, Any]:
    """Return tests and fixtures of a module but for those left out.

    Args:
        module: what `load` returned.
        without: name → why it cannot be asked of another engine.

    Raises:
        AssertionError: a name left out is not there any more.
    """
    assert set(without) <= set(vars(module)), set(without) - set(vars(module))
    return {
        name: value
        for name, value in vars(module).items()
        if name not in without and (name.startswith("test_") or _is_fixture(value))
    }


def _is_fixture(value: object) -> bool:
    return type(value).__name__ == "FixtureFunctionDefinition"
