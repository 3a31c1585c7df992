"""A person leafs through the own record: sections of it, all of it, read through the gate with receipts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from hilum.exchange import reading
from hilum.exchange.searching import find
from hilum.exchange.views import (
    SECTION_TYPES,
    Item,
    Person,
    Section,
    newest_first,
    shape_item,
    shape_person,
)
from hilum.record.parameters import parameter_number
from hilum.record.query import Place, TokenFilter, TokenValue, parse_query

if TYPE_CHECKING:
    from hilum.exchange.node import Node
    from hilum.identity import Session

__all__ = ["copy_record", "load_person", "load_section"]

_PAGE = 1000
_OBSERVATION_STATUS = (
    "registered",
    "preliminary",
    "final",
    "amended",
    "corrected",
    "cancelled",
    "entered-in-error",
    "unknown",
)


def load_person(node: Node, session: Session) -> Person:
    """Read the Patient resource of the session's own subject.

    Args:
        node: the wired node.
        session: a subject's own session.

    Raises:
        UnavailableError: the receipt cannot be written.
    """
    body = reading.read(node, session, "Patient", str(session.subject))
    return Person("", "", "", made_up=False) if body is None else shape_person(body)


def load_section(
    node: Node, session: Session, section: Section, *, most: int | None = None
) -> list[Item]:
    """Return the items of a section of the session's own record.

    What is going on now stands before what is over; each part newest first. Readings of devices are not
    among the results; they have pages of their own.

    Args:
        node: the wired node.
        session: a subject's own session.
        section: which part.
        most: at most so many of each FHIR type, the newest; None for all.

    Raises:
        UnavailableError: a receipt cannot be written.
    """
    return newest_first(
        shape_item(body)
        for kind in SECTION_TYPES[section]
        for body in _bodies(node, session, kind, most)
    )


def copy_record(node: Node, session: Session) -> bytes:
    """Return all sections of the session's own record and the person as one FHIR collection Bundle.

    Every resource is in it byte for byte; readings of devices are not.

    Args:
        node: the wired node.
        session: a subject's own session.

    Raises:
        UnavailableError: a receipt cannot be written.
    """
    person = reading.read(node, session, "Patient", str(session.subject))
    bodies = [] if person is None else [person]
    for kinds in SECTION_TYPES.values():
        for kind in kinds:
            bodies += _bodies(node, session, kind, None)
    entries = b",".join(b'{"resource":%b}' % body for body in bodies)
    return b'{"resourceType":"Bundle","type":"collection","entry":[%b]}' % entries


def _bodies(node: Node, session: Session, kind: str, most: int | None) -> Iterator[bytes]:
    pairs = [("patient", str(session.subject)), ("_count", str(most or _PAGE))]
    query = parse_query(kind, pairs, strict=True)
    if kind == "Observation":
        query = replace(query, filters=(*query.filters, _stored_observations()))
    after: Place | None = None
    while True:
        answer = reading.deliver(node, find(node, session, query, after=after))
        yield from (row.body for row in answer.rows)
        after = answer.following
        if after is None or most is not None:
            return


@cache
def _stored_observations() -> TokenFilter:
    """Return a filter that every stored Observation passes and no device reading answers to.

    A status is required of each (FHIR R4, value set observation-status); series answer to the
    parameter's own name only.
    """
    statuses = tuple(TokenValue(None, code) for code in _OBSERVATION_STATUS)
    return TokenFilter("kept", parameter_number("Observation", "status"), statuses, is_bare=True)
