"""What differs between SQL engines in the statements of a search, here for SQLite.

``permitted(cid)`` and ``has_part(grams, cid, text)`` are functions of the connection: they let the
filter of very many accesses, and the look for parts of names under the key of each compartment, stand
in the SQL. A server has no such functions: it is lent the rows that they would answer from.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from hilum.base.sql import Connection, Lending
from hilum.record.adapters.statement import Statement
from hilum.record.crowd import Crowd
from hilum.record.strings import KeyedStrings

__all__ = ["HAS_GRAMS", "Functions", "has_part", "is_permitted"]

HAS_GRAMS = "instr(t.grams, ?) > 0"
"""An index row holds a part, its grams given."""


def is_permitted(alias: str) -> str:
    """Return the condition that a row's compartment is of a group."""
    return f"permitted({alias}.cid) = ?"


def has_part(alias: str) -> str:
    """Return the condition that an index row holds a part, its text given."""
    return f"has_part(t.grams, {alias}.cid, ?)"


class Functions:
    """The functions that statements call, for all connections of one store.

    Args:
        strings: the store's hashes of strings.
    """

    def __init__(self, strings: KeyedStrings) -> None:
        self._strings = strings
        # a connection serves one thread at a time, and a statement runs in its caller's thread
        self._local = threading.local()

    @staticmethod
    def is_known(conn: Connection) -> bool:
        """Tell whether an engine can be given the functions."""
        return isinstance(conn, sqlite3.Connection | Lending)

    def _attach(self, conn: Connection) -> None:
        # a thread has few connections; to make a function anew would forget prepared statements
        known: list[Connection] = self._local.__dict__.setdefault("known", [])
        if isinstance(conn, sqlite3.Connection) and not any(each is conn for each in known):
            conn.create_function("permitted", 1, self._permitted)
            conn.create_function("has_part", 3, self._has_part)
            known[:] = [*known[-3:], conn]

    @contextmanager
    def asking(self, conn: Connection, crowd: Crowd | None) -> Iterator[None]:
        """Let ``permitted`` speak of a crowd, in this thread, on a connection."""
        if crowd is None:
            yield
            return
        self._attach(conn)
        self._local.crowd = crowd
        if isinstance(conn, Lending):
            conn.lend(
                "crowd",
                "cid bigint primary key, grp bigint not null",
                known=(crowd, crowd.state),  # kept, so that no other crowd gets its number
                rows=lambda: [(cid, crowd.group_of(cid)) for cid in crowd],
            )
        try:
            yield
        finally:
            self._local.crowd = None

    def prepare(self, conn: Connection, crowd: Crowd | None, statement: Statement) -> None:
        """Let ``has_part`` answer on a connection to a server: it cannot ask for keyed hashes."""
        if crowd is None or "has_part(" not in statement.text or not isinstance(conn, Lending):
            return
        texts = sorted({value for value in statement.values if isinstance(value, str)})
        conn.lend(
            "crowd_part",
            "cid bigint not null, part text not null, grams bytea not null, primary key(part, cid)",
            known=(crowd, crowd.state, texts),
            rows=lambda: [
                (cid, text, self._strings.grams(text, cid)) for text in texts for cid in crowd
            ],
        )

    def _permitted(self, cid: int) -> int | None:
        crowd: Crowd | None = getattr(self._local, "crowd", None)
        return None if crowd is None else crowd.group_of(cid)

    def _has_part(self, grams: bytes, cid: int, text: str) -> bool:
        return self._strings.grams(text, cid) in grams
