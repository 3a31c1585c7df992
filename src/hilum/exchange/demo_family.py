"""The demo family: three made-up people with records that look like a hospital's.

Everything here is synthetic and says so in each resource (`HTEST`, "test health data"). The bundles
go through the same import as anybody's; only their making is special.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from uuid import UUID, uuid5

import msgspec

__all__ = ["FAMILY", "Member", "directory_bundle", "hospital_bundle", "member_id"]

_NAMESPACE = UUID("6f1d8f5e-6a0b-5f5e-9d39-6f6f0d6d6f01")
_LOINC = "http://loinc.org"
_SNOMED_FREE_ICD10 = "http://hl7.org/fhir/sid/icd-10"
_UCUM = "http://unitsofmeasure.org"
_ATC = "http://www.whocc.no/atc"
_TEST_DATA = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST"}


@dataclass(frozen=True, slots=True)
class Member:
    """One member of the demo family.

    Attributes:
        key: stable word the ids are derived from.
        given: first name.
        gender: FHIR administrative gender.
        birth: date of birth, ISO.
        conditions: (ICD-10 code, words, onset year).
        medicines: (ATC code, words, dose words).
        allergies: words.
        labs: (LOINC, words, unit, mean, spread, decimals).
        wears: True when the member has a glucose sensor and a watch.
    """

    key: str
    given: str
    gender: str
    birth: str
    conditions: tuple[tuple[str, str, int], ...]
    medicines: tuple[tuple[str, str, str], ...]
    allergies: tuple[str, ...]
    labs: tuple[tuple[str, str, str, float, float, int], ...]
    wears: bool


_COMMON_LABS = (
    ("2345-7", "Glucose [Mass/volume] in Serum or Plasma", "mg/dL", 94.0, 6.0, 0),
    ("2093-3", "Cholesterol [Mass/volume] in Serum or Plasma", "mg/dL", 182.0, 14.0, 0),
    ("2160-0", "Creatinine [Mass/volume] in Serum or Plasma", "mg/dL", 0.84, 0.07, 2),
    ("718-7", "Hemoglobin [Mass/volume] in Blood", "g/dL", 13.9, 0.6, 1),
)

FAMILY: tuple[Member, ...] = (
    Member(
        key="mara",
        given="Mara",
        gender="female",
        birth="1986-03-14",
        conditions=(
            ("E10.9", "Type 1 diabetes mellitus without complications", 2004),
            ("E03.9", "Hypothyroidism, unspecified", 2017),
            ("F32.1", "Moderate depressive episode", 2022),
        ),
        medicines=(
            ("A10AB05", "Insulin aspart 100 U/mL", "by pump, 38 units a day"),
            ("H03AA01", "Levothyroxine 75 ug tablet", "one tablet in the morning"),
        ),
        allergies=("Penicillin",),
        labs=(
            ("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", "%", 6.9, 0.3, 1),
            *_COMMON_LABS,
        ),
        wears=True,
    ),
    Member(
        key="jun",
        given="Jun",
        gender="male",
        birth="1983-11-02",
        conditions=(("I10", "Essential (primary) hypertension", 2019),),
        medicines=(("C08CA01", "Amlodipine 5 mg tablet", "one tablet in the evening"),),
        allergies=(),
        labs=_COMMON_LABS,
        wears=False,
    ),
    Member(
        key="lio",
        given="Lio",
        gender="male",
        birth="2016-06-21",
        conditions=(("J45.20", "Mild intermittent asthma, uncomplicated", 2020),),
        medicines=(("R03AC02", "Salbutamol 100 ug inhaler", "two puffs when needed"),),
        allergies=("Peanut", "Cat dander"),
        labs=(("718-7", "Hemoglobin [Mass/volume] in Blood", "g/dL", 12.9, 0.4, 1),),
        wears=False,
    ),
)


def member_id(member: Member) -> str:
    """Return the id of a member's Patient resource."""
    return _uid(member.key)


def directory_bundle() -> bytes:
    """Return a FHIR transaction of the organisation and the practitioner the family goes to."""
    clinic = {
        "resourceType": "Organization",
        "id": _uid("clinic"),
        "meta": {"tag": [_TEST_DATA]},
        "active": True,
        "name": "Riverside Clinic (demo)",
    }
    doctor = {
        "resourceType": "Practitioner",
        "id": _uid("doctor"),
        "meta": {"tag": [_TEST_DATA]},
        "active": True,
        "name": [{"family": "Demo", "given": ["Ada"], "prefix": ["Dr"]}],
    }
    return _bundle([clinic, doctor])


def hospital_bundle(member: Member, *, now_ms: int) -> bytes:
    """Return one member's hospital record as a FHIR R4 transaction bundle.

    Args:
        member: who.
        now_ms: the instant the newest entries lie just before, ms since 1970.
    """
    random = Random(member.key)  # noqa: S311 - made-up data, not secrets; the seed makes it repeatable
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    return _bundle(list(_resources(member, random, now)))


def _resources(member: Member, random: Random, now: datetime) -> Iterator[dict[str, object]]:
    patient = _uid(member.key)
    subject = {"reference": f"urn:uuid:{patient}"}
    yield {
        "resourceType": "Patient",
        "id": patient,
        "meta": {"tag": [_TEST_DATA]},
        "identifier": [{"system": "urn:hilum:demo", "value": f"demo-{member.key}"}],
        "name": [{"use": "official", "family": "Demo", "given": [member.given]}],
        "gender": member.gender,
        "birthDate": member.birth,
        "generalPractitioner": [{"reference": f"Practitioner/{_uid('doctor')}"}],
        "managingOrganization": {"reference": f"Organization/{_uid('clinic')}"},
    }
    yield from _history(member, subject)
    for visit in range(12):
        at = now - timedelta(days=7 + visit * 91, hours=random.randrange(5))
        yield from _visit(member, subject, random, (visit, at))


def _history(member: Member, subject: dict[str, str]) -> Iterator[dict[str, object]]:
    for code, words, year in member.conditions:
        yield _clinical(
            member,
            "Condition",
            code,
            {
                "clinicalStatus": _coding(
                    "http://terminology.hl7.org/CodeSystem/condition-clinical", "active"
                ),
                "verificationStatus": _coding(
                    "http://terminology.hl7.org/CodeSystem/condition-ver-status", "confirmed"
                ),
                "category": [
                    _coding(
                        "http://terminology.hl7.org/CodeSystem/condition-category",
                        "problem-list-item",
                    )
                ],
                "code": {
                    "coding": [{"system": _SNOMED_FREE_ICD10, "code": code, "display": words}],
                    "text": words,
                },
                "subject": subject,
                "onsetDateTime": f"{year}",
            },
        )
    for code, words, dose in member.medicines:
        yield _clinical(
            member,
            "MedicationRequest",
            words,
            {
                "status": "active",
                "intent": "order",
                "medicationCodeableConcept": {
                    "coding": [{"system": _ATC, "code": code}],
                    "text": words,
                },
                "subject": subject,
                "authoredOn": "2025-01-20",
                "dosageInstruction": [{"text": dose}],
            },
        )
    for words in member.allergies:
        yield _clinical(
            member,
            "AllergyIntolerance",
            words,
            {
                "clinicalStatus": _coding(
                    "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "active"
                ),
                "code": {"text": words},
                "patient": subject,
                "criticality": "high",
            },
        )
    for year in range(2021, 2026):
        yield _clinical(
            member,
            "Immunization",
            f"flu-{year}",
            {
                "status": "completed",
                "vaccineCode": {
                    "coding": [{"system": "http://hl7.org/fhir/sid/cvx", "code": "140"}],
                    "text": "Influenza, seasonal, injectable",
                },
                "patient": subject,
                "occurrenceDateTime": f"{year}-10-1{year % 10}",
            },
        )


def _visit(
    member: Member, subject: dict[str, str], random: Random, slot: tuple[int, datetime]
) -> Iterator[dict[str, object]]:
    number, at = slot
    stamp = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    encounter = _clinical(
        member,
        "Encounter",
        f"visit-{number}",
        {
            "status": "finished",
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
            "subject": subject,
            "period": {
                "start": stamp,
                "end": (at + timedelta(minutes=25)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
            "serviceProvider": {"reference": f"Organization/{_uid('clinic')}"},
        },
    )
    yield encounter
    context = {
        "status": "final",
        "subject": subject,
        "encounter": {"reference": f"urn:uuid:{encounter['id']}"},
        "effectiveDateTime": stamp,
        "issued": stamp,
    }
    results = []
    for code, words, unit, mean, spread, places in member.labs:
        lab = _clinical(
            member,
            "Observation",
            f"{code}-{number}",
            {
                **context,
                "category": [_observation_category("laboratory")],
                "code": {
                    "coding": [{"system": _LOINC, "code": code, "display": words}],
                    "text": words,
                },
                "valueQuantity": _quantity(f"{random.gauss(mean, spread):.{places}f}", unit),
            },
        )
        results.append({"reference": f"urn:uuid:{lab['id']}"})
        yield lab
    yield _clinical(
        member,
        "Observation",
        f"bp-{number}",
        {
            **context,
            "category": [_observation_category("vital-signs")],
            "code": {
                "coding": [{"system": _LOINC, "code": "85354-9", "display": "Blood pressure panel"}]
            },
            "component": [
                _component(
                    "8480-6", "Systolic blood pressure", f"{random.gauss(124, 8):.0f}", "mm[Hg]"
                ),
                _component(
                    "8462-4", "Diastolic blood pressure", f"{random.gauss(78, 5):.0f}", "mm[Hg]"
                ),
            ],
        },
    )
    yield _clinical(
        member,
        "DiagnosticReport",
        f"report-{number}",
        {
            "status": "final",
            "category": [_coding("http://terminology.hl7.org/CodeSystem/v2-0074", "LAB")],
            "code": {
                "coding": [{"system": _LOINC, "code": "11502-2", "display": "Laboratory report"}]
            },
            "subject": subject,
            "effectiveDateTime": stamp,
            "result": results,
        },
    )


def _clinical(member: Member, kind: str, key: str, body: dict[str, object]) -> dict[str, object]:
    return {
        "resourceType": kind,
        "id": _uid(f"{member.key}/{kind}/{key}"),
        "meta": {"tag": [_TEST_DATA]},
        **body,
    }


def _uid(key: str) -> str:
    return str(uuid5(_NAMESPACE, key))


def _coding(system: str, code: str) -> dict[str, object]:
    return {"coding": [{"system": system, "code": code}]}


def _observation_category(code: str) -> dict[str, object]:
    return _coding("http://terminology.hl7.org/CodeSystem/observation-category", code)


def _quantity(text: str, unit: str) -> dict[str, object]:
    return {"value": Decimal(text), "unit": unit, "system": _UCUM, "code": unit}


def _component(code: str, words: str, text: str, unit: str) -> dict[str, object]:
    return {
        "code": {"coding": [{"system": _LOINC, "code": code, "display": words}]},
        "valueQuantity": _quantity(text, unit),
    }


def _bundle(resources: list[dict[str, object]]) -> bytes:
    entries = [
        {
            "fullUrl": f"urn:uuid:{resource['id']}",
            "resource": resource,
            "request": {"method": "POST", "url": resource["resourceType"]},
        }
        for resource in resources
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    return msgspec.json.Encoder(decimal_format="number").encode(bundle)
