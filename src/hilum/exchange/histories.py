"""Versions through the gate: one by its number, those of a resource, and all that changed in what is seen.

A version is shown when its own labels and the current ones both let it be seen. What a device measured
has one version, which is shown to whoever may see the reading. AuditEvents and readings are made on
demand, so they are not among the changes of a type or of the whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hilum.base.ids import CompartmentId
from hilum.consent.asking import HISTORY, READ
from hilum.errors import MalformedInputError
from hilum.exchange.answering import NOWHERE, Answer, answer_one, ask, chain_of, shown_of, whose
from hilum.exchange.auditing import AUDIT_TYPE, Shown
from hilum.exchange.disclosing import draft_receipt
from hilum.exchange.node import DIRECTORY
from hilum.record.change import Gone, Row
from hilum.record.past import Change, Past
from hilum.signals.identity import is_reading_id

if TYPE_CHECKING:
    from hilum.base.sql import Connection
    from hilum.exchange.node import Node
    from hilum.identity.session import Session
    from hilum.record.access import Access

__all__ = ["MOST_RECORDS", "look_up_changes", "look_up_history", "look_up_version"]

MOST_RECORDS = 1000
"""Changes of more records than this are not put in one order."""


def look_up_version(
    node: Node, session: Session, name: tuple[str, str], ver: int
) -> tuple[Answer, Gone | None]:
    """Return one version of a resource; the second part says when that version is a deletion.

    Who may read sees the current version under its number; older ones ask for the history.
    """
    conn, now = node.conn, node.clock()
    type, id = name
    cid = whose(node, conn, type, id)
    decision, access = ask(node, conn, session, cid, READ, now)
    current = node.record.read(conn, access, type, id)
    if current is not None and current.ver == ver:
        return answer_one(
            node, conn, session, (cid, HISTORY, decision, now), shown_of(current)
        ), None
    rendered = _rendered(node, conn, access, name) if ver == 1 else None
    if rendered is not None:
        return answer_one(node, conn, session, (cid, HISTORY, decision, now), rendered), None
    decision, access = ask(node, conn, session, cid, HISTORY, now)
    found = node.record.vread(conn, access, type, id, ver=ver)
    shown = shown_of(found) if isinstance(found, Row) else None
    gone = found if isinstance(found, Gone) else None
    return answer_one(node, conn, session, (cid, HISTORY, decision, now), shown), gone


def look_up_history(
    node: Node, session: Session, name: tuple[str, str], past: Past, *,
    limit: int, below: int | None,
) -> Answer:  # fmt: skip
    """Return versions of a resource, newest first.

    Args:
        node: where.
        session: who asks.
        name: type and id.
        past: which of them.
        limit: at most so many.
        below: only versions under this number.

    Returns:
        The answer; its `following` holds the number of the last version given.
    """
    conn, now = node.conn, node.clock()
    type, id = name
    cid = whose(node, conn, type, id)
    _decision, reading = ask(node, conn, session, cid, READ, now)
    rendered = _rendered(node, conn, reading, name) if below is None else None
    decision, access = ask(node, conn, session, cid, HISTORY, now)
    rows = node.record.history(conn, access, name, past, limit=limit + 1, below=below)
    shown = [shown_of(row) for row in rows[:limit]]
    if rendered is not None and decision.access is not None and _is_within(rendered, past):
        shown.append(rendered)
    draft = draft_receipt(
        node, conn, session, cid=chain_of(cid), action=HISTORY, decision=decision,
        disclosed=[(each.body, each.seg) for each in shown], now=now,
    )  # fmt: skip
    following = (shown[-1].ver,) if len(rows) > limit else None
    return Answer(tuple(shown), (draft,), following)


def look_up_changes(
    node: Node, session: Session, type: str | None, past: Past, *,
    limit: int, after: Change | None,
) -> Answer:  # fmt: skip
    """Return versions of everything that may be seen, of one type or of all, last stored first.

    Args:
        node: where.
        session: who asks.
        type: only of this type; None for all.
        past: which of them.
        limit: at most so many.
        after: place of the last one already given, or None.

    Returns:
        The answer, with a receipt for each record looked into; its `following` is a `Change`.

    Raises:
        MalformedInputError: the session may look into too many records, or the type has no versions.
    """
    if type == AUDIT_TYPE:
        raise MalformedInputError("not-supported", "receipts have no history", where=AUDIT_TYPE)
    conn, now = node.conn, node.clock()
    asked = [
        (cid, *ask(node, conn, session, cid, HISTORY, now)) for cid in _records(node, conn, session)
    ]
    found = [
        row
        for _cid, _decision, access in asked
        for row in node.record.changes(conn, access, type, past, after=after, limit=limit + 1)
    ]
    found.sort(key=lambda row: (row.last_updated, row.rid, row.ver), reverse=True)
    shown = [shown_of(row) for row in found[:limit]]
    drafts = tuple(
        draft_receipt(
            node, conn, session, cid=chain_of(cid), action=HISTORY, decision=decision,
            disclosed=[(row.body, row.seg) for row in shown if row.cid == cid], now=now,
        )
        for cid, decision, _access in asked
    )  # fmt: skip
    last = found[limit - 1] if len(found) > limit else None
    following = None if last is None else (last.last_updated, last.rid, last.ver)
    return Answer(tuple(shown), drafts, following)


def _records(node: Node, conn: Connection, session: Session) -> list[CompartmentId]:
    """Return the records that a session may look into, and the directory.

    Raises:
        MalformedInputError: they are too many to be put in one order.
    """
    if session.for_subject is not None:
        cid = node.record.compartment_of(conn, session.for_subject)
        return [NOWHERE if cid is None else cid, DIRECTORY]
    found = node.gatekeeper.records(conn, session)
    if len(found) > MOST_RECORDS:
        raise MalformedInputError(
            "too-costly", f"a history of more than {MOST_RECORDS} records", where="_history",
            hint="use a token for one patient, or $export with _since",
        )  # fmt: skip
    return [*found, DIRECTORY]


def _rendered(node: Node, conn: Connection, access: Access, name: tuple[str, str]) -> Shown | None:
    """Return what is made on demand under a name, when the access shows it."""
    type, id = name
    if type != "Observation" or not is_reading_id(id):
        return None
    row = node.series.fetch(conn, access, id)
    if row is None:
        return None
    return Shown(access.compartment, type, id, 1, row.seg, row.ts, row.key, row.ts, row.body)


def _is_within(shown: Shown, past: Past) -> bool:
    since = past.since is None or shown.updated >= past.since
    return since and (past.at is None or shown.updated <= past.at[1])
