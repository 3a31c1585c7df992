"""Directives and broken glass in SQLite. The writer owns transactions; nothing is cached."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import msgspec

from hilum.base.ids import UnixMs
from hilum.base.sql import Connection
from hilum.consent.directive import (
    Directive,
    DirectiveStatus,
    decode_directive,
    encode_directive,
)
from hilum.consent.emergency import EmergencyAccess, decode_emergency, encode_emergency
from hilum.consent.terms import Effect
from hilum.errors import ConflictError, MalformedInputError

__all__ = ["SCHEMA", "Open", "Seal", "SqliteDirectives"]

SCHEMA = """
create table if not exists directive(
  did text primary key, cid integer not null, created integer not null, revoked integer,
  cell integer, body blob not null) without rowid;
create index if not exists directive_cid on directive(cid, created);
create table if not exists directive_version(cid integer primary key, v integer not null);
create table if not exists reader_access(
  grantee blob not null, cid integer not null, did text not null,
  primary key(grantee, cid, did)) without rowid;
create index if not exists reader_access_did on reader_access(did);
create table if not exists directive_use(
  did text not null, clause integer not null, used integer not null,
  primary key(did, clause)) without rowid;
create table if not exists emergency(
  eid text primary key, cid integer not null, opened integer not null, expires integer not null,
  stage integer not null, reviewed integer, body blob not null) without rowid;
create index if not exists emergency_cid on emergency(cid, expires);
"""

ANYONE = bytes(32)
"""The grantee of rows of directives that permit any reader, or all but some."""
_SEGMENT = 1 << 14
_DIRECTIVE = "did, cid, created, revoked, cell, body"


class Seal(Protocol):
    """Seals a body for one place (the vault's `Keyring.seal`)."""

    def __call__(
        self, body: bytes, *, cid: int, type_number: int, id: str, ver: int, seg: int
    ) -> bytes:
        """Return the sealed body."""
        ...


class Open(Protocol):
    """Opens a sealed body (the vault's `Keyring.open`)."""

    def __call__(
        self, sealed: bytes, *, cid: int, type_number: int, id: str, ver: int, seg: int
    ) -> bytes:
        """Return the clear body."""
        ...


class SqliteDirectives:
    """Directives, their versions, who may possibly read what, and broken glass.

    Every change of a compartment counts its version up; a decision cached under an older one is stale.

    Args:
        seal: seals a body for one place.
        open: opens a sealed body.
    """

    def __init__(self, seal: Seal, open: Open) -> None:
        self._seal = seal
        self._open = open

    def add(self, conn: Connection, directive: Directive, *, cid: int) -> None:
        """Keep a directive.

        Raises:
            ConflictError: when it is there already.
        """
        body = self._seal(
            encode_directive(directive),
            cid=cid,
            type_number=0,
            id=directive.id,
            ver=1,
            seg=_SEGMENT,
        )
        row = (
            directive.id, cid, directive.created_unix_ms, directive.revoked_unix_ms,
            directive.cell, body,
        )  # fmt: skip
        sql = "insert into directive values(?,?,?,?,?,?) on conflict do nothing"
        if conn.execute(sql, row).rowcount != 1:
            raise ConflictError("directive-exists", "the directive is there already")
        if directive.status is DirectiveStatus.ACTIVE:
            conn.executemany(
                "insert into reader_access values(?,?,?)",
                [(grantee, cid, directive.id) for grantee in _permitted(directive)],
            )
        self._count_up(conn, cid)

    def revoke(self, conn: Connection, did: str, *, at: UnixMs) -> int | None:
        """Revoke a directive; return its compartment, or None when no active one has the id."""
        row = conn.execute(
            "update directive set revoked=? where did=? and revoked is null returning cid",
            (at, did),
        ).fetchall()
        if not row:
            return None
        conn.execute("delete from reader_access where did=?", (did,))
        self._count_up(conn, row[0][0])
        return int(row[0][0])

    def set_cell(self, conn: Connection, did: str, *, cell: int) -> None:
        """Note the index of the directive's ledger cell."""
        conn.execute("update directive set cell=? where did=?", (cell, did))

    def find(self, conn: Connection, did: str) -> tuple[int, Directive] | None:
        """Return (compartment, directive), or None."""
        row = conn.execute(
            f"select {_DIRECTIVE} from directive where did=?",  # noqa: S608 - constant columns
            (did,),
        ).fetchone()
        return None if row is None else (int(row[1]), self._directive(row))

    def of_compartment(self, conn: Connection, cid: int) -> list[Directive]:
        """Return every directive of the compartment, oldest first, revoked ones included."""
        rows = conn.execute(
            f"select {_DIRECTIVE} from directive where cid=? order by created, did",  # noqa: S608 - constant columns
            (cid,),
        ).fetchall()
        return [self._directive(row) for row in rows]

    def active(self, conn: Connection, cid: int) -> list[Directive]:
        """Return the active directives of the compartment, oldest first: what the gate reads."""
        rows = conn.execute(
            f"select {_DIRECTIVE} from directive where cid=? and revoked is null"  # noqa: S608 - constant columns
            " order by created, did",
            (cid,),
        ).fetchall()
        return [self._directive(row) for row in rows]

    def version(self, conn: Connection, cid: int) -> int:
        """Return the version of the compartment's directives and broken glass, from 0."""
        row = conn.execute("select v from directive_version where cid=?", (cid,)).fetchone()
        return 0 if row is None else int(row[0])

    def compartments_for(self, conn: Connection, grantees: Iterable[bytes]) -> list[int]:
        """Return the compartments in which some active permit may name one of the grantees.

        A hint for reads across people; the gate still decides each.
        """
        ids = [ANYONE, *grantees]
        marks = ",".join("?" * len(ids))
        rows = conn.execute(
            f"select distinct cid from reader_access where grantee in ({marks}) order by cid",  # noqa: S608 - placeholders only
            ids,
        )
        return [int(row[0]) for row in rows]

    def may_name(self, conn: Connection, grantees: Iterable[bytes], cid: int) -> bool:
        """Tell whether some active permit of a compartment may name one of the grantees."""
        ids = [ANYONE, *grantees]
        marks = ",".join("?" * len(ids))
        row = conn.execute(
            f"select 1 from reader_access where grantee in ({marks}) and cid=? limit 1",  # noqa: S608 - placeholders only
            (*ids, cid),
        ).fetchone()
        return row is not None

    def count_use(self, conn: Connection, did: str, *, clause: int) -> int:
        """Count one use of a counted clause, in the caller's transaction; return how many there are."""
        row = conn.execute(
            "insert into directive_use values(?,?,1)"
            " on conflict(did, clause) do update set used=directive_use.used+1 returning used",
            (did, clause),
        ).fetchall()
        return int(row[0][0])

    def spent(
        self, conn: Connection, directives: Iterable[Directive]
    ) -> frozenset[tuple[str, int]]:
        """Return (directive id, clause index) of the counted clauses that have no uses left."""
        found = set()
        for directive in directives:
            limits = [clause.uses for clause in directive.terms.clauses]
            if any(limits):
                for index, used in conn.execute(
                    "select clause, used from directive_use where did=?", (directive.id,)
                ):
                    if limits[index] and used >= limits[index]:
                        found.add((directive.id, int(index)))
        return frozenset(found)

    def add_emergency(self, conn: Connection, eid: str, access: EmergencyAccess) -> None:
        """Keep broken glass under an id; the same id again replaces it (a widened access)."""
        cid = access.compartment
        body = self._seal(
            encode_emergency(access), cid=cid, type_number=0, id=eid, ver=access.stage, seg=_SEGMENT
        )
        conn.execute(
            "insert into emergency values(?,?,?,?,?,null,?)"
            " on conflict(eid) do update set stage=excluded.stage, body=excluded.body",
            (eid, cid, access.opened_unix_ms, access.expires_unix_ms, access.stage, body),
        )
        self._count_up(conn, cid)

    def emergencies(
        self, conn: Connection, cid: int, *, now: UnixMs
    ) -> tuple[EmergencyAccess, ...]:
        """Return the broken glass of the compartment that has not expired."""
        rows = conn.execute(
            "select eid, cid, stage, body from emergency where cid=? and expires>?"
            " order by opened, eid",
            (cid, now),
        ).fetchall()
        return tuple(self._emergency(*row) for row in rows)

    def to_review(self, conn: Connection) -> Iterator[tuple[str, EmergencyAccess]]:
        """Yield (id, access) of broken glass that nobody has reviewed, oldest first."""
        rows = conn.execute(
            "select eid, cid, stage, body from emergency where reviewed is null order by opened, eid"
        ).fetchall()
        for row in rows:
            yield row[0], self._emergency(*row)

    def review(self, conn: Connection, eid: str, *, at: UnixMs) -> bool:
        """Note that broken glass was reviewed; tell whether that was due."""
        done = conn.execute(
            "update emergency set reviewed=? where eid=? and reviewed is null", (at, eid)
        )
        return done.rowcount > 0

    def erase(self, conn: Connection, cid: int) -> int:
        """Delete every row of the compartment; return how many directives there were."""
        conn.execute(
            "delete from directive_use where did in (select did from directive where cid=?)", (cid,)
        )
        for table in ("reader_access", "emergency"):
            conn.execute(f"delete from {table} where cid=?", (cid,))  # noqa: S608 - constant names
        count = conn.execute("delete from directive where cid=?", (cid,)).rowcount
        self._count_up(conn, cid)
        return count

    def export(self, conn: Connection, cid: int) -> Iterator[dict[str, Any]]:
        """Yield JSON-able lines that `restore` takes back without loss."""
        for row in conn.execute(
            f"select {_DIRECTIVE} from directive where cid=? order by created, did",  # noqa: S608 - constant columns
            (cid,),
        ).fetchall():
            directive = self._directive(row)
            yield {
                "directive": directive.id,
                "created": directive.created_unix_ms,
                "revoked": directive.revoked_unix_ms,
                "cell": directive.cell,
                "body": encode_directive(directive).hex(),
                "used": dict(
                    conn.execute(
                        "select cast(clause as text), used from directive_use where did=?",
                        (directive.id,),
                    ).fetchall()
                ),
            }

    def restore(
        self, conn: Connection, line: dict[str, Any], *, cid: int, cell: int | None = None
    ) -> Directive:
        """Keep an exported directive in a compartment and return it.

        Args:
            conn: the connection.
            line: as `export` made it.
            cid: the compartment in this node.
            cell: its ledger cell in this node; the one it had elsewhere means nothing here.

        Raises:
            MalformedInputError: when the line is not of that form.
            VerificationError: when the line does not hold together (step ``directive``).
            ConflictError: when it is there already.
        """
        directive, uses = _parse_exported(line, cell)
        self.add(conn, directive, cid=cid)
        conn.executemany(
            "insert into directive_use values(?,?,?)",
            [(directive.id, clause, used) for clause, used in uses.items()],
        )
        return directive

    def _directive(self, row: tuple[Any, ...]) -> Directive:
        did, cid, created, revoked, cell, body = row
        clear = self._open(body, cid=cid, type_number=0, id=did, ver=1, seg=_SEGMENT)
        return decode_directive(clear, id=did, created=created, revoked=revoked, cell=cell)

    def _emergency(self, eid: str, cid: int, stage: int, body: bytes) -> EmergencyAccess:
        clear = self._open(body, cid=cid, type_number=0, id=eid, ver=stage, seg=_SEGMENT)
        return decode_emergency(clear)

    def _count_up(self, conn: Connection, cid: int) -> None:
        conn.execute(
            "insert into directive_version values(?,1)"
            " on conflict(cid) do update set v=directive_version.v+1",
            (cid,),
        )


class _Exported(msgspec.Struct):
    directive: str
    created: int
    body: str
    revoked: int | None = None
    used: dict[int, int] = {}


def _parse_exported(line: dict[str, Any], cell: int | None) -> tuple[Directive, dict[int, int]]:
    try:
        found = msgspec.convert(line, _Exported, strict=False)
        body = bytes.fromhex(found.body)
    except (msgspec.ValidationError, ValueError):
        raise MalformedInputError(
            "bad-directive", "not an exported directive", where="directive"
        ) from None
    revoked = None if found.revoked is None else UnixMs(found.revoked)
    directive = decode_directive(
        body, id=found.directive, created=UnixMs(found.created), revoked=revoked, cell=cell
    )
    return directive, found.used


def _permitted(directive: Directive) -> set[bytes]:
    grantees: set[bytes] = set()
    for clause in directive.terms.clauses:
        if clause.effect is Effect.PERMIT:
            is_open = clause.grantees_excluded or not clause.grantees
            grantees |= {ANYONE} if is_open else clause.grantees
    return grantees
