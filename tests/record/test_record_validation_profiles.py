"""Profiles of R4, US Core and IPS: what each kind of demand finds, and where."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.record.outcome import Severity
from hilum.record.validation.whole import validate_whole

CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"
IPS = "http://hl7.org/fhir/uv/ips/StructureDefinition/"
FHIR = "http://hl7.org/fhir/StructureDefinition/"
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
RACE = CORE + "us-core-race"
CDC = "urn:oid:2.16.840.1.113883.6.238"
Tree = dict[str, Any]
Material = Callable[[str], Path]


def errors(tree: Tree, *profiles: str) -> list[tuple[str, str]]:
    issues = validate_whole(json.dumps(tree).encode(), profiles=profiles)
    return [(each.code, each.expression) for each in issues if each.severity is Severity.ERROR]


def quantity(value: float) -> Tree:
    return {"value": value, "unit": "mmHg", "system": UCUM, "code": "mm[Hg]"}


def loinc(code: str) -> Tree:
    return {"coding": [{"system": LOINC, "code": code}]}


PRESSURE: Tree = {
    "resourceType": "Observation",
    "status": "final",
    "category": [
        {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                    "code": "vital-signs",
                }
            ]
        }
    ],
    "code": loinc("85354-9"),
    "subject": {"reference": "Patient/1"},
    "effectiveDateTime": "2020-01-01",
    "component": [
        {"code": loinc("8480-6"), "valueQuantity": quantity(120)},
        {"code": loinc("8462-4"), "valueQuantity": quantity(80)},
    ],
}


def changed(change: Callable[[Tree], object]) -> Tree:
    tree = copy.deepcopy(PRESSURE)
    change(tree)
    return tree


@pytest.mark.parametrize("profile", [FHIR + "bp", CORE + "us-core-blood-pressure"])
def test_a_blood_pressure_conforms(profile: str) -> None:
    assert errors(PRESSURE) == []
    assert errors(PRESSURE, profile) == []
    assert errors(PRESSURE, profile + "|7.0.0") == []


@pytest.mark.parametrize(
    ("change", "code", "place"),
    [
        (lambda t: t.pop("subject"), "required", "Observation.subject"),
        (lambda t: t.pop("effectiveDateTime"), "required", "Observation.effective"),
        (lambda t: t.update(category=[{"text": "x"}]), "required", "Observation.category"),
        (lambda t: t["component"].pop(), "required", "Observation.component"),
        (
            lambda t: t["component"][1].update(code=loinc("8480-6")),
            "structure",
            "Observation.component",
        ),
        (
            lambda t: t["component"][0]["valueQuantity"].update(code="kPa"),
            "value",
            "Observation.component[0].value.ofType(Quantity).code",
        ),
        (
            lambda t: t["component"][0]["valueQuantity"].pop("value"),
            "required",
            "Observation.component[0].value.ofType(Quantity).value",
        ),
        (
            lambda t: t["component"][0].pop("valueQuantity"),
            "invariant",
            "Observation.component[0]",
        ),
        (
            lambda t: t.update(effectiveDateTime="2020"),
            "invariant",
            "Observation.effective.ofType(dateTime)",
        ),
        (lambda t: t.update(code=loinc("1-8")), "value", "Observation.code"),
    ],
)
def test_what_a_profile_demands_is_named_by_its_place(
    change: Callable[[Tree], object], code: str, place: str
) -> None:
    assert (code, place) in errors(changed(change), CORE + "us-core-blood-pressure")


def test_a_vital_sign_must_conform_without_being_told(material: Material) -> None:
    assert ("required", "Observation.component") in errors(changed(lambda t: t.pop("component")))
    other = changed(lambda t: t.update(category=[{"text": "x"}]))
    other.pop("component")
    assert errors(other) == []


def test_declared_profiles_are_checked_and_unknown_ones_are_no_error() -> None:
    tree = {"resourceType": "Patient", "meta": {"profile": [CORE + "us-core-patient"]}}
    assert {place for _code, place in errors(tree)} == {
        "Patient.identifier",
        "Patient.name",
        "Patient.gender",
    }
    tree["meta"] = {"profile": ["http://x.org/StructureDefinition/p"]}
    assert errors(tree) == []
    assert errors(tree, "http://x.org/StructureDefinition/p") == [
        ("not-found", "Patient.meta.profile")
    ]


def race(*parts: Tree) -> Tree:
    return {"resourceType": "Patient", "extension": [{"url": RACE, "extension": list(parts)}]}


TEXT: Tree = {"url": "text", "valueString": "x"}


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ([TEXT], []),
        ([TEXT, {"url": "ombCategory", "valueCoding": {"system": CDC, "code": "2106-3"}}], []),
        (
            [{"url": "ombCategory", "valueCoding": {"system": CDC, "code": "2106-3"}}],
            [("required", "Patient.extension[0].extension")],
        ),
        ([TEXT, TEXT], [("structure", "Patient.extension[0].extension")]),
        (
            [TEXT, {"url": "colour", "valueString": "x"}],
            [("structure", "Patient.extension[0].extension[1]")],
        ),
        (
            [{"url": "text", "valueCode": "x"}],
            [("structure", "Patient.extension[0].extension[0].value.ofType(code)")],
        ),
    ],
)
def test_a_complex_extension_has_its_parts(parts: list[Tree], found: list[tuple[str, str]]) -> None:
    assert errors(race(*parts)) == found


def test_a_summary_conforms_until_its_parts_do_not(material: Material) -> None:
    path = material("ips-2.0.0-examples/Bundle-bundle-minimal.json")
    tree = json.loads(path.read_text("utf-8"))
    assert errors(tree, IPS + "Bundle-uv-ips") == []
    composition = tree["entry"][0]["resource"]
    section = composition["section"].pop()
    missing = errors(tree, IPS + "Bundle-uv-ips")
    assert ("required", "Bundle.entry") in missing
    assert ("required", "Bundle.entry[0].resource.section") in missing
    found = errors(composition, IPS + "Composition-uv-ips")
    assert ("required", "Composition.section") in found
    composition["section"].append(section)
    assert errors(tree, IPS + "Bundle-uv-ips") == []


def test_what_a_reference_leads_to_must_conform() -> None:
    patient: Tree = {"resourceType": "Patient", "id": "p"}
    tree = changed(lambda t: t.update(subject={"reference": "#p"}, contained=[patient]))
    place = "Observation.subject"
    assert errors(tree) == []
    assert ("structure", place) in errors(tree, CORE + "us-core-blood-pressure")
    patient |= {
        "identifier": [{"system": "http://x.org", "value": "1"}],
        "name": [{"family": "F"}],
        "gender": "female",
    }
    assert errors(tree, CORE + "us-core-blood-pressure") == []
    assert errors(tree | {"contained": [{"resourceType": "Device", "id": "p"}]}, FHIR + "bp") == [
        ("structure", place)
    ]
