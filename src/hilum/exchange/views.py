"""What pages show of a record: FHIR resources shaped into a person, sections and items.

Pure and language-free: titles and details are the record's own words, `marks` are codes that a page has
words for. `hilum.exchange.browsing` reads what is shaped here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

from hilum.errors import MalformedInputError

__all__ = [
    "SECTION_TYPES",
    "Item",
    "Person",
    "Section",
    "matching",
    "newest_first",
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
_PRINTED_UNITS = {"mm[Hg]": "mmHg", "Cel": "°C", "{score}": "", "1": ""}
"""UCUM codes that records use as the printed unit too."""
_SPURIOUS_DIGITS = re.compile(r"-?\d+\.\d{5,}")
_MARK_FIELDS = ("clinicalStatus", "status", "criticality", "class", "interpretation")


def newest_first(items: Iterable[Item]) -> list[Item]:
    """Return the items with what is going on now before what is over, each part newest first.

    Args:
        items: of one section.
    """
    by_title = sorted(items, key=lambda item: (item.title, item.id))
    return sorted(
        by_title, key=lambda item: (not _GOING_ON.isdisjoint(item.marks), item.date), reverse=True
    )


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
    number = f"{_text(quantity.get('comparator'))}{_readable(_text(quantity.get('value')))}"
    unit = _text(quantity.get("unit")) or _text(quantity.get("code"))
    return f"{number} {_PRINTED_UNITS.get(unit, unit)}".strip()


def _readable(number: str) -> str:
    """Return a number as recorded; only one with more digits than anybody measures is shortened."""
    if not _SPURIOUS_DIGITS.fullmatch(number):
        return number
    exact = Decimal(number)
    return f"≈ {exact:.2f}" if abs(exact) >= 1 else f"≈ {exact:.3g}"


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
