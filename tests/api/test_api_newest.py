from __future__ import annotations

from typing import Any

import pytest
from edge import Edge, Reply
from test_leaks import clarity_csv

LOINC = "http://loinc.org"
VITAL = "http://terminology.hl7.org/CodeSystem/observation-category"


def observation(subject: str, day: str, *codes: str, text: str = "") -> dict[str, Any]:
    codings = [{"system": LOINC, "code": code} for code in codes]
    code = {"coding": codings} if codings else {"text": text}
    return {
        "resourceType": "Observation", "status": "final", "code": code,
        "category": [{"coding": [{"system": VITAL, "code": "vital-signs"}]}],
        "subject": {"reference": f"Patient/{subject}"}, "effectiveDateTime": day,
    }  # fmt: skip


@pytest.fixture
def subject(edge: Edge) -> str:
    return edge.add_subject()


@pytest.fixture
def own(edge: Edge, subject: str) -> str:
    return edge.token(subject=subject)


def ids(reply: Reply) -> list[str]:
    assert reply.status == 200, reply.body
    return [entry["resource"]["id"] for entry in reply.json.get("entry", ())]


def test_the_newest_of_each_code_come_newest_first(edge: Edge, subject: str, own: str) -> None:
    made = {
        (code, day): edge.create(own, observation(subject, day, code))
        for day in ("2019", "2021", "2020")
        for code in ("29463-7", "8867-4")
    }
    target = f"/fhir/Observation/$lastn?patient={subject}&category=vital-signs"
    assert set(ids(edge.ask("GET", target, own))) == {
        made["29463-7", "2021"], made["8867-4", "2021"]
    }  # fmt: skip
    two = edge.ask("GET", f"{target}&max=2&code=8867-4", own)
    assert ids(two) == [made["8867-4", "2021"], made["8867-4", "2020"]]
    assert two.json["total"] == 2
    assert two.receipts == 1


def test_observations_that_share_a_coding_are_of_one_kind(
    edge: Edge, subject: str, own: str
) -> None:
    edge.create(own, observation(subject, "2018", "29463-7"))
    edge.create(own, observation(subject, "2019", "3141-9"))
    newest = edge.create(own, observation(subject, "2020", "29463-7", "3141-9"))
    text = edge.create(own, observation(subject, "2017", text="weight"))
    target = f"/fhir/Observation/$lastn?patient={subject}&category=vital-signs"
    assert ids(edge.ask("GET", target, own)) == [newest, text]


def test_device_readings_are_among_them(edge: Edge, subject: str, own: str) -> None:
    csv = clarity_csv(3, 1_700_000_000_000, 1, "Europe/Madrid")
    edge.take(csv, "c.csv", subject=subject)
    searched = ids(edge.ask("GET", f"/fhir/Observation?patient={subject}&_count=4", own))
    target = f"/fhir/Observation/$lastn?patient={subject}&category=laboratory,vital-signs,activity"
    found = ids(edge.ask("GET", f"{target}&max=4", own))
    assert found[:4] == searched


def test_a_reader_gets_the_newest_of_what_the_grant_opens(
    edge: Edge, subject: str, own: str
) -> None:
    edge.create(own, observation(subject, "2020", "29463-7"))
    reader = edge.add_reader()
    token = edge.token(reader=reader, purpose="TREAT")
    target = f"/fhir/Observation/$lastn?patient={subject}&category=vital-signs"
    assert ids(edge.ask("GET", target, token)) == []
    edge.grant(subject, reader, types="Observation", segments="ALL")
    assert len(ids(edge.ask("GET", target, token))) == 1


def test_arguments_may_come_as_parameters(edge: Edge, subject: str, own: str) -> None:
    for day in ("2019", "2020"):
        edge.create(own, observation(subject, day, "29463-7"))
    parts = [
        {"name": "patient", "valueString": subject}, {"name": "code", "valueString": "29463-7"},
        {"name": "max", "valuePositiveInt": 2},
    ]  # fmt: skip
    body = {"resourceType": "Parameters", "parameter": parts}
    assert len(ids(edge.ask("POST", "/fhir/Observation/$lastn", own, body))) == 2


@pytest.mark.parametrize(
    "query",
    ["category=vital-signs", "patient={0}", "patient={0}&code=1&max=many", "patient={0}&code=1&max=1&max=2"],
)  # fmt: skip
def test_questions_about_nobody_or_everything_are_refused(
    edge: Edge, subject: str, own: str, query: str
) -> None:
    reply = edge.ask("GET", f"/fhir/Observation/$lastn?{query.format(subject)}", own)
    assert reply.status == 400
    assert reply.json["resourceType"] == "OperationOutcome"


def test_other_types_have_no_newest(edge: Edge, subject: str, own: str) -> None:
    target = f"/fhir/Condition/$lastn?patient={subject}&category=x"
    assert edge.ask("GET", target, own).status == 405
