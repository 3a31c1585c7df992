"""FHIR dates and periods ⇄ half-open periods in milliseconds. A date without a zone is a day in UTC.

Source: FHIR R4, datatypes ``dateTime`` and ``Period`` (the end is inclusive, at its own precision).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone

from hilum.base.ids import UnixMs
from hilum.errors import MalformedInputError

__all__ = ["parse_period", "render_period"]

_DATE_TIME = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d))?)?)?\Z",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_DAY_MS = 86_400_000


def parse_period(period: object, *, where: str) -> tuple[UnixMs | None, UnixMs | None]:
    """Return [from, until) of a FHIR Period.

    Args:
        period: the JSON value; None for none.
        where: FHIRPath of it.

    Raises:
        MalformedInputError: when it is not a Period, is empty, or has what terms cannot say.
    """
    if period is None:
        return None, None
    if not isinstance(period, Mapping) or not period or set(period) - {"start", "end"}:
        raise MalformedInputError("not-expressible", "only start and end", where=where)
    start, end = period.get("start"), period.get("end")
    first = None if start is None else _bounds(start, f"{where}.start")[0]
    last = None if end is None else _bounds(end, f"{where}.end")[1]
    if first is not None and last is not None and first >= last:
        raise MalformedInputError("bad-period", "the end is before the start", where=where)
    return first, last


def render_period(start: UnixMs | None, until: UnixMs | None) -> dict[str, str] | None:
    """Return the FHIR Period of [start, until); None when it is without bounds.

    Raises:
        MalformedInputError: when a bound is outside the years 1 to 9999.
    """
    period = {}
    if start is not None:
        period["start"] = _render(start)
    if until is not None:
        is_day = until % _DAY_MS == 0
        period["end"] = _render(UnixMs(until - _DAY_MS)) if is_day else _render(UnixMs(until - 1))
    return period or None


def _render(instant: UnixMs) -> str:
    try:
        moment = _EPOCH + instant * _MS
    except OverflowError:
        raise MalformedInputError(
            "bad-period", "outside the years 1 to 9999", where="period"
        ) from None
    if instant % _DAY_MS == 0:
        return moment.strftime("%Y-%m-%d").zfill(10)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _bounds(text: object, where: str) -> tuple[UnixMs, UnixMs]:
    match = _DATE_TIME.match(text) if isinstance(text, str) else None
    if match is None:
        raise MalformedInputError("bad-date", "not a FHIR dateTime", where=where)
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        first = datetime(
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0),
            int(second or 0), tzinfo=_zone(zone),
        )  # fmt: skip
        after = first + _step(first, month, day, hour)
    except (ValueError, OverflowError):
        raise MalformedInputError("bad-date", "no such date", where=where) from None
    start, end = _unix_ms(first), _unix_ms(after)
    if fraction is not None:
        start = UnixMs(start + int(fraction[:3].ljust(3, "0")))
        end = UnixMs(start + 1)
    return start, end


def _step(first: datetime, month: str | None, day: str | None, hour: str | None) -> timedelta:
    if hour is not None:
        return timedelta(seconds=1)
    if day is not None:
        return timedelta(days=1)
    if month is not None:
        return (
            first.replace(day=28)
            + timedelta(days=4)
            - first
            - timedelta(days=(first.replace(day=28) + timedelta(days=4)).day - 1)
        )
    return first.replace(year=first.year + 1) - first


def _zone(text: str | None) -> timezone:
    if text is None or text == "Z":
        return UTC
    sign = -1 if text[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[4:6])))


def _unix_ms(moment: datetime) -> UnixMs:
    return UnixMs((moment - _EPOCH) // _MS)
