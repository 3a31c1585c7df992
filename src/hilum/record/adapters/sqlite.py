"""The record in SQLite.

The caller owns connections and transactions: nothing here begins, commits, or caches what a
rollback would make wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from msgspec.structs import replace

from hilum.base.ids import CompartmentId, FhirId, SubjectId, UnixMs
from hilum.base.sql import Connection
from hilum.errors import ConflictError
from hilum.record.access import Access, Action
from hilum.record.adapters.bodies import Bodies, Seal
from hilum.record.adapters.checking import list_problems
from hilum.record.adapters.histories import list_changes, list_versions
from hilum.record.adapters.layout import COLUMNS, SCHEMA, SCHEMA_1, SCHEMA_2, TABLES, Raw
from hilum.record.adapters.reindexing import Indexes
from hilum.record.adapters.searches import RecordSearches
from hilum.record.adapters.sight import access_filter
from hilum.record.adapters.writing import Batch, Writer, erase_indexes, stamped, tree_of
from hilum.record.change import (
    Change,
    Create,
    Delete,
    Gone,
    Located,
    Method,
    Row,
    StoredVersion,
    Update,
    Version,
)
from hilum.record.index import Indexer, clinical_instant
from hilum.record.keyed import KeyedHash
from hilum.record.past import ALL, Past
from hilum.record.past import Change as Place3
from hilum.record.resource import parse_json
from hilum.record.strings import KeyedStrings
from hilum.record.types import type_name, type_number

__all__ = ["SCHEMA", "SCHEMA_1", "SCHEMA_2", "SqliteRecord"]

_CURRENT = f"select {COLUMNS} from resource x where x.type = ? and x.id = ?"  # noqa: S608 - constant


@lru_cache(maxsize=4096)
def _reading(access: Access, number: int) -> tuple[str, tuple[object, ...]]:
    """Return the statement that reads one visible resource; its id goes after the first value."""
    text, values = access_filter(access, Action.READ, number)
    return f"{_CURRENT} and x.body is not null and {text}", (number, *values)


class SqliteRecord(RecordSearches):
    """Stores and finds resources; every reading method asks for an `Access`.

    Args:
        seal: ``(body, *, cid, type_number, id, ver, seg) -> bytes`` of the vault.
        open: its inverse.
        index_key: 16 to 64 secret bytes for the keyed hashes.
    """

    def __init__(self, seal: Seal, open: Seal, index_key: bytes) -> None:
        self._keyed = KeyedHash(index_key)
        strings = KeyedStrings(index_key)
        self._indexer = Indexer(self._keyed, strings)
        self._bodies = Bodies(seal, open)
        self.rows = Writer(self._bodies, self._indexer)
        self.indexes = Indexes(self._bodies, self._indexer)
        super().__init__(self._keyed, strings, self._bodies)

    # -- compartments ----------------------------------------------------------------------------

    def create_compartment(self, conn: Connection, subject: SubjectId, at: UnixMs) -> CompartmentId:
        """Return the number of a new compartment, from 1.

        Raises:
            ConflictError: the subject has one.
        """
        made = conn.execute(
            "insert into compartment(subject, created) values(?, ?) on conflict do nothing"
            " returning cid",
            (subject, at),
        ).fetchall()
        if not made:
            raise ConflictError("subject-taken", "the subject has a record already")
        return CompartmentId(made[0][0])

    def compartment_of(self, conn: Connection, subject: str) -> CompartmentId | None:
        """Return the compartment of a subject, or None."""
        row = conn.execute("select cid from compartment where subject = ?", (subject,)).fetchone()
        return CompartmentId(row[0]) if row else None

    def subject_of(self, conn: Connection, cid: int) -> SubjectId | None:
        """Return the subject of a compartment; None for the directory and for unknown numbers."""
        row = conn.execute("select subject from compartment where cid = ?", (cid,)).fetchone()
        return SubjectId(row[0]) if row else None

    def subjects(self, conn: Connection) -> list[tuple[SubjectId, CompartmentId, UnixMs]]:
        """Return (subject, compartment, created) of all records, oldest first."""
        rows = conn.execute("select subject, cid, created from compartment order by cid")
        return [(SubjectId(s), CompartmentId(c), UnixMs(at)) for s, c, at in rows]

    # -- writing ---------------------------------------------------------------------------------

    def apply(self, conn: Connection, changes: Sequence[Change], at: UnixMs) -> list[Version]:
        """Make changes in their order; the caller's transaction makes them all or none.

        Args:
            conn: inside a transaction.
            changes: validated resources; permission was asked before.
            at: the time to store, ms.

        Returns:
            One version per change, in order.

        Raises:
            ConflictError: an id is taken, a version does not match, or there is nothing to change.
            MalformedInputError: a segment mask names no segment.
        """
        batch = self.rows.batch(conn)
        versions: list[Version] = []
        for change in changes:
            if isinstance(change, Create):
                versions.append(self._create(batch, change, at))
                continue
            self.rows.flush(conn, batch)
            if isinstance(change, Update):
                versions.append(self._update(conn, change, at))
            else:
                versions.append(self._delete(conn, change, at))
        self.rows.flush(conn, batch)
        return versions

    def _create(self, batch: Batch, change: Create, at: UnixMs) -> Version:
        ready = self.rows.make_new(change, at)
        return replace(ready.version, rid=self.rows.add(batch, ready))

    def _update(self, conn: Connection, change: Update, at: UnixMs) -> Version:
        current = self._demand(conn, change.resource.type, change)
        version = stamped(change, current[1], current[4] + 1, at)
        self.rows.supersede(conn, current)
        self.rows.replace(conn, version, tree_of(change, version), change.author)
        return version

    def _delete(self, conn: Connection, change: Delete, at: UnixMs) -> Version:
        current = self._demand(conn, change.type, change)
        buried = current[9] is None
        ver = current[4] if buried else current[4] + 1
        if not buried:
            self.rows.supersede(conn, current)
            self.rows.bury(conn, current[1], ver, at)
        return Version(
            change.cid, current[1], change.type, change.id, ver, current[5], UnixMs(current[6]),
            UnixMs(current[7]) if buried else at, Method.DELETE, b"", changed=not buried,
        )  # fmt: skip

    @staticmethod
    def _demand(conn: Connection, name: str, change: Update | Delete) -> Raw:
        current: Raw | None = conn.execute(_CURRENT, (type_number(name), change.id)).fetchone()
        if current is None or current[0] != change.cid:
            raise ConflictError("not-found", "there is no such resource to change")
        if change.if_match is not None and change.if_match != current[4]:
            raise ConflictError("version-mismatch", "the resource has another version by now")
        return current

    def restore_version(self, conn: Connection, cid: CompartmentId, stored: StoredVersion) -> None:
        """Put one exported version back, byte for byte; versions of a resource come oldest first.

        Raises:
            ConflictError: the id is taken elsewhere, or the version is not newer than what is
                there.
            MalformedInputError: the body is not JSON.
        """
        current: Raw | None = conn.execute(
            _CURRENT, (type_number(stored.type), stored.id)
        ).fetchone()
        if current is not None and (current[0] != cid or current[4] >= stored.ver):
            raise ConflictError("id-taken", "the store holds this resource already")
        tree = parse_json(stored.body, max_bytes=len(stored.body)) if stored.body else None
        instant = clinical_instant(tree) if tree is not None else None
        version = Version(
            cid, 0, stored.type, stored.id, stored.ver, stored.seg,
            UnixMs(stored.at if instant is None else instant), stored.at, stored.method,
            stored.body,
        )  # fmt: skip
        if current is None:
            batch = self.rows.batch(conn)
            self.rows.add(batch, self.rows.make(version, tree, stored.author))
            self.rows.flush(conn, batch)
            return
        self.rows.supersede(conn, current)
        if tree is None:
            self.rows.bury(conn, current[1], stored.ver, stored.at)
        else:
            self.rows.replace(conn, replace(version, rid=current[1]), tree, stored.author)

    def erase(self, conn: Connection, cid: CompartmentId) -> int:
        """Delete a compartment with all its rows; return how many resources it had."""
        count = conn.execute("select count(*) from resource where cid = ?", (cid,)).fetchone()[0]
        erase_indexes(conn, cid)
        for table in ("resource", "history", "compartment"):
            conn.execute(f"delete from {table} where cid = ?", (cid,))  # noqa: S608 - constant
        return int(count)

    # -- reading under an access -----------------------------------------------------------------

    def locate(self, conn: Connection, type: str, id: str) -> Located | None:
        """Return where a resource is, for the gate to know whose it is. Shows no content.

        Ungated: never tell a reader what it returns.
        """
        row = conn.execute(
            "select cid, rid, seg, ver, body is null from resource where type = ? and id = ?",
            (type_number(type), id),
        ).fetchone()
        if row is None:
            return None
        return Located(CompartmentId(row[0]), row[1], row[2], row[3], bool(row[4]))

    def read(
        self,
        conn: Connection,
        access: Access,
        type: str,
        id: str,
    ) -> Row | None:
        """Return the current version of a visible resource; None when absent, hidden or deleted."""
        text, values = _reading(access, type_number(type))
        row = conn.execute(text, (values[0], id, *values[1:])).fetchone()
        return self._bodies.row(row) if row else None

    def gone(
        self,
        conn: Connection,
        access: Access,
        type: str,
        id: str,
    ) -> Gone | None:
        """Return the deletion of a resource that the reader could see until it was deleted."""
        number = type_number(type)
        text, values = access_filter(access, Action.READ, number)
        row = conn.execute(
            f"{_CURRENT} and x.body is null and {text}", (number, id, *values)
        ).fetchone()
        return Gone(row[4], UnixMs(row[7])) if row else None

    def vread(
        self,
        conn: Connection,
        access: Access,
        type: str,
        id: str,
        *,
        ver: int,
    ) -> Row | Gone | None:
        """Return one version of a visible resource.

        The version's own labels and the current ones must both let it be seen: what was labelled
        anew since is hidden under the old number too. Any but the current version asks for the
        action `HISTORY`.
        """
        current = self.read(conn, access, type, id)
        if current is not None and current.ver == ver:
            return current
        rows = list_versions(conn, access, (type_number(type), id), ALL, below=ver + 1, limit=1)
        if not rows or rows[0][4] != ver:
            return None
        row = rows[0]
        return self._bodies.row(row) if row[9] is not None else Gone(row[4], UnixMs(row[7]))

    def history(
        self, conn: Connection, access: Access, name: tuple[str, str], past: Past = ALL,
        *, limit: int, below: int | None = None,
    ) -> list[Row]:  # fmt: skip
        """Return versions of a visible resource, newest first; a deletion has an empty body.

        Args:
            conn: a connection.
            access: with the action `HISTORY`.
            name: type and id.
            past: which of them.
            limit: at most so many.
            below: only versions under this number.
        """
        number = type_number(name[0])
        rows = list_versions(conn, access, (number, name[1]), past, below=below, limit=limit)
        return [self._bodies.row(row) for row in rows]

    def changes(
        self, conn: Connection, access: Access, type: str | None, past: Past,
        *, after: Place3 | None, limit: int,
    ) -> list[Row]:  # fmt: skip
        """Return versions of what is visible in a compartment, last stored first.

        Args:
            conn: a connection.
            access: with the action `HISTORY`.
            type: only of this type; None for all.
            past: which of them.
            after: place of the last one already given, or None.
            limit: at most so many.
        """
        cid = access.compartment
        names = self.types_in(conn, cid) if type is None else [type]
        found: list[Raw] = []
        for number in map(type_number, names):
            found += list_changes(conn, access, number, past, after=after, limit=limit)
        found.sort(key=lambda row: (row[7], row[1], row[4]), reverse=True)
        return [self._bodies.row(row) for row in found[:limit]]

    # -- the hashes that consent's windows name ---------------------------------------------------

    def hash_code(self, system: str, code: str) -> int:
        """Return the keyed hash of a coding, as `Window.codes` holds it."""
        return self._keyed.coding(system, code)

    def hash_reference(self, reference: str) -> int:
        """Return the keyed hash of ``Type/id``, as windows name actors and instances."""
        return self._keyed.reference(reference)

    # -- for the custodian: export, check, count --------------------------------------------------

    def export_versions(self, conn: Connection, cid: CompartmentId) -> Iterator[StoredVersion]:
        """Yield every version of a compartment, oldest first, deletions included."""
        rows = conn.execute(
            f"select {COLUMNS} from resource x where x.cid = ? union all"  # noqa: S608 - constant
            f" select {COLUMNS} from history x where x.cid = ? order by 8, 2, 5",
            (cid, cid),
        )
        for raw in rows:
            body, author = self._bodies.open(raw)
            yield StoredVersion(
                type=type_name(raw[2]),
                id=FhirId(raw[3]),
                ver=raw[4],
                method=Method(raw[8]),
                at=UnixMs(raw[7]),
                seg=raw[5],
                body=body,
                author=author,
            )

    def count_visible(self, conn: Connection, access: Access) -> dict[str, int]:
        """Return how many current resources of each type an access lets be searched."""
        present = conn.execute(
            "select distinct type from resource where cid = ?", (access.compartment,)
        ).fetchall()
        found: dict[str, int] = {}
        for (number,) in present:
            text, values = access_filter(access, Action.SEARCH, number)
            count = conn.execute(
                f"select count(*) from resource x where x.type = ? and x.body is not null and {text}",  # noqa: S608 - built from constants
                (number, *values),
            ).fetchone()[0]
            if count:
                found[type_name(number)] = int(count)
        return found

    def count_types(self, conn: Connection, cid: int) -> dict[str, int]:
        """Return how many current resources of each type a compartment holds."""
        rows = conn.execute(
            "select type, count(*) from resource where cid = ? and body is not null group by type",
            (cid,),
        )
        return {type_name(number): count for number, count in rows}

    def count_rows(self, conn: Connection) -> dict[str, int]:
        """Return the number of rows of each table."""
        return {
            table: conn.execute(f"select count(*) from {table}").fetchone()[0]  # noqa: S608 - constant
            for table in ("compartment", *TABLES)
        }

    def check(self, conn: Connection) -> list[str]:
        """Re-derive all index rows and facts from the opened bodies; return what differs."""
        return list(list_problems(conn, self._bodies, self._indexer))
