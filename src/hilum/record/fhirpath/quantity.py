"""Amounts: a number with a unit, as literals and FHIR Quantities become in an expression.

Source: HL7 FHIRPath N1, "Quantity", "Quantity Equality", "Quantity Equivalence", "Math".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

from hilum.record.fhirpath.units import CALENDAR, calendar_unit
from hilum.record.ucum import UCUM, canonical

__all__ = [
    "Amount",
    "added",
    "amount_of",
    "are_comparable",
    "compare_amounts",
    "comparison_key",
    "converted",
    "divided",
    "equivalent_amounts",
    "multiplied",
    "parse_amount",
]

_MOST_DIGITS = 400
_TEXT = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*(?:'([^']+)'|([a-zA-Z]+))?\s*", re.ASCII)
_EXACT = {"week": "wk", "day": "d", "hour": "h", "minute": "min"}
_EXACT |= {"second": "s", "millisecond": "ms"}


@dataclass(frozen=True, slots=True)
class Amount:
    """A number with a unit.

    Attributes:
        value: the number, with its written digits.
        unit: a UCUM code, or a calendar word in the singular.
        system: "" for UCUM and calendar words, else the code system of the unit.
        word: the calendar word as written (``days``), or "".
    """

    value: Decimal
    unit: str
    system: str = ""
    word: str = ""

    @property
    def is_calendar(self) -> bool:
        """True when the unit is a calendar word."""
        return self.unit in CALENDAR

    def __str__(self) -> str:
        return f"{self.value} {self.word}" if self.is_calendar else f"{self.value} '{self.unit}'"


def parse_amount(text: str) -> Amount | None:
    """Read ``4 days``, ``1.5 'mg'`` or ``1``; None when the text is no quantity."""
    match = _TEXT.fullmatch(text)
    if match is None:
        return None
    number, unit, word = match.groups()
    if len(number) > _MOST_DIGITS:
        return None
    if word is not None:
        single = calendar_unit(word)
        return Amount(Decimal(number), single, word=word) if single else None
    return Amount(Decimal(number), unit or "1")


def amount_of(node: dict[str, Any]) -> Amount | None:
    """Return the amount of a FHIR Quantity; None without a usable number, or with a comparator."""
    value = node.get("value")
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)) or node.get("comparator"):
        return None
    if not Decimal(value).is_finite() or abs(Decimal(value).adjusted()) > _MOST_DIGITS:
        return None
    system, code, unit = node.get("system"), node.get("code"), node.get("unit")
    if isinstance(code, str) and isinstance(system, str):
        return Amount(Decimal(value), code, "" if system == UCUM else system)
    named = code if isinstance(code, str) else unit
    return Amount(Decimal(value), named if isinstance(named, str) else "1")


def comparison_key(amount: Amount) -> tuple[Fraction, str]:
    """Return a key that equal amounts share."""
    return _scaled(amount)


def _scaled(amount: Amount) -> tuple[Fraction, str]:
    unit = amount.unit
    if amount.system:
        return Fraction(amount.value), f"{amount.system}|{unit}"
    if unit in {"year", "month"}:
        # calendar years and months have no fixed length, but twelve months are a year
        return Fraction(amount.value) * (12 if unit == "year" else 1), "calendar month"
    found = canonical(_EXACT.get(unit, unit))
    if found is None:
        return Fraction(amount.value), "?" + unit
    return Fraction(amount.value) * found.factor + found.offset, found.expression


def compare_amounts(left: Amount, right: Amount) -> int | None:
    """Return -1, 0 or 1, or None when the units cannot be compared."""
    ours, theirs = _scaled(left), _scaled(right)
    if ours[1] != theirs[1]:
        return None
    return (ours[0] > theirs[0]) - (ours[0] < theirs[0])


def are_comparable(left: Amount, right: Amount) -> bool:
    """Tell whether both units are known and of one dimension."""
    ours, theirs = _scaled(left), _scaled(right)
    return ours[1] == theirs[1] and not ours[1].startswith("?")


def equivalent_amounts(left: Amount, right: Amount) -> bool:
    """Tell whether two amounts agree at the precision of the less precise one."""
    ours, theirs = _ucum(left), _ucum(right)
    if ours.unit == theirs.unit and ours.system == theirs.system:
        places = min(_places(left.value), _places(right.value))
        return rounded(left.value, places) == rounded(right.value, places)
    one, other = _scaled(ours), _scaled(theirs)
    if one[1] != other[1]:
        return False
    # both in the coarser one's unit: what one step of the coarser covers is the same
    steps = [_step(amount) for amount in (ours, theirs)]
    return abs(one[0] - other[0]) * 2 <= max(steps)


def _ucum(amount: Amount) -> Amount:
    unit = CALENDAR.get(amount.unit, amount.unit)
    return Amount(amount.value, unit, amount.system)


def _step(amount: Amount) -> Fraction:
    return _one(amount) / Fraction(10) ** _places(amount.value)


def _places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def rounded(value: Decimal, places: int) -> Decimal:
    """Return the number rounded half up to a number of places; beyond 28 digits as it is."""
    try:
        return value.quantize(Decimal(1).scaleb(-places), rounding="ROUND_HALF_UP")
    except InvalidOperation:
        return value


def added(left: Amount, right: Amount, sign: int) -> Amount | None:
    """Return the sum (sign 1) or difference (sign -1) in the left unit; None when not comparable."""
    if left.unit == right.unit and left.system == right.system:
        return Amount(left.value + sign * right.value, left.unit, left.system, left.word)
    share = _share(right, left)
    if share is None:
        return None
    moved = right.value * share.numerator / share.denominator
    return Amount(left.value + sign * moved, left.unit, left.system, left.word)


def _share(given: Amount, wanted: Amount) -> Fraction | None:
    """Return how many of the wanted unit one of the given unit is; differences, no scales."""
    if compare_amounts(given, wanted) is None:
        return None
    return _one(given) / _one(wanted)


def _one(amount: Amount) -> Fraction:
    zero, one = (_scaled(Amount(Decimal(n), amount.unit, amount.system))[0] for n in (0, 1))
    return one - zero


def converted(amount: Amount, unit: str) -> Amount | None:
    """Return the amount in another UCUM unit; None when the units are not comparable."""
    wanted = Amount(Decimal(0), unit)
    if amount.unit == unit and not amount.system:
        return amount
    if not are_comparable(amount, wanted):
        return None
    value = (_scaled(amount)[0] - _scaled(wanted)[0]) / _one(wanted)
    return Amount(Decimal(value.numerator) / Decimal(value.denominator), unit)


def multiplied(left: Amount, right: Amount) -> Amount:
    """Return the product; its unit is the product of the units."""
    return Amount(left.value * right.value, _product(_ucum(left).unit, _ucum(right).unit))


def divided(left: Amount, right: Amount) -> Amount:
    """Return the quotient; the divisor must not be zero."""
    above, below = _ucum(left).unit, _ucum(right).unit
    if above == below:
        return Amount(left.value / right.value, "1")
    unit = above if below == "1" else f"{above}/{below}"
    return Amount(left.value / right.value, unit)


def _product(left: str, right: str) -> str:
    if "1" in {left, right}:
        return right if left == "1" else left
    return f"{left}.{right}"
