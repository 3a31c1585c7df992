"""A made population for the shapes of search: small records of many people, sent as transactions."""

from __future__ import annotations

import json
import random
from typing import Any
from urllib.parse import quote

from workloads import Target

LOINC, SNOMED = "http://loinc.org", "http://snomed.info/sct"
CODES = [f"{n}-{n % 10}" for n in range(8000, 8060)]
CONDITIONS = [str(n) for n in range(300000, 300200)]
FAMILIES = [a + b for a in ("Mar", "Lin", "Oko", "Sor", "Bel", "Tan") for b in ("ek", "ova", "son", "i", "ez")]  # fmt: skip
GIVEN = ["Ada", "Bo", "Chiara", "Dov", "Elif", "Femi", "Gus", "Hana"]
CITIES = ["Riverside", "Lund", "Aveiro", "Hobart", "Nara", "Quito"]


class Corpus:
    """What was made, to sample parameters from.

    Args:
        dice: seeded.
    """

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.people: list[dict[str, str]] = []

    def grow(self, target: Target, people: int) -> None:
        """Enrol people until there are so many."""
        while len(self.people) < people:
            self.people.append(self._person(target, len(self.people)))

    def _person(self, target: Target, number: int) -> dict[str, str]:
        dice = self.dice
        who = {
            "family": dice.choice(FAMILIES) + str(number % 97), "given": dice.choice(GIVEN),
            "birthdate": f"{dice.randrange(1930, 2020)}-{dice.randrange(1, 13):02d}-15",
            "identifier": f"urn:mrn|{number:08d}", "city": dice.choice(CITIES),
            "code": f"{LOINC}|{dice.choice(CODES)}",
            "condition_code": f"{SNOMED}|{dice.choice(CONDITIONS)}",
            "date": f"20{dice.randrange(15, 26)}-06-01", "value": str(dice.randrange(40, 120)),
            "unit": "mg/dL",
        }  # fmt: skip
        entries = [_entry(kind, tree) for kind, tree in self._resources(who)]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        told = target.post("/fhir", json.dumps(bundle).encode())["entry"]
        for entry in told:
            kind, name = entry["response"]["location"].split("/")[:2]
            who.setdefault(kind.lower(), name)
        return who

    def _resources(self, who: dict[str, str]) -> list[tuple[str, dict[str, Any]]]:
        dice = self.dice
        subject = {"subject": {"reference": "urn:uuid:00000000-0000-4000-8000-000000000001"}}
        seen = {"encounter": {"reference": "urn:uuid:00000000-0000-4000-8000-000000000002"}}
        made: list[tuple[str, dict[str, Any]]] = [
            ("1", {
                "resourceType": "Patient", "birthDate": who["birthdate"], "gender": dice.choice(["female", "male"]),
                "name": [{"family": who["family"], "given": [who["given"]]}],
                "identifier": [{"system": "urn:mrn", "value": who["identifier"].partition("|")[2]}],
                "address": [{"city": who["city"]}],
            }),
            ("3", {"resourceType": "Practitioner", "name": [{"family": dice.choice(FAMILIES)}]}),
            ("4", {"resourceType": "Organization", "name": dice.choice(CITIES) + " Clinic"}),
            ("2", {
                "resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}, **subject,
                "period": {"start": who["date"]},
                "participant": [{"individual": {"reference": "urn:uuid:00000000-0000-4000-8000-000000000003"}}],
            }),
            ("5", {
                "resourceType": "Condition", **subject, "recordedDate": who["date"],
                "clinicalStatus": {"coding": [{
                    "system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]},
                "code": {"coding": [_coding(who["condition_code"])], "text": "disorder"},
            }),
        ]  # fmt: skip
        for number in range(4):
            code = who["code"] if number == 0 else f"{LOINC}|{dice.choice(CODES)}"
            made.append((f"{number + 6}", {
                "resourceType": "Observation", "status": "final", **subject, **seen,
                "category": [{"coding": [{
                    "system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}],
                "code": {"coding": [_coding(code)]}, "effectiveDateTime": f"20{dice.randrange(15, 26)}-03-0{number + 1}",
                "valueQuantity": {"value": dice.randrange(40, 120), "unit": "mg/dL", "code": "mg/dL",
                                  "system": "http://unitsofmeasure.org"},
            }))  # fmt: skip
        return made

    def fill(self, url: str) -> str:
        """Return a URL with parameters of somebody who is there."""
        who = self.dice.choice(self.people)
        known = {**who, "patient": who["patient"]}
        return url.format(**{name: quote(value, safe="") for name, value in known.items()})


def _coding(text: str) -> dict[str, str]:
    system, _bar, code = text.partition("|")
    return {"system": system, "code": code}


def _entry(number: str, tree: dict[str, Any]) -> dict[str, Any]:
    return {
        "fullUrl": f"urn:uuid:00000000-0000-4000-8000-{int(number):012d}", "resource": tree,
        "request": {"method": "POST", "url": tree["resourceType"]},
    }  # fmt: skip
