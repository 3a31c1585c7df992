"""The read path: query → decision → rows under the access → receipt drafts.

Nothing here sends anything: an `Answer` carries its receipt drafts, and whoever sends it waits until
they are durable (`deliver` for callers in threads; the HTTP edge awaits the writer itself). Absent and
denied are one path: the same store calls, one receipt each, the same `Answer` but for the chain that
the receipt joins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from hilum.base.ids import CompartmentId, UnixMs
from hilum.consent.asking import READ, SEARCH
from hilum.consent.decision import Decision
from hilum.exchange.answering import (
    NOWHERE,
    Answer,
    Shown,
    answer_one,
    ask,
    chain_of,
    shown_of,
    whose,
)
from hilum.exchange.auditing import AUDIT_TYPE, read_audit
from hilum.exchange.disclosing import Disclosed, draft_receipt
from hilum.exchange.searching import find, find_all
from hilum.record.change import Gone
from hilum.record.query import (
    parse_query,
)
from hilum.record.query_tree import Place
from hilum.signals.identity import is_reading_id

if TYPE_CHECKING:
    from hilum.base.sql import Connection
    from hilum.exchange.node import Node
    from hilum.identity.session import Session
    from hilum.signals.model import Point, SeriesSummary

__all__ = [
    "Answer",
    "Shown",
    "deliver",
    "find",
    "find_all",
    "look_up",
    "look_up_deletion",
    "read",
    "search",
    "series_summary",
    "series_window",
]


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
    cid = whose(node, conn, type, id)
    decision, access = ask(node, conn, session, cid, READ, now)
    row = node.record.read(conn, access, type, id)
    shown = None if row is None else shown_of(row)
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
    return answer_one(node, conn, session, (cid, READ, decision, now), shown)


def look_up_deletion(node: Node, session: Session, type: str, id: str) -> Gone | None:
    """Return the deletion of a resource that the session could see until then."""
    conn, now = node.conn, node.clock()
    cid = whose(node, conn, type, id)
    _decision, access = ask(node, conn, session, cid, READ, now)
    return node.record.gone(conn, access, type, id)


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
    after: Place | None = None
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
    decision, access = ask(node, conn, session, cid, SEARCH, now)
    found = node.series.summary(conn, access)
    shown = [(msgspec.json.encode(each), each.series.seg) for each in found]
    _write_summary_receipt(node, session, (cid, decision, now), shown)
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
    decision, access = ask(node, conn, session, cid, SEARCH, now)
    points = node.series.window(
        conn, access, sid, t_from=t_from, t_until=t_until, max_points=max_points
    )
    seg = next((one.seg for found, one in node.series.series_of(conn, access) if found == sid), 0)
    shown = [(msgspec.json.encode(point), seg) for point in points]
    _write_summary_receipt(node, session, (cid, decision, now), shown)
    return points


def _write_summary_receipt(
    node: Node, session: Session, asked: tuple[CompartmentId, Decision, UnixMs], shown: Disclosed
) -> None:
    cid, decision, now = asked
    node.writer.append_now(
        draft_receipt(
            node,
            node.conn,
            session,
            cid=chain_of(cid),
            action=SEARCH,
            decision=decision,
            disclosed=shown,
            now=now,
        )
    )


def _own_compartment(node: Node, conn: Connection, session: Session) -> CompartmentId:
    if session.for_subject is None:
        return NOWHERE
    cid = node.record.compartment_of(conn, session.for_subject)
    return NOWHERE if cid is None else cid
