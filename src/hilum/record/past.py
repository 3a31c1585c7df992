"""Which versions a history asks for. Source: HL7 FHIR R4, http "history", _since and _at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hilum.errors import MalformedInputError
from hilum.record.dates import Prefix, parse_date_value

__all__ = ["ALL", "Change", "Past", "parse_past"]

Change = tuple[int, int, int]
"""Place of a version among all: when it was stored (ms), row number, version number."""


@dataclass(frozen=True, slots=True)
class Past:
    """Which versions are wanted.

    Attributes:
        since: those stored at or after this instant, ms; None for all.
        at: those that were current at some time between two instants, ms; None for all.
    """

    since: int | None = None
    at: tuple[int, int] | None = None


ALL = Past()


def parse_past(pairs: Sequence[tuple[str, str]]) -> Past:
    """Read ``_since`` and ``_at``.

    Args:
        pairs: decoded name-value pairs; others are left alone.

    Raises:
        MalformedInputError: not a date or time, one with a prefix, or a name twice.
    """
    known: dict[str, tuple[int, int]] = {}
    for name, text in pairs:
        if name not in {"_since", "_at"}:
            continue
        value = parse_date_value(text, where=name)
        if value.prefix is not Prefix.EQ or name in known:
            raise MalformedInputError("bad-search", "one date or time is expected", where=name)
        known[name] = (value.interval.lo, value.interval.hi)
    since = known.get("_since")
    return Past(None if since is None else since[0], known.get("_at"))
