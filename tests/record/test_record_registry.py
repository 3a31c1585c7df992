"""The tables, the numbers, references, and what the capability statement claims."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from hilum.errors import MalformedInputError
from hilum.record.keyed import KeyedHash, pack_hashes
from hilum.record.parameters import Kind, Parameter, parameters_of
from hilum.record.primitives import PRIMITIVES
from hilum.record.query import searched_parameters
from hilum.record.references import list_references, subject_references
from hilum.record.resource import parse_resource
from hilum.record.tables import numbers, tables
from hilum.record.types import (
    is_directory_type,
    is_resource_type,
    type_mask,
    type_name,
    type_names,
    type_number,
)


def test_the_numbers_given_once_never_change() -> None:
    types, codes = numbers()
    first = "\n".join([*types[:146], *codes[:449]]).encode()
    assert hashlib.sha256(first).hexdigest() == FIRST_NUMBERS
    assert len(set(types)) == len(types) <= 192
    assert len(set(codes)) == len(codes) < 1024


FIRST_NUMBERS = "e0f2bcf18aa4dc4494e2cd7966ff8e462bbcf71605ba6b79f332accd0f279fd4"


def test_the_tables_hold_r4_and_nothing_else() -> None:
    assert len(type_names()) == 146
    for stranger in ("SubscriptionStatus", "Citation", "UserConfiguration", "Resource"):
        assert not is_resource_type(stranger)
    assert tables().primitives == set(PRIMITIVES)
    assert len(tables().parameters) == 1377


def test_type_numbers_and_names_are_inverse() -> None:
    for name in type_names():
        assert type_name(type_number(name)) == name
        assert type_mask([name]) == 1 << type_number(name)
    for bad in (-1, 146, 10**6):
        with pytest.raises(MalformedInputError):
            type_name(bad)
    with pytest.raises(MalformedInputError):
        type_mask(["Patient", "Nonsense"])
    assert is_directory_type("Practitioner")
    assert not is_directory_type("Patient")


def test_every_indexable_parameter_of_the_specification_is_indexed() -> None:
    indexed = {kind.value for kind in Kind}
    for fact in tables().parameters:
        if fact.kind in indexed and fact.expression and fact.code not in {"_id", "_lastUpdated"}:
            for base in fact.bases:
                names = type_names() if base == "Resource" else [base]
                for name in names:
                    assert parameters_of(name)[fact.code].paths, (name, fact.code)


def test_parameter_numbers_are_unique() -> None:
    seen = [p.number for name in type_names() for p in parameters_of(name).values()]
    assert len(set(seen)) == len(seen) > 1900


SHAPES: list[tuple[str, str, set[tuple[str, ...]]]] = [
    ("Observation", "code", {("code",)}),
    (
        "Observation",
        "date",
        {("effectiveDateTime",), ("effectivePeriod",), ("effectiveTiming",), ("effectiveInstant",)},
    ),
    ("Observation", "combo-code", {("code",), ("component", "code")}),
    ("MedicationRequest", "code", {("medicationCodeableConcept",)}),
    ("MedicationRequest", "medication", {("medicationReference",)}),
    ("Condition", "onset-date", {("onsetDateTime",), ("onsetPeriod",)}),
    ("Patient", "deceased", {("deceasedBoolean",), ("deceasedDateTime",)}),
    ("Goal", "start-date", {("startDate",)}),
    ("Observation", "_tag", {("meta", "tag")}),
    ("Library", "composed-of", {("relatedArtifact", "resource")}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "code", "paths"), SHAPES)
def test_expressions_become_paths(name: str, code: str, paths: set[tuple[str, ...]]) -> None:
    found = {tuple(step.key for step in path.steps) for path in parameters_of(name)[code].paths}
    assert found == paths


SUBJECTS: list[tuple[dict[str, Any], set[str]]] = [
    (
        {"resourceType": "Patient", "id": "a", "link": [{"other": {"reference": "Patient/b"}}]},
        {"a"},
    ),
    ({"resourceType": "Patient"}, set()),
    ({"resourceType": "Observation", "subject": {"reference": "Patient/a"}}, {"a"}),
    ({"resourceType": "Observation", "subject": {"reference": "Patient/a/_history/2"}}, {"a"}),
    ({"resourceType": "Observation", "subject": {"reference": "Group/a"}}, set()),
    (
        {
            "resourceType": "Observation",
            "subject": {"reference": "Patient/a"},
            "performer": [{"reference": "Practitioner/p"}, {"reference": "Patient/b"}],
            "focus": [{"reference": "Patient/c"}],
        },
        {"a", "b"},
    ),
    ({"resourceType": "Coverage", "beneficiary": {"reference": "Patient/a"}}, {"a"}),
    ({"resourceType": "Group", "member": [{"entity": {"reference": "Patient/a"}}]}, {"a"}),
    ({"resourceType": "Organization", "id": "a"}, set()),
    (
        {
            "resourceType": "AuditEvent",
            "agent": [{"who": {"reference": "Patient/a"}}],
            "entity": [{"what": {"reference": "Patient/b"}}],
        },
        {"a", "b"},
    ),
]


@pytest.mark.parametrize(("tree", "patients"), SUBJECTS)
def test_a_resource_belongs_to_the_patients_of_its_compartment(
    tree: dict[str, Any], patients: set[str]
) -> None:
    assert subject_references(parse_resource(json.dumps(tree).encode())) == patients


def test_references_are_listed_with_their_places() -> None:
    tree = {
        "resourceType": "Observation",
        "subject": {"reference": "Patient/1"},
        "performer": [{"reference": "Practitioner/2"}, {"display": "x"}],
        "contained": [{"resourceType": "Basic", "author": {"reference": "#"}}],
    }
    assert list(list_references(tree)) == [
        ("Observation.subject.reference", "Patient/1"),
        ("Observation.performer[0].reference", "Practitioner/2"),
        ("Observation.contained[0].author.reference", "#"),
    ]


SAMPLES = {
    Kind.TOKEN: "a|b,c", Kind.REFERENCE: "Patient/1,x", Kind.DATE: "ge2020", Kind.URI: "urn:x",
    Kind.STRING: "abc", Kind.NUMBER: "lt5", Kind.QUANTITY: "5|http://unitsofmeasure.org|mg",
    Kind.SPECIAL: "1|2|3|km",
}  # fmt: skip


def sample(parameter: Parameter) -> str:
    if parameter.kind is not Kind.COMPOSITE:
        return SAMPLES[parameter.kind]
    return "$".join(SAMPLES[part.kind].partition(",")[0] for part in parameter.components)


def test_every_parameter_of_r4_runs_and_finds_nothing_in_an_empty_store(shelf: Any) -> None:
    for name in type_names():
        for code, parameter in searched_parameters(name).items():
            assert shelf.find(name, (code, sample(parameter))) == [], (name, code)
            assert shelf.find(name, (f"{code}:missing", "true")) == [], (name, code)


def test_keyed_hashes_are_as_stored_since_version_1() -> None:
    keyed = KeyedHash(b"k" * 32)
    assert [
        keyed.code("8480-6"),
        keyed.system("http://loinc.org"),
        keyed.coding("http://loinc.org", "8480-6"),
        keyed.reference("Patient/1"),
        keyed.system(""),
    ] == VECTOR
    assert pack_hashes({1, -1}) == b"\xff" * 8 + b"\x01" + b"\0" * 7
    assert KeyedHash(b"l" * 32).code("8480-6") != keyed.code("8480-6")


VECTOR = [8852025035123805336, 6263302204057825940, -4666659388132101920, 574114384008410433, 0]
