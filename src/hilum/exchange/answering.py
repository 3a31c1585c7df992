"""What reads and searches share: the answer with its receipts, whose a thing is, and asking the gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hilum.base.ids import CompartmentId, UnixMs
from hilum.consent.asking import NOTHING
from hilum.consent.decision import Decision, Outcome
from hilum.consent.gate import directory_access
from hilum.exchange.auditing import AUDIT_TYPE, Shown
from hilum.exchange.disclosing import draft_receipt
from hilum.exchange.node import DIRECTORY, NODE_CHAIN
from hilum.record.change import Row
from hilum.record.query_tree import Place
from hilum.signals.identity import parse_reading_id

if TYPE_CHECKING:
    from hilum.base.sql import Connection
    from hilum.exchange.node import Node
    from hilum.identity.session import Session
    from hilum.journal.model import Draft
    from hilum.record.access import Access, Action

__all__ = ["NOWHERE", "Answer", "Shown", "answer_one", "ask", "chain_of", "shown_of", "whose"]

NOWHERE = CompartmentId(-1)
"""The compartment of what never existed."""


class Answer(msgspec.Struct, frozen=True):
    """What may be shown, and the receipts that must be durable first.

    Attributes:
        rows: what was found; empty looks the same whether hidden or never there.
        drafts: one receipt per compartment that was asked about.
        following: place after which the next page begins, or None.
        total: number of matches where that was asked, else None.
        included: what comes with the rows (``_include``, ``_revinclude``).
        notes: what the reader should know about the answer.
    """

    rows: tuple[Shown, ...]
    drafts: tuple[Draft, ...]
    following: Place | None = None
    total: int | None = None
    included: tuple[Shown, ...] = ()
    notes: tuple[str, ...] = ()


def whose(node: Node, conn: Connection, type: str, id: str) -> CompartmentId:
    """Return the compartment that a name belongs to; for the gate only, never told to anyone."""
    located = node.record.locate(conn, type, id)
    if located is not None:
        return located.cid
    if type == "Observation":
        name = parse_reading_id(id)
        found = None if name is None else node.series.compartment_of(conn, name.sid)
        return NOWHERE if found is None else CompartmentId(found)
    if type == AUDIT_TYPE:
        stored = node.journal.get(conn, id)
        return NOWHERE if stored is None else stored.cid
    return NOWHERE


def ask(
    node: Node, conn: Connection, session: Session, cid: CompartmentId, action: Action, now: UnixMs
) -> tuple[Decision, Access]:
    """Ask the gate about one compartment; where it says absent, the access shows nothing."""
    if cid == DIRECTORY:
        access = directory_access()
        return Decision(Outcome.PERMIT, access, (), frozenset()), access
    decision = node.gatekeeper.decide(conn, session, cid, action, now)
    return decision, decision.access if decision.access is not None else NOTHING


def chain_of(cid: CompartmentId) -> CompartmentId:
    """Return the chain that a receipt joins: the compartment's, or the node's own."""
    return NODE_CHAIN if cid < 0 else cid


def answer_one(
    node: Node,
    conn: Connection,
    session: Session,
    asked: tuple[CompartmentId, Action, Decision, UnixMs],
    shown: Shown | None,
) -> Answer:
    """Return the answer about one resource, with its one receipt."""
    cid, action, decision, now = asked
    disclosed = [] if shown is None else [(shown.body, shown.seg)]
    draft = draft_receipt(
        node, conn, session, cid=chain_of(cid), action=action, decision=decision,
        disclosed=disclosed, now=now,
    )  # fmt: skip
    return Answer(() if shown is None else (shown,), (draft,))


def shown_of(row: Row) -> Shown:
    """Return a stored row as an answer shows it."""
    return Shown(
        row.cid, row.type, row.id, row.ver, row.seg, row.ts, row.rid, row.last_updated, row.body
    )
