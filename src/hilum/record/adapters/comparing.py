"""How dates and numbers in index rows are compared with search values, as SQL.

Source: HL7 FHIR R4, search, "prefixes".
"""

from __future__ import annotations

from fractions import Fraction

from hilum.record.adapters.statement import Statement
from hilum.record.dates import DateValue, Prefix
from hilum.record.decimals import HIGHEST
from hilum.record.numbers import NumberValue

__all__ = ["compare_date", "compare_number"]

_INSIDE = "{lo} >= ? and {hi} <= ?"
_DATES: dict[Prefix, tuple[str, tuple[str, ...]]] = {
    Prefix.EQ: (f"({_INSIDE})", ("first", "last")),
    Prefix.NE: (f"not ({_INSIDE})", ("first", "last")),
    Prefix.GT: ("{hi} > ?", ("last",)),
    Prefix.LT: ("{lo} < ?", ("first",)),
    Prefix.GE: (f"({{hi}} > ? or {_INSIDE})", ("last", "first", "last")),
    Prefix.LE: (f"({{lo}} < ? or {_INSIDE})", ("first", "first", "last")),
    Prefix.SA: ("{lo} > ?", ("last",)),
    Prefix.EB: ("{hi} < ?", ("first",)),
    Prefix.AP: ("({lo} <= ? and {hi} >= ?)", ("last", "first")),
}
# The stored range of a plain number is the number itself; a comparator or a Range has two ends.
_NUMBERS: dict[Prefix, tuple[str, tuple[str, ...]]] = {
    Prefix.EQ: ("({lo} >= ? and {hi} < ?)", ("lo", "hi")),
    Prefix.NE: ("not ({lo} >= ? and {hi} < ?)", ("lo", "hi")),
    Prefix.GT: ("{hi} > ?", ("value",)),
    Prefix.LT: ("{lo} < ?", ("value",)),
    Prefix.GE: ("{hi} >= ?", ("value",)),
    Prefix.LE: ("{lo} <= ?", ("value",)),
    Prefix.SA: ("{lo} > ?", ("value",)),
    Prefix.EB: ("{hi} < ?", ("value",)),
    Prefix.AP: ("({lo} <= ? and {hi} >= ?)", ("hi", "lo")),
}


def compare_date(
    statement: Statement, value: DateValue, columns: tuple[str, str, str, str]
) -> None:
    """Append how the interval of a row compares with a search value.

    Args:
        statement: takes the condition.
        value: a value with a zone is compared on the UTC line, one without on the wall clock.
        columns: low and high end in UTC, low and high end on the wall clock.
    """
    span = value.interval
    if span.zoned:
        lo, hi, first, last = *columns[:2], span.lo, span.hi
    else:
        lo, hi, first, last = *columns[2:], span.wall_lo, span.wall_hi
    test, names = _DATES[value.prefix]
    bounds = {"first": first, "last": last}
    statement.add(test.format(lo=lo, hi=hi), *(bounds[name] for name in names))


def compare_number(
    statement: Statement,
    value: NumberValue,
    columns: tuple[str, str],
    scale: tuple[Fraction, Fraction] = (Fraction(1), Fraction(0)),
) -> None:
    """Append how the numbers of a row compare with a search value.

    Args:
        statement: takes the condition.
        value: exact.
        columns: low and high end.
        scale: factor and offset from the value's unit to that of the rows.
    """
    factor, offset = scale
    bounds = {
        "lo": _double(value.lo * factor + offset),
        "hi": _double(value.hi * factor + offset),
        "value": _double(value.value * factor + offset),
    }
    test, names = _NUMBERS[value.prefix]
    statement.add(test.format(lo=columns[0], hi=columns[1]), *(bounds[name] for name in names))


def _double(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return HIGHEST if value > 0 else -HIGHEST
