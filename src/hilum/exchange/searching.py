"""Searches through the gate: stored resources, device readings and receipts in one order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from heapq import merge
from typing import TYPE_CHECKING

from hilum.errors import MalformedInputError
from hilum.exchange.answering import Answer, Shown, shown_of
from hilum.exchange.auditing import AUDIT_TYPE, find_audit
from hilum.exchange.including import include
from hilum.exchange.readings import find_readings, has_readings, left_out
from hilum.exchange.scoping import Asked, ask_scope, draft_receipts
from hilum.record.crowd import Scope
from hilum.record.query_tree import Place, Query, Total
from hilum.record.resource import parse_json
from hilum.record.sorting import is_in_sql, order_key, place_of

if TYPE_CHECKING:
    from hilum.base.sql import Connection
    from hilum.exchange.node import Node
    from hilum.identity.session import Session
    from hilum.record.access import Access

__all__ = ["MOST_SORTED", "find", "find_all", "matches", "page"]

MOST_SORTED = 10_000
"""Most matches that are opened, or looked up one by one, to be sorted."""
_COUNTED_AT_ONCE = 1000

Found = tuple[Shown, Place]


def find(node: Node, session: Session, query: Query, *, after: Place | None) -> Answer:
    """Return one page of what a query finds in the compartments that the session may search.

    Args:
        node: where.
        session: who asks.
        query: what is searched.
        after: place of the last row of the page before, or None.

    Raises:
        MalformedInputError: too many matches to be sorted.
    """
    conn = node.conn
    asked = ask_scope(node, conn, session, query)
    found = (
        _page(node, conn, asked, query, after=after, limit=query.count + 1) if query.count else []
    )
    shown = [row for row, _place in found[: query.count]]
    total = _total(node, conn, asked, query, found if after is None else None)
    following = found[query.count - 1][1] if shown and len(found) > query.count else None
    included, notes = include(node, conn, asked, query, shown) if query.includes else ((), ())
    notes += left_out(node, conn, asked, query)
    drafts = draft_receipts(node, conn, session, asked, [*shown, *included])
    return Answer(tuple(shown), drafts, following, total, included, notes)


def find_all(
    node: Node, session: Session, queries: Sequence[Query], *, after: Place | None
) -> Answer:
    """Return one page of what queries of several types find together, in one order.

    Args:
        node: where.
        session: who asks.
        queries: one per type, equal but for the type.
        after: place of the last row of the page before, or None.

    Raises:
        MalformedInputError: too many matches to be sorted.
    """
    conn, first = node.conn, queries[0]
    asked = ask_scope(node, conn, session, first, types=[query.type for query in queries])
    mask = _types_of(asked)
    open_ones = [query for query in queries if mask >> query.type_number & 1]
    found: list[Found] = []
    for query in open_ones if first.count else ():
        found += _page(node, conn, asked, query, after=after, limit=first.count + 1)
    order = order_key(first.sort)
    found.sort(key=lambda each: order(each[1]))
    shown = [row for row, _place in found[: first.count]]
    following = found[first.count - 1][1] if shown and len(found) > first.count else None
    totals = [_total(node, conn, asked, query, None) for query in open_ones]
    total = sum(each or 0 for each in totals) if _is_counted(first) else None
    included, notes = include(node, conn, asked, first, shown) if first.includes else ((), ())
    drafts = draft_receipts(node, conn, session, asked, [*shown, *included])
    return Answer(tuple(shown), drafts, following, total, included, notes)


def _types_of(asked: Asked) -> int:
    """Return the mask of the types of which anything may be seen: others need not be looked for."""
    crowd = asked.scope.crowd
    accesses = (
        [*asked.scope.accesses, *(access for _, access in crowd.groups())]
        if crowd
        else (asked.scope.accesses)
    )
    mask = 0
    for access in accesses:
        for window in access.permits:
            mask |= window.types
    return mask


def _is_counted(query: Query) -> bool:
    return not query.count or query.total is not Total.NONE


def matches(node: Node, session: Session, query: Query, *, conn: Connection) -> tuple[str, ...]:
    """Return the ids on the first page of what a query finds now; decides as `find`, writes no receipt.

    Args:
        node: where.
        session: who asks.
        query: with the most ids that are of use as its count.
        conn: looked on; the writer's own sees what its transaction did so far.
    """
    asked = ask_scope(node, node.conn, session, query)
    found = _page(node, conn, asked, query, after=None, limit=query.count)
    return tuple(row.id for row, _place in found)


def page(
    node: Node,
    conn: Connection,
    query: Query,
    accesses: Sequence[Access],
    *,
    after: tuple[int, int] | None,
    limit: int,
) -> list[Shown]:
    """Return what a query finds under the accesses: stored resources, device readings and receipts.

    Args:
        node: where.
        conn: a connection.
        query: what `parse_query` returned; without sort keys.
        accesses: one per compartment to look in, each with the action `SEARCH`.
        after: (ts, key) of the last row already given, or None.
        limit: at most so many.
    """
    asked = Asked(Scope(tuple(accesses)), (), node.clock())
    return [row for row, _place in _page(node, conn, asked, query, after=after, limit=limit)]


def _total(
    node: Node, conn: Connection, asked: Asked, query: Query, first: Sequence[Found] | None
) -> int | None:
    """Return the number of matches, where it is asked for; of included rows none counts."""
    if not _is_counted(query):
        return None
    if first is not None and 0 < len(first) <= query.count:
        return len(first)
    if query.type != AUDIT_TYPE and not has_readings(node, conn, asked, query):
        return node.record.count(conn, query, asked.scope)
    total = 0
    after: Place | None = None
    plain = replace(query, sort=())
    while rows := _page(node, conn, asked, plain, after=after, limit=_COUNTED_AT_ONCE):
        total += len(rows)
        after = rows[-1][1]
    return total


def _page(
    node: Node, conn: Connection, asked: Asked, query: Query, *, after: Place | None, limit: int
) -> list[Found]:
    if query.type == AUDIT_TYPE:
        audit = find_audit(node, conn, asked.scope.accesses, query, after=_time(after), limit=limit)
        return [(row, (row.ts, row.key)) for row in audit]
    if query.sort and (not is_in_sql(query.sort) or has_readings(node, conn, asked, query)):
        return _sorted(node, conn, asked, query, after=after, limit=limit)
    if query.sort and asked.scope.crowd is not None:
        _refuse_many(node.record.count(conn, query, asked.scope, most=MOST_SORTED + 1))
    found = node.record.find(conn, query, asked.scope, after=after, limit=limit)
    stored = [(shown_of(row), place) for row, place in found]
    if query.sort:
        return stored
    rendered = find_readings(node, conn, asked, query, after=_time(after), limit=limit)
    return list(merge(stored, rendered, key=_newest_first))[:limit] if rendered else stored


def _sorted(
    node: Node, conn: Connection, asked: Asked, query: Query, *, after: Place | None, limit: int
) -> list[Found]:
    """Open all matches, and sort them by what is in them."""
    plain = replace(query, sort=())
    found = _page(node, conn, asked, plain, after=None, limit=MOST_SORTED + 1)
    _refuse_many(len(found))
    order = order_key(query.sort)
    placed = [
        (
            row,
            (
                *place_of(
                    query.sort,
                    row.type,
                    parse_json(row.body, max_bytes=len(row.body)),
                    row.updated,
                ),
                *place,
            ),
        )
        for row, place in found
    ]
    placed.sort(key=lambda each: order(each[1]))
    if after is not None:
        last = order(after)
        placed = [each for each in placed if last < order(each[1])]
    return placed[:limit]


def _refuse_many(count: int) -> None:
    if count > MOST_SORTED:
        raise MalformedInputError(
            "too-costly", f"more than {MOST_SORTED} matches to be sorted", where="_sort",
            hint="narrow the search down, or leave _sort out",
        )  # fmt: skip


def _time(after: Place | None) -> tuple[int, int] | None:
    if after is None:
        return None
    ts, key = after[-2:]
    return int(ts or 0), int(key or 0)


def _newest_first(found: Found) -> tuple[int, int]:
    row = found[0]
    return -row.ts, -row.key
