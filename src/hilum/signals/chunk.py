"""One UTC day of one series as bytes, and the merge of new readings into it.

Layout, version 1 (little-endian): ``01`` · judge method version u8 · count u32 · eight columns. A
column is a width byte (0, 1, 2, 4 or 8) and its numbers; width 0 holds one 8-byte number that all
rows share. Columns: start (first minus day start, then differences), duration, offset, unscaled,
scale, comparator, flags, score. The whole is one zstd frame.
"""

from __future__ import annotations

import struct
import sys
from array import array
from dataclasses import dataclass, field
from itertools import accumulate, repeat
from typing import TYPE_CHECKING

import zstandard

from hilum.errors import MalformedInputError
from hilum.signals.model import DAY_MS, Reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["MAX_READINGS", "Merge", "decode_chunk", "encode_chunk", "merge_readings"]

_HEAD = struct.Struct("<BBI")
_SHARED = struct.Struct("<q")
_VERSION = 1
_CODES = {1: "b", 2: "h", 4: "i", 8: "q"}
_COLUMNS = 8
_MAX_BYTES = 64 * 1024 * 1024
MAX_READINGS = 1_000_000
"""More readings of one series on one day are a waveform, which is stored otherwise."""


@dataclass(slots=True)
class Merge:
    """What merging came to: the day ascending, and what became of each new reading."""

    readings: list[Reading]
    accepted: int = 0
    duplicate: int = 0
    conflicts: list[Reading] = field(default_factory=list)


def merge_readings(stored: Iterable[Reading], new: Iterable[Reading]) -> Merge:
    """Merge new readings into a day, set-wise; one instant and duration holds one reading.

    The first reading stays: an equal one is a duplicate, another value for the same instant and
    duration is a conflict and is not stored.

    Args:
        stored: readings of the day, unique by (t_unix_ms, duration_ms).
        new: readings of the same series and day, in any order.
    """
    taken = {(r.t_unix_ms, r.duration_ms): r for r in stored}
    outcome = Merge([])
    for reading in new:
        place = (reading.t_unix_ms, reading.duration_ms)
        there = taken.get(place)
        if there is None:
            taken[place] = reading
            outcome.accepted += 1
        elif (there.unscaled, there.scale, there.comparator) == (
            reading.unscaled,
            reading.scale,
            reading.comparator,
        ):
            outcome.duplicate += 1
        else:
            outcome.conflicts.append(reading)
    outcome.readings = [taken[place] for place in sorted(taken)]
    return outcome


def _pack(numbers: Sequence[int]) -> bytes:
    least, most = min(numbers), max(numbers)
    if least == most:
        return b"\x00" + _SHARED.pack(least)
    width = next(
        w for w in (1, 2, 4, 8) if -(1 << (8 * w - 1)) <= least and most < 1 << (8 * w - 1)
    )
    column = array(_CODES[width], numbers)
    if sys.byteorder == "big":
        column.byteswap()
    return bytes((width,)) + column.tobytes()


def encode_chunk(readings: Sequence[Reading], *, day: int, method: int) -> bytes:
    """Return the day's bytes.

    Args:
        readings: at least one, ascending by (t_unix_ms, duration_ms), all of the day.
        day: days since 1970-01-01 UTC.
        method: version of the judging method behind flags and scores.
    """
    starts = [r.t_unix_ms for r in readings]
    steps = [now - before for before, now in zip([day * DAY_MS, *starts], starts, strict=False)]
    columns = (
        steps,
        [r.duration_ms for r in readings],
        [r.offset_minutes for r in readings],
        [r.unscaled for r in readings],
        [r.scale for r in readings],
        [r.comparator for r in readings],
        [r.flags for r in readings],
        [r.score for r in readings],
    )
    body = _HEAD.pack(_VERSION, method, len(readings)) + b"".join(map(_pack, columns))
    return zstandard.ZstdCompressor(level=3).compress(body)


def _unpack(body: bytes, position: int, count: int) -> tuple[Iterable[int], int]:
    width = body[position]
    position += 1
    if width == 0:
        (shared,) = _SHARED.unpack_from(body, position)
        return repeat(shared, count), position + 8
    end = position + width * count
    column = array(_CODES[width])
    column.frombytes(body[position:end].ljust(width * count, b"\x00"))
    if sys.byteorder == "big":
        column.byteswap()
    return column, end


def _columns(plain: bytes) -> list[Iterable[int]]:
    """The columns; none when the version is unknown or the bytes are cut short."""
    version, _, count = _HEAD.unpack_from(plain)
    if version != _VERSION or count > MAX_READINGS:
        return []
    position = _HEAD.size
    columns: list[Iterable[int]] = []
    for _ in range(_COLUMNS):
        column, position = _unpack(plain, position, count)
        columns.append(column)
    return columns if position == len(plain) else []


def decode_chunk(body: bytes, *, day: int) -> list[Reading]:
    """Return the readings of a day, ascending.

    Raises:
        MalformedInputError: when the bytes are not a chunk of a known version.
    """
    try:
        plain = zstandard.ZstdDecompressor().decompress(body, max_output_size=_MAX_BYTES)
        columns = _columns(plain)
    except (zstandard.ZstdError, struct.error, IndexError, KeyError):
        columns = []
    if not columns:
        raise MalformedInputError("bad-chunk", "not a chunk of readings", where="chunk")
    starts = accumulate(columns[0], initial=day * DAY_MS)
    next(starts)
    _, durations, offsets, unscaled, scales, comparators, flags, scores = columns
    return [
        Reading(*row)
        for row in zip(
            starts, offsets, unscaled, scales, comparators, durations, flags, scores, strict=True
        )
    ]
