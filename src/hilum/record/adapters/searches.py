"""The searching half of a record: what is found is opened here, under the accesses of the caller."""

from __future__ import annotations

from collections.abc import Sequence

from hilum.base.sql import Connection
from hilum.record.access import Access
from hilum.record.adapters.bodies import Bodies
from hilum.record.adapters.searching import Searcher
from hilum.record.change import Row
from hilum.record.crowd import Scope
from hilum.record.keyed import KeyedHash
from hilum.record.query_tree import Place, Query
from hilum.record.strings import KeyedStrings
from hilum.record.types import type_name, type_number

__all__ = ["RecordSearches"]


class RecordSearches:
    """Searches of a store; every method that shows something asks for accesses.

    Args:
        keyed: the store's hashes.
        strings: its hashes of strings.
        bodies: opens what is found.
    """

    def __init__(self, keyed: KeyedHash, strings: KeyedStrings, bodies: Bodies) -> None:
        self._opened = bodies
        self._searcher = Searcher(keyed, strings)

    def knows_crowds(self, conn: Connection) -> bool:
        """Tell whether very many records can be searched together on a connection."""
        return self._searcher.knows_crowds(conn)

    def run(
        self, conn: Connection, query: Query, scope: Scope | Sequence[Access],
        *, after: Place | None, limit: int,
    ) -> list[Row]:  # fmt: skip
        """Return visible resources that a query finds, in its order; see `find`."""
        return [row for row, _place in self.find(conn, query, scope, after=after, limit=limit)]

    def find(
        self, conn: Connection, query: Query, scope: Scope | Sequence[Access],
        *, after: Place | None, limit: int,
    ) -> list[tuple[Row, Place]]:  # fmt: skip
        """Return visible resources that a query finds, each with its place in the order.

        Without sort keys: newest clinical instant first, then row number, highest first.

        Args:
            conn: a connection.
            query: what `parse_query` returned; its sort keys must be known without a body.
            scope: where to look, or one access per compartment, each with the action `SEARCH`.
            after: place of the last row already given, or None.
            limit: at most so many rows.
        """
        found = self._searcher.find(conn, query, _scope(scope), after=after, limit=limit)
        return [(self._opened.row(raw), place) for raw, place in found]

    def count(
        self, conn: Connection, query: Query, scope: Scope | Sequence[Access],
        *, most: int | None = None,
    ) -> int:  # fmt: skip
        """Return how many visible resources a query finds; `most` when there are as many or more."""
        return self._searcher.count(conn, query, _scope(scope), most=most)

    def named(
        self, conn: Connection, access: Access, names: Sequence[str], types: Sequence[str]
    ) -> list[Row]:
        """Return visible resources of one compartment by name.

        Args:
            conn: a connection.
            access: with the action `SEARCH`.
            names: e.g. ``Practitioner/7``.
            types: the types among them.
        """
        numbers = [type_number(each) for each in types]
        return [self._opened.row(r) for r in self._searcher.named(conn, access, names, numbers)]

    def pointing(
        self, conn: Connection, access: Access, parameter: tuple[str, int], names: Sequence[str],
        *, limit: int,
    ) -> list[Row]:  # fmt: skip
        """Return visible resources of one compartment that point to one of the names, newest first.

        Args:
            conn: a connection.
            access: with the action `SEARCH`.
            parameter: their type, and the number of its reference parameter.
            names: e.g. ``Patient/7``.
            limit: at most so many.
        """
        numbers = (type_number(parameter[0]), parameter[1])
        found = self._searcher.pointing(conn, access, numbers, names, limit=limit)
        return [self._opened.row(raw) for raw in found]

    def types_in(self, conn: Connection, cid: int) -> list[str]:
        """Return the types of which a compartment holds, or held, a resource; tell no reader."""
        rows = conn.execute("select distinct type from resource where cid = ?", (cid,))
        return [type_name(number) for (number,) in rows]


def _scope(scope: Scope | Sequence[Access]) -> Scope:
    return scope if isinstance(scope, Scope) else Scope(tuple(scope))
