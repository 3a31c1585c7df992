"""Sealed rows of series and chunks: found, opened, made, written. The keys come from outside."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol

import msgspec

from hilum.errors import MalformedInputError
from hilum.signals.answers import Token
from hilum.signals.chunk import decode_chunk, encode_chunk
from hilum.signals.judge import METHOD_VERSION
from hilum.signals.model import Series
from hilum.signals.render import PANEL_CODINGS, codings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hilum.base.sql import Connection
    from hilum.signals.model import Reading

__all__ = ["Held", "Open", "Seal", "Shelf"]

_META_VERSION = b"\x01"
_encode_series = msgspec.json.Encoder().encode
_decode_series = msgspec.json.Decoder(Series).decode


class Seal(Protocol):
    """Seal a body for one place."""

    def __call__(  # noqa: D102  the class says it
        self, body: bytes, *, cid: int, type_number: int, id: str, ver: int, seg: int
    ) -> bytes: ...


class Open(Protocol):
    """Open a sealed body of one place."""

    def __call__(  # noqa: D102  the class says it
        self, sealed: bytes, *, cid: int, type_number: int, id: str, ver: int, seg: int
    ) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Held:
    """A stored series: its number, compartment, segment mask and meaning."""

    sid: int
    cid: int
    seg: int
    series: Series


class Shelf:
    """The sealed rows.

    Args:
        seal: seals a body (vault).
        open: opens a sealed body (vault).
        index_key: keys the hash that finds a series again.
        hash_code: (system, code) → 64-bit hash.
    """

    def __init__(
        self,
        seal: Seal,
        open: Open,
        index_key: bytes,
        hash_code: Callable[[str, str], int],
    ) -> None:
        self._seal = seal
        self._open = open
        self._index_key = index_key
        self._hash_code = hash_code

    def write_chunk(
        self,
        conn: Connection,
        held: Held,
        place: tuple[int, int, int],
        readings: Sequence[Reading],
    ) -> None:
        """Write a day of a series.

        Args:
            conn: inside a write transaction.
            held: the series.
            place: day, version and time of the change (ms).
            readings: at least one, ascending, all of the day.
        """
        day, ver, at = place
        body = encode_chunk(readings, day=day, method=METHOD_VERSION)
        name = f"series-{held.sid}-{day}"
        sealed = self._seal(body, cid=held.cid, type_number=0, id=name, ver=ver, seg=held.seg)
        end = max(r.t_unix_ms + r.duration_ms for r in readings)
        first, last = readings[0].t_unix_ms, readings[-1].t_unix_ms
        conn.execute(
            "insert into chunk values (?,?,?,?,?,?,?,?,?) on conflict (sid, day) do update set"
            " ver = excluded.ver, count = excluded.count, t_min = excluded.t_min,"
            " t_max = excluded.t_max, t_end = excluded.t_end, updated = excluded.updated,"
            " body = excluded.body",
            (held.sid, day, ver, len(readings), first, last, end, at, sealed),
        )

    def open_chunk(self, held: Held, day: int, ver: int, sealed: bytes) -> list[Reading]:
        """Return the readings of a day, ascending."""
        name = f"series-{held.sid}-{day}"
        body = self._open(sealed, cid=held.cid, type_number=0, id=name, ver=ver, seg=held.seg)
        return decode_chunk(body, day=day)

    def key_hash(self, cid: int, series: Series) -> bytes:
        """Return the 16-byte keyed hash of a series' identity."""
        key = series.key
        state = blake2b(digest_size=16, key=self._index_key, person=b"hilum/series/v1")
        state.update(json.dumps([cid, key.measure, key.device, key.unit]).encode())
        return state.digest()

    def code_hashes(self, series: Series) -> set[int]:
        """Return the hashes of all codings of the series."""
        return {self._hash_code(system, code) for system, code in codings_of(series)}

    def may_hold(self, conn: Connection, cid: int, codes: Sequence[Sequence[Token]]) -> bool:
        """Tell whether series of a compartment could answer searched codes, without opening any.

        Args:
            conn: a connection.
            cid: the compartment.
            codes: as `Filter.codes`; alternatives that are not whole codings are taken to match.
        """
        for alternatives in codes:
            whole = [pair for pair in alternatives if pair[0] and pair[1]]
            if len(whole) < len(alternatives) or any(pair in PANEL_CODINGS for pair in whole):
                continue
            hashes = [self._hash_code(system or "", code or "") for system, code in whole]
            marks = ",".join("?" * len(hashes))
            found = conn.execute(
                "select 1 from series s join series_code k on k.sid = s.sid"  # noqa: S608  placeholders only
                f" where s.cid = ? and k.code in ({marks}) limit 1",
                (cid, *hashes),
            ).fetchone()
            if found is None:
                return False
        return True

    def enrol(self, conn: Connection, cid: int, series: Series, at: int) -> Held:
        """Return the stored series, made or brought up to the template that mapped it now."""
        key_hash = self.key_hash(cid, series)
        found = conn.execute(
            "select sid, seg, ver, meta from series where cid = ? and key_hash = ?", (cid, key_hash)
        ).fetchone()
        if found is None:
            held = Held(_free_sid(conn, key_hash), cid, series.seg, series)
            self.write_series(conn, held, ver=1, at=at)
            return held
        sid, seg, ver, meta = found
        # The segment of a series never changes: what was sealed under it must stay readable.
        held = Held(sid, cid, seg, msgspec.structs.replace(series, seg=seg))
        if held.series != self.open_series(cid, sid, (seg, ver), meta):
            self.write_series(conn, held, ver=ver + 1, at=at)
        return held

    def write_series(self, conn: Connection, held: Held, *, ver: int, at: int) -> None:
        """Write the row of a series and the hashes of its codings."""
        body = _META_VERSION + _encode_series(held.series)
        name = f"series-{held.sid}"
        meta = self._seal(body, cid=held.cid, type_number=0, id=name, ver=ver, seg=held.seg)
        conn.execute(
            "insert into series values (?,?,?,?,?,?,?) on conflict (sid) do update set"
            " ver = excluded.ver, meta = excluded.meta",
            (held.sid, held.cid, self.key_hash(held.cid, held.series), held.seg, ver, at, meta),
        )
        conn.execute("delete from series_code where sid = ?", (held.sid,))
        rows = [(held.sid, code) for code in self.code_hashes(held.series)]
        conn.executemany("insert into series_code values (?,?)", rows)

    def open_series(self, cid: int, sid: int, place: tuple[int, int], meta: bytes) -> Series:
        """Return the series of a row.

        Args:
            cid: compartment.
            sid: its number.
            place: segment mask and version of the row.
            meta: the sealed body.

        Raises:
            MalformedInputError: when the body is of another version.
        """
        seg, ver = place
        body = self._open(meta, cid=cid, type_number=0, id=f"series-{sid}", ver=ver, seg=seg)
        if body[:1] != _META_VERSION:
            raise MalformedInputError(
                "unknown-version", "series of another version", where="series"
            )
        return _decode_series(body[1:])


def _free_sid(conn: Connection, key_hash: bytes) -> int:
    """A 31-bit number that a restored archive of another node hardly ever holds already."""
    sid = int.from_bytes(key_hash[:4], "big") >> 1
    while sid == 0 or conn.execute("select 1 from series where sid = ?", (sid,)).fetchone():
        sid = (sid + 1) & 0x7FFFFFFF
    return sid
