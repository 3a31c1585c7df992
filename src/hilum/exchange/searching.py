"""Searches through the gate: stored resources, device readings and receipts in one order."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import merge
from typing import TYPE_CHECKING

from hilum.base.ids import CompartmentId, UnixMs
from hilum.consent.asking import SEARCH
from hilum.consent.decision import Decision
from hilum.exchange.answering import NOWHERE, Answer, Shown, ask, chain_of, shown_of
from hilum.exchange.auditing import AUDIT_TYPE, find_audit
from hilum.exchange.disclosing import draft_receipt
from hilum.exchange.node import DIRECTORY
from hilum.record.query import (
    DateFilter,
    IdFilter,
    Query,
    ReferenceFilter,
    TokenFilter,
    UpdatedFilter,
)
from hilum.record.types import is_directory_type
from hilum.signals.answers import Filter

if TYPE_CHECKING:
    from hilum.base.sql import Connection
    from hilum.exchange.node import Node
    from hilum.identity.session import Session
    from hilum.journal.model import Draft
    from hilum.record.access import Access

__all__ = ["find", "matches", "page"]

_COUNTED_AT_ONCE = 1000


def find(node: Node, session: Session, query: Query, *, after: tuple[int, int] | None) -> Answer:
    """Return one page of what a query finds in the compartments that the session may search."""
    conn, now = node.conn, node.clock()
    scope = _scope(node, conn, session, query)
    asked = [(cid, *ask(node, conn, session, cid, SEARCH, now)) for cid in scope]
    limit = query.count
    accesses = [access for _cid, _decision, access in asked]
    if limit == 0:
        counted = _count_all(node, conn, query, accesses)
        return Answer((), _search_drafts(node, conn, session, (asked, now), []), total=counted)
    rows = page(node, conn, query, accesses, after=after, limit=limit + 1)
    shown = rows[:limit]
    drafts = _search_drafts(node, conn, session, (asked, now), shown)
    following = (shown[-1].ts, shown[-1].key) if shown and len(rows) > limit else None
    return Answer(tuple(shown), drafts, following)


def matches(node: Node, session: Session, query: Query, *, conn: Connection) -> tuple[str, ...]:
    """Return the ids on the first page of what a query finds now; decides as `find`, writes no receipt.

    Args:
        node: where.
        session: who asks.
        query: with the most ids that are of use as its count.
        conn: looked on; the writer's own sees what its transaction did so far.
    """
    now = node.clock()
    scope = _scope(node, node.conn, session, query)
    accesses = [ask(node, node.conn, session, cid, SEARCH, now)[1] for cid in scope]
    rows = page(node, conn, query, accesses, after=None, limit=query.count)
    return tuple(row.id for row in rows)


def _search_drafts(
    node: Node,
    conn: Connection,
    session: Session,
    asked: tuple[Sequence[tuple[CompartmentId, Decision, Access]], UnixMs],
    shown: Sequence[Shown],
) -> tuple[Draft, ...]:
    return tuple(
        draft_receipt(
            node,
            conn,
            session,
            cid=chain_of(cid),
            action=SEARCH,
            decision=decision,
            disclosed=[(row.body, row.seg) for row in shown if row.cid == cid],
            now=asked[1],
        )
        for cid, decision, _access in asked[0]
    )


def _count_all(node: Node, conn: Connection, query: Query, accesses: Sequence[Access]) -> int:
    """Count what a query finds under the accesses, page by page: exact, never estimated."""
    total = 0
    after: tuple[int, int] | None = None
    while rows := page(node, conn, query, accesses, after=after, limit=_COUNTED_AT_ONCE):
        total += len(rows)
        after = (rows[-1].ts, rows[-1].key)
    return total


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
        query: what `parse_query` returned.
        accesses: one per compartment to look in, each with the action `SEARCH`.
        after: (ts, key) of the last row already given, or None.
        limit: at most so many.
    """
    if query.type == AUDIT_TYPE:
        return find_audit(node, conn, accesses, query, after=after, limit=limit)
    return _run(node, conn, query, accesses, after=after, limit=limit)


def _run(
    node: Node,
    conn: Connection,
    query: Query,
    accesses: Sequence[Access],
    *,
    after: tuple[int, int] | None,
    limit: int,
) -> list[Shown]:
    stored = [shown_of(r) for r in node.record.run(conn, query, accesses, after=after, limit=limit)]
    wanted = _series_filter(query)
    if wanted is None:
        return stored
    rendered = [
        Shown(
            access.compartment, "Observation", row.id, 1, row.seg, row.ts, row.key, row.ts, row.body
        )
        for access in accesses
        for row in node.series.find(conn, access, wanted, after=after, limit=limit)
    ]
    rendered.sort(key=_newest_first)
    return list(merge(stored, rendered, key=_newest_first))[:limit]


def _newest_first(row: Shown) -> tuple[int, int]:
    return -row.ts, -row.key


def _series_filter(query: Query) -> Filter | None:
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


def _scope(node: Node, conn: Connection, session: Session, query: Query) -> list[CompartmentId]:
    """Return the compartments to look in: one for a patient's search, else all the session may know."""
    if query.patient is not None:
        cid = node.record.compartment_of(conn, query.patient)
        return [NOWHERE if cid is None else cid]
    if query.type == "Patient" and (named := _one_id(query)) is not None:
        cid = node.record.compartment_of(conn, named)
        return [NOWHERE if cid is None else cid]
    if session.for_subject is not None:
        cid = node.record.compartment_of(conn, session.for_subject)
        found = [] if cid is None else [cid]
    else:
        found = [
            CompartmentId(cid) for cid in node.directives.compartments_for(conn, session.grantees)
        ]
    if is_directory_type(query.type):
        found.append(DIRECTORY)
    return found or [NOWHERE]


def _one_id(query: Query) -> str | None:
    for each in query.filters:
        if isinstance(each, IdFilter) and len(each.ids) == 1:
            return each.ids[0]
    return None
