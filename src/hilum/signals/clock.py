"""Instants: zoned text to UTC, and local wall time to UTC by device ticks or by a named zone.

All arithmetic is on UTC milliseconds: two aware datetimes of one zone subtract as wall time in
Python, which is wrong by an hour across a change of the clocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hilum.errors import MalformedInputError
from hilum.signals.model import Flag

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "EARLIEST_MS",
    "LocalTime",
    "Moment",
    "clock_flags",
    "instant_text",
    "load_zone",
    "offset_at",
    "parse_instant",
    "resolve_local",
]

EARLIEST_MS = 946_684_800_000
"""2000-01-01T00:00:00Z. Devices with clocks of their own fall back to 1970 or 1980 when reset."""
_FUTURE_SLACK_MS = 24 * 3_600_000
"""A reading this far after `now` cannot be clock drift or a zone mistake of the exporting phone."""
_TICK_TOLERANCE_MS = 3 * 3_600_000
"""Ticks and wall clock of one session differ by the change of the clocks at most, plus drift."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class LocalTime:
    """A wall time without zone, and the device's own counter.

    Attributes:
        wall: naive local time.
        ticks_s: seconds of a monotone counter of the device, or None.
        session: what the counter belongs to (transmitter); counters of two sessions do not compare.
    """

    wall: datetime
    ticks_s: int | None
    session: str


@dataclass(frozen=True, slots=True)
class Moment:
    """A resolved instant: UTC ms, offset in minutes east, and `Flag` bits about the clock."""

    t_unix_ms: int
    offset_minutes: int
    flags: int


@lru_cache(maxsize=64)
def load_zone(name: str) -> ZoneInfo:
    """Return the zone.

    Raises:
        MalformedInputError: when the IANA database knows no such zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise MalformedInputError(
            "unknown-zone",
            "no such time zone",
            where="zone",
            hint="an IANA name, e.g. Europe/Berlin",
        ) from error


def offset_at(zone: ZoneInfo, t_unix_ms: int) -> int:
    """Return the zone's offset at an instant, minutes east."""
    offset = (_EPOCH + timedelta(milliseconds=t_unix_ms)).astimezone(zone).utcoffset()
    return 0 if offset is None else round(offset.total_seconds() / 60)


def _to_ms(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def parse_instant(text: str) -> tuple[int, int]:
    """Return (UTC ms, offset minutes) of an ISO 8601 date-time with offset.

    Raises:
        MalformedInputError: when it is none, or has no offset.
    """
    try:
        moment = datetime.fromisoformat(text)
        offset = moment.utcoffset()
        instant = _to_ms(moment.astimezone(UTC))
    except (ValueError, OverflowError) as error:
        raise MalformedInputError("bad-time", "not a date-time") from error
    if offset is None:
        raise MalformedInputError("no-offset", "a date-time with offset is needed")
    return instant, round(offset.total_seconds() / 60)


def instant_text(t_unix_ms: int, offset_minutes: int) -> str:
    """Return the FHIR instant with the given offset; milliseconds only where they are not zero."""
    wall = _EPOCH + timedelta(milliseconds=t_unix_ms, minutes=offset_minutes)
    sign = "-" if offset_minutes < 0 else "+"
    hours, minutes = divmod(abs(offset_minutes), 60)
    spec = "milliseconds" if t_unix_ms % 1000 else "seconds"
    return f"{wall.replace(tzinfo=None).isoformat(timespec=spec)}{sign}{hours:02d}:{minutes:02d}"


def clock_flags(t_unix_ms: int, now_ms: int) -> int:
    """Return CLOCK when an instant lies in the future or before consumer devices, else 0."""
    sane = EARLIEST_MS <= t_unix_ms <= now_ms + _FUTURE_SLACK_MS
    return 0 if sane else Flag.CLOCK.value


def _candidates(wall: datetime, zone: ZoneInfo) -> tuple[int, ...]:
    """UTC instants whose wall time this is: one, or two in the repeated hour."""
    first = _to_ms(wall.replace(tzinfo=zone, fold=0).astimezone(UTC))
    second = _to_ms(wall.replace(tzinfo=zone, fold=1).astimezone(UTC))
    return (first,) if second <= first else (first, second)


def _skipped(wall: datetime, zone: ZoneInfo) -> bool:
    there_and_back = wall.replace(tzinfo=zone).astimezone(UTC).astimezone(zone)
    return there_and_back.replace(tzinfo=None, fold=0) != wall


def _by_ticks(
    index: int, times: Sequence[LocalTime], candidates: Sequence[tuple[int, ...]]
) -> int | None:
    """Choose between two instants by the nearest sure row of the session; None without one."""
    here = times[index]
    if here.ticks_s is None:
        return None
    for other in _outwards(index, len(times)):
        there = times[other]
        if there.ticks_s is None or there.session != here.session or len(candidates[other]) > 1:
            continue
        expected = candidates[other][0] + (here.ticks_s - there.ticks_s) * 1000
        chosen = min(candidates[index], key=lambda instant: abs(instant - expected))
        # A counter that restarted within one session gives an instant far away: it proves nothing.
        return chosen if abs(chosen - expected) <= _TICK_TOLERANCE_MS else None
    return None


def _outwards(index: int, count: int) -> Iterator[int]:
    for distance in range(1, count):
        if index - distance >= 0:
            yield index - distance
        if index + distance < count:
            yield index + distance


def resolve_local(times: Sequence[LocalTime], zone: ZoneInfo) -> list[Moment]:
    """Return the instants of local wall times.

    An hour that occurs twice is resolved by the device's ticks, else taken as the first occurrence
    and flagged AMBIGUOUS_HOUR; a wall time that the clocks skip is flagged CLOCK (the phone had
    not switched).

    Args:
        times: rows in the order of the file.
        zone: the zone that the person gives.
    """
    candidates = [_candidates(time.wall, zone) for time in times]
    moments = []
    for index, options in enumerate(candidates):
        chosen, flags = options[0], 0
        if len(options) > 1:
            by_ticks = _by_ticks(index, times, candidates)
            if by_ticks is None:
                flags = Flag.AMBIGUOUS_HOUR.value
            else:
                chosen = by_ticks
        elif _skipped(times[index].wall, zone):
            flags = Flag.CLOCK.value
        moments.append(Moment(chosen, offset_at(zone, chosen), flags))
    return moments
