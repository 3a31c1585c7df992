"""What an access may see of the stored series; segments, types and codes are decided in SQL.

Rows that no window admits never leave the database. Inside a chunk, which is one sealed blob, the
time and instance limits of the windows cut the readings before anything else is done with them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from hilum.record.types import type_number
from hilum.signals.adapters.shelf import Held
from hilum.signals.identity import HOUR_MS, ReadingId, format_id
from hilum.signals.model import DAY_MS, MAX_DURATION_MS
from hilum.signals.visibility import Sight, make_sight, overlap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from hilum.base.sql import Connection
    from hilum.record.access import Access, Window
    from hilum.signals.adapters.shelf import Shelf
    from hilum.signals.model import Reading

__all__ = ["Opened", "Seen", "Viewer"]

_READ_OR_SEARCH = 3  # Action.READ | Action.SEARCH; the class itself is for record and consent only
_CHUNKS = (
    "select c.day, c.sid, c.ver, c.t_min, c.t_max, c.updated, c.body from chunk c"
    " where c.sid in (select value from json_each(?)) and c.day between ? and ?"
    " and c.t_end >= ? and c.t_min <= ? order by c.day, c.sid"
)
_CHUNKS_BACKWARDS = _CHUNKS.replace("order by c.day", "order by c.day desc")


@dataclass(frozen=True, slots=True)
class Seen:
    """A series of which something may be seen."""

    held: Held
    sight: Sight


class Opened(NamedTuple):
    """A chunk with something visible: `every` reading of the day, and those `visible`."""

    day: int
    held: Held
    ver: int
    updated: int
    every: list[Reading]
    visible: list[Reading]


class Viewer:
    """Look at the shelf through an access.

    Args:
        shelf: the sealed rows.
        hash_reference: ``Observation/id`` → 64-bit hash.
    """

    def __init__(self, shelf: Shelf, hash_reference: Callable[[str], int]) -> None:
        self._shelf = shelf
        self._hash_reference = hash_reference
        self._type_bit = 1 << type_number("Observation")

    def _conditions(
        self, windows: Sequence[Window], test: str, flip: int
    ) -> tuple[list[str], list[Any]]:
        """One SQL condition per window: does it speak of series `s`, time and instance aside.

        `flip` is -1 where the segments outside the window are asked about.
        """
        conditions: list[str] = []
        values: list[Any] = []
        for window in windows:
            if not window.types & self._type_bit or window.authors or window.encounters:
                conditions.append("false")  # readings have neither author nor encounter
                continue
            condition = test
            values.append(window.segments ^ flip)
            if window.codes:
                condition += (
                    " and exists (select 1 from series_code k where k.sid = s.sid"
                    " and k.code in (select value from json_each(?)))"
                )
                values.append(json.dumps(sorted(window.codes)))
            conditions.append(f"({condition})")
        return conditions, values

    def visible(self, conn: Connection, access: Access) -> dict[int, Seen]:
        """Return the series, by number, of which the access may show anything."""
        if not access.permits or not access.actions & _READ_OR_SEARCH:
            return {}
        permits, values = self._conditions(access.permits, "(s.seg & ?) = 0", -1)
        denies, more = self._conditions(access.denies, "(s.seg & ?) != 0", 0)
        rows = conn.execute(
            "select s.sid, s.seg, s.ver, s.meta,"  # noqa: S608  built from constants above
            f" {', '.join(permits + denies)} from series s where s.cid = ?"
            f" and ({' or '.join(permits)})",
            [*values, *more, access.compartment, *values],
        )
        seen = {}
        width = len(permits)
        for sid, seg, ver, meta, *holds in rows.fetchall():
            admit = [w for w, on in zip(access.permits, holds[:width], strict=True) if on]
            refuse = [w for w, on in zip(access.denies, holds[width:], strict=True) if on]
            sight = make_sight(admit, refuse)
            if sight.spans:
                series = self._shelf.open_series(access.compartment, sid, (seg, ver), meta)
                seen[sid] = Seen(Held(sid, access.compartment, seg, series), sight)
        return seen

    def _ids(self, held: Held, reading: Reading, panel: Iterable[int]) -> list[int]:
        """Hashes of all names that a reading goes by: its own, its hour's, its panel's."""
        names = [
            ReadingId(sid, reading.t_unix_ms, reading.duration_ms) for sid in (held.sid, *panel)
        ]
        names.append(ReadingId(held.sid, reading.t_unix_ms // HOUR_MS * HOUR_MS, None))
        return [self._hash_reference(f"Observation/{format_id(name)}") for name in names]

    def _cut(
        self, seen: Seen, readings: list[Reading], visible: Mapping[int, Seen]
    ) -> list[Reading]:
        held, sight = seen.held, seen.sight
        if sight.contains(readings[0].t_unix_ms, readings[-1].t_unix_ms):
            return readings
        key = held.series.key
        panel = [
            sid
            for sid, other in visible.items()
            if key.measure == "blood-pressure-diastolic"
            and other.held.series.key.measure == "blood-pressure-systolic"
            and other.held.series.key.device == key.device
        ]

        def ids_of(reading: Reading) -> Callable[[], list[int]]:
            return lambda: self._ids(held, reading, panel)

        return [r for r in readings if sight.admits(r.t_unix_ms, ids_of(r))]

    def chunks(
        self,
        conn: Connection,
        visible: Mapping[int, Seen],
        bounds: tuple[int, int],
        *,
        backwards: bool = False,
    ) -> Iterator[Opened]:
        """Yield the chunks with something visible, by day.

        Args:
            conn: a connection.
            visible: series to look at.
            bounds: least end and greatest start of readings looked for (ms); whole chunks are
                yielded.
            backwards: latest day first.
        """
        lo, hi = bounds
        rows = conn.execute(
            _CHUNKS_BACKWARDS if backwards else _CHUNKS,
            (
                json.dumps(sorted(visible)),
                (lo - MAX_DURATION_MS) // DAY_MS,
                hi // DAY_MS,
                lo,
                hi,
            ),
        )
        for day, sid, ver, t_min, t_max, updated, body in rows:
            seen = visible[sid]
            if not overlap(seen.sight.spans, t_min, t_max):
                continue
            every = self._shelf.open_chunk(seen.held, day, ver, body)
            left = self._cut(seen, every, visible)
            if left:
                yield Opened(day, seen.held, ver, updated, every, left)

    def count(
        self, conn: Connection, seen: Seen, visible: Mapping[int, Seen]
    ) -> tuple[int, int, int] | None:
        """Return (count, first start, last start) of what is visible; None for nothing."""
        total, first, last = 0, 0, 0
        rows = conn.execute(
            "select day, ver, count, t_min, t_max, body from chunk where sid = ? order by day",
            (seen.held.sid,),
        )
        for day, ver, count, t_min, t_max, body in rows:
            if seen.sight.contains(t_min, t_max):
                here = (count, t_min, t_max)
            elif overlap(seen.sight.spans, t_min, t_max):
                every = self._shelf.open_chunk(seen.held, day, ver, body)
                left = self._cut(seen, every, visible)
                if not left:
                    continue
                here = (len(left), left[0].t_unix_ms, left[-1].t_unix_ms)
            else:
                continue
            first = here[1] if total == 0 else first
            total, last = total + here[0], here[2]
        return (total, first, last) if total else None
