"""Numbers and quantities as search values: exact intervals from how precisely they are written.

``5.4`` asks for what rounds to 5.4: from 5.35 up to, not including, 5.45. ``gt lt ge le sa eb``
compare with the number exactly as written. ``ap`` is ten percent either way.

Source: HL7 FHIR R4, search, "number", "quantity" and "prefixes".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from hilum.errors import MalformedInputError
from hilum.record.dates import Prefix

__all__ = [
    "NumberValue",
    "QuantityValue",
    "parse_number_value",
    "parse_quantity_value",
    "split_bars",
]

_NUMBER = re.compile(r"([a-z]{2})?([-+]?\d{1,60}(?:\.\d{1,60})?(?:[eE][-+]?\d{1,3})?)\Z", re.ASCII)
_PREFIXES = frozenset(Prefix)
_TENTH = Fraction(1, 10)


@dataclass(frozen=True, slots=True)
class NumberValue:
    """One search value.

    Attributes:
        prefix: how it is compared.
        value: exactly what is written.
        lo: least number that counts as equal; for ``ap`` as near.
        hi: first number above those; for ``ap`` the last near one.
    """

    prefix: Prefix
    value: Fraction
    lo: Fraction
    hi: Fraction


@dataclass(frozen=True, slots=True)
class QuantityValue:
    """A number with a unit.

    Attributes:
        system: of the unit's code; None = any.
        unit: code, or what is written; None = any unit.
    """

    number: NumberValue
    system: str | None
    unit: str | None


def parse_number_value(text: str, *, where: str) -> NumberValue:
    """Read one number search value, e.g. ``ge5.40``.

    Args:
        text: optional prefix and a decimal.
        where: the parameter's name, for the error.

    Raises:
        MalformedInputError: when it is not one.
    """
    match = _NUMBER.match(text)
    if match is None or (match[1] is not None and match[1] not in _PREFIXES):
        raise MalformedInputError(
            "value", "not a number", where=where, hint="as in 5.4, 1e-3, ge100; + as %2B"
        )
    prefix = Prefix(match[1]) if match[1] else Prefix.EQ
    written = Decimal(match[2])
    value = Fraction(written)
    exponent = written.as_tuple().exponent
    half = Fraction(10) ** int(exponent) / 2
    if prefix is Prefix.AP:
        half = abs(value) * _TENTH
    return NumberValue(prefix, value, value - half, value + half)


def parse_quantity_value(text: str, *, where: str) -> QuantityValue:
    """Read one quantity search value: ``[prefix]number``, ``…|system|code`` or ``…||unit``.

    Args:
        text: with escapes.
        where: the parameter's name, for the error.

    Raises:
        MalformedInputError: when it is not one.
    """
    parts = split_bars(text)
    number = parse_number_value(parts[0], where=where)
    if len(parts) == 1:
        return QuantityValue(number, None, None)
    if len(parts) != 3:
        raise MalformedInputError(
            "value",
            "not a quantity",
            where=where,
            hint="number, number|system|code or number||unit",
        )
    return QuantityValue(number, parts[1] or None, parts[2] or None)


_PIECE = re.compile(r"((?:\\.|[^\\|])*)(?:\||\Z)", re.DOTALL)


def split_bars(text: str) -> list[str]:
    """Return the pieces between bars that are not escaped, escapes read."""
    pieces: list[str] = []
    at = 0
    while at <= len(text):
        match = _PIECE.match(text, at)
        if match is None:
            return [*pieces, text[at:]]
        pieces.append(re.sub(r"\\([,|$\\])", r"\1", match[1]))
        if match.end() == len(text) and not match[0].endswith("|"):
            break
        at = match.end()
    return pieces
