"""What pages show of a record: FHIR resources shaped into a person, sections and items.

Shaping is pure and language-free: titles and details are the record's own words, `marks` are codes that
a page has words for. Loading goes through the gate like everybody's reading and leaves receipts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from hilum.errors import MalformedInputError
from hilum.exchange import reading
from hilum.record.parameters import parameter_number
from hilum.record.query import TokenFilter, TokenValue, parse_query

if TYPE_CHECKING:
    from hilum.exchange.node import Node
    from hilum.identity import Session

__all__ = [
    "SECTION_TYPES",
    "Item",
    "Person",
    "Section",
    "load_person",
    "load_section",
    "matching",
    "shape_item",
    "shape_person",
]


class Section(StrEnum):
    """Parts of a record in the order people look for them."""

    PROBLEMS = "problems"
    MEDICINES = "medicines"
    ALLERGIES = "allergies"
    IMMUNISATIONS = "immunisations"
    RESULTS = "results"
    VISITS = "visits"
    DOCUMENTS = "documents"
    OTHER = "other"


SECTION_TYPES: dict[Section, tuple[str, ...]] = {
    Section.PROBLEMS: ("Condition",),
    Section.MEDICINES: ("MedicationRequest", "MedicationStatement"),
    Section.ALLERGIES: ("AllergyIntolerance",),
    Section.IMMUNISATIONS: ("Immunization",),
    Section.RESULTS: ("Observation", "DiagnosticReport"),
    Section.VISITS: ("Encounter",),
    Section.DOCUMENTS: ("DocumentReference",),
    Section.OTHER: (
        "Procedure",
        "CarePlan",
        "Goal",
        "CareTeam",
        "ImagingStudy",
        "ServiceRequest",
        "FamilyMemberHistory",
        "MedicationAdministration",
        "MedicationDispense",
        "Device",
        "Coverage",
        "Claim",
        "ExplanationOfBenefit",
    ),
}
"""FHIR types of each section; what a person asks for first comes first."""


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a record as a page shows it.

    Attributes:
        type: FHIR resource type.
        id: FHIR id.
        title: what it is, in the record's words; "" when the record has none.
        date: FHIR date or dateTime as recorded, of any precision; "" when there is none.
        detail: value, dose or reason in the record's words, or "".
        marks: codes (``active``, ``high``, ``AMB``) that the page has words for.
    """

    type: str
    id: str
    title: str
    date: str
    detail: str
    marks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Person:
    """The person a record is about.

    Attributes:
        name: as people say it; "" when unknown.
        birth_date: FHIR date or "".
        gender: FHIR administrative gender or "".
        made_up: True when the record says that it is test data (``HTEST``).
    """

    name: str
    birth_date: str
    gender: str
    made_up: bool


_decode = msgspec.json.Decoder(float_hook=str).decode
"""Decimals stay text, so that 2.00 is shown as 2.00."""

_TITLE_FIELDS = (
    "code",
    "vaccineCode",
    "medicationCodeableConcept",
    "medicationReference",
    "type",
    "description",
    "title",
    "category",
    "relationship",
    "name",
    "deviceName",
)
_DATE_FIELDS = (
    "onsetDateTime",
    "onsetPeriod",
    "effectiveDateTime",
    "effectivePeriod",
    "occurrenceDateTime",
    "performedDateTime",
    "performedPeriod",
    "authoredOn",
    "period",
    "started",
    "billablePeriod",
    "recordedDate",
    "startDate",
    "date",
    "issued",
    "created",
    "whenHandedOver",
)
_GOING_ON = frozenset({"active", "recurrence", "relapse", "in-progress"})
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
_PRINTED_UNITS = {"mm[Hg]": "mmHg", "Cel": "°C", "{score}": "", "1": ""}
"""UCUM codes that records use as the printed unit too."""
_PAGE = 1000
_MARK_FIELDS = ("clinicalStatus", "status", "criticality", "class", "interpretation")


def load_person(node: Node, session: Session) -> Person:
    """Read the Patient resource of the session's own subject.

    Args:
        node: the wired node.
        session: a subject's own session.
    """
    body = reading.read(node, session, "Patient", str(session.subject))
    return Person("", "", "", made_up=False) if body is None else shape_person(body)


def load_section(
    node: Node, session: Session, section: Section, *, most: int | None = None
) -> list[Item]:
    """Return the items of a section of the session's own record, newest first.

    What is going on now stands before what is over, whatever its date. Readings of devices are not
    among the results; they have pages of their own.

    Args:
        node: the wired node.
        session: a subject's own session.
        section: which part.
        most: at most so many of each FHIR type, the newest; None for all.

    Raises:
        UnavailableError: a receipt cannot be written.
    """
    bodies = [
        body for kind in SECTION_TYPES[section] for body in _bodies(node, session, kind, most)
    ]
    items = sorted(map(shape_item, bodies), key=lambda item: (item.title, item.id))
    return sorted(items, key=_order, reverse=True)


def _bodies(node: Node, session: Session, kind: str, most: int | None) -> Iterator[bytes]:
    pairs = [("patient", str(session.subject)), ("_count", str(most or _PAGE))]
    query = parse_query(kind, pairs, strict=True)
    if kind == "Observation":
        query = replace(query, filters=(*query.filters, _stored_observations()))
    after: tuple[int, int] | None = None
    while True:
        answer = reading.deliver(node, reading.find(node, session, query, after=after))
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


def _order(item: Item) -> tuple[bool, str]:
    return not _GOING_ON.isdisjoint(item.marks), item.date


def matching(items: Iterable[Item], words: str) -> list[Item]:
    """Return the items whose text contains every word, whatever the case.

    Args:
        items: what to look through.
        words: as typed by a person; blank matches everything.
    """
    wanted = words.casefold().split()
    return [item for item in items if all(word in _searchable(item) for word in wanted)]


def _searchable(item: Item) -> str:
    return f"{item.title} {item.detail} {item.date} {item.type}".casefold()


def shape_person(body: bytes) -> Person:
    """Return the person of a Patient resource.

    Args:
        body: FHIR JSON.

    Raises:
        MalformedInputError: when it is not a JSON object.
    """
    patient = _parse(body)
    tags = _objects(_object(patient.get("meta")).get("tag"))
    return Person(
        name=_name(_objects(patient.get("name"))),
        birth_date=_text(patient.get("birthDate")),
        gender=_text(patient.get("gender")),
        made_up=any(tag.get("code") == "HTEST" for tag in tags),
    )


def shape_item(body: bytes) -> Item:
    """Return what a page shows of a resource of any type.

    Args:
        body: FHIR JSON.

    Raises:
        MalformedInputError: when it is not a JSON object.
    """
    resource = _parse(body)
    return Item(
        type=_text(resource.get("resourceType")),
        id=_text(resource.get("id")),
        title=next(filter(None, (_concept(resource.get(name)) for name in _TITLE_FIELDS)), ""),
        date=next(filter(None, (_instant(resource.get(name)) for name in _DATE_FIELDS)), ""),
        detail=_detail(resource),
        marks=tuple(mark for name in _MARK_FIELDS for mark in _codes(resource.get(name))),
    )


def _parse(body: bytes) -> dict[str, Any]:
    try:
        resource = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise MalformedInputError("bad-json", "the stored resource is not JSON") from None
    if not isinstance(resource, dict):
        raise MalformedInputError("bad-json", "the stored resource is not an object")
    return resource


def _detail(resource: dict[str, Any]) -> str:
    parts = [
        _value(resource),
        *(_component(part) for part in _objects(resource.get("component"))),
        *(_text(dose.get("text")) for dose in _objects(resource.get("dosageInstruction"))),
        *(_text(dose.get("text")) for dose in _objects(resource.get("dosage"))),
        *_reactions(resource),
        *(_concept(reason) for reason in _objects(resource.get("reasonCode"))),
        _text(resource.get("conclusion")),
        _text(_object(resource.get("serviceProvider")).get("display")),
        *(_text(author.get("display")) for author in _objects(resource.get("author"))),
    ]
    return "; ".join(dict.fromkeys(part for part in parts if part))


def _reactions(resource: dict[str, Any]) -> Iterator[str]:
    for reaction in _objects(resource.get("reaction")):
        for manifestation in _objects(reaction.get("manifestation")):
            yield _concept(manifestation)


def _component(part: dict[str, Any]) -> str:
    value = _value(part)
    return f"{_concept(part.get('code'))} {value}".strip() if value else ""


def _value(holder: dict[str, Any]) -> str:
    quantity = _object(holder.get("valueQuantity"))
    if quantity.get("value") is not None:
        return _quantity(quantity)
    bounds = _object(holder.get("valueRange"))
    if bounds:
        ends = (_quantity(_object(bounds.get(end))) for end in ("low", "high"))
        return " – ".join(filter(None, ends))
    for name in ("valueString", "valueDateTime", "valueTime", "valueInteger"):
        text = _text(holder.get(name))
        if text:
            return text
    return _concept(holder.get("valueCodeableConcept"))


def _quantity(quantity: dict[str, Any]) -> str:
    number = f"{_text(quantity.get('comparator'))}{_text(quantity.get('value'))}"
    unit = _text(quantity.get("unit")) or _text(quantity.get("code"))
    return f"{number} {_PRINTED_UNITS.get(unit, unit)}".strip()


def _concept(value: object) -> str:
    """Return the words of a CodeableConcept, a Reference, a list of them or plain text."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return next(filter(None, map(_concept, value)), "")
    concept = _object(value)
    codings = _objects(concept.get("coding"))
    words = [concept.get("text"), *(coding.get("display") for coding in codings)]
    words += [concept.get("display"), concept.get("name"), *(c.get("code") for c in codings)]
    return next(filter(None, map(_text, words)), "")


def _codes(value: object) -> Iterator[str]:
    """Yield the codes of a code, a Coding, a CodeableConcept or a list of them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from _codes(part)
    elif isinstance(value, dict):
        codings = _objects(value.get("coding")) or [value]
        yield from filter(None, (_text(coding.get("code")) for coding in codings))


def _instant(value: object) -> str:
    """Return a date, or the start of a period."""
    return value if isinstance(value, str) else _text(_object(value).get("start"))


def _name(names: list[dict[str, Any]]) -> str:
    for name in names:
        given = [_text(part) for part in name.get("given") or () if isinstance(part, str)]
        spoken = " ".join(filter(None, [*given, _text(name.get("family"))]))
        if spoken or name.get("text"):
            return _text(name.get("text")) or spoken
    return ""


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[dict[str, Any]]:
    parts = value if isinstance(value, list) else [value]
    return [part for part in parts if isinstance(part, dict)]


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return str(value)
