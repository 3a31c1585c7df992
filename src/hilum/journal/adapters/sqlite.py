"""The journal's rows. The caller owns the transaction; numbers are given inside it.

Leaves stay for ever (the tree is built from them); the receipts themselves are sealed under the
subject's receipt key and can be erased.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from hilum.errors import MalformedInputError
from hilum.journal.model import Draft, StoredReceipt
from hilum.journal.receipt import (
    FIRST,
    SALT_BYTES,
    join_receipt,
    parse_receipt,
    receipt_id,
    receipt_leaf,
)

if TYPE_CHECKING:
    from hilum.base.ids import CompartmentId
    from hilum.base.sql import Connection

__all__ = ["SCHEMA", "SCHEMA_NAMES", "ForeignReceipt", "KeptCheckpoint", "SqliteJournal", "Vault"]

SCHEMA: Final = """
create table if not exists receipt(
  number integer primary key,
  cid integer not null,
  leaf blob not null,
  at integer not null,
  sealed blob
);
create index if not exists receipt_of_compartment on receipt(cid, number);
create index if not exists receipt_of_leaf on receipt(substr(leaf, 1, 16));
create table if not exists foreign_receipt(
  cid integer not null,
  position integer not null,
  id text not null,
  sealed blob,
  primary key(cid, position)
) without rowid;
create index if not exists foreign_receipt_of_id on foreign_receipt(id);
create table if not exists checkpoint(
  size integer primary key,
  note blob not null,
  salt blob not null
);
"""
RUN: Final = 4096
"""Receipts whose names are sorted into the index of names together."""
SCHEMA_NAMES: Final = f"""
drop index if exists receipt_of_leaf;
create table if not exists receipt_name(
  run integer not null,
  name blob not null,
  number integer not null,
  primary key(run, name, number)
) without rowid;
insert into receipt_name select number / {RUN}, substr(leaf, 1, 8), number from receipt
  where number < (select coalesce(max(number) + 1, 0) / {RUN} * {RUN} from receipt) order by 1, 2
"""  # noqa: S608 - a constant of ours
"""Names in sorted runs instead of one index: a random name dirties a page of its own per receipt
(22 µs each at 200,000 receipts), a run of `RUN` names is written in order (1 µs)."""
_NAME_RUN: Final = (
    "insert into receipt_name select ?, substr(leaf, 1, 8), number from receipt"
    " where number >= ? and number < ? order by 2"
)
_NAMED: Final = (
    "with recursive run(n) as (select 0 union all select n + 1 from run where n + 1 < ?)"
    " select number, cid, leaf, sealed from receipt where substr(leaf, 1, 16) = ? and"
    " (number in (select i.number from run cross join receipt_name i"
    " where i.run = run.n and i.name = ?) or number >= ?)"
)
RECEIPT_KEY: Final = 1 << 15
"""Pseudo segment whose key seals receipts."""
_ID = re.compile(r"[0-9a-f]{32}\Z")


class Vault(Protocol):
    """What seals and opens bodies."""

    def seal(
        self, body: bytes, *, cid: CompartmentId, type_number: int, id: str, ver: int, seg: int
    ) -> bytes:
        """Return the sealed body."""
        ...

    def open(
        self, sealed: bytes, *, cid: CompartmentId, type_number: int, id: str, ver: int, seg: int
    ) -> bytes:
        """Return the body."""
        ...


class ForeignReceipt(NamedTuple):
    """A receipt of another custodian's journal, kept with its bytes and salt."""

    position: int
    id: str
    data: bytes
    salt: bytes


class KeptCheckpoint(NamedTuple):
    """A checkpoint that went into the ledger, with the salt of its commitment."""

    size: int
    note: bytes
    salt: bytes


class SqliteJournal:
    """Receipts in SQLite.

    Args:
        custodian: the custodian's Ed25519 public key, 32 bytes.
        vault: seals and opens the receipts.
    """

    def __init__(self, custodian: bytes, vault: Vault) -> None:
        self._custodian = custodian
        self._vault = vault
        # Owned by the writer thread: the next number and the last leaf per compartment.
        self._next: int | None = None
        self._heads: dict[CompartmentId, bytes] = {}

    def forget(self) -> None:
        """Drop what is remembered between calls; call it after a rollback."""
        self._next = None
        self._heads.clear()

    def append(
        self, conn: Connection, drafts: Sequence[Draft], *, entropy: Callable[[int], bytes]
    ) -> list[tuple[int, str]]:
        """Give each draft its number, chain it, seal it and insert it.

        Args:
            conn: the writer's connection, inside a transaction.
            drafts: in the order in which they become leaves.
            entropy: returns that many random bytes.

        Returns:
            Number and receipt id per draft.

        Raises:
            MalformedInputError: when a draft does not fit the format; roll back and `forget`.
        """
        first = number = self.size(conn) if self._next is None else self._next
        salts = entropy(SALT_BYTES * len(drafts))
        heads, custodian = self._heads, self._custodian
        rows, placed = [], []
        for n, draft in enumerate(drafts):
            cid = draft.cid
            salt = salts[n * SALT_BYTES : (n + 1) * SALT_BYTES]
            head = heads.get(cid) or self._head(conn, cid)
            data = join_receipt(custodian, number, head, draft.facts)
            leaf = heads[cid] = receipt_leaf(salt, data)
            sealed = self._seal(salt + data, cid=cid, id=f"receipt-{number}")
            rows.append((number, cid, leaf, draft.at_unix_ms, sealed))
            placed.append((number, receipt_id(leaf)))
            number += 1
        conn.executemany("insert into receipt(number,cid,leaf,at,sealed) values(?,?,?,?,?)", rows)
        for run in range(first // RUN, number // RUN):
            conn.execute(_NAME_RUN, (run, run * RUN, (run + 1) * RUN))
        self._next = number
        return placed

    def size(self, conn: Connection) -> int:
        """Return the number of leaves."""
        row = conn.execute("select max(number) from receipt").fetchone()
        return 0 if row[0] is None else int(row[0]) + 1

    def leaves(self, conn: Connection, begin: int, end: int) -> list[bytes]:
        """Return the leaves numbered from `begin` up to but not including `end`, 32 bytes each."""
        rows = conn.execute(
            "select leaf from receipt where number >= ? and number < ? order by number",
            (begin, end),
        )
        return [row[0] for row in rows]

    def get(self, conn: Connection, receipt: str) -> StoredReceipt | None:
        """Return a receipt by its id, or None when it never was or is erased."""
        if not _ID.match(receipt):
            return None
        name, runs = bytes.fromhex(receipt), self.size(conn) // RUN
        row = conn.execute(_NAMED, (runs, name, name[:8], runs * RUN)).fetchone()
        return None if row is None or row[3] is None else self._open(*row)

    def of_compartment(
        self, conn: Connection, cid: CompartmentId, *, after: int = -1, limit: int = 1000
    ) -> list[StoredReceipt]:
        """Return receipts of one compartment, oldest first; erased ones are left out.

        Args:
            conn: any connection.
            cid: the compartment.
            after: only receipts with a greater number.
            limit: at most that many.
        """
        rows = conn.execute(
            "select number, cid, leaf, sealed from receipt"
            " where cid = ? and number > ? and sealed is not null order by number limit ?",
            (cid, after, limit),
        )
        return [self._open(*row) for row in rows.fetchall()]

    def newest(
        self, conn: Connection, cid: CompartmentId, *, before: int | None = None, limit: int = 100
    ) -> list[StoredReceipt]:
        """Return receipts of one compartment, newest first; erased ones are left out.

        Args:
            conn: any connection.
            cid: the compartment.
            before: only receipts with a smaller number, or None.
            limit: at most that many.
        """
        rows = conn.execute(
            "select number, cid, leaf, sealed from receipt"
            " where cid = ? and number < ? and sealed is not null order by number desc limit ?",
            (cid, 1 << 62 if before is None else before, limit),
        )
        return [self._open(*row) for row in rows.fetchall()]

    def count(self, conn: Connection, cid: CompartmentId) -> int:
        """Return how many receipts of a compartment can still be read."""
        row = conn.execute(
            "select count(*) from receipt where cid = ? and sealed is not null", (cid,)
        ).fetchone()
        return int(row[0])

    def erase(self, conn: Connection, cid: CompartmentId) -> int:
        """Delete the sealed receipts of a compartment, its own and foreign ones; leaves stay.

        Returns:
            How many receipts were deleted.
        """
        own = conn.execute(
            "update receipt set sealed = null where cid = ? and sealed is not null", (cid,)
        ).rowcount
        return own + conn.execute("delete from foreign_receipt where cid = ?", (cid,)).rowcount

    def add_foreign(
        self, conn: Connection, cid: CompartmentId, receipts: Sequence[tuple[bytes, bytes]]
    ) -> int:
        """Keep receipts that came with an export; those already there are skipped.

        Args:
            conn: the writer's connection, inside a transaction.
            cid: the compartment they belong to here.
            receipts: bytes and salt of each, oldest first.

        Returns:
            How many were new.

        Raises:
            MalformedInputError: when bytes are not a receipt or a salt is not 32 bytes.
        """
        known = {
            row[0] for row in conn.execute("select id from foreign_receipt where cid = ?", (cid,))
        }
        before = position = len(known)
        for data, salt in receipts:
            parse_receipt(data)
            if len(salt) != SALT_BYTES:
                raise MalformedInputError("bad-salt", "a salt is 32 bytes", where="receipts")
            name = receipt_id(receipt_leaf(salt, data))
            if name in known:
                continue
            known.add(name)
            sealed = self._seal(salt + data, cid=cid, id=f"foreign-{position}")
            conn.execute(
                "insert into foreign_receipt(cid,position,id,sealed) values(?,?,?,?)",
                (cid, position, name, sealed),
            )
            position += 1
        return position - before

    def foreign(self, conn: Connection, cid: CompartmentId) -> list[ForeignReceipt]:
        """Return the foreign receipts of a compartment in the order they were kept."""
        rows = conn.execute(
            "select position, id, sealed from foreign_receipt where cid = ? order by position",
            (cid,),
        ).fetchall()
        found = []
        for position, name, sealed in rows:
            body = self._unseal(sealed, cid=cid, id=f"foreign-{position}")
            found.append(ForeignReceipt(position, name, body[SALT_BYTES:], body[:SALT_BYTES]))
        return found

    def add_checkpoint(self, conn: Connection, size: int, *, note: bytes, salt: bytes) -> None:
        """Keep a checkpoint that goes into the ledger.

        Args:
            conn: the writer's connection, inside a transaction.
            size: leaves of the tree it signs.
            note: the signed note.
            salt: 32 bytes, of the commitment in the journal's cell.
        """
        conn.execute("insert into checkpoint(size,note,salt) values(?,?,?)", (size, note, salt))

    def checkpoint(self, conn: Connection, size: int) -> KeptCheckpoint | None:
        """Return the kept checkpoint of exactly this size."""
        row = conn.execute(
            "select size, note, salt from checkpoint where size = ?", (size,)
        ).fetchone()
        return None if row is None else KeptCheckpoint(*row)

    def last_checkpoint(self, conn: Connection) -> KeptCheckpoint | None:
        """Return the kept checkpoint of the greatest size."""
        row = conn.execute(
            "select size, note, salt from checkpoint order by size desc limit 1"
        ).fetchone()
        return None if row is None else KeptCheckpoint(*row)

    @staticmethod
    def _head(conn: Connection, cid: CompartmentId) -> bytes:
        row = conn.execute(
            "select leaf from receipt where cid = ? order by number desc limit 1", (cid,)
        ).fetchone()
        return FIRST if row is None else bytes(row[0])

    def _open(self, number: int, cid: CompartmentId, leaf: bytes, sealed: bytes) -> StoredReceipt:
        body = self._unseal(sealed, cid=cid, id=f"receipt-{number}")
        salt, data = body[:SALT_BYTES], body[SALT_BYTES:]
        return StoredReceipt(parse_receipt(data), data, salt, leaf, cid)

    def _seal(self, body: bytes, *, cid: CompartmentId, id: str) -> bytes:
        return self._vault.seal(body, cid=cid, type_number=0, id=id, ver=1, seg=RECEIPT_KEY)

    def _unseal(self, sealed: bytes, *, cid: CompartmentId, id: str) -> bytes:
        return self._vault.open(sealed, cid=cid, type_number=0, id=id, ver=1, seg=RECEIPT_KEY)
