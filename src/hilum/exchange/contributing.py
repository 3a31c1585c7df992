"""Writes through the gate: create, update, delete, batch and transaction.

bytes → validate → label → decision → one commit with the resource, its index rows and the receipt.
What a reader may not see cannot be changed, and trying looks as if nothing were there. A subject
contributes to the own record only, and what comes from a subject is marked so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hilum.base.ids import CompartmentId, FhirId, SubjectId, UnixMs
from hilum.consent.asking import CONTRIBUTE, NOTHING, READ, admits_row
from hilum.consent.decision import Decision, Outcome
from hilum.consent.directive import make_directive
from hilum.consent.fhir import parse_consent
from hilum.consent.label import label
from hilum.errors import AccessDeniedError, ConflictError, MalformedInputError
from hilum.exchange.disclosing import draft_receipt
from hilum.exchange.enrolling import Arrival, enrol, enrols
from hilum.exchange.node import NODE_CHAIN
from hilum.exchange.people import new_uuid
from hilum.exchange.sharing import adopt, end_directive
from hilum.record.change import Change, Create, Delete, Update, Version
from hilum.record.parameters import patient_parameters
from hilum.record.references import subject_references
from hilum.record.resource import Resource, parse_resource
from hilum.record.validate import validate

if TYPE_CHECKING:
    from hilum.base.sql import Connection
    from hilum.exchange.node import Node
    from hilum.identity.session import Session
    from hilum.record.access import Access

__all__ = [
    "Prepared",
    "create",
    "delete",
    "examine",
    "prepare_create",
    "prepare_delete",
    "prepare_update",
    "update",
    "write",
]

PATIENT_ASSERTED = (
    b'{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"PATAST"}',
)
"""How patient-entered data is marked. Source: HL7 v3 ObservationValue, "patient asserted"."""
_NOWHERE = CompartmentId(-1)
_CONSENT = "Consent"
_VIRTUAL = frozenset({"AuditEvent"})


@dataclass(frozen=True, slots=True)
class Prepared:
    """A change that was asked of the gate and may be written.

    Attributes:
        change: what to store.
        decision: what the gate said.
    """

    change: Change
    decision: Decision


def examine(body: bytes, *, type: str | None = None) -> tuple[Resource, int]:
    """Read, validate and label a body; return the resource and its segment mask.

    Raises:
        MalformedInputError: not a valid resource, or not of the type that the URL names.
    """
    resource = parse_resource(body)
    if type is not None and resource.type != type:
        raise MalformedInputError(
            "structure", "the body is of another type than the URL", where="resourceType"
        )
    validate(resource)
    return resource, label(resource.tree)


def create(node: Node, session: Session, type: str, body: bytes) -> Version:
    """Store a new resource through the gate.

    Raises:
        MalformedInputError: the body is not valid, or about nobody or several people.
        AccessDeniedError: the gate refused; a receipt was written.
        UnavailableError: the disk refuses.
    """
    resource, seg = examine(body, type=type)
    if enrols(session, [("POST", type)]):
        return enrol(node, session, [Arrival(resource, seg, FhirId(new_uuid(node)), type)])[0]
    return write(node, session, [prepare_create(node, session, resource, seg)])[0]


def update(
    node: Node,
    session: Session,
    type: str,
    id: str,
    body: bytes,
    *,
    if_match: int | None,
) -> Version:
    """Store a new version of a resource that the session may see and change.

    Raises:
        MalformedInputError: the body is not valid or has another id.
        AccessDeniedError: nothing there for this session.
        ConflictError: another version is current, or the subject would change.
        UnavailableError: the disk refuses.
    """
    resource, seg = examine(body, type=type)
    prepared = prepare_update(node, session, resource, seg, id=id, if_match=if_match)
    return write(node, session, [prepared])[0]


def delete(
    node: Node,
    session: Session,
    type: str,
    id: str,
    *,
    if_match: int | None,
) -> Version:
    """Delete a resource that the session may see and change; its history stays.

    Raises:
        AccessDeniedError: nothing there for this session.
        ConflictError: another version is current, or it is the subject's Patient.
        UnavailableError: the disk refuses.
    """
    prepared = prepare_delete(node, session, type, id=id, if_match=if_match)
    return write(node, session, [prepared])[0]


def prepare_create(
    node: Node,
    session: Session,
    resource: Resource,
    seg: int,
    *,
    id: FhirId | None = None,
) -> Prepared:
    """Ask the gate about a new resource.

    Raises:
        MalformedInputError: about nobody or several people, or a Patient.
        AccessDeniedError: the gate refused; a receipt was written.
    """
    _refuse_virtual(resource.type)
    if resource.type == "Patient":
        raise MalformedInputError(
            "new-subject", "a new subject is made by the custodian", where="Patient",
            hint="hilum subject add, or hilum import --subject new",
        )  # fmt: skip
    conn = node.conn
    subject = _subject_of(session, resource)
    cid = node.record.compartment_of(conn, subject)
    decision, access = _ask(node, conn, session, _NOWHERE if cid is None else cid)
    if cid is None or not _may_write(session, access, resource.type, seg):
        _refuse(node, conn, session, _NOWHERE if cid is None else cid, decision)
    change = Create(
        CompartmentId(cid if cid is not None else _NOWHERE), resource, id or FhirId(new_uuid(node)), seg,
        author=session.reference, security=_marks(session),
    )  # fmt: skip
    return Prepared(change, decision)


def prepare_update(
    node: Node,
    session: Session,
    resource: Resource,
    seg: int,
    *,
    id: str,
    if_match: int | None,
) -> Prepared:
    """Ask the gate about a new version.

    Raises:
        MalformedInputError: the body has another id.
        AccessDeniedError: nothing there for this session; a receipt was written.
        ConflictError: the resource would move to another subject.
    """
    _refuse_virtual(resource.type)
    if resource.id != id:
        raise MalformedInputError(
            "structure", "the body must have the id of the URL", where=f"{resource.type}.id"
        )
    conn = node.conn
    cid, decision, access = _whose(node, conn, session, resource.type, id)
    if not _may_write(session, access, resource.type, seg):
        _refuse(node, conn, session, cid, decision)
    subject = node.record.subject_of(conn, cid)
    if subject_references(resource) - {subject or ""}:
        raise ConflictError("other-subject", "a resource cannot move to another subject")
    change = Update(
        cid, resource, FhirId(id), seg, if_match=if_match, author=session.reference,
        security=_marks(session),
    )  # fmt: skip
    return Prepared(change, decision)


def prepare_delete(
    node: Node,
    session: Session,
    type: str,
    *,
    id: str,
    if_match: int | None,
) -> Prepared:
    """Ask the gate about a deletion.

    Raises:
        AccessDeniedError: nothing there for this session; a receipt was written.
        ConflictError: it is the subject's Patient.
    """
    _refuse_virtual(type)
    conn = node.conn
    cid, decision, _access = _whose(node, conn, session, type, id)
    if type == "Patient":
        raise ConflictError("subject", "a subject is erased by the custodian, not deleted")
    return Prepared(Delete(cid, type, FhirId(id), if_match=if_match), decision)


def write(node: Node, session: Session, prepared: Sequence[Prepared]) -> list[Version]:
    """Write prepared changes and their receipts in one commit: all or none.

    Raises:
        ConflictError: a version does not match or an id is taken.
        MalformedInputError: a Consent says what terms cannot.
        UnavailableError: the disk refuses.
    """
    at = node.clock()
    touched = {each.change.cid for each in prepared}

    def job(conn: Connection) -> list[Version]:
        versions = [_apply(node, conn, each.change, at) for each in prepared]
        drafts = [
            draft_receipt(
                node,
                conn,
                session,
                cid=each.change.cid,
                action=CONTRIBUTE,
                decision=each.decision,
                disclosed=[(version.body, version.seg)],
                now=at,
            )
            for each, version in zip(prepared, versions, strict=True)
        ]
        node.journal.append(conn, drafts, entropy=node.entropy)
        return versions

    versions = node.writer.write(job)
    for cid in touched:
        node.gatekeeper.forget(cid)
    return versions


def _apply(node: Node, conn: Connection, change: Change, at: UnixMs) -> Version:
    if isinstance(change, Delete):
        if change.type == _CONSENT:
            end_directive(node, conn, change.id, at=at)
    elif change.resource.type == _CONSENT:
        return _apply_consent(node, conn, change, at)
    return node.record.apply(conn, [change], at)[0]


def _apply_consent(node: Node, conn: Connection, change: Create | Update, at: UnixMs) -> Version:
    """A Consent is a directive: posting one makes it, ending one revokes it; terms never change.

    Raises:
        ConflictError: the terms would change, or it is revoked already.
        MalformedInputError: not active, or it says what terms cannot.
    """
    parsed = parse_consent(change.resource.tree)
    if isinstance(change, Update):
        if parsed.is_in_force:
            raise ConflictError(
                "terms-fixed", "the terms of a directive do not change",
                hint="revoke this one (status inactive) and post a new one",
            )  # fmt: skip
        end_directive(node, conn, change.id, at=at)
        return node.record.apply(conn, [change], at)[0]
    if not parsed.is_in_force:
        raise MalformedInputError(
            "structure", "a new consent must be active", where="Consent.status"
        )
    directive = make_directive(
        SubjectId(parsed.subject), parsed.terms, names=parsed.names, salt=node.entropy(32), now=at,
        frame=parsed.frame,
    )  # fmt: skip
    consent = replace(change, id=FhirId(directive.id))
    return adopt(node, conn, directive, consent=consent, at=at)


def _subject_of(session: Session, resource: Resource) -> SubjectId:
    named = subject_references(resource)
    if session.for_subject is not None:
        if named - {session.for_subject}:
            raise MalformedInputError(
                "other-subject", "this token is for another subject", where=resource.type
            )
        if not named and patient_parameters(resource.type):
            raise MalformedInputError(
                "no-subject",
                "does not say which patient it is about",
                where=resource.type,
                hint=f"reference Patient/{session.for_subject}",
            )
        return session.for_subject
    if len(named) != 1:
        raise MalformedInputError(
            "no-subject", "a contribution is about exactly one patient", where=resource.type,
            hint="reference Patient/…",
        )  # fmt: skip
    return SubjectId(named.pop())


def _whose(
    node: Node,
    conn: Connection,
    session: Session,
    type: str,
    id: str,
) -> tuple[CompartmentId, Decision, Access]:
    """Return whose a resource is, when the session may see and change it.

    Raises:
        AccessDeniedError: nothing there for this session; a receipt was written.
    """
    located = node.record.locate(conn, type, id)
    cid = _NOWHERE if located is None else located.cid
    decision, access = _ask(node, conn, session, cid, see=True)
    if node.record.read(conn, access, type, id) is None or _is_reserved(session, type):
        _refuse(node, conn, session, cid, decision)
    return cid, decision, access


def _may_write(session: Session, access: Access, type: str, seg: int) -> bool:
    return admits_row(access, type, seg) and not _is_reserved(session, type)


def _is_reserved(session: Session, type: str) -> bool:
    """Directives are the subject's own words: no grant lets a reader make or end one."""
    return type == _CONSENT and session.reader is not None


def _ask(
    node: Node, conn: Connection, session: Session, cid: CompartmentId, *, see: bool = False
) -> tuple[Decision, Access]:
    action = READ | CONTRIBUTE if see else CONTRIBUTE
    decision = node.gatekeeper.decide(conn, session, cid, action, node.clock())
    return decision, NOTHING if decision.access is None else decision.access


def _refuse(
    node: Node, conn: Connection, session: Session, cid: CompartmentId, decision: Decision
) -> None:
    refused = Decision(Outcome.ABSENT, None, decision.reasons, decision.duties)
    chain = NODE_CHAIN if cid < 0 else cid
    node.writer.append_now(
        draft_receipt(
            node,
            conn,
            session,
            cid=chain,
            action=CONTRIBUTE,
            decision=refused,
            disclosed=(),
            now=node.clock(),
        )
    )
    raise AccessDeniedError("absent", "there is nothing here")


def _refuse_virtual(type: str) -> None:
    if type in _VIRTUAL:
        raise MalformedInputError(
            "not-supported", "receipts are written by the node only", where=type
        )


def _marks(session: Session) -> tuple[bytes, ...]:
    return PATIENT_ASSERTED if session.reader is None else ()
