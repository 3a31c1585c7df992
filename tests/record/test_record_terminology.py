from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hilum.record.structure import required_codes
from hilum.record.tables import tables
from hilum.record.terminology import (
    ancestors,
    codes_of,
    descendants,
    is_code,
    is_in,
    is_known_system,
    is_known_value_set,
)

FHIR = "http://hl7.org/fhir/ValueSet/"
THO = "http://terminology.hl7.org/CodeSystem/"
V3 = "http://terminology.hl7.org/ValueSet/v3-"
GENDER = "http://hl7.org/fhir/administrative-gender"


def test_a_listed_value_set_is_its_codes_with_their_system() -> None:
    assert codes_of(FHIR + "administrative-gender|4.0.1") == {
        (GENDER, code) for code in ("male", "female", "other", "unknown")
    }


@pytest.mark.parametrize(
    ("value_set", "system", "code", "answer"),
    [
        (FHIR + "administrative-gender", GENDER, "male", True),
        (FHIR + "administrative-gender|4.0.1", None, "male", True),
        (FHIR + "administrative-gender", None, "man", False),
        (FHIR + "administrative-gender", "http://example.org", "male", False),
        (FHIR + "condition-code", "http://snomed.info/sct", "404684003", None),
        (FHIR + "condition-code", "http://hl7.org/fhir/condition", "x", False),
        (FHIR + "languages", "urn:ietf:bcp:47", "de", True),
        (FHIR + "all-languages", "urn:ietf:bcp:47", "de-CH", True),
        (FHIR + "all-languages", "urn:ietf:bcp:47", "not a tag", False),
        (FHIR + "mimetypes", None, "application/pdf", True),
        (FHIR + "mimetypes", None, "pdf", False),
        (FHIR + "nowhere", GENDER, "male", None),
        (V3 + "ActPharmacySupplyType", THO + "v3-ActCode", "FF", True),
        (V3 + "ActPharmacySupplyType", THO + "v3-ActCode", "IMP", False),
    ],
)
def test_a_code_is_in_or_out_or_cannot_be_told(
    value_set: str, system: str | None, code: str, answer: bool | None
) -> None:
    assert is_in(value_set, system, code) is answer


def test_a_value_set_that_cannot_be_listed_says_so() -> None:
    assert codes_of(FHIR + "observation-codes") is None
    assert codes_of(FHIR + "nowhere") is None
    assert is_known_value_set(FHIR + "observation-codes")
    assert not is_known_value_set(FHIR + "nowhere")


def test_systems_of_others_are_not_known() -> None:
    assert is_known_system(GENDER)
    assert not is_known_system("http://snomed.info/sct")
    assert not is_known_system("http://loinc.org")
    assert is_code("http://loinc.org", "8480-6") is None
    assert is_code(GENDER, "male") is True
    assert is_code(GENDER, "Male") is False


def test_a_hierarchy_is_walked_both_ways() -> None:
    system = THO + "v3-ActCode"
    below = descendants(system, "_ActEncounterCode")
    assert {"AMB", "EMER", "IMP", "ACUTE"} <= below
    assert "_ActEncounterCode" not in below
    for code in below:
        assert "_ActEncounterCode" in ancestors(system, code)
    assert ancestors(system, "nothing") == frozenset()
    assert descendants("http://snomed.info/sct", "404684003") == frozenset()


def test_required_codes_of_the_write_gate_are_those_of_the_value_sets() -> None:
    compared = 0
    for name in tables().codes:
        for base in (FHIR, V3):
            listed = codes_of(base + name)
            if listed is not None:
                assert {code for _system, code in listed} == required_codes(name), name
                compared += 1
    assert compared >= 200


def value_sets(material: Callable[[str], Path]) -> list[dict[str, Any]]:
    found = []
    with tarfile.open(material("us-core-7.0.0/definitions.tar.gz")) as tar:
        for member in tar:
            handle = tar.extractfile(member)
            if handle is not None and "ValueSet-" in member.name:
                found.append(json.load(handle))
    return found


def test_every_listed_code_of_the_us_core_value_sets_is_in_or_cannot_be_told(
    material: Callable[[str], Path],
) -> None:
    told = 0
    for item in value_sets(material):
        for part in item.get("compose", {}).get("include", []):
            for concept in part.get("concept", []):
                answer = is_in(item["url"], part["system"], concept["code"])
                assert answer is not False, (item["url"], concept["code"])
                told += answer is True
    assert told >= 16
