"""Series in SQLite: one sealed blob per series and UTC day, placed set-wise and idempotently.

Every method takes the caller's connection and leaves transactions to it; nothing is cached.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from hilum.signals.adapters.shelf import Open, Seal, Shelf
from hilum.signals.adapters.upkeep import check_series, export_lines, restore_line
from hilum.signals.adapters.viewing import Viewer
from hilum.signals.answers import (
    Filter,
    day_lines,
    is_pressure,
    make_day,
    render_line,
    start_bounds,
)
from hilum.signals.chunk import MAX_READINGS, merge_readings
from hilum.signals.identity import (
    HOUR_MS,
    ReadingId,
    format_id,
    order_key,
    parse_reading_id,
)
from hilum.signals.judge import judge_day
from hilum.signals.model import (
    DAY_MS,
    MAX_DURATION_MS,
    MAX_REFUSALS,
    Placement,
    Reading,
    Refusal,
    RenderedRow,
    SeriesSummary,
)
from hilum.signals.plotting import thin_out
from hilum.signals.render import Origin, render_reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from hilum.base.sql import Connection
    from hilum.record.access import Access
    from hilum.signals.adapters.shelf import Held
    from hilum.signals.adapters.viewing import Opened
    from hilum.signals.answers import DayOfSeries
    from hilum.signals.model import Point, Series

__all__ = ["SCHEMA", "Open", "Seal", "SqliteSeries"]

SCHEMA = """
create table if not exists series (
  sid integer primary key,
  cid integer not null,
  key_hash blob not null,
  seg integer not null,
  ver integer not null,
  created integer not null,
  meta blob not null,
  unique (cid, key_hash)
);
create table if not exists series_code (
  sid integer not null,
  code integer not null,
  primary key (sid, code)
) without rowid;
create table if not exists chunk (
  sid integer not null,
  day integer not null,
  ver integer not null,
  count integer not null,
  t_min integer not null,
  t_max integer not null,
  t_end integer not null,
  updated integer not null,
  body blob not null,
  primary key (sid, day)
) without rowid;
create index if not exists chunk_day on chunk (day, sid);
"""

_LIMIT_MS = 1 << 52
_EVERYTHING = Filter()


class SqliteSeries:
    """The store of series of one node.

    Args:
        seal: seals a body (vault).
        open: opens a sealed body (vault).
        index_key: 16 to 64 secret bytes; keys the hash that finds a series again.
        hash_code: (system, code) → 64-bit hash, as consent windows name codings.
        hash_reference: ``Observation/id`` → 64-bit hash, as consent windows name instances.
        subject_of: (connection, cid) → id of the subject's Patient.
    """

    def __init__(
        self,
        seal: Seal,
        open: Open,
        *,
        index_key: bytes,
        hash_code: Callable[[str, str], int],
        hash_reference: Callable[[str], int],
        subject_of: Callable[[Connection, int], str],
    ) -> None:
        self._shelf = Shelf(seal, open, index_key, hash_code)
        self._viewer = Viewer(self._shelf, hash_reference)
        self._subject_of = subject_of

    def place(
        self,
        conn: Connection,
        cid: int,
        batch: Iterable[tuple[Series, Sequence[Reading]]],
        at: int,
    ) -> Placement:
        """Place readings; what is already there is counted, never stored twice.

        A reading is the same when series, start and duration are. The first one stays: an equal
        value is a duplicate, another value is refused.

        Args:
            conn: inside a write transaction.
            cid: compartment.
            batch: readings by series, as `Batch.series`.
            at: now, ms.
        """
        answer = Placement()
        for series, readings in batch:
            if not readings:
                continue
            held = self._shelf.enrol(conn, cid, series, at)
            part = Placement(high_water=max(r.t_unix_ms for r in readings))
            for day, group in _by_day(readings, part).items():
                self._place_day(conn, held, (day, at), (group, part))
            answer.add(part)
        return answer

    def _place_day(
        self,
        conn: Connection,
        held: Held,
        when: tuple[int, int],
        work: tuple[Sequence[Reading], Placement],
    ) -> None:
        (day, at), (group, answer) = when, work
        found = conn.execute(
            "select ver, body from chunk where sid = ? and day = ?", (held.sid, day)
        ).fetchone()
        ver = found[0] if found else 0
        stored = self._shelf.open_chunk(held, day, ver, found[1]) if found else []
        outcome = merge_readings(stored, group)
        if len(outcome.readings) > MAX_READINGS:
            for reading in group:
                _refuse(answer, reading, "more readings on one day than a series holds")
            return
        answer.accepted += outcome.accepted
        answer.duplicate += outcome.duplicate
        for reading in outcome.conflicts:
            _refuse(answer, reading, "conflicts with a stored reading of the same instant")
        if outcome.accepted:
            judge_day(outcome.readings, held.series.rules)
            self._shelf.write_chunk(conn, held, (day, ver + 1, at), outcome.readings)

    def compartment_of(self, conn: Connection, sid: int) -> int | None:
        """Return the compartment of a series, for the gate to know whose it is; shows no content."""
        row = conn.execute("select cid from series where sid = ?", (sid,)).fetchone()
        return None if row is None else int(row[0])

    def holders(self, conn: Connection) -> list[int]:
        """Return the compartments that hold a series; tell no reader."""
        rows = conn.execute("select distinct cid from series").fetchall()
        return [int(cid) for (cid,) in rows]

    def count(self, conn: Connection, cid: int) -> dict[str, int]:
        """Return how many series and readings a compartment holds."""
        row = conn.execute(
            "select count(distinct s.sid), coalesce(sum(c.count), 0) from series s"
            " left join chunk c on c.sid = s.sid where s.cid = ?",
            (cid,),
        ).fetchone()
        return {"series": int(row[0]), "readings": int(row[1])}

    def series_of(self, conn: Connection, access: Access) -> list[tuple[int, Series]]:
        """Return (number, series) of which the access may show something, by display name."""
        visible = self._viewer.visible(conn, access)
        pairs = [(sid, seen.held.series) for sid, seen in visible.items()]
        return sorted(pairs, key=lambda pair: (pair[1].display, pair[1].key.device, pair[0]))

    def summary(self, conn: Connection, access: Access) -> list[SeriesSummary]:
        """Return what is visible of each series, by display name; empty ones are left out."""
        visible = self._viewer.visible(conn, access)
        summaries = []
        for sid, series in self.series_of(conn, access):
            counted = self._viewer.count(conn, visible[sid], visible)
            if counted is not None:
                summaries.append(SeriesSummary(sid, series, *counted))
        return summaries

    def readings(  # noqa: PLR0913  a range with its page
        self,
        conn: Connection,
        access: Access,
        sid: int,
        *,
        t_from: int,
        t_until: int,
        after: int | None = None,
        limit: int = 10_000,
    ) -> list[Reading]:
        """Return visible readings of a series, ascending.

        Args:
            conn: a connection.
            access: what may be seen.
            sid: number of the series.
            t_from: first start (ms), inclusive.
            t_until: last start (ms), exclusive.
            after: start of the last reading of the page before; readings of one start stay on one
                page.
            limit: so many at least fill a page, if there are so many.
        """
        visible = self._viewer.visible(conn, access)
        if sid not in visible:
            return []
        lo = t_from if after is None else max(t_from, after + 1)
        found: list[Reading] = []
        for opened in self._viewer.chunks(conn, {sid: visible[sid]}, (lo, t_until - 1)):
            for reading in opened.visible:
                if not lo <= reading.t_unix_ms < t_until:
                    continue
                if len(found) >= limit and reading.t_unix_ms != found[-1].t_unix_ms:
                    return found
                found.append(reading)
        return found

    def window(
        self,
        conn: Connection,
        access: Access,
        sid: int,
        *,
        t_from: int,
        t_until: int,
        max_points: int,
    ) -> list[Point]:
        """Return visible readings of a series as at most `max_points` points for a chart.

        Args:
            conn: a connection.
            access: what may be seen.
            sid: number of the series.
            t_from: first start (ms), inclusive.
            t_until: last start (ms), exclusive.
            max_points: at least 1.
        """
        visible = self._viewer.visible(conn, access)
        if sid not in visible:
            return []
        chunks = self._viewer.chunks(conn, {sid: visible[sid]}, (t_from, t_until - 1))
        found = [r for c in chunks for r in c.visible if t_from <= r.t_unix_ms < t_until]
        return thin_out(found, visible[sid].held.series.rules, max_points=max_points)

    def find(
        self,
        conn: Connection,
        access: Access,
        wanted: Filter,
        *,
        after: tuple[int, int] | None = None,
        limit: int = 50,
    ) -> list[RenderedRow]:
        """Return Observations made from readings, by (ts, key) descending.

        Args:
            conn: a connection.
            access: what may be seen.
            wanted: the search.
            after: (ts, key) of the last row of the page before.
            limit: most rows returned.
        """
        if not self._shelf.may_hold(conn, access.compartment, wanted.codes):
            return []
        visible = self._viewer.visible(conn, access)
        sids = {sid for sid, seen in visible.items() if wanted.may_want(seen.held.series)}
        if any(is_pressure(visible[sid].held.series) for sid in sids):
            # Whether a reading is alone or in a panel does not depend on the search.
            sids |= {sid for sid, seen in visible.items() if is_pressure(seen.held.series)}
        lo, hi = start_bounds(wanted)
        if after is not None:
            hi = min(hi, (after[0] // DAY_MS + 1) * DAY_MS - 1)
        rows: list[RenderedRow] = []
        looked_at = {sid: visible[sid] for sid in sids}
        subject = self._subject_of(conn, access.compartment) if looked_at else ""
        chunks = self._viewer.chunks(conn, looked_at, (lo, hi), backwards=True)
        for _, group in groupby(chunks, key=lambda opened: opened.day):
            for line in day_lines([_day(subject, opened) for opened in group], wanted):
                if after is not None and (line.ts, line.key) >= after:
                    continue
                if len(rows) >= limit:
                    return rows
                rows.append(render_line(line))
            if len(rows) >= limit:
                break
        return rows

    def fetch(self, conn: Connection, access: Access, id: str) -> RenderedRow | None:
        """Return the Observation of this id, or None when the access may show none."""
        name = parse_reading_id(id)
        visible = self._viewer.visible(conn, access)
        if name is None or name.sid not in visible:
            return None
        series = visible[name.sid].held.series
        near = {
            sid: seen
            for sid, seen in visible.items()
            if sid == name.sid or (is_pressure(series) and is_pressure(seen.held.series))
        }
        length = HOUR_MS - 1 if name.duration_ms is None else 0
        bounds = (name.t_unix_ms, name.t_unix_ms + length)
        subject = self._subject_of(conn, access.compartment)
        day = name.t_unix_ms // DAY_MS
        chunks = self._viewer.chunks(conn, near, bounds)
        days = [_day(subject, opened) for opened in chunks if opened.day == day]
        for line in day_lines(days, _EVERYTHING):
            if line.name == name:
                return render_line(line)
        return _alone(name, days)

    def erase(self, conn: Connection, cid: int) -> int:
        """Delete every row of a compartment; return how many series there were."""
        mine = "(select sid from series where cid = ?)"
        conn.execute(f"delete from chunk where sid in {mine}", (cid,))  # noqa: S608  a constant
        conn.execute(f"delete from series_code where sid in {mine}", (cid,))  # noqa: S608  a constant
        return conn.execute("delete from series where cid = ?", (cid,)).rowcount

    def check(self, conn: Connection) -> list[str]:
        """Open everything, derive each index column again; return what does not fit, by place."""
        return check_series(conn, self._shelf)

    def export_lines(self, conn: Connection, cid: int) -> Iterator[dict[str, Any]]:
        """Yield everything of a compartment as JSON-able lines, each series before its chunks."""
        return export_lines(conn, self._shelf, cid)

    def restore_line(self, conn: Connection, cid: int, line: dict[str, Any]) -> None:
        """Put back one line of an export; ids, versions and flags stay as they were.

        Restoring the same line twice changes nothing.

        Raises:
            ConflictError: when the place is taken by something else.
            MalformedInputError: when it is no line of an export.
        """
        restore_line(conn, self._shelf, cid, line)


def _by_day(readings: Iterable[Reading], answer: Placement) -> dict[int, list[Reading]]:
    days: dict[int, list[Reading]] = {}
    for reading in readings:
        if abs(reading.t_unix_ms) < _LIMIT_MS and 0 <= reading.duration_ms <= MAX_DURATION_MS:
            days.setdefault(reading.t_unix_ms // DAY_MS, []).append(reading)
        else:
            _refuse(answer, reading, "instant or duration out of bounds")
    return days


def _refuse(answer: Placement, reading: Reading, why: str) -> None:
    answer.refused_count += 1
    if len(answer.refused) < MAX_REFUSALS:
        answer.refused = [*answer.refused, Refusal(f"record {reading.origin}", why)]


def _day(subject: str, opened: Opened) -> DayOfSeries:
    held = opened.held
    origin = Origin(subject, held.sid, held.series, opened.ver, opened.updated)
    return make_day(origin, opened.every, opened.visible)


def _alone(name: ReadingId, days: Iterable[DayOfSeries]) -> RenderedRow | None:
    """A reading that a search shows as part of an hour or a panel, by its own id."""
    for day in days:
        for reading in day.readings if day.origin.sid == name.sid else ():
            if (reading.t_unix_ms, reading.duration_ms) == (name.t_unix_ms, name.duration_ms):
                body = render_reading(day.origin, reading)
                key = order_key(name)
                seg = day.origin.series.seg
                return RenderedRow(reading.t_unix_ms, key, format_id(name), body, seg)
    return None
