"""Wrapped keys in a SQLite file of their own, so that backups of the record hold ciphertext only.

The file commits by itself (a key is durable before anything is sealed under it) and is written
rarely. `secure_delete` zeroes freed pages; `shred` overwrites, deletes and rebuilds the file. What
a file system or a flash translation layer keeps of an older block stays wrapped under the
node's KEK.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hilum.errors import ConflictError, UnavailableError

__all__ = ["SqliteKeyStore"]

SCHEMA = """
create table if not exists wrapped_key(
  cid integer not null, segment integer not null, epoch integer not null, wrapped blob not null,
  primary key(cid, segment, epoch)) without rowid;
create table if not exists shredded(cid integer primary key, epoch integer not null);
"""
FILE_VERSION = 1


class SqliteKeyStore:
    """Key store of one node.

    `_lock` owns `_conn`: every use of the connection happens under it.

    Args:
        path: the key file; created with mode 0600 when absent.

    Raises:
        UnavailableError: when the file cannot be opened or is of another version.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        try:
            path.touch(mode=0o600, exist_ok=True)
            self._conn = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._conn.execute("pragma secure_delete=on").fetchall()
            self._conn.execute("pragma journal_mode=delete").fetchall()
            self._conn.execute("pragma synchronous=full")
            self._conn.execute("pragma locking_mode=exclusive").fetchall()
            version = self._conn.execute("pragma user_version").fetchone()[0]
        except (OSError, sqlite3.Error) as error:
            raise UnavailableError("keys", "the key file cannot be opened") from error
        try:
            self._prepare(version)
        except UnavailableError:
            self._conn.close()
            raise

    def _prepare(self, version: int) -> None:
        if version == FILE_VERSION:
            return  # opening an existing file writes nothing: a full disk does not keep the node shut
        if version:
            raise UnavailableError("keys", "the key file is of another version", retryable=False)
        with self._change() as conn:
            for statement in SCHEMA.split(";"):
                conn.execute(statement)
            conn.execute(f"pragma user_version={FILE_VERSION:d}")

    def newest(self, cid: int, segment: int) -> tuple[int, bytes] | None:
        """Return (epoch, wrapped) of the newest key, or None."""
        row = self._one(
            "select epoch, wrapped from wrapped_key where cid=? and segment=?"
            " order by epoch desc limit 1",
            (cid, segment),
        )
        return None if row is None else (int(row[0]), bytes(row[1]))

    def find(self, cid: int, segment: int, epoch: int) -> bytes | None:
        """Return the wrapped key of that epoch, or None."""
        row = self._one(
            "select wrapped from wrapped_key where cid=? and segment=? and epoch=?",
            (cid, segment, epoch),
        )
        return None if row is None else bytes(row[0])

    def add(self, cid: int, segment: int, epoch: int, wrapped: bytes) -> None:
        """Keep a new wrapped key; it is on disk when this returns.

        Raises:
            ConflictError: when the epoch has a key.
            UnavailableError: when the file cannot be written, or the compartment was shredded (code
                ``shredded``): it never gets a key again, whoever is still about to write for it.
        """
        try:
            with self._change() as conn:
                added = conn.execute(
                    "insert into wrapped_key select ?1,?2,?3,?4"
                    " where not exists (select 1 from shredded where cid=?1)",
                    (cid, segment, epoch, wrapped),
                ).rowcount
        except sqlite3.IntegrityError:
            raise ConflictError("key-exists", "this epoch has a key") from None
        if not added:
            raise UnavailableError("shredded", "this compartment was shredded", retryable=False)

    def segments(self, cid: int) -> tuple[int, ...]:
        """Return the segment bits that have a key."""
        with self._lock:
            rows = self._conn.execute(
                "select distinct segment from wrapped_key where cid=? order by segment", (cid,)
            ).fetchall()
        return tuple(int(row[0]) for row in rows)

    def next_epoch(self, cid: int, segment: int) -> int:
        """Return an epoch above every one ever used there, shredded ones included (first: 1)."""
        row = self._one(
            "select max(coalesce("
            "(select max(epoch) from wrapped_key where cid=?1 and segment=?2), 0),"
            " coalesce((select epoch from shredded where cid=?1), 0)) + 1",
            (cid, segment),
        )
        return 1 if row is None else int(row[0])

    def shred(self, cid: int) -> int:
        """Overwrite and delete every wrapped key of the compartment; return how many.

        Raises:
            UnavailableError: when the file cannot be written.
        """
        with self._change() as conn:
            count, top = conn.execute(
                "select count(*), coalesce(max(epoch), 0) from wrapped_key where cid=?", (cid,)
            ).fetchone()
            conn.execute(
                "insert into shredded values(?,?)"
                " on conflict(cid) do update set epoch=max(epoch, excluded.epoch)",
                (cid, top),
            )
            conn.execute(
                "update wrapped_key set wrapped=zeroblob(length(wrapped)) where cid=?", (cid,)
            )
            conn.execute("delete from wrapped_key where cid=?", (cid,))
        with self._lock:
            try:
                self._conn.execute("vacuum")
            except sqlite3.Error as error:
                raise UnavailableError("keys", "the key file cannot be rebuilt") from error
        return int(count)

    def wrapped(self, cid: int) -> tuple[bytes, ...]:
        """Return the wrapped keys of the compartment, to look for their traces after shredding."""
        with self._lock:
            rows = self._conn.execute(
                "select wrapped from wrapped_key where cid=? order by segment, epoch", (cid,)
            ).fetchall()
        return tuple(bytes(row[0]) for row in rows)

    def raw(self) -> Iterator[bytes]:
        """Yield the raw bytes of the key file and of any file SQLite keeps beside it.

        Raises:
            UnavailableError: when they cannot be read.
        """
        for suffix in ("", "-journal", "-wal"):
            path = self._path.with_name(self._path.name + suffix)
            if path.exists():
                try:
                    yield path.read_bytes()
                except OSError as error:
                    raise UnavailableError("keys", "the key file cannot be read") from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._conn.close()

    def _one(self, sql: str, values: tuple[int, ...]) -> tuple[Any, ...] | None:
        with self._lock:
            row: tuple[Any, ...] | None = self._conn.execute(sql, values).fetchone()
        return row

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._conn.execute("begin immediate")
                yield self._conn
                self._conn.execute("commit")
            except sqlite3.IntegrityError:
                self._conn.execute("rollback")
                raise
            except sqlite3.Error as error:
                with suppress(sqlite3.Error):
                    self._conn.execute("rollback")
                raise UnavailableError(
                    "keys", "the disk does not take the key file",
                    hint="check free space and permissions of the data directory",
                ) from error  # fmt: skip
