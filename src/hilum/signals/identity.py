"""Ids of rendered Observations: reversible, so that a read finds its reading without an index.

``s-<series>-<start>-<duration>`` is one reading, ``h-<series>-<hour>`` one hour of dense readings;
numbers in base 36, the start zigzag-coded (instants before 1970 exist in old exports).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from hilum.signals.model import MAX_DURATION_MS

__all__ = ["HOUR_MS", "ReadingId", "format_id", "is_reading_id", "order_key", "parse_reading_id"]

HOUR_MS = 3_600_000
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_ID = re.compile(
    r"(?:s-([0-9a-z]{1,7})-([0-9a-z]{1,12})-([0-9a-z]{1,6})|h-([0-9a-z]{1,7})-([0-9a-z]{1,9}))\Z"
)


class ReadingId(NamedTuple):
    """What an id names: a reading (`duration_ms` ≥ 0) or a dense hour (`duration_ms` is None)."""

    sid: int
    t_unix_ms: int
    duration_ms: int | None


def _base36(number: int) -> str:
    text = ""
    while True:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
        if not number:
            return text


def _zigzag(number: int) -> int:
    return number << 1 if number >= 0 else (-number << 1) - 1


def _unzigzag(number: int) -> int:
    return -((number + 1) >> 1) if number & 1 else number >> 1


def format_id(name: ReadingId) -> str:
    """Return the FHIR id of a reading or of a dense hour (whose start is a full hour, ms)."""
    if name.duration_ms is None:
        return f"h-{_base36(name.sid)}-{_base36(_zigzag(name.t_unix_ms // HOUR_MS))}"
    start = _base36(_zigzag(name.t_unix_ms))
    return f"s-{_base36(name.sid)}-{start}-{_base36(name.duration_ms)}"


def parse_reading_id(text: str) -> ReadingId | None:
    """Return what the id names, or None when it is no id of a reading (it may be a resource's)."""
    found = _ID.match(text)
    if found is None:
        return None
    sid, start, duration, hour_sid, hour = found.groups()
    if sid is None:
        name = ReadingId(int(hour_sid, 36), _unzigzag(int(hour, 36)) * HOUR_MS, None)
    else:
        name = ReadingId(int(sid, 36), _unzigzag(int(start, 36)), int(duration, 36))
        if name.duration_ms is not None and name.duration_ms > MAX_DURATION_MS:
            return None
    return name if format_id(name) == text else None


def is_reading_id(text: str) -> bool:
    """Tell whether the id could name a reading; it may still not exist."""
    return parse_reading_id(text) is not None


def order_key(name: ReadingId) -> int:
    """Return the 63-bit number that orders rows of equal instant: by series, then duration."""
    return name.sid << 31 | (MAX_DURATION_MS if name.duration_ms is None else name.duration_ms)
