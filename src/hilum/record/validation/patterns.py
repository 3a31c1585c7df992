"""Fixed values and patterns of profiles."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

__all__ = ["contains", "is_equal"]


def is_equal(value: Any, fixed: Any) -> bool:  # noqa: ANN401 - decoded JSON values
    """Tell whether a value is exactly the fixed one; a decimal equals another of the same number."""
    if isinstance(fixed, dict) and isinstance(value, dict):
        return value.keys() == fixed.keys() and all(is_equal(value[k], fixed[k]) for k in fixed)
    if isinstance(fixed, list) and isinstance(value, list):
        return len(value) == len(fixed) and all(map(is_equal, value, fixed))
    return _is_same(value, fixed)


def contains(value: Any, pattern: Any) -> bool:  # noqa: ANN401 - decoded JSON values
    """Tell whether a value holds at least what the pattern holds."""
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(
            key in value and contains(value[key], inner) for key, inner in pattern.items()
        )
    if isinstance(pattern, list):
        return isinstance(value, list) and all(
            any(contains(item, inner) for item in value) for inner in pattern
        )
    return _is_same(value, pattern)


def _is_same(value: Any, other: Any) -> bool:  # noqa: ANN401 - decoded JSON values
    if isinstance(value, bool) or isinstance(other, bool):
        return value is other
    if isinstance(value, (int, Decimal)) and isinstance(other, (int, float)):
        return Decimal(value) == Decimal(str(other))
    return type(value) is type(other) and bool(value == other)
