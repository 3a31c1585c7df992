"""Histories: of one resource, of a type, of everything; only what the gate lets be seen."""

from __future__ import annotations

from typing import Any

import pytest
from edge import Edge

from hilum.signals.synthetic import clarity_csv


@pytest.fixture
def subject(edge: Edge) -> str:
    return edge.add_subject()


@pytest.fixture
def own(edge: Edge, subject: str) -> str:
    return edge.token(subject=subject)


def observation(subject: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
        "subject": {"reference": f"Patient/{subject}"}, **more,
    }  # fmt: skip


def change(edge: Edge, own: str, subject: str, name: str, **more: Any) -> None:
    body = {**observation(subject, **more), "id": name}
    assert edge.ask("PUT", f"/fhir/Observation/{name}", own, body).status == 200


def told(bundle: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (
            each["request"]["method"],
            each["fullUrl"].rsplit("/", 1)[1],
            each["response"]["etag"],
        )
        for each in bundle.get("entry", ())
    ]


def walk(edge: Edge, url: str, token: str) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    following: str | None = url
    while following is not None:
        page = edge.ask("GET", following, token).json
        found += told(page)
        links = {each["relation"]: each["url"] for each in page["link"]}
        following = links.get("next")
    return found


def test_a_type_and_the_whole_show_every_version_once_last_first(
    edge: Edge, subject: str, own: str
) -> None:
    first = edge.create(own, observation(subject))
    change(edge, own, subject, first)
    second = edge.create(own, observation(subject))
    assert edge.ask("DELETE", f"/fhir/Observation/{second}", own).status == 204
    wanted = [
        ("DELETE", second, 'W/"2"'), ("POST", second, 'W/"1"'), ("PUT", first, 'W/"2"'),
        ("POST", first, 'W/"1"'),
    ]  # fmt: skip
    for size in (1, 2, 3, 100):
        page = walk(edge, f"/fhir/Observation/_history?_count={size}", own)
        assert sorted(page) == sorted(wanted)
        assert len(page) == len(wanted)
    everything = walk(edge, "/fhir/_history?_count=3", own)
    assert set(wanted) < set(everything)
    assert ("POST", subject, 'W/"1"') in everything


def test_since_and_at_pick_versions_by_when_they_held(edge: Edge, subject: str, own: str) -> None:
    day = 86_400_000
    with edge.later(-3 * day):
        old = edge.token(subject=subject, ttl="7d")
        name = edge.create(old, observation(subject))
    with edge.later(-2 * day):
        change(edge, old, subject, name, status="amended")
    change(edge, own, subject, name, status="corrected")
    from hilum.record.resource import format_instant

    between = format_instant(edge.node.clock() - 5 * day // 2)
    for where in (f"/fhir/Observation/{name}/_history", "/fhir/Observation/_history"):
        since = told(edge.ask("GET", f"{where}?_since={between}", own).json)
        at = told(edge.ask("GET", f"{where}?_at={between}", own).json)
        assert [etag for _method, _name, etag in since] == ['W/"3"', 'W/"2"']
        assert [etag for _method, _name, etag in at] == ['W/"1"']
    assert edge.ask("GET", "/fhir/Observation/_history?_since=yesterday", own).status == 400
    assert edge.ask("GET", "/fhir/Observation/_history?_at=gt2020", own).status == 400


def test_a_version_that_became_hidden_is_absent_from_every_history(
    edge: Edge, subject: str, own: str
) -> None:
    name = edge.create(own, observation(subject))
    hiv = {
        "security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}]
    }
    kept = edge.create(own, observation(subject))
    reader = edge.add_reader()
    edge.grant(subject, reader, segments="NORMAL", actions="read,search,history")
    clinic = edge.token(reader=reader, purpose="TREAT")
    before = walk(edge, "/fhir/Observation/_history", clinic)
    assert ("POST", name, 'W/"1"') in before
    change(edge, own, subject, name, meta=hiv)
    after = walk(edge, "/fhir/Observation/_history", clinic)
    assert after == [("POST", kept, 'W/"1"')]
    assert edge.ask("GET", f"/fhir/Observation/{name}/_history", clinic).status == 404
    assert edge.ask("GET", f"/fhir/Observation/{name}/_history/1", clinic).status == 404


def test_every_record_looked_into_keeps_a_receipt_of_what_it_showed(
    edge: Edge, subject: str, own: str
) -> None:
    edge.create(own, observation(subject))
    reader = edge.add_reader()
    edge.grant(subject, reader, actions="read,search,history")
    clinic = edge.token(reader=reader, purpose="TREAT")
    reply = edge.ask("GET", "/fhir/Observation/_history", clinic)
    assert (len(reply.json["entry"]), reply.receipts) == (1, 2)  # the record's, the directory's


def test_a_reading_of_a_device_shows_its_one_version(edge: Edge, subject: str, own: str) -> None:
    edge.take(clarity_csv(1, 1_700_000_000_000, 1, "Europe/Madrid"), "c.csv", subject=subject)
    found = edge.ask("GET", f"/fhir/Observation?patient={subject}&_count=1", own).json
    name = found["entry"][0]["resource"]["id"]
    read = edge.ask("GET", f"/fhir/Observation/{name}", own)
    version = edge.ask("GET", f"/fhir/Observation/{name}/_history/1", own)
    assert (version.status, version.body) == (200, read.body)
    assert edge.ask("GET", f"/fhir/Observation/{name}/_history/2", own).status == 404
    history = edge.ask("GET", f"/fhir/Observation/{name}/_history", own).json
    assert told(history) == [("POST", name, 'W/"1"')]
    for method in ("DELETE", "PUT"):
        body = {**observation(subject), "id": name}
        assert edge.ask(method, f"/fhir/Observation/{name}", own, body).status == 405
    stranger = edge.token(subject=edge.add_subject())
    assert edge.ask("GET", f"/fhir/Observation/{name}/_history/1", stranger).status == 404
