"""Device readings among the results of a search: each is rendered as an Observation.

A search that readings cannot match finds stored rows only; chains, and reverse chains, go through
stored rows only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hilum.base.ids import CompartmentId
from hilum.exchange.answering import Shown
from hilum.record.query_tree import (
    DateFilter,
    Place,
    Query,
    ReferenceFilter,
    TokenFilter,
    UpdatedFilter,
)
from hilum.signals.answers import Filter

if TYPE_CHECKING:
    from hilum.base.sql import Connection
    from hilum.exchange.node import Node
    from hilum.exchange.scoping import Asked
    from hilum.record.access import Access

__all__ = ["MOST_HOLDERS", "find_readings", "has_readings", "left_out", "series_filter"]

MOST_HOLDERS = 64
"""In more records with device readings than this none are looked for at once."""
_LEFT_OUT = (
    "readings of devices are not among the results of a search of so many records; name the patient"
)


def has_readings(node: Node, conn: Connection, asked: Asked, query: Query) -> bool:
    """Tell whether any reading could be among the results."""
    wanted = series_filter(query)
    if wanted is None:
        return False
    accesses = _accesses(node, conn, asked)
    return any(node.series.find(conn, access, wanted, limit=1) for access in accesses)


def left_out(node: Node, conn: Connection, asked: Asked, query: Query) -> tuple[str, ...]:
    """Return what the reader should know: in very many records readings are not looked for."""
    if asked.scope.crowd is None or series_filter(query) is None:
        return ()
    return (_LEFT_OUT,) if len(_holders(node, conn, asked)) > MOST_HOLDERS else ()


def _holders(node: Node, conn: Connection, asked: Asked) -> list[Access]:
    crowd = asked.scope.crowd
    if crowd is None:
        return []
    found = (crowd.access_to(CompartmentId(cid)) for cid in node.series.holders(conn))
    return [access for access in found if access is not None]


def _accesses(node: Node, conn: Connection, asked: Asked) -> list[Access]:
    holders = _holders(node, conn, asked)
    return [*asked.scope.accesses, *(holders if len(holders) <= MOST_HOLDERS else ())]


def find_readings(
    node: Node,
    conn: Connection,
    asked: Asked,
    query: Query,
    *,
    after: tuple[int, int] | None,
    limit: int,
) -> list[tuple[Shown, Place]]:
    """Return readings that a search finds, as Observations, newest first.

    Args:
        node: where.
        conn: a connection.
        asked: what the gate said.
        query: what is searched.
        after: (ts, key) of the last row already given, or None.
        limit: at most so many.
    """
    wanted = series_filter(query)
    if wanted is None:
        return []
    rendered = [
        Shown(
            access.compartment, "Observation", row.id, 1, row.seg, row.ts, row.key, row.ts, row.body
        )
        for access in _accesses(node, conn, asked)
        for row in node.series.find(conn, access, wanted, after=after, limit=limit)
    ]
    rendered.sort(key=lambda row: (-row.ts, -row.key))
    return [(row, (row.ts, row.key)) for row in rendered[:limit]]


def series_filter(query: Query) -> Filter | None:
    """Return what of the query speaks of device readings; None when none can match."""
    if query.type != "Observation":
        return None
    codes, categories, dates, updated = [], [], [], []
    for each in query.filters:
        if isinstance(each, TokenFilter) and each.name in {"code", "category", "status"}:
            tokens = tuple((value.system, value.code) for value in each.values)
            if each.name == "code":
                codes.append(tokens)
            elif each.name == "category":
                categories.append(tokens)
            elif not any(code == "final" for _system, code in tokens):
                return None
        elif isinstance(each, DateFilter) and each.name == "date":
            dates.append(each.values)
        elif isinstance(each, UpdatedFilter):
            updated.append(each.values)
        elif not (isinstance(each, ReferenceFilter) and each.is_patient):
            return None
    return Filter(tuple(codes), tuple(categories), tuple(dates), tuple(updated))
