"""Asking the gate about a change before it is written: whose it is, and whether it may be made.

What a reader may not see cannot be changed, and trying looks as if nothing were there. A subject
contributes to the own record only, and what comes from a subject is marked so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NoReturn

from hilum.base.ids import CompartmentId, FhirId, SubjectId
from hilum.consent.asking import CONTRIBUTE, NOTHING, READ, admits_row
from hilum.consent.decision import Decision, Outcome
from hilum.errors import AccessDeniedError, ConflictError, MalformedInputError
from hilum.exchange.disclosing import draft_receipt
from hilum.exchange.examining import Contents, examine
from hilum.exchange.naming import is_own_name, name_space
from hilum.exchange.node import NODE_CHAIN
from hilum.exchange.people import new_uuid
from hilum.exchange.reading import look_up
from hilum.record.change import Change, Create, Delete, Row, Update
from hilum.record.parameters import patient_parameters
from hilum.record.references import bundled_subjects, subject_references
from hilum.record.resource import Resource
from hilum.signals.identity import is_reading_id

if TYPE_CHECKING:
    from hilum.base.sql import Connection
    from hilum.exchange.conditions import Condition
    from hilum.exchange.node import Node
    from hilum.identity.session import Session
    from hilum.record.access import Access

__all__ = [
    "ANY",
    "CONSENT",
    "VIRTUAL",
    "Existence",
    "Expected",
    "Prepared",
    "permit_create",
    "prepare_create",
    "prepare_delete",
    "prepare_patch",
    "prepare_update",
]

PATIENT_ASSERTED = (
    b'{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"PATAST"}',
)
"""How patient-entered data is marked. Source: HL7 v3 ObservationValue, "patient asserted"."""
CONSENT = "Consent"
_NOWHERE = CompartmentId(-1)
VIRTUAL = frozenset({"AuditEvent"})
_UNNAMED = frozenset({"Patient", CONSENT})
"""Subjects are made by the custodian, and a directive's id follows from its terms."""


class Existence(Enum):
    """Whether what is updated must be there."""

    ANY = "any"
    NEW = "new"
    KNOWN = "known"


@dataclass(frozen=True, slots=True)
class Expected:
    """What an update expects to find.

    Attributes:
        if_match: the version that must be current, or None.
        existence: whether it must be there, or must not.
    """

    if_match: int | None = None
    existence: Existence = Existence.ANY


ANY = Expected()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A change that was asked of the gate and may be written.

    Attributes:
        change: what to store.
        decision: what the gate said.
        condition: what must still be so inside the writer's transaction, or None.
        again: codes of conflicts after which it is worth looking again.
        place: where it comes from in a bundle, for errors.
    """

    change: Change
    decision: Decision
    condition: Condition | None = None
    again: frozenset[str] = frozenset()
    place: str = ""


@dataclass(frozen=True, slots=True)
class _Target:
    """What is at a name, as far as the session may see and change it."""

    cid: CompartmentId
    decision: Decision
    access: Access
    row: Row | None
    is_deleted: bool
    is_taken: bool


def prepare_create(
    node: Node, session: Session, contents: Contents, *, id: FhirId | None = None
) -> Prepared:
    """Ask the gate about a new resource.

    Args:
        node: where.
        session: who asks.
        contents: what `examine` gave.
        id: the id to give it, chosen by the node; None makes one.

    Raises:
        MalformedInputError: about nobody or several people, or a Patient.
        AccessDeniedError: the gate refused; a receipt was written.
    """
    resource, _seg = contents
    _refuse_virtual(resource.type)
    if resource.type == "Patient":
        raise MalformedInputError(
            "new-subject", "a new subject is made by the custodian", where="Patient",
            hint="hilum subject add, or hilum import --subject new",
        )  # fmt: skip
    permitted = permit_create(node, session, contents, id=id)
    if not isinstance(permitted, Prepared):
        _refuse(node, node.conn, session, *permitted)
    return permitted


def permit_create(
    node: Node, session: Session, contents: Contents, *, id: FhirId | None
) -> Prepared | tuple[CompartmentId, Decision]:
    """Return the change when the gate permits it, else where and how it was refused.

    Raises:
        MalformedInputError: about nobody or several people.
    """
    resource, seg = contents
    conn = node.conn
    cid = node.record.compartment_of(conn, _subject_of(session, resource))
    decision, access = _ask(node, conn, session, _NOWHERE if cid is None else cid)
    if cid is None or not _may_write(session, access, resource.type, seg):
        return _NOWHERE if cid is None else cid, decision
    change = Create(
        cid, resource, id or FhirId(new_uuid(node)), seg,
        author=session.reference, security=_marks(session),
    )  # fmt: skip
    return Prepared(change, decision)


def prepare_update(
    node: Node, session: Session, contents: Contents, *, id: str, expected: Expected = ANY
) -> Prepared:
    """Ask the gate about a new version, or about a first one under an id that the client chose.

    Raises:
        MalformedInputError: the id is not the session's to choose.
        AccessDeniedError: nothing there for this session; a receipt was written.
        ConflictError: the resource would move to another subject, or is there against expectation.
    """
    resource, seg = contents
    _refuse_virtual(resource.type)
    conn = node.conn
    found = _look(node, conn, session, resource.type, id)
    if found.row is None and not found.is_deleted:
        if (
            expected.existence is Existence.KNOWN
            or expected.if_match is not None
            or resource.type in _UNNAMED
            or not node.settings.client_ids
        ):
            _refuse(node, conn, session, found.cid, found.decision)
        return _prepare_named(node, session, contents, id, found)
    if not _may_write(session, found.access, resource.type, seg):
        _refuse(node, conn, session, found.cid, found.decision)
    if found.row is not None and expected.existence is Existence.NEW:
        raise ConflictError("exists", "the resource exists already", where="If-None-Match")
    return _new_version(node, session, contents, id, (found, expected.if_match))


def prepare_patch(
    node: Node, session: Session, name: tuple[str, str], *,
    change: Callable[[bytes], bytes], if_match: int | None,
) -> Prepared:  # fmt: skip
    """Change the current version of a resource that the session may see, and ask the gate about it.

    Args:
        node: where.
        session: who asks.
        name: type and id.
        change: from the bytes of the current version to those of the next.
        if_match: the version that must be current, or None.

    Raises:
        MalformedInputError: the change does not apply, or what it makes is not valid.
        AccessDeniedError: nothing there for this session; a receipt was written.
        ConflictError: another version is current, or the resource would move to another subject.
    """
    type, id = name
    _refuse_virtual(type)
    conn = node.conn
    found = _look(node, conn, session, type, id)
    if found.row is None:
        _refuse(node, conn, session, found.cid, found.decision)
    if if_match is not None and if_match != found.row.ver:
        raise ConflictError("version-mismatch", "the resource has another version by now")
    resource, seg = examine(change(found.row.body), type=type)
    if resource.id != id:
        raise MalformedInputError("structure", "a patch cannot change the id", where=f"{type}.id")
    if not _may_write(session, found.access, type, seg):
        _refuse(node, conn, session, found.cid, found.decision)
    prepared = _new_version(node, session, (resource, seg), id, (found, found.row.ver))
    if if_match is not None:
        return prepared
    return Prepared(prepared.change, prepared.decision, again=frozenset({"version-mismatch"}))


def prepare_delete(
    node: Node, session: Session, type: str, *, id: str, if_match: int | None
) -> Prepared:
    """Ask the gate about a deletion; what the session saw deleted may be deleted again, to no effect.

    Raises:
        AccessDeniedError: nothing there for this session; a receipt was written.
        ConflictError: it is the subject's Patient.
    """
    _refuse_virtual(type)
    conn = node.conn
    found = _look(node, conn, session, type, id)
    if found.row is None and not found.is_deleted:
        _refuse(node, conn, session, found.cid, found.decision)
    if type == "Patient":
        raise ConflictError("subject", "a subject is erased by the custodian, not deleted")
    return Prepared(Delete(found.cid, type, FhirId(id), if_match=if_match), found.decision)


def _prepare_named(
    node: Node, session: Session, contents: Contents, id: str, found: _Target
) -> Prepared:
    """Ask the gate about a new resource under an id that the client chose.

    Raises:
        MalformedInputError: about nobody or several people, or the id is not the session's to choose.
        AccessDeniedError: the gate refused; a receipt was written.
        ConflictError: the session used the id before.
    """
    resource, seg = contents
    conn = node.conn
    try:
        subject = _subject_of(session, resource)
    except MalformedInputError:
        _note_refusal(node, conn, session, found.cid, found.decision)
        raise
    cid = node.record.compartment_of(conn, subject)
    decision, access = _ask(node, conn, session, _NOWHERE if cid is None else cid)
    chain = found.cid if cid is None or found.cid >= 0 else cid
    if cid is None or not _may_write(session, access, resource.type, seg):
        _refuse(node, conn, session, chain, decision)
    if not is_own_name(id, contributor=session.reference, subject=subject):
        _note_refusal(node, conn, session, chain, decision)
        raise MalformedInputError(
            "client-id", "there is nothing here, and the id is not yours to choose",
            where=f"{resource.type}.id",
            hint=f"ids that you choose for this patient begin with {name_space(session.reference, subject)}",
        )  # fmt: skip
    if found.is_taken:
        _note_refusal(node, conn, session, chain, decision)
        raise ConflictError("id-used", "you used this id before", hint="choose another one")
    change = Create(
        cid, resource, FhirId(id), seg, author=session.reference, security=_marks(session)
    )
    return Prepared(change, decision, again=frozenset({"id-taken"}))


def _new_version(
    node: Node,
    session: Session,
    contents: Contents,
    id: str,
    current: tuple[_Target, int | None],
) -> Prepared:
    resource, seg = contents
    found, if_match = current
    subject = node.record.subject_of(node.conn, found.cid)
    if subject_references(resource) - {subject or ""}:
        raise ConflictError("other-subject", "a resource cannot move to another subject")
    change = Update(
        found.cid, resource, FhirId(id), seg, if_match=if_match, author=session.reference,
        security=_marks(session),
    )  # fmt: skip
    return Prepared(change, found.decision)


def _subject_of(session: Session, resource: Resource) -> SubjectId:
    is_whole = resource.type == "Bundle"
    named = bundled_subjects(resource.tree) if is_whole else subject_references(resource)
    if session.for_subject is not None:
        if named - {session.for_subject} and not is_whole:
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


def _look(node: Node, conn: Connection, session: Session, type: str, id: str) -> _Target:
    """Look what is at a name; hidden and never there cost the same.

    Raises:
        MalformedInputError: it is a reading of a device that the session may see: they never change.
    """
    located = node.record.locate(conn, type, id)
    cid = _NOWHERE if located is None else located.cid
    decision, access = _ask(node, conn, session, cid, see=True)
    if _is_reserved(session, type):
        return _Target(cid, decision, access, None, is_deleted=False, is_taken=located is not None)
    row = node.record.read(conn, access, type, id)
    is_deleted = row is None and node.record.gone(conn, access, type, id) is not None
    if located is None and type == "Observation" and is_reading_id(id):
        _refuse_readings(node, session, id)
    return _Target(cid, decision, access, row, is_deleted=is_deleted, is_taken=located is not None)


def _refuse_readings(node: Node, session: Session, id: str) -> None:
    answer = look_up(node, session, "Observation", id)
    if answer.rows:
        raise MalformedInputError(
            "not-supported", "what a device measured is kept as it is", where="Observation"
        )


def _may_write(session: Session, access: Access, type: str, seg: int) -> bool:
    return admits_row(access, type, seg) and not _is_reserved(session, type)


def _is_reserved(session: Session, type: str) -> bool:
    """Directives are the subject's own words: no grant lets a reader make or end one."""
    return type == CONSENT and session.reader is not None


def _ask(
    node: Node, conn: Connection, session: Session, cid: CompartmentId, *, see: bool = False
) -> tuple[Decision, Access]:
    action = READ | CONTRIBUTE if see else CONTRIBUTE
    decision = node.gatekeeper.decide(conn, session, cid, action, node.clock())
    return decision, NOTHING if decision.access is None else decision.access


def _refuse(
    node: Node, conn: Connection, session: Session, cid: CompartmentId, decision: Decision
) -> NoReturn:
    _note_refusal(node, conn, session, cid, decision)
    raise AccessDeniedError("absent", "there is nothing here")


def _note_refusal(
    node: Node, conn: Connection, session: Session, cid: CompartmentId, decision: Decision
) -> None:
    refused = Decision(Outcome.ABSENT, None, decision.reasons, decision.duties)
    draft = draft_receipt(
        node, conn, session, cid=NODE_CHAIN if cid < 0 else cid, action=CONTRIBUTE,
        decision=refused, disclosed=(), now=node.clock(),
    )  # fmt: skip
    node.writer.append_now(draft)


def _refuse_virtual(type: str) -> None:
    if type in VIRTUAL:
        raise MalformedInputError("not-supported", "the node alone writes receipts", where=type)


def _marks(session: Session) -> tuple[bytes, ...]:
    return PATIENT_ASSERTED if session.reader is None else ()
