"""All index rows made anew from the bodies: when a release makes other rows than the one before.

Done in steps, each in a transaction of its caller's: what was interrupted goes on where it stopped.
"""

from __future__ import annotations

from hilum.base.sql import Connection
from hilum.errors import HilumError
from hilum.record.adapters.bodies import Bodies
from hilum.record.adapters.layout import COLUMNS, INDEXES, POPULATION
from hilum.record.adapters.writing import insert_rows
from hilum.record.index import Indexer
from hilum.record.resource import parse_json
from hilum.record.rows import INDEX_VERSION, Rows, index_tuples

__all__ = ["Indexes"]

_DONE = -1
_NEXT = f"select {COLUMNS} from resource x where x.rid > ? order by x.rid limit ?"  # noqa: S608 - constant


class Indexes:
    """The index tables as a whole.

    Args:
        bodies: opens what is sealed.
        indexer: makes index rows.
    """

    def __init__(self, bodies: Bodies, indexer: Indexer) -> None:
        self._bodies = bodies
        self._indexer = indexer

    @staticmethod
    def is_current(conn: Connection) -> bool:
        """Tell whether every row was made by this release's rules."""
        state = conn.execute("select version, rid from index_state").fetchall()
        return state == [(INDEX_VERSION, _DONE)]

    def renew(self, conn: Connection, *, limit: int) -> bool:
        """Do one step; return whether there is nothing left to do.

        A body that does not open is left without index rows; `check` names it.

        Args:
            conn: inside a transaction.
            limit: at most so many resources.
        """
        if self.is_current(conn):
            return True
        state = conn.execute("select version, rid from index_state").fetchall()
        after = state[0][1] if state and state[0][0] == INDEX_VERSION else self._begin(conn)
        found = conn.execute(_NEXT, (after, limit)).fetchall()
        made: Rows = {}
        for raw in found:
            if raw[9] is None:
                continue
            try:
                body, _ = self._bodies.open(raw)
                tree = parse_json(body, max_bytes=len(body))
            except HilumError:
                continue
            rows = self._indexer.rows(tree, raw[0])
            for table, tuples in index_tuples(rows, raw[0], raw[6], raw[1]).items():
                made.setdefault(table, []).extend(tuples)
        insert_rows(conn, made)
        reached = found[-1][1] if len(found) == limit else _DONE
        conn.execute("update index_state set rid = ?", (reached,))
        return reached == _DONE

    @staticmethod
    def _begin(conn: Connection) -> int:
        for table in (*INDEXES, *POPULATION, "index_state"):
            conn.execute(f"delete from {table}")  # noqa: S608 - constant names
        conn.execute("insert into index_state values(?, 0)", (INDEX_VERSION,))
        return 0
