"""The operators between two operands, and the signs.

Source: HL7 FHIRPath N1, "Operations".
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, DivisionByZero, InvalidOperation, Overflow, localcontext
from operator import add, mul, sub
from typing import Any

from hilum.record.fhirpath.bags import distinct
from hilum.record.fhirpath.frame import Expr, Frame, refuse
from hilum.record.fhirpath.items import EMPTY, FALSE, TRUE, Items, boolean, made
from hilum.record.fhirpath.patterns import limited
from hilum.record.fhirpath.quantity import Amount, added, divided, multiplied
from hilum.record.fhirpath.temporal import Temporal, shift
from hilum.record.fhirpath.units import CALENDAR
from hilum.record.fhirpath.values import (
    are_equal,
    are_equivalent,
    items_equal,
    order,
    single,
    truth,
)

__all__ = ["binary", "unary"]

_SHIFTS = {"wk": "week", "d": "day", "h": "hour", "min": "minute", "s": "second"}
_SHIFTS |= {"ms": "millisecond"} | {word: word for word in CALENDAR}
_SHIFTS |= {word + "s": word for word in CALENDAR}


def binary(sign: str, left: Expr, right: Expr, offset: int) -> Expr:
    """Return the compiled operation of two operands.

    Args:
        sign: one of the grammar's.
        left: the compiled left operand.
        right: the compiled right operand.
        offset: where the operator stands, for errors.
    """
    special = _SPECIAL.get(sign)
    if special is not None:
        return special(left, right, offset)
    if sign in _ORDERS:
        return _ordered(_ORDERS[sign], left, right, offset)
    return _arithmetic(sign, left, right, offset)


def unary(sign: str, operand: Expr, offset: int) -> Expr:
    """Return the compiled sign of an operand."""

    def signed(frame: Frame) -> Items:
        value = single(operand(frame), offset)
        if value is None:
            return EMPTY
        if isinstance(value, Amount):
            number = value.value if sign == "+" else -value.value
            return made(Amount(number, value.unit, value.system, value.word))
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            refuse("a sign needs a number", offset)
        return made(value if sign == "+" else -value)

    return signed


def _equal(left: Expr, right: Expr, _offset: int) -> Expr:
    def equal(frame: Frame) -> Items:
        ours, theirs = left(frame), right(frame)
        if len(ours) == 1 and len(theirs) == 1:
            same = items_equal(ours[0], theirs[0])
            return TRUE if same else EMPTY if same is None else FALSE
        return boolean(are_equal(ours, theirs))

    return equal


def _unequal(left: Expr, right: Expr, _offset: int) -> Expr:
    def unequal(frame: Frame) -> Items:
        same = are_equal(left(frame), right(frame))
        return boolean(None if same is None else not same)

    return unequal


def _equivalent(left: Expr, right: Expr, _offset: int) -> Expr:
    return lambda frame: boolean(are_equivalent(left(frame), right(frame)))


def _inequivalent(left: Expr, right: Expr, _offset: int) -> Expr:
    return lambda frame: boolean(not are_equivalent(left(frame), right(frame)))


def _union(left: Expr, right: Expr, _offset: int) -> Expr:
    def union(frame: Frame) -> Items:
        both = left(frame) + right(frame)
        frame.spend(len(both))
        return distinct(both, frame)

    return union


def _and(left: Expr, right: Expr, offset: int) -> Expr:
    def both(frame: Frame) -> Items:
        one = truth(left(frame), offset)
        if one is False:
            return FALSE
        other = truth(right(frame), offset)
        if other is False:
            return FALSE
        return EMPTY if one is None or other is None else TRUE

    return both


def _or(left: Expr, right: Expr, offset: int) -> Expr:
    def either(frame: Frame) -> Items:
        ours = left(frame)
        if ours is TRUE:
            return TRUE
        one = truth(ours, offset)
        if one:
            return TRUE
        other = truth(right(frame), offset)
        if other:
            return TRUE
        return EMPTY if one is None or other is None else FALSE

    return either


def _xor(left: Expr, right: Expr, offset: int) -> Expr:
    def exclusive(frame: Frame) -> Items:
        one, other = truth(left(frame), offset), truth(right(frame), offset)
        return boolean(None if one is None or other is None else one != other)

    return exclusive


def _implies(left: Expr, right: Expr, offset: int) -> Expr:
    def implies(frame: Frame) -> Items:
        one = truth(left(frame), offset)
        if one is False:
            return TRUE
        other = truth(right(frame), offset)
        if other:
            return TRUE
        return EMPTY if one is None or other is None else FALSE

    return implies


def _is_in(needle: Items, items: Items, frame: Frame, offset: int) -> Items:
    if not needle:
        return EMPTY
    if len(needle) > 1:
        refuse("one value is needed, there are several", offset)
    frame.spend(len(items))
    return TRUE if any(items_equal(needle[0], item) for item in items) else FALSE


def _in(left: Expr, right: Expr, offset: int) -> Expr:
    return lambda frame: _is_in(left(frame), right(frame), frame, offset)


def _contains(left: Expr, right: Expr, offset: int) -> Expr:
    return lambda frame: _is_in(right(frame), left(frame), frame, offset)


def _concatenate(left: Expr, right: Expr, offset: int) -> Expr:
    def concatenate(frame: Frame) -> Items:
        one, other = single(left(frame), offset), single(right(frame), offset)
        one, other = "" if one is None else one, "" if other is None else other
        if not isinstance(one, str) or not isinstance(other, str):
            refuse("'&' joins texts", offset)
        return made(limited(one + other, offset))

    return concatenate


_SPECIAL: dict[str, Callable[[Expr, Expr, int], Expr]] = {
    "=": _equal,
    "!=": _unequal,
    "~": _equivalent,
    "!~": _inequivalent,
    "|": _union,
    "and": _and,
    "or": _or,
    "xor": _xor,
    "implies": _implies,
    "in": _in,
    "contains": _contains,
    "&": _concatenate,
}
_SUMS: dict[str, Callable[[Any, Any], Any]] = {"+": add, "-": sub, "*": mul}
_ORDERS: dict[str, tuple[int, ...]] = {"<": (-1,), "<=": (-1, 0), ">": (1,), ">=": (1, 0)}


def _ordered(wanted: tuple[int, ...], left: Expr, right: Expr, offset: int) -> Expr:
    def ordered(frame: Frame) -> Items:
        found = order(left(frame), right(frame), offset)
        return boolean(None if found is None else found in wanted)

    return ordered


def _arithmetic(sign: str, left: Expr, right: Expr, offset: int) -> Expr:
    def calculate(frame: Frame) -> Items:
        one, other = single(left(frame), offset), single(right(frame), offset)
        if one is None or other is None:
            return EMPTY
        with localcontext(prec=40):
            try:
                found = _calculated(sign, one, other)
            except (DivisionByZero, InvalidOperation, Overflow, ZeroDivisionError):
                return EMPTY
        if found is NotImplemented:
            refuse(f"'{sign}' is not defined for these types", offset)
        if isinstance(found, str):
            limited(found, offset)
        if isinstance(found, int) and abs(found) >= 1 << 63:
            return EMPTY
        return EMPTY if found is None else made(found)

    return calculate


def _calculated(sign: str, one: Any, other: Any) -> Any:  # noqa: ANN401 - System values
    if isinstance(one, bool) or isinstance(other, bool):
        return NotImplemented
    if isinstance(one, (int, Decimal)) and isinstance(other, (int, Decimal)):
        return _numbers(sign, one, other)
    if isinstance(one, Temporal) and isinstance(other, Amount):
        unit = _SHIFTS.get(other.unit) if sign in {"+", "-"} and not other.system else None
        signed = other.value if sign == "+" else -other.value
        return NotImplemented if unit is None else shift(one, signed, unit)
    if isinstance(one, str) and isinstance(other, str):
        return one + other if sign == "+" else NotImplemented
    return _amounts(sign, one, other)


def _numbers(sign: str, one: int | Decimal, other: int | Decimal) -> int | Decimal | None:
    if sign in _SUMS:
        found: int | Decimal = _SUMS[sign](one, other)
        return found
    if other == 0:
        return None
    if sign == "/":
        return Decimal(one) / Decimal(other)
    share = Decimal(one) / Decimal(other)
    if abs(share) >= 1 << 63:
        return None
    whole = int(share)
    if sign == "div":
        return whole
    return one - other * whole


def _amounts(sign: str, one: Any, other: Any) -> Any:  # noqa: ANN401 - System values
    ours = one if isinstance(one, Amount) else _as_amount(one)
    theirs = other if isinstance(other, Amount) else _as_amount(other)
    if ours is None or theirs is None or not (ours is one or theirs is other):
        return NotImplemented
    if sign in {"+", "-"}:
        return added(ours, theirs, 1 if sign == "+" else -1)
    if sign == "*":
        return multiplied(ours, theirs)
    if sign == "/":
        return None if theirs.value == 0 else divided(ours, theirs)
    return NotImplemented


def _as_amount(value: Any) -> Amount | None:  # noqa: ANN401 - a System value
    return Amount(Decimal(value), "1") if isinstance(value, (int, Decimal)) else None
