"""FHIR dates and times as exact intervals.

A value means every instant that it could mean: ``2020-05`` is the whole month. Two intervals are
kept: on the UTC line, and on the wall clock of whoever wrote it. A search without a zone is
compared with the wall clock (so ``date=2020-05-01`` finds what was written on that day anywhere),
one with a zone with UTC.

Source: HL7 FHIR R4, search, "date"; datatypes date, dateTime, instant.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import lru_cache
from typing import Any

from hilum.errors import MalformedInputError

__all__ = [
    "FAR_FUTURE",
    "FAR_PAST",
    "DateValue",
    "Interval",
    "Prefix",
    "parse_date_value",
    "read_interval",
]

FAR_PAST = -(1 << 60)
FAR_FUTURE = 1 << 60
"""Open ends of periods, in ms."""
_DAY = 86_400_000
_EPOCH = date(1970, 1, 1).toordinal()
_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?)?)?)?\Z",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Interval:
    """What a date or time covers; both ends belong to it.

    Attributes:
        lo: first ms on the UTC line (a value without zone is taken as UTC).
        hi: last ms on the UTC line.
        wall_lo: first ms on the writer's wall clock.
        wall_hi: last ms on the writer's wall clock.
        zoned: True when a zone was written.
    """

    lo: int
    hi: int
    wall_lo: int
    wall_hi: int
    zoned: bool = False


class Prefix(StrEnum):
    """How a search value is compared. Source: HL7 FHIR R4, search, "prefixes"."""

    EQ = "eq"
    NE = "ne"
    GT = "gt"
    LT = "lt"
    GE = "ge"
    LE = "le"
    SA = "sa"
    EB = "eb"
    AP = "ap"


@dataclass(frozen=True, slots=True)
class DateValue:
    """One search value: prefix and interval; for ``ap`` the interval is already widened."""

    prefix: Prefix
    interval: Interval


@lru_cache(maxsize=1 << 14)
def _span(text: str) -> Interval | None:
    match = _DATE.match(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        start = date(int(year), int(month or 1), int(day or 1)).toordinal() - _EPOCH
    except ValueError:
        return None
    if hour is None:
        last = start if day else _last_day(int(year), int(month or 12)) - _EPOCH
        lo, hi = start * _DAY, (last + 1) * _DAY - 1
        return Interval(lo, hi, lo, hi)
    lo = start * _DAY + int(hour) * 3_600_000 + int(minute) * 60_000 + int(second or 0) * 1000
    width = 60_000 if second is None else 1000
    if fraction:
        lo += int(fraction[:3].ljust(3, "0"))
        width = 10 ** max(0, 3 - len(fraction))
    hi = lo + width - 1
    shift = _offset_ms(zone)
    return Interval(lo - shift, hi - shift, lo, hi, zoned=zone is not None)


def _last_day(year: int, month: int) -> int:
    return date(year, month, monthrange(year, month)[1]).toordinal()


def _offset_ms(zone: str | None) -> int:
    if zone is None or zone == "Z":
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[4:6])
    return minutes * (-60_000 if zone[0] == "-" else 60_000)


def read_interval(value: Any) -> Interval | None:  # noqa: ANN401 - a decoded JSON value
    """Return what a FHIR date, dateTime, instant or Period covers; None when it says nothing.

    Args:
        value: the text of a date or time, or the object of a Period.
    """
    if isinstance(value, str):
        return _span(value)
    if not isinstance(value, dict):
        return None
    start, end = (_end(value.get(key)) for key in ("start", "end"))
    if start is None and end is None:
        return None
    return Interval(
        start.lo if start else FAR_PAST,
        end.hi if end else FAR_FUTURE,
        start.wall_lo if start else FAR_PAST,
        end.wall_hi if end else FAR_FUTURE,
    )


def _end(value: Any) -> Interval | None:  # noqa: ANN401 - a decoded JSON value
    return _span(value) if isinstance(value, str) else None


def parse_date_value(text: str, *, where: str) -> DateValue:
    """Read one date search value, e.g. ``ge2020-01``.

    Args:
        text: optional prefix and a date, or a time with hours and minutes at least.
        where: the parameter's name, for the error.

    Raises:
        MalformedInputError: when it is not one.
    """
    prefix, rest = Prefix.EQ, text
    if text[:2].isalpha():
        if text[:2] not in set(Prefix):
            raise MalformedInputError(
                "value", "not a date prefix", where=where, hint="eq ne gt lt ge le sa eb ap"
            )
        prefix, rest = Prefix(text[:2]), text[2:]
    interval = _span(rest)
    if interval is None:
        raise MalformedInputError(
            "value", "not a date", where=where, hint="as in 2020, 2020-05, 2020-05-01T10:30:00Z"
        )
    if prefix is Prefix.AP:
        interval = _widened(interval)
    return DateValue(prefix, interval)


def _widened(interval: Interval) -> Interval:
    # The specification leaves "approximately" open; without a clock it is the value's own width
    # around it.
    width = interval.hi - interval.lo + 1
    return Interval(
        interval.lo - width,
        interval.hi + width,
        interval.wall_lo - width,
        interval.wall_hi + width,
        interval.zoned,
    )
