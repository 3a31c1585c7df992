"""A registrar's system brings new people over HTTP; nobody else can, and nobody is half enrolled."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edge import Edge

from hilum.exchange.checking import check

PATIENT = "urn:uuid:00000000-0000-4000-8000-000000000001"


def transaction(*resources: dict[str, Any]) -> dict[str, Any]:
    entries = [
        {
            "fullUrl": PATIENT if each["resourceType"] == "Patient" else f"urn:uuid:{number}",
            "resource": each,
            "request": {"method": "POST", "url": each["resourceType"]},
        }
        for number, each in enumerate(resources)
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def observation(subject: str = PATIENT) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
        "subject": {"reference": subject}, "valueQuantity": {"value": 70.50, "unit": "kg"},
    }  # fmt: skip


ADA = {"resourceType": "Patient", "name": [{"family": "Example"}]}


def located(reply: Any) -> dict[str, str]:
    names = [each["response"]["location"].split("/")[:2] for each in reply.json["entry"]]
    return dict(names)


@pytest.fixture
def desk(edge: Edge) -> str:
    return edge.token(reader=edge.add_reader("registrar"), purpose="TREAT")


def test_registrar_enrols_a_person_with_all_that_comes_along(edge: Edge, desk: str) -> None:
    clinic = {"resourceType": "Organization", "name": "Riverside"}
    before = edge.receipts
    reply = edge.ask("POST", "/fhir", desk, transaction(ADA, clinic, observation()))
    assert reply.status == 200, reply.body
    made = located(reply)
    assert edge.receipts == before + 2  # one on the person's chain, one on the node's
    read = edge.ask("GET", f"/fhir/Observation/{made['Observation']}", desk)
    assert read.json["subject"] == {"reference": f"Patient/{made['Patient']}"}
    assert b'"value":70.5' in read.body
    own = edge.token(subject=made["Patient"])
    assert edge.ask("GET", f"/fhir/Patient/{made['Patient']}", own).status == 200
    assert edge.ask("GET", f"/fhir/Organization/{made['Organization']}", own).status == 200


def test_the_consent_says_who_wrote_it_down_and_the_person_ends_it(edge: Edge, desk: str) -> None:
    made = located(edge.ask("POST", "/fhir", desk, transaction(ADA, observation())))
    own = edge.token(subject=made["Patient"])
    found = edge.ask("GET", f"/fhir/Consent?patient={made['Patient']}", own).json
    consent = found["entry"][0]["resource"]
    assert consent["verification"] == [{"verified": False}]
    recorder = consent["performer"][0]["reference"]
    assert recorder.startswith("Organization/")
    assert recorder == consent["provision"]["actor"][0]["reference"]["reference"]
    ended = {**consent, "status": "inactive"}
    assert edge.ask("PUT", f"/fhir/Consent/{consent['id']}", own, ended).status == 200
    assert edge.ask("GET", f"/fhir/Patient/{made['Patient']}", desk).status == 404


def test_registrar_goes_on_contributing(edge: Edge, desk: str) -> None:
    made = located(edge.ask("POST", "/fhir", desk, transaction(ADA)))
    later = edge.ask("POST", "/fhir/Observation", desk, observation(f"Patient/{made['Patient']}"))
    assert later.status == 201


def test_a_single_patient_is_enrolled_too(edge: Edge, desk: str) -> None:
    reply = edge.ask("POST", "/fhir/Patient", desk, ADA)
    assert reply.status == 201
    assert edge.ask("GET", f"/fhir/Patient/{reply.json['id']}", desk).status == 200


@pytest.mark.parametrize(
    "resources",
    [
        (ADA, {**ADA}),
        (ADA, observation("Patient/somebody-else")),
        (ADA, {"resourceType": "Observation", "status": "final"}),
    ],
    ids=["two people", "somebody else's", "not valid"],
)
def test_nobody_is_half_enrolled(edge: Edge, desk: str, resources: Any) -> None:
    before = edge.rows()
    reply = edge.ask("POST", "/fhir", desk, transaction(*resources))
    assert 400 <= reply.status < 500
    assert reply.json["resourceType"] == "OperationOutcome"
    assert edge.rows() == before


def test_only_a_registrar_enrols(edge: Edge) -> None:
    physician = edge.token(reader=edge.add_reader(), purpose="TREAT")
    registrar = edge.add_reader("registrar")
    narrowed = edge.token(reader=registrar, purpose="TREAT", for_subject=edge.add_subject())
    before = edge.rows()
    for token in (physician, narrowed):
        assert edge.ask("POST", "/fhir", token, transaction(ADA)).status in {404, 422}
        assert edge.ask("POST", "/fhir/Patient", token, ADA).status in {404, 422}
    assert edge.rows() == before


def test_whole_synthea_bundle_is_enrolled_and_the_store_stays_sound(
    edge: Edge, desk: str, material: Callable[[str], Path]
) -> None:
    files = material("synthea-r4").glob("[A-Z]*.json.gz")
    bundle = min(files, key=lambda path: path.stat().st_size)
    sent = json.loads(gzip.decompress(bundle.read_bytes()))
    reply = edge.ask("POST", "/fhir", desk, sent)
    assert reply.status == 200, reply.body[:500]
    assert len(reply.json["entry"]) == len(sent["entry"])
    subject = located(reply)["Patient"]
    total = edge.ask("GET", f"/fhir/Observation?patient={subject}&_count=0", desk).json["total"]
    wanted = sum(each["resource"]["resourceType"] == "Observation" for each in sent["entry"])
    assert total == wanted
    assert check(edge.node)["problems"] == []
