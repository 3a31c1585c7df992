"""Runs searches: one statement per compartment, or one for a crowd; rows come merged in order."""

from __future__ import annotations

from collections.abc import Sequence

from hilum.base.sql import Connection
from hilum.record.access import Access, Action
from hilum.record.adapters.conditions import Conditions
from hilum.record.adapters.crowding import crowd_driver
from hilum.record.adapters.dialect import Functions
from hilum.record.adapters.driving import Driver, compartment_driver
from hilum.record.adapters.layout import COLUMNS, Raw
from hilum.record.adapters.sight import Home, Sight
from hilum.record.adapters.statement import Statement, marks
from hilum.record.adapters.statements import count_in, search_in
from hilum.record.crowd import Scope
from hilum.record.keyed import KeyedHash
from hilum.record.query_tree import Place, Query
from hilum.record.sorting import order_key
from hilum.record.strings import KeyedStrings

__all__ = ["Searcher"]

_WIDTH = len(COLUMNS.split(","))


class Searcher:
    """Finds rows under accesses; opens nothing.

    Args:
        keyed: the store's hashes.
        strings: its hashes of strings.
    """

    def __init__(self, keyed: KeyedHash, strings: KeyedStrings) -> None:
        self._keyed = keyed
        self._strings = strings
        self._functions = Functions(strings)

    def knows_crowds(self, conn: Connection) -> bool:
        """Tell whether statements about a crowd run on a connection."""
        return self._functions.is_known(conn)

    def find(
        self, conn: Connection, query: Query, scope: Scope,
        *, after: Place | None, limit: int,
    ) -> list[tuple[Raw, Place]]:  # fmt: skip
        """Return (row, place) of the first rows after a place.

        Args:
            conn: a connection.
            query: its `sort` needs no opened body.
            scope: where.
            after: place of the last row already given, or None.
            limit: at most so many.
        """
        found: list[tuple[Raw, Place]] = []
        keys = query.sort
        parts = self._parts(scope)
        for sight, home in parts:
            conditions = Conditions(self._keyed, self._strings, sight)
            with self._functions.asking(conn, sight.crowd):
                driver = self._driver(conn, query, conditions, home)
                statement = search_in(query, conditions, home, driver, after=after, limit=limit)
                self._functions.prepare(conn, sight.crowd, statement)
                rows = conn.execute(statement.text, statement.values).fetchall()
            found += [(row[:_WIDTH], (*row[_WIDTH:], row[6], row[1])) for row in rows]
        if len(parts) > 1:
            order = order_key(keys)
            # the same compartment may have been asked twice
            found = sorted(dict(found).items(), key=lambda each: order(each[1]))
        return found[:limit]

    def count(self, conn: Connection, query: Query, scope: Scope, *, most: int | None) -> int:
        """Return the number of rows that a query finds, or `most` when there are more."""
        total = 0
        for sight, home in self._parts(scope):
            conditions = Conditions(self._keyed, self._strings, sight)
            left = None if most is None else most - total
            with self._functions.asking(conn, sight.crowd):
                driver = self._driver(conn, query, conditions, home)
                statement = count_in(query, conditions, home, driver, most=left)
                self._functions.prepare(conn, sight.crowd, statement)
                total += conn.execute(statement.text, statement.values).fetchone()[0]
            if most is not None and total >= most:
                break
        return total

    def named(
        self, conn: Connection, access: Access, instances: Sequence[str], types: Sequence[int]
    ) -> list[Raw]:
        """Return visible rows of one compartment by name, e.g. ``Practitioner/7``.

        Args:
            conn: a connection.
            access: with the action SEARCH.
            instances: names.
            types: numbers of their types.
        """
        found: list[Raw] = []
        sight = Sight(Action.SEARCH, (access,))
        wanted = [self._keyed.reference(each) for each in instances]
        for number in types:
            statement = Statement()
            statement.add(
                f"select {COLUMNS} from resource x where x.inst in ({marks(wanted)})"  # noqa: S608 - constant names
                " and x.type = ? and x.body is not null and",
                *wanted, number,
            )  # fmt: skip
            sight.admit(statement, number, Home("x", access.compartment))
            found += conn.execute(statement.text, statement.values).fetchall()
        return found

    def pointing(
        self, conn: Connection, access: Access, parameter: tuple[int, int], names: Sequence[str],
        *, limit: int,
    ) -> list[Raw]:  # fmt: skip
        """Return visible rows of one compartment that point to one of the names.

        Args:
            conn: a connection.
            access: with the action SEARCH.
            parameter: numbers of the type and of its reference parameter.
            names: e.g. ``Patient/7``.
            limit: at most so many, newest first.
        """
        number, reference = parameter
        wanted = [self._keyed.reference(each) for each in names]
        statement = Statement()
        statement.add(
            f"select distinct {COLUMNS} from i_ref t cross join resource x on x.rid = t.rid"  # noqa: S608 - constant names
            f" where t.cid = ? and t.p = ? and t.ref in ({marks(wanted)}) and x.type = ?"
            " and x.body is not null and",
            access.compartment, reference, *wanted, number,
        )  # fmt: skip
        Sight(Action.SEARCH, (access,)).admit(statement, number, Home("x", access.compartment))
        statement.add("order by x.ts desc, x.rid desc limit ?", limit)
        return conn.execute(statement.text, statement.values).fetchall()

    def _parts(self, scope: Scope) -> list[tuple[Sight, Home]]:
        """Return what is asked one by one."""
        crowds = [] if scope.crowd is None else scope.crowd.parts()
        last = crowds[-1] if crowds else None
        found = [
            (Sight(Action.SEARCH, scope.accesses, crowd, scope.directory), Home("x", None))
            for crowd in crowds
        ]
        alone = Sight(Action.SEARCH, scope.accesses, last, scope.directory)
        found += [(alone, Home("x", access.compartment)) for access in scope.accesses]
        return found

    def _driver(
        self, conn: Connection, query: Query, conditions: Conditions, home: Home
    ) -> Driver | None:
        if home.cid is not None:
            return compartment_driver(query, conditions, home)

        def count(statement: Statement) -> int:
            return int(conn.execute(statement.text, statement.values).fetchone()[0])

        return crowd_driver(query, conditions, count)
