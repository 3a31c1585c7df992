"""Where the rows of a node are: the embedded database in its data directory, or a server's."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from hilum.base.sql import Connection
from hilum.errors import UnavailableError
from hilum.exchange.schema import migrate

__all__ = ["EmbeddedStorage", "Storage"]

_PAGES_KIB = 64 * 1024
_CHECKPOINT_PAGES = 4000
_BUSY_MS = 5000


class Storage(Protocol):
    """Makes connections to the rows of one node."""

    def prepare(self) -> None:
        """Bring the schema up to date."""
        ...

    def writer(self, began: Callable[[Connection], None] | None = None) -> Connection:
        """Return a connection that writes; `began` is called where others may write too."""
        ...

    def reader(self) -> Connection:
        """Return a connection that only reads."""
        ...

    def settle(self, conn: Connection) -> None:
        """See that nothing deleted stays in a log that this storage keeps itself."""
        ...

    def problems(self, conn: Connection) -> Iterator[str]:
        """Yield what the database finds wrong with its own files."""
        ...

    def close(self) -> None:
        """Let go of everything but the connections."""
        ...


class EmbeddedStorage:
    """SQLite in one file; one process writes.

    Args:
        path: the file.
        migrations: the SQL of schema version 1, 2, …
    """

    def __init__(self, path: Path, migrations: Sequence[str]) -> None:
        self._path = path
        self._migrations = migrations

    def prepare(self) -> None:
        """Bring the schema up to date.

        Raises:
            UnavailableError: what is there is no database, or a newer Hilum's.
            OperationalError: the disk refuses.
        """
        try:
            conn = self._connect(read_only=False)
            try:
                migrate(conn, self._migrations)
            finally:
                conn.close()
        except sqlite3.OperationalError:
            raise  # the disk, not what is on it
        except sqlite3.DatabaseError as error:
            raise UnavailableError(
                "record-unreadable", "the record's database cannot be opened",
                where=str(self._path), retryable=False,
            ) from error  # fmt: skip

    def writer(self, began: Callable[[Connection], None] | None = None) -> Connection:  # noqa: ARG002 - nobody else writes
        """Return a connection that writes."""
        return self._connect(read_only=False)

    def reader(self) -> Connection:
        """Return a connection that only reads."""
        return self._connect(read_only=True)

    def settle(self, conn: Connection) -> None:
        """Move the write-ahead log into the database and cut it."""
        conn.execute("pragma wal_checkpoint(truncate)").fetchall()

    def problems(self, conn: Connection) -> Iterator[str]:
        """Yield what SQLite finds wrong with its file."""
        for (line,) in conn.execute("pragma integrity_check"):
            if line != "ok":
                yield str(line)

    def close(self) -> None:
        """Do nothing: there is nothing but connections."""

    def _connect(self, *, read_only: bool) -> sqlite3.Connection:
        conn = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False, cached_statements=512
        )
        conn.execute("pragma journal_mode=wal")
        conn.execute(f"pragma busy_timeout={_BUSY_MS}")
        conn.execute(f"pragma cache_size=-{_PAGES_KIB if not read_only else _PAGES_KIB // 4}")
        conn.execute("pragma mmap_size=1073741824")
        if read_only:
            conn.execute("pragma query_only=on")
            return conn
        conn.execute("pragma synchronous=full")
        conn.execute("pragma secure_delete=on")
        conn.execute("pragma foreign_keys=off")
        conn.execute(f"pragma wal_autocheckpoint={_CHECKPOINT_PAGES}")
        self._path.chmod(0o600)
        return conn
