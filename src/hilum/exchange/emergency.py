"""Breaking the glass: a reader says why, the policy decides, the record opens, the subject sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hilum.base.ids import UnixMs
from hilum.consent.asking import READ
from hilum.consent.decision import Decision, Duty, Outcome, Reason
from hilum.consent.emergency import EmergencyRequest, open_emergency
from hilum.errors import AccessDeniedError, MalformedInputError
from hilum.exchange.disclosing import draft_receipt
from hilum.exchange.node import NODE_CHAIN
from hilum.exchange.people import new_uuid
from hilum.identity.purpose import EMERGENCY_PURPOSES
from hilum.record.resource import format_instant

if TYPE_CHECKING:
    from hilum.base.sql import Connection
    from hilum.exchange.node import Node
    from hilum.identity.session import Session

__all__ = ["break_glass", "mark_reviewed", "to_review"]

_DUTIES = frozenset({Duty.RECEIPT, Duty.NOTICE, Duty.REVIEW})


def break_glass(
    node: Node, session: Session, *, subject: str, reason: str, nature: str, affiliation: str
) -> dict[str, Any]:
    """Open a record for an emergency; returns ``{"expires"}``, the same whether the subject exists or not.

    The breaking itself leaves a receipt, so that the subject sees it even when nothing is read.

    Raises:
        MalformedInputError: a field that the law demands is missing.
        AccessDeniedError: the session's purpose or role may not break the glass.
        UnavailableError: the disk refuses.
    """
    if session.reader is None or not session.purpose.bit & EMERGENCY_PURPOSES:
        raise AccessDeniedError("emergency-purpose", "the token's purpose is no emergency")
    now = node.clock()
    cid = node.record.compartment_of(node.conn, subject)
    if session.for_subject is not None and session.for_subject != subject:
        cid = None
    request = EmergencyRequest(
        reader=session.reader,
        affiliation=affiliation,
        discloser=node.settings.custodian,
        nature=nature,
        reason=reason,
        at_unix_ms=now,
    )
    # About nobody here it is kept all the same: for review, and so that both ways cost one write.
    place = NODE_CHAIN if cid is None else cid
    access = open_emergency(node.policy, request, compartment=place, now=now)
    name = new_uuid(node)

    def keep(conn: Connection) -> None:
        node.directives.add_emergency(conn, name, access)
        decision = Decision(Outcome.EMERGENCY, None, (Reason.EMERGENCY,), _DUTIES)
        draft = draft_receipt(
            node, conn, session, cid=place, action=READ, decision=decision, disclosed=(), now=now
        )
        node.journal.append(conn, [draft], entropy=node.entropy)

    node.writer.write(keep)
    node.gatekeeper.forget(place)
    return {"expires": format_instant(UnixMs(access.expires_unix_ms))}


def to_review(node: Node) -> list[dict[str, Any]]:
    """Return the emergency accesses that nobody has reviewed, oldest first."""
    return [
        {
            "id": name,
            "reader": access.request.reader.name,
            "opened": format_instant(access.opened_unix_ms),
            "expires": format_instant(access.expires_unix_ms),
            "reason": access.request.reason,
            "nature": access.request.nature,
            "affiliation": access.request.affiliation,
        }
        for name, access in node.directives.to_review(node.conn)
    ]


def mark_reviewed(node: Node, *, id: str) -> dict[str, Any]:
    """Note that somebody reviewed an emergency access; returns ``{"id", "reviewed"}``.

    Raises:
        MalformedInputError: none of that id waits for a review.
    """
    at = node.clock()
    if not node.writer.write(lambda conn: node.directives.review(conn, id, at=at)):
        raise MalformedInputError(
            "unknown-emergency", "no emergency access of this id waits", where="id"
        )
    return {"id": id, "reviewed": format_instant(at)}
