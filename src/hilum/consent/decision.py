"""What is asked of the gate, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hilum.base.ids import CompartmentId, SubjectId, UnixMs
from hilum.consent.emergency import EmergencyAccess
from hilum.identity.purpose import Purpose
from hilum.identity.session import Session
from hilum.record.access import Access, Action

__all__ = ["Decision", "Duty", "Outcome", "Reason", "Request", "request_of"]


class Outcome(StrEnum):
    """What came out; `absent` is the same for denied and for never existed."""

    PERMIT = "permit"
    EMERGENCY = "emergency"
    ABSENT = "absent"


class Duty(StrEnum):
    """What a decision obliges; a duty that cannot be done is a refusal."""

    RECEIPT = "receipt"
    NOTICE = "notice"
    PART2_NOTICE = "part2-notice"
    REVIEW = "review"


class Reason(StrEnum):
    """Why, for the receipt and the subject; never shown to a reader."""

    OWN_RECORD = "own-record"
    PERMITTED = "permitted-by-directive"
    IMPLIED = "implied-by-policy"
    EMERGENCY = "emergency"
    GLASS_WHOLE = "glass-not-broken"
    DENIED = "denied-by-directive"
    NOTHING_SAID = "no-directive"
    OTHER_PURPOSE = "other-purpose"
    OTHER_ACTION = "other-action"
    NOT_YET_VALID = "not-yet-valid"
    EXPIRED = "expired"
    SPENT = "uses-spent"
    UNPAID = "not-paid"
    SURPLUS = "more-windows-than-can-be-kept"


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of one compartment.

    Attributes:
        compartment: the record's number.
        purpose: why.
        action: one action, or several that must all be permitted.
        grantees: ids under which a clause may name the reader (`Session.grantees`).
        is_subject: True when the subject's own session asks about the own record.
        role: the reader's role, for the base policy.
        reader: FHIR reference of the reader, to find its emergency accesses.
        emergencies: emergency accesses of this compartment.
        spent: (directive id, clause index) of clauses whose uses are spent.
    """

    compartment: CompartmentId
    purpose: Purpose
    action: Action
    grantees: frozenset[bytes]
    is_subject: bool = False
    role: str | None = None
    reader: str = ""
    emergencies: tuple[EmergencyAccess, ...] = ()
    spent: frozenset[tuple[str, int]] = frozenset()


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate says.

    Attributes:
        outcome: permit, emergency or absent.
        access: the capability for the store; None when absent.
        reasons: why, sorted; not for the reader.
        duties: what must be done.
        directives: ids of the directives that permit (of those that deny, when absent).
        counted: (directive id, clause index) of clauses of which this uses one use; a decision
            that counts must not be cached.
        until_unix_ms: when it must be made anew even though no directive changed, or None.
    """

    outcome: Outcome
    access: Access | None
    reasons: tuple[Reason, ...]
    duties: frozenset[Duty]
    directives: tuple[str, ...] = ()
    counted: tuple[tuple[str, int], ...] = ()
    until_unix_ms: UnixMs | None = None


def request_of(
    session: Session,
    action: Action,
    *,
    compartment: CompartmentId,
    subject: SubjectId,
    emergencies: tuple[EmergencyAccess, ...] = (),
    spent: frozenset[tuple[str, int]] = frozenset(),
) -> Request:
    """Return what a session asks of one subject's record.

    A token made for another subject asks as nobody: it takes the same way through the gate and
    finds nothing there.

    Args:
        session: who asks.
        action: one action, or several that must all be permitted.
        compartment: the record's number.
        subject: whose record it is.
        emergencies: emergency accesses of this compartment.
        spent: (directive id, clause index) of clauses whose uses are spent.
    """
    is_meant = session.for_subject is None or session.for_subject == subject
    is_subject = session.subject is not None and session.subject == subject
    reader = session.reader if is_meant else None
    return Request(
        compartment=compartment,
        purpose=session.purpose,
        action=action,
        grantees=frozenset[bytes](session.grantees) if is_meant else frozenset(),
        is_subject=is_subject,
        role=None if reader is None else reader.role,
        reader="" if reader is None else reader.reference,
        emergencies=emergencies,
        spent=spent,
    )
