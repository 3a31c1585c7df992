from __future__ import annotations

import json
from typing import Any

import pytest
from edge import Edge, Reply
from test_leaks import clarity_csv


def reference(subject: str) -> dict[str, str]:
    return {"reference": f"Patient/{subject}"}


def observation(subject: str, day: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "status": "final", "subject": reference(subject),
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
        "effectiveDateTime": day, "valueQuantity": {"value": 70, "unit": "kg"}, **more,
    }  # fmt: skip


@pytest.fixture
def subject(edge: Edge) -> str:
    return edge.add_subject()


@pytest.fixture
def own(edge: Edge, subject: str) -> str:
    return edge.token(subject=subject)


@pytest.fixture
def names(edge: Edge, subject: str, own: str) -> dict[str, str]:
    """A small record: two observations, a condition, an allergy without a time of care."""
    patient = reference(subject)
    return {
        "old": edge.create(own, observation(subject, "2010-05-01")),
        "new": edge.create(own, observation(subject, "2020-05-01")),
        "condition": edge.create(
            own, {"resourceType": "Condition", "subject": patient, "code": {"text": "c"}}
        ),
        "allergy": edge.create(own, {"resourceType": "AllergyIntolerance", "patient": patient}),
    }


def entries(reply: Reply) -> list[tuple[str, str]]:
    assert reply.status == 200, reply.body
    return [
        (entry["resource"]["resourceType"], entry["resource"]["id"])
        for entry in reply.json.get("entry", ())
    ]


def pages(edge: Edge, target: str, token: str) -> list[list[tuple[str, str]]]:
    found = []
    url: str | None = target
    while url is not None:
        reply = edge.ask("GET", url, token)
        found.append(entries(reply))
        url = next((x["url"] for x in reply.json["link"] if x["relation"] == "next"), None)
    return found


def test_a_patient_gets_the_whole_own_record_with_the_patient_first(
    edge: Edge, subject: str, own: str, names: dict[str, str]
) -> None:
    reply = edge.ask("GET", f"/fhir/Patient/{subject}/$everything", own)
    found = entries(reply)
    assert found[0] == ("Patient", subject)
    assert {own_id for _kind, own_id in found} == {subject, *names.values()}
    assert reply.json["total"] == 5
    assert reply.receipts == 1


def test_pages_together_hold_everything_once(
    edge: Edge, subject: str, own: str, names: dict[str, str]
) -> None:
    found = pages(edge, f"/fhir/Patient/{subject}/$everything?_count=2", own)
    assert [len(page) for page in found] == [2, 2, 1]
    assert sorted(own_id for page in found for _kind, own_id in page) == sorted(
        [subject, *names.values()]
    )


def test_a_page_belongs_to_its_token_and_its_question(
    edge: Edge, subject: str, own: str, names: dict[str, str]
) -> None:
    assert names
    target = f"/fhir/Patient/{subject}/$everything?_count=2"
    link = edge.ask("GET", target, own).json["link"][1]["url"]
    assert "Condition" not in link
    assert edge.ask("GET", link, edge.token(subject=subject)).status == 400
    assert edge.ask("GET", link.replace("_count=2", "_count=3"), own).status == 400
    assert edge.ask("GET", link[:-2], own).status == 400


def test_types_times_and_instants_narrow_what_comes(
    edge: Edge, subject: str, own: str, names: dict[str, str]
) -> None:
    target = f"/fhir/Patient/{subject}/$everything"
    only = entries(edge.ask("GET", f"{target}?_type=Condition,AllergyIntolerance", own))
    assert only == [("AllergyIntolerance", names["allergy"]), ("Condition", names["condition"])]
    since = {own_id for _kind, own_id in entries(edge.ask("GET", f"{target}?start=2015", own))}
    assert since == {subject, names["new"], names["condition"], names["allergy"]}
    until = {own_id for _kind, own_id in entries(edge.ask("GET", f"{target}?end=2015", own))}
    assert names["old"] in until
    assert names["new"] not in until
    with edge.later(60_000):
        later = edge.create(own, observation(subject, "2011-01-01"))
    instant = edge.ask("GET", f"/fhir/Observation/{later}", own).json["meta"]["lastUpdated"]
    assert entries(edge.ask("GET", f"{target}?_since={instant}", own)) == [("Observation", later)]


def test_arguments_may_come_as_parameters(
    edge: Edge, subject: str, own: str, names: dict[str, str]
) -> None:
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "_type", "valueCode": "Observation"}, {"name": "_count", "valueInteger": 1},
            {"name": "end", "valueDate": "2015"},
        ],
    }  # fmt: skip
    reply = edge.ask("POST", f"/fhir/Patient/{subject}/$everything", own, body)
    assert entries(reply) == [("Observation", names["old"])]


def test_device_readings_come_as_they_do_in_searches(edge: Edge, subject: str, own: str) -> None:
    csv = clarity_csv(2, 1_700_000_000_000, 1, "Europe/Madrid")
    edge.take(csv, "c.csv", subject=subject)
    searched = edge.ask("GET", f"/fhir/Observation?patient={subject}&_count=1000", own)
    found = pages(edge, f"/fhir/Patient/{subject}/$everything?_count=100&_type=Observation", own)
    assert [one for page in found for one in page] == entries(searched)
    assert len(entries(searched)) > 100


def test_what_is_referred_to_in_the_directory_comes_with_it(
    edge: Edge, subject: str, own: str, tmp_path: Any
) -> None:
    from hilum.exchange.importing import import_files

    path = tmp_path / "directory.json"
    clinic = {"resourceType": "Organization", "id": "everything-clinic", "name": "Clinic"}
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": clinic}]}
    path.write_text(json.dumps(bundle))
    import_files(
        edge.node, files=[str(path)], subject=None, directory=True, zone=None,
        progress=lambda _done, _total: None,
    )  # fmt: skip
    performer = [{"reference": "Organization/everything-clinic"}]
    edge.create(own, observation(subject, "2020-05-01", performer=performer))
    reply = edge.ask("GET", f"/fhir/Patient/{subject}/$everything", own)
    modes = {entry["resource"]["id"]: entry["search"]["mode"] for entry in reply.json["entry"]}
    assert modes["everything-clinic"] == "include"
    assert reply.json["total"] == 2
    assert reply.receipts == 2
    narrowed = edge.ask("GET", f"/fhir/Patient/{subject}/$everything?_type=Observation", own)
    assert len(narrowed.json["entry"]) == 1


def test_a_reader_gets_what_the_grant_opens_and_no_more(
    edge: Edge, subject: str, own: str, names: dict[str, str]
) -> None:
    assert own
    reader = edge.add_reader()
    edge.grant(subject, reader, types="Condition", segments="ALL")
    token = edge.token(reader=reader, purpose="TREAT")
    reply = edge.ask("GET", f"/fhir/Patient/{subject}/$everything", token)
    assert entries(reply) == [("Condition", names["condition"])]
    assert reply.json["total"] == 1


def test_a_patient_who_is_not_there_is_not_found(edge: Edge, own: str) -> None:
    reply = edge.ask("GET", "/fhir/Patient/99999999-0000-4000-8000-000000000009/$everything", own)
    assert reply.status == 404


def test_a_visible_patient_without_anything_new_is_an_empty_bundle(
    edge: Edge, subject: str, own: str
) -> None:
    reply = edge.ask("GET", f"/fhir/Patient/{subject}/$everything?_since=2200", own)
    assert entries(reply) == []
    assert reply.json["total"] == 0


@pytest.mark.parametrize(
    "query", ["_type=Nothing", "_since=x", "start=2020-13", "_count=many", "_count=1&_count=2"]
)
def test_wrong_arguments_are_refused(edge: Edge, subject: str, own: str, query: str) -> None:
    reply = edge.ask("GET", f"/fhir/Patient/{subject}/$everything?{query}", own)
    assert reply.status == 400, reply.body
    assert reply.json["resourceType"] == "OperationOutcome"


def test_unknown_arguments_are_refused_when_the_client_is_strict(
    edge: Edge, subject: str, own: str
) -> None:
    target = f"/fhir/Patient/{subject}/$everything?colour=red"
    assert edge.ask("GET", target, own).status == 200
    assert edge.ask("GET", target, own, prefer="handling=strict").status == 400
