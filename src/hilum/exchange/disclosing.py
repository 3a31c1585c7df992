"""Receipt drafts: what was disclosed to whom, why, on which directive."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec

from hilum.base import merkle
from hilum.consent.decision import Decision, Duty, Outcome
from hilum.identity.reader import Reader, ReaderKind, grantee_of
from hilum.journal.model import (
    DirectiveRef,
    Emergency,
    Facts,
    Party,
    ReceiptAction,
)
from hilum.journal.model import Outcome as ReceiptOutcome
from hilum.journal.receipt import draft_of, frame_of

if TYPE_CHECKING:
    from hilum.base.ids import CompartmentId, UnixMs
    from hilum.base.sql import Connection
    from hilum.exchange.node import Node
    from hilum.identity.session import Session
    from hilum.journal.model import Draft
    from hilum.record.access import Action

__all__ = ["DUTY_BITS", "OWN_LABEL", "Disclosed", "draft_receipt", "label_of"]

OWN_LABEL = "subject"
"""How the subject's own reads are labelled."""
MAX_DIRECTIVES = 8
MAX_LABEL = 200
MAX_WORDS = 500
_MOST_FRAMES = 1 << 16
DUTY_BITS = {Duty.RECEIPT: 1, Duty.NOTICE: 2, Duty.PART2_NOTICE: 4, Duty.REVIEW: 8}
_OUTCOMES = {
    Outcome.PERMIT: ReceiptOutcome.PERMIT,
    Outcome.EMERGENCY: ReceiptOutcome.EMERGENCY,
    Outcome.ABSENT: ReceiptOutcome.ABSENT,
}

Disclosed = Sequence[tuple[bytes, int]]
"""(body, segment mask) of each resource in the answer."""


def draft_receipt(  # noqa: PLR0913 - a receipt names them all
    node: Node,
    conn: Connection,
    session: Session,
    *,
    cid: CompartmentId,
    action: Action,
    decision: Decision,
    disclosed: Disclosed,
    now: UnixMs,
) -> Draft:
    """Return the draft of the receipt that must be durable before the answer leaves.

    A permitted request that disclosed nothing is a permit with count 0; a refused one is `absent`.
    """
    segments = 0
    for _body, mask in disclosed:
        segments |= mask
    shown = (len(disclosed), segments)
    if decision.outcome is Outcome.EMERGENCY:
        facts = _facts(node, session, (cid, action), decision, now)
        return draft_of(
            cid,
            msgspec.structs.replace(
                facts, batch=node.batch, digest=_digest(disclosed), count=shown[0],
                segments=segments, emergency=_emergency(node, conn, session, cid, now),
            ),
        )  # fmt: skip
    key = (cid, session.token_hash, int(action))
    known = node.frames.get(key)
    if known is None or known[0] is not decision:
        if len(node.frames) >= _MOST_FRAMES:
            node.frames = {}
        known = (decision, frame_of(cid, _facts(node, session, (cid, action), decision, now)))
        node.frames[key] = known
    return known[1].draft(now, node.batch, _digest(disclosed), shown)


def _facts(
    node: Node,
    session: Session,
    asked: tuple[CompartmentId, Action],
    decision: Decision,
    now: UnixMs,
) -> Facts:
    """Return what a receipt says of who asked and what the gate said."""
    cid, action = asked
    person, client, organisation = _parties(session.reader, session.reference)
    refs = [] if decision.outcome is Outcome.ABSENT else decision.directives[:MAX_DIRECTIVES]
    return Facts(
        at_unix_ms=now,
        purpose=_purpose_code(session.purpose.code),
        action=ReceiptAction(int(action)),
        outcome=_OUTCOMES[decision.outcome],
        credential=session.token_hash,
        person=person,
        client=client,
        organisation=organisation,
        directives=tuple(
            DirectiveRef(bytes.fromhex(name), node.gatekeeper.cell_of(cid, name)) for name in refs
        ),
        duties=sum(DUTY_BITS[duty] for duty in decision.duties),
    )


def _digest(disclosed: Disclosed) -> bytes:
    if not disclosed:
        return bytes(32)
    if len(disclosed) == 1:
        return merkle.leaf_hash(sha256(disclosed[0][0]).digest())
    return merkle.root([sha256(body).digest() for body, _mask in disclosed])


def _purpose_code(code: str) -> str:
    """A purpose of another code system is named by its code alone, within the receipt's 16 bytes."""
    return code.rpartition("|")[2].encode("ascii", "replace")[:16].decode()


@lru_cache(maxsize=4096)
def _parties(
    reader: Reader | None, reference: str
) -> tuple[Party | None, Party | None, Party | None]:
    if reader is None:
        return Party(grantee_of(reference), OWN_LABEL), None, None
    party = Party(grantee_of(reference), label_of(reader.name))
    if reader.kind is ReaderKind.ORGANIZATION:
        return None, None, party
    organisation = None
    if reader.organization is not None:
        named = f"Organization/{reader.organization}"
        organisation = Party(grantee_of(named), label_of(reader.organization))
    if reader.kind is ReaderKind.CLIENT:
        return None, party, organisation
    return party, None, organisation


def label_of(text: str) -> str:
    """Return a name cut to what a receipt's label may hold, 200 bytes of UTF-8."""
    return text.encode()[:MAX_LABEL].decode("utf-8", "ignore")


def _emergency(
    node: Node, conn: Connection, session: Session, cid: CompartmentId, now: UnixMs
) -> Emergency:
    held = [
        emergency
        for emergency in node.directives.emergencies(conn, cid, now=now)
        if emergency.holds(now) and emergency.reader == session.reference
    ]
    request = held[-1].request
    return Emergency(_words(request.reason), _words(request.nature), _words(request.affiliation))


def _words(text: str) -> str:
    return text.encode()[:MAX_WORDS].decode("utf-8", "ignore")
