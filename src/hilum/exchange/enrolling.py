"""Enrolment: a registrar's system brings a new person over HTTP, with the consent taken at the desk.

The custodian attests the role `registrar` to a reader; only such a reader makes subjects, and only
whole: one commit holds the compartment, the Patient, everything that came with it, the directive by
which the registrar may go on (read, search, history, contribute; the person can end it as any other)
and the receipts. The directive says who recorded it and that the person has not confirmed it yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from hilum.base.ids import CompartmentId, FhirId, SubjectId, UnixMs
from hilum.consent.asking import CONTRIBUTE, HISTORY, READ, SEARCH
from hilum.consent.decision import Decision, Duty, Outcome, Reason
from hilum.consent.directive import Directive, make_directive
from hilum.consent.grant import Choice, grant_terms
from hilum.consent.render import recorded_frame, render_consent
from hilum.errors import AccessDeniedError, ConflictError, MalformedInputError
from hilum.exchange.conditions import Condition, demand
from hilum.exchange.disclosing import draft_receipt
from hilum.exchange.node import DIRECTORY
from hilum.exchange.sharing import adopt
from hilum.record.change import Create, Version
from hilum.record.references import subject_references
from hilum.record.resource import Resource, parse_resource
from hilum.record.types import is_directory_type

if TYPE_CHECKING:
    from hilum.base.sql import Connection
    from hilum.exchange.node import Node
    from hilum.identity.session import Session
    from hilum.journal.model import Draft

__all__ = ["REGISTRAR", "Arrival", "enrol", "enrols", "may_enrol"]

REGISTRAR = "registrar"
"""The role, attested by the custodian, of who may make new subjects and directory entries."""
_NORMAL = 1
_ACTIONS = READ | SEARCH | HISTORY | CONTRIBUTE


@dataclass(frozen=True, slots=True)
class Arrival:
    """A resource that comes with a new subject.

    Attributes:
        resource: parsed and validated.
        seg: mask of its segments.
        id: the id it gets.
        place: where it stands in what was sent, for errors.
    """

    resource: Resource
    seg: int
    id: FhirId
    place: str


def may_enrol(session: Session) -> bool:
    """Tell whether a session may make subjects: a registrar's, not narrowed to one subject."""
    reader = session.reader
    return reader is not None and reader.role == REGISTRAR and session.for_subject is None


def enrols(session: Session, writes: Sequence[tuple[str, str]]) -> bool:
    """Tell whether writes make a new subject or directory entries, and nothing else than new things.

    Args:
        session: who writes.
        writes: (HTTP verb, resource type) of each.
    """
    return (
        may_enrol(session)
        and all(verb == "POST" for verb, _type in writes)
        and any(name == "Patient" or is_directory_type(name) for _verb, name in writes)
    )


def enrol(
    node: Node, session: Session, arrivals: Sequence[Arrival],
    *, conditions: Sequence[Condition] = (),
) -> list[Version]:  # fmt: skip
    """Make a new subject with everything that came along, or add to the shared directory alone.

    Args:
        node: where.
        session: a registrar's.
        arrivals: at most one Patient, resources about nobody else, and directory entries.
        conditions: what must still be so inside the writer's transaction.

    Returns:
        One version per arrival, in order.

    Raises:
        AccessDeniedError: not a registrar's session.
        MalformedInputError: several Patients, or something is about another person or nobody.
        ConflictError: an id is taken, or a condition no longer holds.
        UnavailableError: the disk refuses.
    """
    if not may_enrol(session):
        raise AccessDeniedError("absent", "there is nothing here")
    subject = _subject_of(arrivals)
    directive = None if subject is None else _directive(node, session, subject)
    at = node.clock()

    def job(conn: Connection) -> list[Version]:
        demand(node, conn, conditions)
        cid = DIRECTORY if subject is None else _compartment(node, conn, subject, at)
        changes = [
            Create(
                DIRECTORY if is_directory_type(each.resource.type) else cid,
                each.resource, each.id, each.seg, author=session.reference,
            )
            for each in arrivals
        ]  # fmt: skip
        versions = node.record.apply(conn, changes, at)
        if directive is not None:
            _adopt(node, conn, session, directive, cid)
        drafts = _drafts(node, conn, session, (directive, at), versions)
        node.journal.append(conn, drafts, entropy=node.entropy)
        return versions

    return node.writer.write(job)


def _subject_of(arrivals: Sequence[Arrival]) -> SubjectId | None:
    patients = [each for each in arrivals if each.resource.type == "Patient"]
    if len(patients) > 1:
        raise MalformedInputError(
            "several-subjects", "one new person at a time", where=patients[1].place,
            hint="a transaction for each",
        )  # fmt: skip
    subject = SubjectId(patients[0].id) if patients else None
    for each in arrivals:
        if is_directory_type(each.resource.type) or each.resource.type == "Patient":
            continue
        if subject is None or subject_references(each.resource) - {subject}:
            raise MalformedInputError(
                "other-subject", "speaks of another patient than the new one", where=each.place
            )
    return subject


def _compartment(node: Node, conn: Connection, subject: SubjectId, at: UnixMs) -> CompartmentId:
    if node.record.locate(conn, "Patient", subject) is not None:
        raise ConflictError("id-taken", "a resource with this id exists already")
    return node.record.create_compartment(conn, subject, at)


def _directive(node: Node, session: Session, subject: SubjectId) -> Directive:
    choice = Choice(
        readers=(session.reference,), purposes=(session.purpose.code,), actions=_ACTIONS
    )
    terms, names = grant_terms([choice])
    return make_directive(
        subject, terms, names=names, salt=node.entropy(32), now=node.clock(),
        frame=recorded_frame(
            subject, at=node.clock(), recorder=session.reference,
            organization={"display": node.settings.custodian},
        ),
    )  # fmt: skip


def _adopt(
    node: Node, conn: Connection, session: Session, directive: Directive, cid: CompartmentId
) -> None:
    rendered: dict[str, Any] = render_consent(
        directive, organization={"display": node.settings.custodian}
    )
    consent = Create(
        cid, parse_resource(msgspec.json.encode(rendered)), FhirId(directive.id), _NORMAL,
        author=session.reference,
    )  # fmt: skip
    adopt(node, conn, directive, consent=consent, at=directive.created_unix_ms)


def _drafts(
    node: Node,
    conn: Connection,
    session: Session,
    why: tuple[Directive | None, UnixMs],
    versions: Sequence[Version],
) -> list[Draft]:
    """One receipt on the chain of each compartment that was written to."""
    directive, at = why
    decision = Decision(
        Outcome.PERMIT, None, (Reason.PERMITTED,), frozenset({Duty.RECEIPT}),
        directives=() if directive is None else (directive.id,),
    )  # fmt: skip
    by_chain: dict[CompartmentId, list[tuple[bytes, int]]] = {}
    for version in versions:
        by_chain.setdefault(version.cid, []).append((version.body, version.seg))
    return [
        draft_receipt(
            node, conn, session, cid=cid, action=CONTRIBUTE, decision=decision, disclosed=written,
            now=at,
        )
        for cid, written in sorted(by_chain.items())
    ]  # fmt: skip
