"""Check, export and restore the stored series: work that no reader asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hilum.errors import ConflictError, HilumError
from hilum.signals.adapters.shelf import Held
from hilum.signals.archive import SeriesLine, chunk_line, parse_line, series_line
from hilum.signals.model import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hilum.base.sql import Connection
    from hilum.signals.adapters.shelf import Shelf
    from hilum.signals.archive import ChunkLine

__all__ = ["check_series", "export_lines", "restore_line"]


def check_series(conn: Connection, shelf: Shelf) -> list[str]:
    """Open everything and derive each index column again; return what does not fit, by place."""
    problems = []
    rows = conn.execute("select sid, cid, key_hash, seg, ver, meta from series order by sid")
    for sid, cid, key_hash, seg, ver, meta in rows.fetchall():
        try:
            series = shelf.open_series(cid, sid, (seg, ver), meta)
        except HilumError as error:
            problems.append(f"series {sid}: {error.why}")
            continue
        codes = {
            code for (code,) in conn.execute("select code from series_code where sid = ?", (sid,))
        }
        if codes != shelf.code_hashes(series):
            problems.append(f"series {sid}: codes do not fit")
        if key_hash != shelf.key_hash(cid, series) or seg != series.seg:
            problems.append(f"series {sid}: key or segment does not fit")
        problems += _check_chunks(conn, shelf, Held(sid, cid, seg, series))
    for table in ("chunk", "series_code"):
        orphans = conn.execute(
            f"select count(*) from {table} where sid not in (select sid from series)"  # noqa: S608  a constant
        ).fetchone()[0]
        if orphans:
            problems.append(f"{orphans} rows of {table} without series")
    return problems


def _check_chunks(conn: Connection, shelf: Shelf, held: Held) -> Iterator[str]:
    rows = conn.execute(
        "select day, ver, count, t_min, t_max, t_end, body from chunk where sid = ? order by day",
        (held.sid,),
    )
    for day, ver, count, t_min, t_max, t_end, body in rows:
        place = f"series {held.sid} day {day}"
        try:
            readings = shelf.open_chunk(held, day, ver, body)
        except HilumError as error:
            yield f"{place}: {error.why}"
            continue
        starts = [r.t_unix_ms for r in readings]
        ends = [r.t_unix_ms + r.duration_ms for r in readings]
        facts = (len(starts), min(starts), max(starts), max(ends))
        if facts != (count, t_min, t_max, t_end) or starts != sorted(starts):
            yield f"{place}: count or times do not fit"
        if any(start // DAY_MS != day for start in starts):
            yield f"{place}: a reading of another day"


def export_lines(conn: Connection, shelf: Shelf, cid: int) -> Iterator[dict[str, Any]]:
    """Yield everything of a compartment as JSON-able lines, each series before its chunks."""
    rows = conn.execute(
        "select sid, seg, ver, created, meta from series where cid = ? order by sid", (cid,)
    )
    for sid, seg, ver, created, meta in rows.fetchall():
        held = Held(sid, cid, seg, shelf.open_series(cid, sid, (seg, ver), meta))
        yield series_line(sid, ver, created, held.series)
        chunks = conn.execute(
            "select day, ver, updated, body from chunk where sid = ? order by day", (sid,)
        )
        for day, version, updated, body in chunks:
            readings = shelf.open_chunk(held, day, version, body)
            yield chunk_line(sid, day, ver=version, updated=updated, readings=readings)


def restore_line(conn: Connection, shelf: Shelf, cid: int, line: dict[str, Any]) -> None:
    """Put back one line of an export; the same line twice changes nothing.

    Raises:
        ConflictError: when the place is taken by something else.
        MalformedInputError: when it is no line of an export.
    """
    parsed = parse_line(line)
    found = conn.execute(
        "select cid, seg, ver, meta from series where sid = ?", (parsed.sid,)
    ).fetchone()
    if found is not None and found[0] != cid:
        raise ConflictError("series-taken", "the number belongs to another compartment")
    if isinstance(parsed, SeriesLine):
        if found is None:
            held = Held(parsed.sid, cid, parsed.series.seg, parsed.series)
            shelf.write_series(conn, held, ver=parsed.ver, at=parsed.created)
        elif shelf.open_series(cid, parsed.sid, found[1:3], found[3]) != parsed.series:
            raise ConflictError("series-taken", "another series of this number is stored")
        return
    if found is None:
        raise ConflictError("series-missing", "a chunk comes before its series")
    series = shelf.open_series(cid, parsed.sid, found[1:3], found[3])
    _restore_chunk(conn, shelf, Held(parsed.sid, cid, found[1], series), parsed)


def _restore_chunk(conn: Connection, shelf: Shelf, held: Held, line: ChunkLine) -> None:
    readings = line.readings()
    found = conn.execute(
        "select ver, body from chunk where sid = ? and day = ?", (held.sid, line.day)
    ).fetchone()
    if found is None:
        shelf.write_chunk(conn, held, (line.day, line.ver, line.updated), readings)
    elif shelf.open_chunk(held, line.day, found[0], found[1]) != readings:
        raise ConflictError("chunk-taken", "other readings of that day are stored")
