"""Dates, times and instants with their precision: reading, comparing, arithmetic, boundaries.

Two values are compared part by part; when one ends while all parts so far agree, the answer is
unknown. Instants with a zone are first moved to UTC.

Source: HL7 FHIRPath N1, "Date/Time Comparison", "Date/Time Arithmetic"; the boundaries follow
    FHIRPath 3.0 (STU functions) and its tests.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

__all__ = [
    "Temporal",
    "boundary",
    "compare",
    "instant_key",
    "parse_temporal",
    "precision_digits",
    "shift",
]

_DATE = r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?"
_CLOCK = r"(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d+))?)?)?"
_ZONE = r"(Z|[+-]\d\d:\d\d)?"
_PATTERNS = {
    "Date": re.compile(_DATE, re.ASCII),
    "DateTime": re.compile(rf"{_DATE}T?|(\d{{4}})-(\d\d)-(\d\d)T{_CLOCK}{_ZONE}", re.ASCII),
    "Time": re.compile(rf"T?{_CLOCK}", re.ASCII),
}
_TIME_UNITS_MS = {"hour": 3_600_000, "minute": 60_000, "second": 1000, "millisecond": 1}
_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Temporal:
    """A date, an instant or a time of day, as precise as it was written.

    Attributes:
        kind: ``Date``, ``DateTime`` or ``Time``.
        parts: year, month, day, hour, minute, milliseconds of the minute; times begin at the hour.
            Only the parts that were written are there.
        zone: minutes east of UTC, or None.
        text: as written, or as it would be.
    """

    kind: str
    parts: tuple[int, ...]
    zone: int | None = None
    text: str = ""
    decimals: int = 0

    def __str__(self) -> str:
        return self.text or _format(self)

    @property
    def clock(self) -> int:
        """Where the hour stands in the parts."""
        return 0 if self.kind == "Time" else 3

    def moment(self) -> datetime:
        """Return the first moment that the value may mean, without zone."""
        parts = (2000, 1, 1, *self.parts) if self.kind == "Time" else self.parts
        year, month, day, hour, minute, millis = (*parts, *(0, 1, 1, 0, 0, 0)[len(parts) :])
        return datetime(year, month, day, hour, minute, millis // 1000, tzinfo=UTC) + timedelta(
            milliseconds=millis % 1000
        )


@lru_cache(maxsize=4096)
def parse_temporal(text: str, kind: str) -> Temporal | None:
    """Read a date, an instant or a time of day; None when the text is none.

    Args:
        text: e.g. ``2015-02``, ``2015-02-04T14:34:28.123Z``, ``14:34``.
        kind: ``Date``, ``DateTime`` or ``Time``.
    """
    match = _PATTERNS[kind].fullmatch(text)
    if match is None:
        return None
    groups = list(match.groups())
    zone = fraction = None
    if kind == "DateTime":
        groups = groups[:3] if groups[0] is not None else groups[3:]
        zone = groups.pop() if len(groups) > 3 else None
    if kind == "Time" or len(groups) > 3:
        fraction = groups.pop()
    parts = [int(group) for group in groups if group is not None]
    clock = 0 if kind == "Time" else 3
    if len(parts) == clock + 3:
        parts[-1] = parts[-1] * 1000 + int((fraction or "0")[:3].ljust(3, "0"))
    shown = text if kind == "Time" else text.removesuffix("T")
    found = Temporal(
        kind, tuple(parts), _zone_minutes(zone), shown.removeprefix("T"), len(fraction or "")
    )
    return found if _is_possible(found) else None


def _zone_minutes(zone: str | None) -> int | None:
    if zone is None:
        return None
    if zone == "Z":
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[4:6])
    return -minutes if zone[0] == "-" else minutes


def _is_possible(value: Temporal) -> bool:
    if value.zone is not None and abs(value.zone) > 14 * 60:
        return False
    try:
        value.moment()
    except (ValueError, OverflowError):
        return False
    return True


def _format(value: Temporal) -> str:
    if value.kind == "Time":
        return _clock_text(value.parts, value.decimals)
    head = "-".join(f"{part:0{4 if at == 0 else 2}d}" for at, part in enumerate(value.parts[:3]))
    if len(value.parts) <= 3:
        return head
    zone = ""
    if value.zone is not None:
        sign = "-" if value.zone < 0 else "+"
        zone = f"{sign}{abs(value.zone) // 60:02d}:{abs(value.zone) % 60:02d}"
        zone = "Z" if value.text.endswith("Z") else zone
    return f"{head}T{_clock_text(value.parts[3:], value.decimals)}{zone}"


def _clock_text(parts: tuple[int, ...], decimals: int) -> str:
    shown = ":".join(f"{part:02d}" for part in parts[:2])
    if len(parts) < 3:
        return shown
    shown += f":{parts[2] // 1000:02d}"
    return f"{shown}.{parts[2] % 1000:03d}" if decimals or parts[2] % 1000 else shown


def compare(left: Temporal, right: Temporal) -> int | None:
    """Return -1, 0 or 1, or None when the precisions or zones do not let it be told.

    Args:
        left: a value.
        right: a value; a date is compared with an instant by their common parts.
    """
    if (left.kind == "Time") != (right.kind == "Time"):
        return None
    ours, theirs = left.parts, right.parts
    if len(ours) > 3 or len(theirs) > 3:
        if len(ours) > 3 and len(theirs) > 3 and (left.zone is None) != (right.zone is None):
            return None
        ours, theirs = _in_utc(left), _in_utc(right)
    for one, other in zip(ours, theirs, strict=False):
        if one != other:
            return -1 if one < other else 1
    return 0 if len(ours) == len(theirs) else None


def instant_key(value: Temporal) -> tuple[object, ...]:
    """Return a key that two values share exactly when `compare` says 0."""
    is_zoned = value.zone is not None and len(value.parts) > 3
    return value.kind == "Time", is_zoned, _in_utc(value)


def _in_utc(value: Temporal) -> tuple[int, ...]:
    if not value.zone or len(value.parts) <= 3:
        return value.parts
    try:
        at = value.moment() - timedelta(minutes=value.zone)
    except OverflowError:
        return value.parts
    millis = at.second * 1000 + at.microsecond // 1000
    return (at.year, at.month, at.day, at.hour, at.minute, millis)[: len(value.parts)]


def shift(value: Temporal, amount: Decimal, unit: str) -> Temporal | None:
    """Return the value moved by a calendar duration; None when it leaves the years 1 to 9999.

    Args:
        value: what to move; its precision stays.
        amount: whole units count, a fraction is dropped.
        unit: ``year`` to ``millisecond``, singular.
    """
    if abs(amount) > 10**13:
        return None
    count = int(amount)
    try:
        if unit in {"year", "month"}:
            moved = _shift_months(value, count * (12 if unit == "year" else 1))
        else:
            moved = _shift_millis(value, count, unit)
    except (ValueError, OverflowError):
        return None
    return moved


def _shift_months(value: Temporal, months: int) -> Temporal:
    if len(value.parts) == 1:
        # what is known to the year moves by whole years
        year = value.parts[0] + int(Decimal(months) / 12)
        return _moved(value, datetime(year, 1, 1, tzinfo=UTC))
    at = value.moment()
    year, month = divmod(at.year * 12 + at.month - 1 + months, 12)
    if not 1 <= year <= 9999:
        raise ValueError
    return _moved(
        value,
        at.replace(year=year, month=month + 1, day=min(at.day, monthrange(year, month + 1)[1])),
    )


def _shift_millis(value: Temporal, count: int, unit: str) -> Temporal:
    if unit in {"week", "day"}:
        days = count * (7 if unit == "week" else 1)
    else:
        days, rest = divmod(abs(count) * _TIME_UNITS_MS[unit], _DAY_MS)
        if len(value.parts) > 3 or value.kind == "Time":
            moved = timedelta(days=days, milliseconds=rest)
            at = value.moment()
            return _moved(value, at + moved if count >= 0 else at - moved)
        days = days if count >= 0 else -days
    if len(value.parts) < 3 and value.kind != "Time":
        # months and years take whole months of 30 and years of 365 days
        months = int(Decimal(days) / 365) * 12 if len(value.parts) == 1 else int(Decimal(days) / 30)
        return _shift_months(value, months)
    return _moved(value, value.moment() + timedelta(days=days))


def _moved(value: Temporal, at: datetime) -> Temporal:
    millis = at.second * 1000 + at.microsecond // 1000
    parts = (at.year, at.month, at.day, at.hour, at.minute, millis)
    if value.kind == "Time":
        bare = replace(value, parts=parts[3 : 3 + len(value.parts)])
    else:
        bare = replace(value, parts=parts[: len(value.parts)])
    return replace(bare, text=_format(bare))


_DIGITS = {"Date": (4, 6, 8), "DateTime": (4, 6, 8, 10, 12, 14), "Time": (2, 4, 6)}


def precision_digits(value: Temporal) -> int:
    """Return how many digits the value states: 4 for a year, 17 for an instant in ms."""
    digits = _DIGITS[value.kind][len(value.parts) - 1]
    return digits + 3 if value.decimals else digits


def boundary(value: Temporal, digits: int | None, *, is_high: bool) -> Temporal | None:
    """Return the first or last value that the given one may mean, to a precision.

    Args:
        value: a date, an instant or a time.
        digits: 4, 6, 8 for dates, to 17 for instants, 2 to 9 for times; None = all.
        is_high: the last one instead of the first.
    """
    most = {"Date": 8, "DateTime": 17, "Time": 9}[value.kind]
    steps = _DIGITS[value.kind]
    wanted = most if digits is None else digits
    if wanted not in {*steps, most}:
        return None
    full = _filled(value, is_high=is_high)
    count = len(steps) if wanted == most else steps.index(wanted) + 1
    zone = value.zone
    if value.kind == "DateTime" and count > 3 and zone is None:
        zone = -12 * 60 if is_high else 14 * 60
    bare = Temporal(
        value.kind,
        full[:count],
        zone if count > 3 else None,
        "Z" if value.text.endswith("Z") else "",
        3 if wanted == most and value.kind != "Date" else 0,
    )
    return replace(bare, text=_format(bare))


def _filled(value: Temporal, *, is_high: bool) -> tuple[int, ...]:
    parts = list(value.parts)
    if value.kind != "Time":
        if len(parts) < 2:
            parts.append(12 if is_high else 1)
        if len(parts) < 3:
            parts.append(monthrange(parts[0], parts[1])[1] if is_high else 1)
        if value.kind == "Date":
            return tuple(parts)
    has_hour = len(value.parts) > value.clock
    if not has_hour:
        parts.append(23 if is_high else 0)
    if len(parts) == value.clock + 1:
        # an hour alone is no FHIR time: it is read as the full hour
        parts.append(59 if is_high and not has_hour else 0)
    last_ms = 59_999 if is_high else 0
    if len(parts) == value.clock + 2:
        parts.append(last_ms)
    elif is_high and not value.decimals:
        parts[-1] += 999
    return tuple(parts)
