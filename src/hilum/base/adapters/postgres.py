"""A connection to PostgreSQL that looks to the stores as SQLite's does.

Statements run in the loop thread over asyncpg, prepared once per connection and text; rows come back
whole. Outside a transaction a connection that was lost is made anew and the statement asked again;
inside one the transaction is over, and the next ``begin`` makes a new connection.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg

from hilum.base.adapters.dialect import BulkInsert, bulk_insert, statement
from hilum.base.sql import Connection, DatabaseError, IntegrityError

if TYPE_CHECKING:
    from hilum.base.adapters.loopthread import LoopThread

__all__ = ["Options", "PostgresConnection", "Rows"]

_KEPT_STATEMENTS = 256
_CONNECT_S = 3.0
_PASSING = frozenset({"40", "53", "55", "57", "58"})
"""Classes of SQLSTATE that pass: conflicts, lack of room, locks, shutdowns, the disk."""
_COPY_FROM = 1000
"""Rows from which copying beats arrays."""
_WORDS = frozenset({"begin", "commit", "rollback", "savepoint", "release"})
_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the server died between two messages
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.InvalidCachedStatementError,  # another version changed the schema
    OSError,
    asyncio.TimeoutError,
)
"""After these the connection is of no use."""
_Work = Callable[[], Coroutine[Any, Any, "Rows"]]


class _LostError(DatabaseError):
    """The connection is gone; a new one may serve."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to reach the server.

    Attributes:
        url: ``postgresql://user@host:port/database``; without a password.
        password: or None, when the server asks for none or the client library finds it itself.
        read_only: True for connections that never write.
        patience_s: longest time one statement may take.
    """

    url: str
    password: str | None = None
    read_only: bool = False
    patience_s: float = 60.0


class Rows:
    """What a statement gave: a cursor over rows that are all here."""

    __slots__ = ("_rows", "status")

    def __init__(self, rows: Sequence[Any], status: str) -> None:
        self._rows = iter(rows)
        self.status = status

    @property
    def rowcount(self) -> int:
        """How many rows the statement wrote or gave; -1 where that means nothing."""
        last = self.status.rpartition(" ")[2]
        return int(last) if last.isdigit() else -1

    def fetchone(self) -> Any:  # noqa: ANN401 - a row
        """Return the next row as a tuple, or None."""
        row = next(self._rows, None)
        return None if row is None else tuple(row)

    def fetchall(self) -> list[Any]:
        """Return the rows that are left, as tuples."""
        return [tuple(row) for row in self._rows]

    def __iter__(self) -> Iterator[Any]:
        return map(tuple, self._rows)


class PostgresConnection:
    """One connection, for one thread at a time.

    Args:
        thread: where asyncpg runs.
        options: the server.
        began: called inside each transaction that writes, before its first statement.

    Raises:
        DatabaseError: the server is not there or does not let us in.
    """

    def __init__(
        self,
        thread: LoopThread,
        options: Options,
        began: Callable[[Connection], None] | None = None,
    ) -> None:
        self._thread = thread
        self._options = options
        self._began = began
        self._conn: Any = None
        self._statements: OrderedDict[str, Any] = OrderedDict()
        self._lent: dict[str, object] = {}  # table -> what its rows follow from
        self._open = False  # inside a transaction, as the caller sees it
        self._ask(self._connect)

    @property
    def in_transaction(self) -> bool:
        """Tell whether a transaction is open."""
        return self._open

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Rows:
        """Run one statement.

        Raises:
            DatabaseError: the server refuses or is gone.
            IntegrityError: a row breaks a rule of its table.
        """
        word = sql.partition(" ")[0]
        if word in _WORDS:
            return self._turn(word, sql)
        return self._call(lambda: self._run(sql, parameters))

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Rows:
        """Run one statement for each row of parameters; inserts of many rows become one statement.

        Raises:
            DatabaseError: the server refuses or is gone.
            IntegrityError: a row breaks a rule of its table.
        """
        rows = list(parameters)
        if not rows:
            return Rows((), "NONE 0")
        if len(rows) == 1:
            return self.execute(sql, rows[0])
        insert = bulk_insert(sql)
        if insert is None:
            return self._call(lambda: self._run_each(sql, rows))
        if len(rows) >= _COPY_FROM and not insert.tail:
            return self._call(lambda: self._copy(insert, rows))
        return self._call(lambda: self._insert(sql, insert, rows))

    def script(self, sql: str) -> None:
        """Run statements that take no parameters, as they stand.

        Raises:
            DatabaseError: the server refuses or is gone.
        """
        self._call(lambda: self._say(sql))

    def lend(
        self,
        table: str,
        columns: str,
        *,
        known: object,
        rows: Callable[[], Sequence[Sequence[Any]]],
    ) -> None:
        """Let a table of this connection alone hold rows.

        Args:
            table: its name.
            columns: their definitions.
            known: what the rows follow from; the same again changes nothing.
            rows: makes them.

        Raises:
            DatabaseError: the server refuses or is gone.
        """
        if self._lent.get(table) == known and self._conn is not None:
            return
        made = rows()
        was_open = self._open
        if not was_open:
            self.script("begin read write")
            self._open = True
        self.script(f"create temp table if not exists {table}({columns}); truncate {table}")
        self._ask(lambda: self._copy(BulkInsert(table, (), ""), made))
        if was_open:
            self._lent.pop(table, None)  # a rollback takes the rows back
        else:
            self._turn("commit", "commit")
            self._lent[table] = known

    def close(self) -> None:
        """Let go of the connection."""
        conn, self._conn = self._conn, None
        if conn is not None and not conn.is_closed():
            self._thread.call(lambda: _close(conn))

    # -- transactions ----------------------------------------------------------------------------

    def _turn(self, word: str, sql: str) -> Rows:
        if word == "begin":
            return self._begin(is_writing=sql == "begin immediate")
        if sql == "rollback":
            self._open = False
            if self._conn is None:
                return Rows((), "ROLLBACK")  # it went with the connection
        rows = self._ask(lambda: self._say(sql))
        if word == "commit":
            self._open = False
            if rows.status != "COMMIT":
                raise DatabaseError("database", "the transaction was taken back, not committed")
        return rows

    def _begin(self, *, is_writing: bool) -> Rows:
        sql = "begin" if is_writing else "begin isolation level repeatable read"
        rows = self._call(lambda: self._say(sql))
        self._open = True
        if is_writing and self._began is not None:
            self._began(self)
        return rows

    # -- calling the loop's thread -------------------------------------------------------------------

    def _call(self, work: _Work) -> Rows:
        """Do the work; where no transaction was begun, once more on a new connection.

        Raises:
            DatabaseError: the server refuses or is gone.
            IntegrityError: a row breaks a rule of its table.
        """
        if self._open:
            return self._ask(work)
        try:
            return self._ask(work)
        except _LostError:
            self._ask(self._connect)
            return self._ask(work)

    def _ask(self, work: _Work) -> Rows:
        try:
            return self._thread.call(work)
        except _LOST as error:
            conn, self._conn = self._conn, None
            if conn is not None:
                self._thread.call(lambda: _terminate(conn))
            raise _LostError(
                "database", "the database server cannot be reached",
                hint=f"is it running? ({type(error).__name__})",
            ) from error  # fmt: skip
        except asyncpg.IntegrityConstraintViolationError as error:
            raise IntegrityError("integrity", "a row breaks a rule of its table") from error
        except asyncpg.PostgresError as error:
            state = str(error.sqlstate)
            raise DatabaseError(
                "database", "the database server refuses", hint=f"SQLSTATE {state}",
                retryable=state[:2] in _PASSING,
            ) from error  # fmt: skip

    # -- in the loop's thread --------------------------------------------------------------------------

    async def _connect(self) -> Rows:
        self._statements.clear()
        self._lent.clear()
        settings = {"application_name": "hilum", "jit": "off", "timezone": "UTC"}
        if self._options.read_only:
            settings |= {"default_transaction_read_only": "on", "enable_seqscan": "off"}
        self._conn = await asyncpg.connect(
            self._options.url,
            password=self._options.password,
            timeout=_CONNECT_S,
            command_timeout=self._options.patience_s,
            server_settings=settings,
        )
        return Rows((), "")

    def _held(self) -> Any:  # noqa: ANN401 - asyncpg types nothing here
        if self._conn is None:
            raise ConnectionError
        return self._conn

    async def _say(self, sql: str) -> Rows:
        return Rows((), await self._held().execute(sql))

    async def _prepared(self, sql: str, text: str) -> Any:  # noqa: ANN401 - asyncpg types nothing here
        kept = self._statements
        found = kept.get(sql)
        if found is not None:
            kept.move_to_end(sql)
            return found
        found = kept[sql] = await self._held().prepare(text)
        if len(kept) > _KEPT_STATEMENTS:
            kept.popitem(last=False)
        return found

    async def _run(self, sql: str, parameters: Sequence[Any]) -> Rows:
        prepared = await self._prepared(sql, statement(sql))
        rows = await prepared.fetch(*parameters)
        return Rows(rows, prepared.get_statusmsg())

    async def _run_each(self, sql: str, rows: Sequence[Sequence[Any]]) -> Rows:
        await self._held().executemany(statement(sql), rows)
        return Rows((), "")

    async def _insert(self, sql: str, insert: BulkInsert, rows: Sequence[Sequence[Any]]) -> Rows:
        one = await self._prepared(sql, statement(sql))
        types = tuple(each.name for each in one.get_parameters())
        text = insert.of_arrays(types)
        prepared = await self._prepared(text, text)
        columns = zip(*rows, strict=True)
        found = await prepared.fetch(*map(_array, types, columns))
        return Rows(found, prepared.get_statusmsg())

    async def _copy(self, insert: BulkInsert, rows: Sequence[Sequence[Any]]) -> Rows:
        names = insert.columns or None
        status = await self._held().copy_records_to_table(insert.table, records=rows, columns=names)
        return Rows((), status)


def _array(type_name: str, column: Sequence[Any]) -> Sequence[Any]:
    """A column as one array; a flag is a number, although it can be iterated over as arrays can."""
    if type_name != "int8":
        return column
    return [None if value is None else int(value) for value in column]


async def _terminate(conn: Any) -> None:  # noqa: ANN401 - asyncpg types nothing here
    conn.terminate()


async def _close(conn: Any) -> None:  # noqa: ANN401 - asyncpg types nothing here
    await conn.close(timeout=_CONNECT_S)
