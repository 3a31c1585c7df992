"""The read path: query → decision → rows under the access → receipt drafts.

Nothing here sends anything: an `Answer` carries its receipt drafts, and whoever sends it waits until
they are durable (`deliver` for callers in threads; the HTTP edge awaits the writer itself). Absent and
denied are one path: the same store calls, one receipt each, the same `Answer` but for the chain that
the receipt joins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import merge
from typing import TYPE_CHECKING

from hilum.base.ids import CompartmentId, UnixMs
from hilum.consent.asking import HISTORY, NOTHING, READ, SEARCH
from hilum.consent.decision import Decision, Outcome
from hilum.consent.gate import directory_access
from hilum.exchange.auditing import AUDIT_TYPE, Shown, find_audit, read_audit
from hilum.exchange.disclosing import draft_receipt
from hilum.exchange.node import DIRECTORY, NODE_CHAIN
from hilum.record.change import Gone, Row
from hilum.record.query import (
    DateFilter,
    IdFilter,
    Query,
    ReferenceFilter,
    TokenFilter,
    UpdatedFilter,
    parse_query,
)
from hilum.record.types import is_directory_type
from hilum.signals.answers import Filter
from hilum.signals.identity import is_reading_id, parse_reading_id

if TYPE_CHECKING:
    from sqlite3 import Connection

    from hilum.exchange.node import Node
    from hilum.identity.session import Session
    from hilum.journal.model import Draft
    from hilum.record.access import Access, Action
    from hilum.signals.model import Point, SeriesSummary

__all__ = [
    "Answer",
    "Shown",
    "deliver",
    "find",
    "look_up",
    "look_up_deletion",
    "look_up_history",
    "look_up_version",
    "read",
    "search",
    "series_summary",
    "series_window",
]

_NOWHERE = CompartmentId(-1)
_COUNTED_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Answer:
    """What may be shown, and the receipts that must be durable first.

    Attributes:
        rows: what was found; empty looks the same whether hidden or never there.
        drafts: one receipt per compartment that was asked about.
        following: (ts, key) after which the next page begins, or None.
        total: number of matches where only that was asked (``_count=0``), else None.
    """

    rows: tuple[Shown, ...]
    drafts: tuple[Draft, ...]
    following: tuple[int, int] | None = None
    total: int | None = None


def deliver(node: Node, answer: Answer) -> Answer:
    """Wait until the receipts of an answer are on disk.

    Raises:
        UnavailableError: they cannot be written; the answer must not be shown.
    """
    for draft in answer.drafts:
        node.writer.append_now(draft)
    return answer


# -- one resource --------------------------------------------------------------------------------


def look_up(node: Node, session: Session, type: str, id: str) -> Answer:
    """Return the current version of one resource, if it may be seen."""
    conn, now = node.conn, node.clock()
    cid = _whose(node, conn, type, id)
    decision, access = _ask(node, conn, session, cid, READ, now)
    row = node.record.read(conn, access, type, id)
    shown = None if row is None else _of_row(row)
    if shown is None and type == "Observation" and is_reading_id(id):
        rendered = node.series.fetch(conn, access, id)
        if rendered is not None:
            shown = Shown(
                cid,
                type,
                id,
                1,
                rendered.seg,
                rendered.ts,
                rendered.key,
                rendered.ts,
                rendered.body,
            )
    elif shown is None and type == AUDIT_TYPE:
        shown = read_audit(node, conn, access, id)
    return _answer_one(node, conn, session, (cid, READ, decision, now), shown)


def look_up_version(
    node: Node,
    session: Session,
    type: str,
    id: str,
    ver: int,
) -> tuple[Answer, Gone | None]:
    """Return one version of a resource; the second part says when that version is a deletion."""
    conn, now = node.conn, node.clock()
    cid = _whose(node, conn, type, id)
    decision, access = _ask(node, conn, session, cid, HISTORY, now)
    found = node.record.vread(conn, access, type, id, ver=ver)
    row = found if isinstance(found, Row) else None
    gone = found if isinstance(found, Gone) else None
    shown = None if row is None else _of_row(row)
    return _answer_one(node, conn, session, (cid, HISTORY, decision, now), shown), gone


def look_up_history(
    node: Node,
    session: Session,
    type: str,
    id: str,
    *,
    limit: int,
    before: int | None,
) -> Answer:
    """Return versions of a resource, newest first; `following` carries the next version number."""
    conn, now = node.conn, node.clock()
    cid = _whose(node, conn, type, id)
    decision, access = _ask(node, conn, session, cid, HISTORY, now)
    rows = node.record.history(conn, access, type, id, limit=limit + 1, before=before)
    shown = [_of_row(row) for row in rows[:limit]]
    draft = draft_receipt(
        node, conn, session, cid=_chain(cid), action=HISTORY, decision=decision,
        disclosed=[(each.body, each.seg) for each in shown], now=now,
    )  # fmt: skip
    following = (shown[-1].ver, 0) if len(rows) > limit else None
    return Answer(tuple(shown), (draft,), following)


def look_up_deletion(node: Node, session: Session, type: str, id: str) -> Gone | None:
    """Return the deletion of a resource that the session could see until then."""
    conn, now = node.conn, node.clock()
    cid = _whose(node, conn, type, id)
    _decision, access = _ask(node, conn, session, cid, READ, now)
    return node.record.gone(conn, access, type, id)


# -- many resources ------------------------------------------------------------------------------


def find(node: Node, session: Session, query: Query, *, after: tuple[int, int] | None) -> Answer:
    """Return one page of what a query finds in the compartments that the session may search."""
    conn, now = node.conn, node.clock()
    scope = _scope(node, conn, session, query)
    asked = [(cid, *_ask(node, conn, session, cid, SEARCH, now)) for cid in scope]
    limit = query.count
    accesses = [access for _cid, _decision, access in asked]
    if limit == 0:
        counted = _count_all(node, conn, query, accesses)
        return Answer((), _search_drafts(node, conn, session, (asked, now), []), total=counted)
    rows = _page(node, conn, query, accesses, after=after, limit=limit + 1)
    shown = rows[:limit]
    drafts = _search_drafts(node, conn, session, (asked, now), shown)
    following = (shown[-1].ts, shown[-1].key) if shown and len(rows) > limit else None
    return Answer(tuple(shown), drafts, following)


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
            cid=_chain(cid),
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
    while rows := _page(node, conn, query, accesses, after=after, limit=_COUNTED_AT_ONCE):
        total += len(rows)
        after = (rows[-1].ts, rows[-1].key)
    return total


def _page(
    node: Node,
    conn: Connection,
    query: Query,
    accesses: Sequence[Access],
    *,
    after: tuple[int, int] | None,
    limit: int,
) -> list[Shown]:
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
    stored = [_of_row(r) for r in node.record.run(conn, query, accesses, after=after, limit=limit)]
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
        return [_NOWHERE if cid is None else cid]
    if query.type == "Patient" and (named := _one_id(query)) is not None:
        cid = node.record.compartment_of(conn, named)
        return [_NOWHERE if cid is None else cid]
    if session.for_subject is not None:
        cid = node.record.compartment_of(conn, session.for_subject)
        found = [] if cid is None else [cid]
    else:
        found = [
            CompartmentId(cid) for cid in node.directives.compartments_for(conn, session.grantees)
        ]
    if is_directory_type(query.type):
        found.append(DIRECTORY)
    return found or [_NOWHERE]


def _one_id(query: Query) -> str | None:
    for each in query.filters:
        if isinstance(each, IdFilter) and len(each.ids) == 1:
            return each.ids[0]
    return None


# -- for callers in threads (portal, command line) --------------------------------------------------


def read(node: Node, session: Session, type: str, id: str) -> bytes | None:
    """Return one resource through the gate, its receipt written; None when absent.

    Raises:
        UnavailableError: the receipt cannot be written.
    """
    answer = deliver(node, look_up(node, session, type, id))
    return answer.rows[0].body if answer.rows else None


def search(
    node: Node,
    session: Session,
    type: str,
    pairs: Sequence[tuple[str, str]],
) -> list[tuple[str, str, bytes]]:
    """Return (type, id, body) of everything a search finds, page after page, receipts written.

    Raises:
        MalformedInputError: the search is not understood.
        UnavailableError: a receipt cannot be written.
    """
    query = parse_query(type, list(pairs), strict=True)
    found: list[tuple[str, str, bytes]] = []
    after: tuple[int, int] | None = None
    while True:
        answer = deliver(node, find(node, session, query, after=after))
        found += [(row.type, row.id, row.body) for row in answer.rows]
        after = answer.following
        if after is None:
            return found


def series_summary(node: Node, session: Session) -> list[SeriesSummary]:
    """Return what series the subject of a session has, receipt written.

    Raises:
        UnavailableError: the receipt cannot be written.
    """
    conn, now = node.conn, node.clock()
    cid = _own_compartment(node, conn, session)
    decision, access = _ask(node, conn, session, cid, SEARCH, now)
    found = node.series.summary(conn, access)
    _write_summary_receipt(node, session, (cid, decision, now), len(found))
    return found


def series_window(
    node: Node, session: Session, sid: int, t_from: int, t_until: int, max_points: int
) -> list[Point]:
    """Return a series thinned out for plotting, receipt written; nothing when absent.

    Raises:
        UnavailableError: the receipt cannot be written.
    """
    conn, now = node.conn, node.clock()
    cid = _own_compartment(node, conn, session)
    decision, access = _ask(node, conn, session, cid, SEARCH, now)
    points = node.series.window(
        conn, access, sid, t_from=t_from, t_until=t_until, max_points=max_points
    )
    _write_summary_receipt(node, session, (cid, decision, now), len(points))
    return points


def _write_summary_receipt(
    node: Node, session: Session, asked: tuple[CompartmentId, Decision, UnixMs], count: int
) -> None:
    cid, decision, now = asked
    disclosed = [(b"series", 0)] * count
    node.writer.append_now(
        draft_receipt(
            node,
            node.conn,
            session,
            cid=_chain(cid),
            action=SEARCH,
            decision=decision,
            disclosed=disclosed,
            now=now,
        )
    )


def _own_compartment(node: Node, conn: Connection, session: Session) -> CompartmentId:
    if session.for_subject is None:
        return _NOWHERE
    cid = node.record.compartment_of(conn, session.for_subject)
    return _NOWHERE if cid is None else cid


# -- the parts ---------------------------------------------------------------------------------------


def _whose(node: Node, conn: Connection, type: str, id: str) -> CompartmentId:
    """Return the compartment that a name belongs to; for the gate only, never told to anyone."""
    located = node.record.locate(conn, type, id)
    if located is not None:
        return located.cid
    if type == "Observation":
        name = parse_reading_id(id)
        found = None if name is None else node.series.compartment_of(conn, name.sid)
        return _NOWHERE if found is None else CompartmentId(found)
    if type == AUDIT_TYPE:
        stored = node.journal.get(conn, id)
        return _NOWHERE if stored is None else stored.cid
    return _NOWHERE


def _ask(
    node: Node, conn: Connection, session: Session, cid: CompartmentId, action: Action, now: UnixMs
) -> tuple[Decision, Access]:
    if cid == DIRECTORY:
        access = directory_access()
        return Decision(Outcome.PERMIT, access, (), frozenset()), access
    decision = node.gatekeeper.decide(conn, session, cid, action, now)
    return decision, decision.access if decision.access is not None else NOTHING


def _chain(cid: CompartmentId) -> CompartmentId:
    return NODE_CHAIN if cid < 0 else cid


def _answer_one(
    node: Node,
    conn: Connection,
    session: Session,
    asked: tuple[CompartmentId, Action, Decision, UnixMs],
    shown: Shown | None,
) -> Answer:
    cid, action, decision, now = asked
    disclosed = [] if shown is None else [(shown.body, shown.seg)]
    draft = draft_receipt(
        node, conn, session, cid=_chain(cid), action=action, decision=decision,
        disclosed=disclosed, now=now,
    )  # fmt: skip
    return Answer(() if shown is None else (shown,), (draft,))


def _of_row(row: Row) -> Shown:
    return Shown(
        row.cid, row.type, row.id, row.ver, row.seg, row.ts, row.rid, row.last_updated, row.body
    )
