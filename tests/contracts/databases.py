"""Empty migrated databases on the private server, taken and given back by tests."""

from __future__ import annotations

from typing import Any

from server import Server

from hilum.base.adapters.server import PostgresServer
from hilum.base.sql import Connection
from hilum.exchange.wiring import MIGRATIONS

_KEPT = frozenset({"hilum_schema", "writer_turn", "generation"})
"""Tables that a database keeps when it is emptied."""


class Databases:
    """As many databases as are in use at once; each is emptied before it is used again."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._made = 0
        self._free: list[tuple[PostgresServer, Any]] = []
        self._used: dict[int, tuple[PostgresServer, Any]] = {}
        self._empty = ""

    def take(self) -> Connection:
        """Return the write connection of an empty database."""
        held = self._free.pop() if self._free else self._make()
        conn: Connection = held[1]
        self._used[id(conn)] = held
        return conn

    def storage_of(self, conn: Connection) -> PostgresServer:
        """Return the storage that a connection came from."""
        return self._used[id(conn)][0]

    def give_back(self, conn: Any) -> None:
        """Take a database back; rows, numbers and open transactions go."""
        if conn.in_transaction:
            conn.execute("rollback")
        conn.script(self._empty)
        self._free.append(self._used.pop(id(conn)))

    def close(self) -> None:
        for storage, conn in [*self._free, *self._used.values()]:
            conn.close()
            storage.close()

    def _make(self) -> tuple[PostgresServer, Any]:
        name = f"contract_{self._made}"
        self._made += 1
        self._server.sql(f"create database {name}")
        storage = PostgresServer(self._server.url(name), None, MIGRATIONS)
        storage.prepare()
        conn = storage.writer()
        if not self._empty:
            rows = conn.execute(
                "select relname::text from pg_class where relkind in ('r', 'p')"
                " and relnamespace = 'public'::regnamespace and not relispartition"
            )
            tables = [row[0] for row in rows if row[0] not in _KEPT]
            self._empty = "".join(f"delete from {table};" for table in tables)
            self._empty += "alter table compartment alter cid restart"
        return storage, conn
