"""The subject's own session, for work the custodian does in the subject's place (import, export, fsck).

It goes through the same gate as everybody: it is the directive that always exists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hilum.base.ids import CompartmentId, SubjectId, UnixMs
from hilum.consent.asking import NOTHING
from hilum.identity.purpose import parse_purpose
from hilum.identity.reader import grantee_of
from hilum.identity.session import Session

if TYPE_CHECKING:
    from hilum.exchange.node import Node
    from hilum.record.access import Access, Action

__all__ = ["own_access", "own_session"]

_FAR = UnixMs(1 << 62)


def own_session(subject: SubjectId) -> Session:
    """Return the subject's own session as it is when no token is involved."""
    return Session(
        token_hash=bytes(32),
        reader=None,
        subject=subject,
        purpose=parse_purpose("PATRQT"),
        starts_unix_ms=UnixMs(0),
        expires_unix_ms=_FAR,
        for_subject=subject,
        grantees=frozenset({grantee_of(f"Patient/{subject}")}),
    )


def own_access(node: Node, cid: CompartmentId, action: Action) -> Access:
    """Return what the subject of a compartment may do there; nothing for unknown compartments."""
    conn = node.conn
    subject = node.record.subject_of(conn, cid)
    if subject is None:
        return NOTHING
    decision = node.gatekeeper.decide(conn, own_session(subject), cid, action, node.clock())
    return NOTHING if decision.access is None else decision.access
