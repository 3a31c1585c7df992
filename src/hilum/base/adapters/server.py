"""One PostgreSQL database as the storage of a node's rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING
from weakref import WeakSet

from hilum.base.adapters.loopthread import LoopThread
from hilum.base.adapters.postgres import Options, PostgresConnection
from hilum.base.adapters.provision import migrate
from hilum.errors import UnavailableError

if TYPE_CHECKING:
    from hilum.base.sql import Connection

__all__ = ["PostgresServer"]

_READER_PATIENCE_S = 15.0
_PROMISES = {"fsync": "on", "full_page_writes": "on"}


class PostgresServer:
    """Makes connections to one database; several processes may.

    Args:
        url: ``postgresql://user@host:port/database``; without a password.
        password: or None, when none is asked for or ``PGPASSFILE`` or ``PGPASSWORD`` holds it.
        migrations: the stores' SQL of version 1, 2, …
    """

    def __init__(self, url: str, password: str | None, migrations: Sequence[str]) -> None:
        self._thread = LoopThread()
        self._url = url
        self._password = password
        self._migrations = migrations
        self._made: WeakSet[PostgresConnection] = WeakSet()  # so that none outlives the thread

    def prepare(self) -> None:
        """Bring the schema up to date and see that what is committed is on the disk.

        Raises:
            DatabaseError: the server is not there or does not let us in.
            UnavailableError: it is set up to lose what it acknowledged (code ``not-durable``), or was
                written by a newer Hilum.
        """
        conn = PostgresConnection(self._thread, Options(self._url, self._password))
        try:
            _demand_durability(conn)
            migrate(conn, self._migrations)
        finally:
            conn.close()

    def writer(self, began: Callable[[Connection], None] | None = None) -> Connection:
        """Return a connection that writes.

        Args:
            began: called inside each transaction before its first statement.

        Raises:
            DatabaseError: the server is not there.
        """
        made = PostgresConnection(self._thread, Options(self._url, self._password), began)
        self._made.add(made)
        return made

    def reader(self) -> Connection:
        """Return a connection that only reads.

        Raises:
            DatabaseError: the server is not there.
        """
        options = Options(self._url, self._password, read_only=True, patience_s=_READER_PATIENCE_S)
        made = PostgresConnection(self._thread, options)
        self._made.add(made)
        return made

    def settle(self, conn: Connection) -> None:
        """Do nothing: what the server keeps of deleted rows in its log is its operator's to keep short."""

    def problems(self, conn: Connection) -> Iterator[str]:
        """Yield what the server's own checksums found; nothing where it keeps none."""
        row = conn.execute("select sum(checksum_failures)::bigint from pg_stat_database").fetchone()
        if row[0]:
            yield f"{row[0]} pages with wrong checksums since the counters were reset"

    def close(self) -> None:
        """Close what connections are left, and stop the thread."""
        for conn in list(self._made):
            conn.close()
        self._thread.close()


def _demand_durability(conn: PostgresConnection) -> None:
    for name, wanted in _PROMISES.items():
        if conn.execute("select current_setting(?)", (name,)).fetchone()[0] != wanted:
            raise UnavailableError(
                "not-durable", f"the database server runs with {name} off", retryable=False,
                hint="a receipt that a crash can lose is none: switch it on",
            )  # fmt: skip
    if conn.execute("select current_setting('synchronous_commit')").fetchone()[0] == "off":
        raise UnavailableError(
            "not-durable", "the database answers before it has written", retryable=False,
            hint="set synchronous_commit to on for this database or user",
        )  # fmt: skip
