"""Series and chunks as plain JSON-able lines for a lossless export, and back."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec

from hilum.errors import MalformedInputError
from hilum.signals.model import DAY_MS, Reading, Series

__all__ = ["ChunkLine", "SeriesLine", "chunk_line", "parse_line", "series_line"]

_VERSION = 1
_COLUMNS = (
    "t_unix_ms",
    "duration_ms",
    "offset_minutes",
    "unscaled",
    "scale",
    "comparator",
    "flags",
    "score",
)


class SeriesLine(msgspec.Struct, tag="series", tag_field="kind"):
    """One series of an archive."""

    version: int
    sid: int
    ver: int
    created: int
    series: Series


class ChunkLine(msgspec.Struct, tag="chunk", tag_field="kind"):
    """One UTC day of one series of an archive; `columns` name → one number per reading."""

    version: int
    sid: int
    day: int
    ver: int
    updated: int
    columns: dict[str, list[int]]

    def readings(self) -> list[Reading]:
        """Return the readings, ascending.

        Raises:
            MalformedInputError: when columns are missing, uneven or out of place.
        """
        if set(self.columns) != set(_COLUMNS) or len({len(c) for c in self.columns.values()}) != 1:
            raise MalformedInputError("bad-archive", "columns do not match", where="chunk")
        rows = zip(*(self.columns[name] for name in _COLUMNS), strict=True)
        readings = [Reading(**dict(zip(_COLUMNS, row, strict=True))) for row in rows]
        places = [(r.t_unix_ms, r.duration_ms) for r in readings]
        if not readings or any(a >= b for a, b in itertools.pairwise(places)):
            raise MalformedInputError("bad-archive", "readings are not ascending", where="chunk")
        if any(r.t_unix_ms // DAY_MS != self.day for r in readings):
            raise MalformedInputError("bad-archive", "a reading of another day", where="chunk")
        return readings


def series_line(sid: int, ver: int, created: int, series: Series) -> dict[str, Any]:
    """Return the line of a series."""
    line = SeriesLine(_VERSION, sid, ver, created, series)
    plain: dict[str, Any] = msgspec.to_builtins(line)
    return plain


def chunk_line(
    sid: int, day: int, *, ver: int, updated: int, readings: list[Reading]
) -> dict[str, Any]:
    """Return the line of a chunk."""
    columns = {name: [getattr(r, name) for r in readings] for name in _COLUMNS}
    plain: dict[str, Any] = msgspec.to_builtins(
        ChunkLine(_VERSION, sid, day, ver, updated, columns)
    )
    return plain


def parse_line(line: dict[str, Any]) -> SeriesLine | ChunkLine:
    """Return what a line says.

    Raises:
        MalformedInputError: when it is no line of a known version.
    """
    try:
        parsed = msgspec.convert(line, SeriesLine | ChunkLine)
    except msgspec.ValidationError as error:
        raise MalformedInputError("bad-archive", "not a line of series", where="series") from error
    if parsed.version != _VERSION:
        raise MalformedInputError("unknown-version", "series of another version", where="series")
    return parsed
