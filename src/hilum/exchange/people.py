"""Subjects, readers and their tokens."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from hilum.base.ids import FhirId, ReaderId, SubjectId
from hilum.errors import MalformedInputError
from hilum.identity.reader import Reader, ReaderKind
from hilum.identity.token import issue, parse_ttl
from hilum.record.change import Create
from hilum.record.resource import parse_resource
from hilum.record.validate import validate

if TYPE_CHECKING:
    from hilum.base.ids import CompartmentId
    from hilum.base.sql import Connection
    from hilum.exchange.node import Node
    from hilum.identity.session import Session

__all__ = [
    "add_reader",
    "add_subject",
    "compartment_of",
    "demo_people",
    "issue_token",
    "list_readers",
    "list_subjects",
    "new_uuid",
    "own_token",
    "session_of",
    "show_subject",
]

_DEMO_SYSTEM = "urn:hilum:demo"
_NORMAL = 1


def add_subject(
    node: Node, *, name: str | None, gender: str | None, birth_date: str | None
) -> dict[str, Any]:
    """Make a subject with a Patient resource of its own; returns ``{"id"}``.

    Args:
        node: where.
        name: given names, the last word is the family name; or None.
        gender: FHIR administrative gender or None.
        birth_date: ISO date or None.

    Raises:
        MalformedInputError: a value is not what FHIR allows there.
    """
    patient: dict[str, Any] = {"resourceType": "Patient"}
    if name:
        words = name.split()
        family = {"family": words[-1], "given": words[:-1]} if len(words) > 1 else {}
        patient["name"] = [{"text": name, **family}]
    if gender:
        patient["gender"] = gender
    if birth_date:
        patient["birthDate"] = birth_date
    resource = parse_resource(msgspec.json.encode(patient))
    validate(resource)
    subject = SubjectId(new_uuid(node))

    def create(conn: Connection) -> None:
        at = node.clock()
        cid = node.record.create_compartment(conn, subject, at)
        change = Create(cid, resource, FhirId(subject), _NORMAL)
        node.record.apply(conn, [change], at)

    node.writer.write(create)
    return {"id": subject}


def list_subjects(node: Node) -> list[dict[str, Any]]:
    """Return every subject's id and how many resources and receipts there are."""
    conn = node.conn
    return [
        _numbers(node, conn, subject, cid) for subject, cid, _created in node.record.subjects(conn)
    ]


def show_subject(node: Node, *, subject: str) -> dict[str, Any]:
    """Return what a record holds in numbers.

    Raises:
        MalformedInputError: no such subject.
    """
    conn = node.conn
    cid = compartment_of(node, conn, subject)
    found = _numbers(node, conn, subject, cid)
    found["types"] = node.record.count_types(conn, cid)
    found |= node.series.count(conn, cid)
    return found


def _numbers(node: Node, conn: Connection, subject: str, cid: CompartmentId) -> dict[str, Any]:
    return {
        "id": subject,
        "resources": sum(node.record.count_types(conn, cid).values()),
        "receipts": node.journal.count(conn, cid),
        "directives": len(node.directives.of_compartment(conn, cid)),
    }


def compartment_of(node: Node, conn: Connection, subject: str) -> CompartmentId:
    """Return a subject's compartment, for the operator's commands.

    Raises:
        MalformedInputError: no such subject.
    """
    cid = node.record.compartment_of(conn, SubjectId(subject))
    if cid is None:
        raise MalformedInputError(
            "unknown-subject", "no subject has this id", where="subject", hint="hilum subject list"
        )
    return cid


def add_reader(
    node: Node, *, name: str, kind: str, role: str | None, organization: str | None
) -> dict[str, Any]:
    """Add a reader; returns ``{"id"}``.

    Raises:
        MalformedInputError: a field is out of its domain, or the organisation is no reader here.
    """
    try:
        checked = ReaderKind(kind)
    except ValueError as error:
        raise MalformedInputError(
            "bad-reader", "not a kind of reader", where="reader.kind"
        ) from error
    if organization is not None and node.identity.reader(node.conn, organization) is None:
        raise MalformedInputError(
            "unknown-reader",
            "no reader has this id",
            where="organization",
            hint="hilum reader list",
        )
    reader = Reader(
        ReaderId(new_uuid(node)),
        name,
        kind=checked,
        role=role,
        organization=None if organization is None else ReaderId(organization),
    )
    node.writer.write(lambda conn: node.identity.add_reader(conn, reader, at=node.clock()))
    node.sessions.forget()
    return {"id": reader.id}


def list_readers(node: Node) -> list[dict[str, Any]]:
    """Return every reader."""
    return [
        {
            "id": reader.id,
            "name": reader.name,
            "kind": reader.kind.value,
            "role": reader.role,
            "organization": reader.organization,
        }
        for reader in node.identity.readers(node.conn)
    ]


def issue_token(
    node: Node,
    *,
    reader: str | None,
    purpose: str | None,
    for_subject: str | None,
    subject: str | None,
    ttl: str,
) -> dict[str, Any]:
    """Issue a token for a reader and a purpose, or a subject's own; returns ``{"token", "expires"}``.

    Raises:
        MalformedInputError: neither or both holders, an unknown one, a wrong purpose or time.
    """
    conn = node.conn
    if (reader is None) == (subject is None):
        raise MalformedInputError(
            "bad-holder", "a token is for a reader or for a subject", where="reader",
            hint="give --reader with --purpose, or --subject",
        )  # fmt: skip
    holder: ReaderId | SubjectId
    if subject is not None:
        if purpose is not None or for_subject is not None:
            raise MalformedInputError(
                "bad-holder", "a subject's own token takes neither purpose nor other subject",
                where="purpose",
            )  # fmt: skip
        compartment_of(node, conn, subject)
        holder = SubjectId(subject)
    else:
        holder = ReaderId(str(reader))
        if purpose is None:
            raise MalformedInputError("no-purpose", "a reader reads for a purpose", where="purpose")
        if node.identity.reader(conn, holder) is None:
            raise MalformedInputError(
                "unknown-reader", "no reader has this id", where="reader", hint="hilum reader list"
            )
        if for_subject is not None:
            compartment_of(node, conn, for_subject)
    text, token = issue(
        holder,
        purpose,
        now=node.clock(),
        ttl_ms=parse_ttl(ttl),
        for_subject=None if for_subject is None else SubjectId(for_subject),
        entropy=node.entropy,
    )
    node.writer.write(lambda write: node.identity.add_token(write, token))
    node.sessions.forget()
    expires = datetime.fromtimestamp(token.expires_unix_ms / 1000, UTC)
    return {"token": text, "expires": expires.strftime("%Y-%m-%dT%H:%M:%SZ")}


def session_of(node: Node, token: str) -> Session | None:
    """Return the session of a token's text, or None when it does not hold."""
    return node.sessions.authenticate(b"Bearer " + token.encode("utf-8", "replace"), node.clock())


def own_token(node: Node, subject: str) -> str:
    """Issue a subject's own token for a portal session of twelve hours."""
    issued = issue_token(
        node, reader=None, purpose=None, for_subject=None, subject=subject, ttl="12h"
    )
    return str(issued["token"])


def demo_people(node: Node) -> list[dict[str, str]]:
    """Return the demo family of a node that serves it, else nothing."""
    if not node.demo:
        return []
    from hilum.exchange.demo_family import FAMILY, member_id  # noqa: PLC0415 - only on demo nodes

    known = {subject for subject, _cid, _created in node.record.subjects(node.conn)}
    return [
        {"id": member_id(member), "name": member.given}
        for member in FAMILY
        if member_id(member) in known
    ]


def new_uuid(node: Node) -> str:
    """Return a random UUID (version 4) from the node's entropy."""
    return str(UUID(bytes=node.entropy(16), version=4))
