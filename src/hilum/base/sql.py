"""What every store asks of a database connection: the seam between the adapters and the engines.

`sqlite3.Connection` is one as it stands; the connection to PostgreSQL is made to look like it. The
adapters write SQL that both engines read: ``?`` for parameters, ``on conflict``, ``returning``,
``true`` and ``false``; never ``insert or …``, pragmas or ``lastrowid``.

A statement that finds a unique key taken says so by its row count (``on conflict do nothing``), so
that no error has to be caught, which would cost a savepoint on PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from hilum.errors import ConflictError, UnavailableError

__all__ = ["Connection", "Cursor", "DatabaseError", "IntegrityError", "Lending"]

Row = Any
"""A row: a tuple of what was selected."""


class DatabaseError(UnavailableError):
    """The database server refuses or is not there; on SQLite this is an error of ``sqlite3``.

    Code ``database``. After it, nothing of the transaction is kept.
    """


class IntegrityError(ConflictError):
    """A row breaks a rule of its table; code ``integrity``."""


class Cursor(Protocol):
    """The rows that a statement gives."""

    @property
    def rowcount(self) -> int:
        """How many rows the statement wrote."""
        ...

    def fetchone(self) -> Row:
        """Return the next row, or None."""
        ...

    def fetchall(self) -> list[Row]:
        """Return all rows that are left."""
        ...

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows that are left."""
        ...


class Connection(Protocol):
    """One connection, used by one thread at a time, without transactions of its own making."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Cursor:
        """Run one statement."""
        ...

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Cursor:
        """Run one statement for each row of parameters; the row count is that of all."""
        ...

    @property
    def in_transaction(self) -> bool:
        """Tell whether a transaction is open."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


@runtime_checkable
class Lending(Protocol):
    """A connection without functions of this process: what they know is lent to it as rows instead."""

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
        """
        ...
