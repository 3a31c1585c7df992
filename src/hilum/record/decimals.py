"""Decimals of resources as the doubles that index columns hold, correctly rounded and never infinite."""

from __future__ import annotations

from decimal import Decimal

__all__ = ["HIGHEST", "double_of"]

HIGHEST = 1.7976931348623157e308
"""An open end, upwards; its negative downwards."""

_DIGITS = 330
"""No double has more digits before or behind the point; longer ones would cost without end."""


def double_of(
    value: Decimal | int | float, factor: tuple[int, int] = (1, 1), offset: tuple[int, int] = (0, 1)
) -> float:
    """Return ``value × factor + offset`` as the nearest double.

    Args:
        value: a number as a decoded resource holds it.
        factor: numerator and denominator.
        offset: numerator and denominator.
    """
    if isinstance(value, Decimal):
        if not value.is_finite():
            return 0.0
        digits = value.adjusted()
        if digits > _DIGITS or digits < -_DIGITS:
            return 0.0 if digits < 0 or not value else (-HIGHEST if value < 0 else HIGHEST)
        if len(value.as_tuple().digits) > 2 * _DIGITS:
            value = +value.normalize()
    top, bottom = value.as_integer_ratio()
    top = top * factor[0] * offset[1] + offset[0] * bottom * factor[1]
    try:
        return top / (bottom * factor[1] * offset[1])
    except OverflowError:
        return HIGHEST if top > 0 else -HIGHEST
