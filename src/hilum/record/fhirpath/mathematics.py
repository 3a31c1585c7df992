"""Functions on numbers, and the boundaries and precision of values.

Source: HL7 FHIRPath N1, "Math"; FHIRPath 3.0, `lowBoundary`, `highBoundary`, `precision`,
    `comparable`, and its tests: a boundary to fewer digits is cut for the lower end of a positive
    number and rounded half up for its upper end.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_UP,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
    Underflow,
    localcontext,
)
from typing import Any

from hilum.record.fhirpath.frame import Frame, Step, refuse
from hilum.record.fhirpath.items import EMPTY, Items, made
from hilum.record.fhirpath.quantity import Amount, are_comparable
from hilum.record.fhirpath.signature import Arguments, Function, Make, of_single
from hilum.record.fhirpath.temporal import Temporal, boundary, precision_digits
from hilum.record.fhirpath.values import single

__all__ = ["MATHEMATICS"]

_FAILURES = (DivisionByZero, InvalidOperation, Overflow, Underflow, ZeroDivisionError)
_MOST_PLACES = 31


def _number(value: object, offset: int) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        refuse("a number is needed", offset)
    return Decimal(value)


def _of_number(compute: Callable[..., Decimal | int | None]) -> Make:
    """Compile a function of numbers that is empty where it is not defined."""

    def guarded(value: object, *arguments: object, offset: int) -> Decimal | int | None:
        numbers = [_number(given, offset) for given in (value, *arguments)]
        with localcontext(prec=28, Emax=10_000, Emin=-10_000):
            try:
                found = compute(*numbers)
            except _FAILURES:
                return None
        return found if found is None or Decimal(found).is_finite() else None

    return of_single(guarded)


def _whole(rounding: str) -> Callable[[Decimal], int | None]:
    def whole(value: Decimal) -> int | None:
        found = value.to_integral_value(rounding=rounding)
        return int(found) if abs(found) < 1 << 63 else None

    return whole


def _abs(value: object, *, offset: int) -> Any:  # noqa: ANN401 - a System value
    if isinstance(value, Amount):
        return Amount(abs(value.value), value.unit, value.system, value.word)
    found = abs(_number(value, offset))
    return int(found) if isinstance(value, int) else found


def _power(value: object, exponent: object, *, offset: int) -> Any:  # noqa: ANN401
    base, power = _number(value, offset), _number(exponent, offset)
    with localcontext(prec=28, Emax=10_000, Emin=-10_000):
        try:
            found = base**power
        except _FAILURES:
            return None
    if isinstance(value, int) and isinstance(exponent, int) and exponent >= 0:
        return int(found) if abs(found) < 1 << 63 else found
    return found


def _round(arguments: Arguments, offset: int) -> Step:
    def step(items: Items, frame: Frame) -> Items:
        value = single(items, offset)
        if value is None:
            return EMPTY
        places = single(arguments[0](frame), offset) if arguments else 0
        if isinstance(places, bool) or not isinstance(places, int) or not 0 <= places <= 28:
            refuse("the number of places is 0 to 28", offset)
        with localcontext(prec=60):
            try:
                return made(
                    _number(value, offset).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
                )
            except _FAILURES:
                return EMPTY

    return step


def _log(value: Decimal, base: Decimal) -> Decimal:
    found = value.ln() / base.ln()
    near = found.quantize(Decimal("1e-20")) if abs(found) < 1_000_000 else found
    # logarithms of powers are whole, whatever the last digit says
    return near.normalize() if near == near.to_integral_value() else found


def _sqrt(value: Decimal) -> Decimal | None:
    return value.sqrt() if value >= 0 else None


def _boundary(*, is_high: bool) -> Make:
    def make(arguments: Arguments, offset: int) -> Step:
        def step(items: Items, frame: Frame) -> Items:
            value = single(items, offset)
            digits = single(arguments[0](frame), offset) if arguments else None
            if value is None or (arguments and digits is None):
                return EMPTY
            if digits is not None and (isinstance(digits, bool) or not isinstance(digits, int)):
                refuse("the precision is an integer", offset)
            found = _boundary_of(value, digits, is_high=is_high)
            if found is NotImplemented:
                refuse("a number, quantity, date or time is needed", offset)
            return EMPTY if found is None else made(found)

        return step

    return make


def _boundary_of(value: Any, digits: int | None, *, is_high: bool) -> Any:  # noqa: ANN401
    if isinstance(value, Temporal):
        return boundary(value, digits, is_high=is_high)
    places = 8 if digits is None else digits
    if isinstance(value, Amount):
        number = _number_boundary(value.value, places, is_high=is_high)
        return None if number is None else Amount(number, value.unit, value.system, value.word)
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        return NotImplemented
    return _number_boundary(Decimal(value), places, is_high=is_high)


def _number_boundary(value: Decimal, places: int, *, is_high: bool) -> Decimal | None:
    exponent = value.as_tuple().exponent
    if not 0 <= places <= _MOST_PLACES or not isinstance(exponent, int):
        return None
    with localcontext(prec=80):
        half = Decimal(5).scaleb(min(exponent, 0) - 1)
        bound = value + half if is_high else value - half
        outward = is_high != value.is_signed()
        rounding = ROUND_HALF_UP if outward else ROUND_DOWN
        try:
            return bound.quantize(Decimal(1).scaleb(-places), rounding)
        except InvalidOperation:
            return None


def _precision(value: object, *, offset: int) -> int:
    if isinstance(value, Temporal):
        return precision_digits(value)
    if isinstance(value, Amount):
        value = value.value
    exponent = _number(value, offset).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _comparable(value: object, other: object, *, offset: int) -> bool:
    if not isinstance(value, Amount) or not isinstance(other, Amount):
        refuse("quantities are needed", offset)
    return are_comparable(value, other)


MATHEMATICS = {
    "abs": Function(of_single(_abs)),
    "ceiling": Function(_of_number(_whole(ROUND_CEILING)), gives="Integer"),
    "floor": Function(_of_number(_whole(ROUND_FLOOR)), gives="Integer"),
    "truncate": Function(_of_number(_whole(ROUND_DOWN)), gives="Integer"),
    "exp": Function(_of_number(Decimal.exp), gives="Decimal"),
    "ln": Function(_of_number(Decimal.ln), gives="Decimal"),
    "log": Function(_of_number(_log), 1, 1, gives="Decimal"),
    "power": Function(of_single(_power), 1, 1),
    "sqrt": Function(_of_number(_sqrt), gives="Decimal"),
    "round": Function(_round, 0, 1, gives="Decimal"),
    "lowBoundary": Function(_boundary(is_high=False), 0, 1),
    "highBoundary": Function(_boundary(is_high=True), 0, 1),
    "precision": Function(of_single(_precision), gives="Integer"),
    "comparable": Function(of_single(_comparable), 1, 1, gives="Boolean"),
}
"""By name."""
