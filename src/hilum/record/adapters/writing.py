"""Rows on their way into the tables: one resource with all its index rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from hilum.base.ids import UnixMs
from hilum.base.sql import Connection
from hilum.errors import ConflictError, MalformedInputError
from hilum.record.adapters.bodies import Bodies
from hilum.record.adapters.layout import INDEXES, POPULATION, Raw
from hilum.record.change import Create, Method, Update, Version
from hilum.record.index import Facts, Indexer, clinical_instant
from hilum.record.resource import Tree, parse_json, stamp
from hilum.record.rows import IndexRows, Rows, index_tuples
from hilum.record.types import type_number

__all__ = ["Batch", "Ready", "Writer", "erase_indexes", "insert_rows", "stamped", "tree_of"]

_INSERT = "insert into resource values(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing"
_REPLACE = (
    "update resource set ver = ?, seg = ?, ts = ?, updated = ?, method = ?, codes = ?, parts = ?,"
    " authors = ?, encs = ?, body = ? where rid = ?"
)
_BURY = "update resource set ver = ?, updated = ?, method = ?, body = null where rid = ?"
_SUPERSEDE = "insert into history select * from resource where rid = ?"
_IS_THERE = "select 1 from compartment where cid = ?"
_NO_FACTS = Facts(b"", b"", b"", b"")

_COLUMNS = INDEXES | POPULATION


def _sql(verb: str, table: str) -> str:
    columns = _COLUMNS[table]
    if verb == "insert":
        # by name: what is no key stands last in the table, or SQLite 3.40's own check finds NULLs there
        return f"insert into {table}({', '.join(columns)}) values({', '.join('?' * len(columns))})"
    return f"delete from {table} where " + " and ".join(f"{c} = ?" for c in columns)  # noqa: S608 - constant names


_ADD = {table: _sql("insert", table) for table in _COLUMNS}
_DROP = {table: _sql("delete", table) for table in _COLUMNS}


def insert_rows(conn: Connection, rows: Rows) -> None:
    """Insert rows of the index tables."""
    for table, tuples in rows.items():
        if tuples:
            conn.executemany(_ADD[table], tuples)


def erase_indexes(conn: Connection, cid: int) -> None:
    """Delete all index rows of a compartment.

    The copies for searches across records lie by parameter: they are found by the rows that they are
    copies of.
    """
    for table, columns in POPULATION.items():
        copied = f"select {', '.join(columns)} from i_{table[2:]} where cid = ?"  # noqa: S608 - constant names
        conn.executemany(_DROP[table], conn.execute(copied, (cid,)).fetchall())
    for table in INDEXES:
        conn.execute(f"delete from {table} where cid = ?", (cid,))  # noqa: S608 - constant names


@dataclass(slots=True)
class Batch:
    """Rows of new resources, gathered to be written together.

    Attributes:
        rid: the next free row number.
    """

    rid: int
    resources: list[tuple[object, ...]] = field(default_factory=list)
    indexes: Rows = field(default_factory=lambda: {table: [] for table in _COLUMNS})


class Ready(msgspec.Struct, frozen=True):
    """A new resource with everything made that needs no row number, by any thread.

    Attributes:
        version: what is stored; its `rid` is 0 until it is written.
        rows: its index rows; None for a deletion.
        facts: what the access filter looks at.
        sealed: the packed, sealed body; None for a deletion.
    """

    version: Version
    rows: IndexRows | None
    facts: Facts
    sealed: bytes | None


class Writer:
    """Writes and removes the rows of resources; knows nothing of permissions or transactions.

    Args:
        bodies: packs and seals.
        indexer: makes index rows.
    """

    def __init__(self, bodies: Bodies, indexer: Indexer) -> None:
        self._bodies = bodies
        self._indexer = indexer

    @staticmethod
    def batch(conn: Connection) -> Batch:
        """Return an empty batch that continues the row numbers."""
        highest = conn.execute("select max(rid) from resource").fetchone()[0]
        return Batch((highest or 0) + 1)

    def make(self, version: Version, tree: Tree | None, author: str | None) -> Ready:
        """Make everything of a new resource that needs no row number; safe in any thread.

        Args:
            version: what is stored.
            tree: the decoded resource, or None for a deletion.
            author: reference of who contributed it.
        """
        if tree is None:
            return Ready(version, None, _NO_FACTS, None)
        rows = self._indexer.rows(tree, version.cid)
        facts = self._indexer.facts(tree, rows, author)
        return Ready(version, rows, facts, self._bodies.close(version, author))

    def make_new(self, change: Create, at: UnixMs) -> Ready:
        """Make a new resource ready to be written, in any thread: stamped, indexed and sealed.

        Args:
            change: a validated resource; permission was asked before.
            at: the time to store, ms.

        Raises:
            MalformedInputError: a segment mask names no segment.
        """
        version = stamped(change, 0, 1, at)
        return self.make(version, tree_of(change, version), change.author)

    def insert(self, conn: Connection, ready: Sequence[Ready]) -> None:
        """Write new resources, all or none.

        Args:
            conn: inside a transaction.
            ready: new resources of any compartments.

        Raises:
            ConflictError: an id is taken, or a compartment is not there any more.
        """
        for cid in {each.version.cid for each in ready if each.version.cid > 0}:
            if conn.execute(_IS_THERE, (cid,)).fetchone() is None:
                raise ConflictError("not-found", "there is no such record to write to")
        batch = self.batch(conn)
        for each in ready:
            self.add(batch, each)
        self.flush(conn, batch)

    def add(self, batch: Batch, ready: Ready) -> int:
        """Gather a resource that is new to the store; returns the row number it gets."""
        version, facts, sealed, rid = ready.version, ready.facts, ready.sealed, batch.rid
        if ready.rows is not None:
            for table, tuples in index_tuples(ready.rows, version.cid, version.ts, rid).items():
                batch.indexes[table] += tuples
        batch.resources.append((
            version.cid, rid, type_number(version.type), version.id, version.ver,
            version.seg, version.ts, version.updated, version.method,
            self._indexer.keyed.reference(f"{version.type}/{version.id}"), facts.codes, facts.parts,
            facts.authors, facts.encounters, sealed,
        ))  # fmt: skip
        batch.rid += 1
        return rid

    @staticmethod
    def flush(conn: Connection, batch: Batch) -> None:
        """Write what was gathered.

        Raises:
            ConflictError: an id is taken.
        """
        if not batch.resources:
            return
        if conn.executemany(_INSERT, batch.resources).rowcount != len(batch.resources):
            raise ConflictError("id-taken", "a resource with this id exists already")
        insert_rows(conn, batch.indexes)
        for rows in batch.indexes.values():
            rows.clear()
        batch.resources.clear()

    def supersede(self, conn: Connection, current: Raw) -> None:
        """Move the current version to the history, and take its index rows away."""
        if current[9] is not None:
            body, _ = self._bodies.open(current)
            rows = self._indexer.rows(parse_json(body, max_bytes=len(body)), current[0])
            for table, tuples in index_tuples(rows, current[0], current[6], current[1]).items():
                conn.executemany(_DROP[table], tuples)
        conn.execute(_SUPERSEDE, (current[1],))

    def replace(self, conn: Connection, version: Version, tree: Tree, author: str | None) -> None:
        """Make a version the current one, after `supersede`."""
        rows = self._indexer.rows(tree, version.cid)
        facts = self._indexer.facts(tree, rows, author)
        conn.execute(_REPLACE, (
            version.ver, version.seg, version.ts, version.updated, version.method,
            facts.codes, facts.parts, facts.authors, facts.encounters,
            self._bodies.close(version, author), version.rid,
        ))  # fmt: skip
        insert_rows(conn, index_tuples(rows, version.cid, version.ts, version.rid))

    @staticmethod
    def bury(conn: Connection, rid: int, ver: int, at: UnixMs) -> None:
        """Make a deletion the current version, after `supersede`; its facts stay."""
        conn.execute(_BURY, (ver, at, Method.DELETE, rid))


def stamped(change: Create | Update, rid: int, ver: int, at: UnixMs) -> Version:
    """Return the version that a change makes.

    Raises:
        MalformedInputError: the segment mask names no segment.
    """
    if change.seg <= 0:
        raise MalformedInputError("no-segment", "a resource must be in at least one segment")
    name = change.resource.type
    body = stamp(
        change.resource.raw, id=change.id, version=ver, updated=at, security=change.security
    )
    instant = clinical_instant(change.resource.tree)
    return Version(
        change.cid, rid, name, change.id, ver, change.seg,
        at if instant is None else UnixMs(instant), at,
        Method.CREATE if ver == 1 else Method.UPDATE, body,
    )  # fmt: skip


def tree_of(change: Create | Update, version: Version) -> Tree:
    """Return the decoded body that a version is indexed by."""
    # Labels added on the way in are searchable: read them from the body that is stored.
    if change.security:
        return parse_json(version.body, max_bytes=len(version.body))
    return change.resource.tree
