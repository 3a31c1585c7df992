"""Wrapped keys in a table of a database server, for nodes of several processes.

They are sealed under the node's key like those of a key file. What the server keeps of deleted rows in
its write-ahead log, in archives and in backups stays wrapped under that key; only a key file's own
overwriting goes further.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from hilum.errors import ConflictError, UnavailableError

if TYPE_CHECKING:
    from hilum.base.sql import Connection

__all__ = ["TableKeyStore"]

_ADD = (
    "insert into wrapped_key select ?,?,?,? where not exists (select 1 from shredded where cid=?)"
    " on conflict do nothing returning cid"
)
"""Waits for a shredding that holds the table, and then sees it."""


class TableKeyStore:
    """Key store that every process of a node shares.

    `_lock` owns `_conn`. A shredding holds the table, so that no process adds a key meanwhile.

    Args:
        connect: opens a connection that writes.
    """

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._lock = threading.Lock()
        self._conn = connect()

    def newest(self, cid: int, segment: int) -> tuple[int, bytes] | None:
        """Return (epoch, wrapped) of the newest key, or None."""
        found = self._ask(
            "select epoch, wrapped from wrapped_key where cid=? and segment=?"
            " order by epoch desc limit 1",
            (cid, segment),
        )
        return (int(found[0][0]), bytes(found[0][1])) if found else None

    def find(self, cid: int, segment: int, epoch: int) -> bytes | None:
        """Return the wrapped key of that epoch, or None."""
        found = self._ask(
            "select wrapped from wrapped_key where cid=? and segment=? and epoch=?",
            (cid, segment, epoch),
        )
        return bytes(found[0][0]) if found else None

    def add(self, cid: int, segment: int, epoch: int, wrapped: bytes) -> None:
        """Keep a new wrapped key; it is on the server's disk when this returns.

        Raises:
            ConflictError: when the epoch has a key.
            UnavailableError: when the server cannot be reached, or the compartment was shredded (code
                ``shredded``): it never gets a key again, whoever is still about to write for it.
        """
        if self._ask(_ADD, (cid, segment, epoch, wrapped, cid)):
            return
        if self._ask("select 1 from shredded where cid=?", (cid,)):
            raise UnavailableError("shredded", "this compartment was shredded", retryable=False)
        raise ConflictError("key-exists", "this epoch has a key")

    def segments(self, cid: int) -> tuple[int, ...]:
        """Return the segment bits that have a key."""
        rows = self._ask(
            "select distinct segment from wrapped_key where cid=? order by segment", (cid,)
        )
        return tuple(int(row[0]) for row in rows)

    def next_epoch(self, cid: int, segment: int) -> int:
        """Return an epoch above every one ever used there, shredded ones included (first: 1)."""
        rows = self._ask(
            "select epoch from wrapped_key where cid=? and segment=?"
            " union all select epoch from shredded where cid=?",
            (cid, segment, cid),
        )
        return max((int(row[0]) for row in rows), default=0) + 1

    def shred(self, cid: int) -> int:
        """Delete every wrapped key of the compartment and rewrite the table; return how many.

        Raises:
            UnavailableError: when the server cannot be reached.
        """
        with self._lock:
            conn = self._conn
            if conn.in_transaction:
                conn.execute("rollback")  # the server refused the last shredding half-way
            conn.execute("begin immediate")
            conn.execute("lock table wrapped_key in exclusive mode")
            rows = conn.execute("select epoch from wrapped_key where cid=?", (cid,)).fetchall()
            conn.execute(
                "insert into shredded values(?,?) on conflict(cid) do nothing",
                (cid, max((row[0] for row in rows), default=0)),
            )
            conn.execute("delete from wrapped_key where cid=?", (cid,))
            conn.execute("commit")
            conn.execute("vacuum full wrapped_key")
        return len(rows)

    def wrapped(self, cid: int) -> tuple[bytes, ...]:
        """Return the wrapped keys of the compartment, to look for their traces after shredding."""
        rows = self._ask(
            "select wrapped from wrapped_key where cid=? order by segment, epoch", (cid,)
        )
        return tuple(bytes(row[0]) for row in rows)

    def raw(self) -> Iterator[bytes]:
        """Yield every wrapped key that the table still holds."""
        for row in self._ask("select wrapped from wrapped_key", ()):
            yield bytes(row[0])

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._conn.close()

    def _ask(self, sql: str, values: tuple[int | bytes, ...]) -> list[Any]:
        with self._lock:
            return self._conn.execute(sql, values).fetchall()
