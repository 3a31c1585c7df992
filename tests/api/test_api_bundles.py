"""Batches and transactions with conditions, patches, reads and references: all of it, or the entry named."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from edge import Edge

SYSTEM = "urn:example:lab"
URN = "urn:uuid:00000000-0000-4000-8000-00000000000"


@pytest.fixture
def subject(edge: Edge) -> str:
    return edge.add_subject()


@pytest.fixture
def own(edge: Edge, subject: str) -> str:
    return edge.token(subject=subject)


def observation(subject: str, value: str | None = None, **more: Any) -> dict[str, Any]:
    named = {} if value is None else {"identifier": [{"system": SYSTEM, "value": value}]}
    return {
        "resourceType": "Observation", "status": "final", "code": {"text": "weight"},
        "subject": {"reference": f"Patient/{subject}"}, **named, **more,
    }  # fmt: skip


def encounter(subject: str) -> dict[str, Any]:
    return {
        "resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"},
        "subject": {"reference": f"Patient/{subject}"},
    }  # fmt: skip


def entry(method: str, url: str, resource: Any = None, **more: Any) -> dict[str, Any]:
    full = {"fullUrl": more.pop("full_url")} if "full_url" in more else {}
    body = {} if resource is None else {"resource": resource}
    return {**full, **body, "request": {"method": method, "url": url, **more}}


def bundle(*entries: dict[str, Any], kind: str = "transaction") -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def statuses(reply: Any) -> list[str]:
    return [each["response"]["status"][:3] for each in reply.json["entry"]]


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    data = base64.b64encode(json.dumps(operations).encode()).decode()
    return {
        "resourceType": "Binary", "contentType": "application/json-patch+json", "data": data,
    }  # fmt: skip


AMEND = {"op": "replace", "path": "/status", "value": "amended"}


def test_references_follow_what_a_condition_found(edge: Edge, subject: str, own: str) -> None:
    visit = {**encounter(subject), "identifier": [{"system": SYSTEM, "value": "v"}]}
    sent = bundle(
        entry("POST", "Encounter", visit, full_url=URN + "1", ifNoneExist=f"identifier={SYSTEM}|v"),
        entry("POST", "Observation", observation(subject, encounter={"reference": URN + "1"})),
    )
    first, second = (edge.ask("POST", "/fhir", own, sent) for _ in range(2))
    assert (statuses(first), statuses(second)) == (["201", "201"], ["200", "201"])
    place = first.json["entry"][0]["response"]["location"].split("/_history")[0]
    for reply in (first, second):
        name = reply.json["entry"][1]["response"]["location"].split("/_history")[0]
        assert edge.ask("GET", f"/fhir/{name}", own).json["encounter"] == {"reference": place}


def test_a_conditional_reference_points_to_the_one_it_finds_or_takes_all_back(
    edge: Edge, subject: str, own: str
) -> None:
    visit = {**encounter(subject), "identifier": [{"system": SYSTEM, "value": "c"}]}
    made = edge.create(own, visit)
    reference = {"reference": f"Encounter?identifier={SYSTEM}|c"}
    sent = bundle(entry("POST", "Observation", observation(subject, encounter=reference)))
    reply = edge.ask("POST", "/fhir", own, sent, prefer="return=representation")
    assert reply.json["entry"][0]["resource"]["encounter"] == {"reference": f"Encounter/{made}"}
    edge.create(own, visit)
    before = edge.rows()
    refused = edge.ask("POST", "/fhir", own, sent)
    assert refused.status == 422
    assert "Bundle.entry[0]" in refused.body.decode()
    assert edge.rows() == before


def test_patches_in_both_languages_and_what_is_found_run_in_one_transaction(
    edge: Edge, subject: str, own: str
) -> None:
    one, two = (edge.create(own, observation(subject, value)) for value in ("p1", "p2"))
    parts = [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": "Observation.status"},
        {"name": "value", "valueCode": "corrected"},
    ]
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}
    sent = bundle(
        entry("GET", f"Observation/{one}"),
        entry("PATCH", f"Observation/{one}", patch(AMEND), ifMatch='W/"1"'),
        entry("PATCH", f"Observation?identifier={SYSTEM}|p2", parameters),
        entry("GET", f"Observation/{two}/_history"),
        entry("GET", f"Observation?identifier={SYSTEM}|p1"),
        entry("GET", "Observation/nothing-here"),
    )
    reply = edge.ask("POST", "/fhir", own, sent)
    assert statuses(reply) == ["200", "200", "200", "200", "200", "404"], reply.body
    entries = reply.json["entry"]
    assert entries[0]["resource"]["status"] == "amended"
    assert entries[3]["resource"]["entry"][0]["resource"]["status"] == "corrected"
    assert entries[4]["resource"]["entry"][0]["resource"]["id"] == one


@pytest.mark.parametrize("kind", ["twins", "overlap", "stale", "missing", "invalid", "patch"])
def test_one_bad_entry_is_named_and_nothing_is_kept(
    edge: Edge, subject: str, own: str, kind: str
) -> None:
    name = edge.create(own, observation(subject))
    good = entry("POST", "Observation", observation(subject))
    same = {**observation(subject), "id": name}
    bad = {
        "twins": [
            entry("POST", "Observation", observation(subject), ifNoneExist="identifier=t"),
            entry("POST", "Observation", observation(subject), ifNoneExist="identifier=t"),
        ],
        "overlap": [
            entry("PUT", f"Observation/{name}", same),
            entry("PATCH", f"Observation/{name}", patch(AMEND)),
        ],
        "stale": [good, entry("PUT", f"Observation/{name}", same, ifMatch='W/"7"')],
        "missing": [good, entry("DELETE", "Observation/nothing-here")],
        "invalid": [good, entry("POST", "Observation", observation(subject, status="no-such"))],
        "patch": [
            good, entry("PATCH", f"Observation/{name}", patch({**AMEND, "value": "no-such"})),
        ],
    }[kind]  # fmt: skip
    before = edge.rows()
    reply = edge.ask("POST", "/fhir", own, bundle(good, *bad))
    assert 400 <= reply.status < 500
    issue = reply.json["issue"][0]
    assert any(each.startswith("Bundle.entry[2]") for each in issue.get("expression", [])), issue
    if kind == "invalid":
        assert issue["expression"] == ["Bundle.entry[2].resource.status"]
    assert edge.rows() == before


def test_a_batch_goes_on_after_what_it_refuses(edge: Edge, subject: str, own: str) -> None:
    name = edge.create(own, observation(subject, "b"))
    reference = {"reference": "Encounter?identifier=nothing"}
    sent = bundle(
        entry("POST", "Observation", observation(subject, encounter=reference)),
        entry("PUT", f"Observation?identifier={SYSTEM}|b", observation(subject, "b")),
        entry(
            "POST", "Observation", observation(subject, "b"), ifNoneExist=f"identifier={SYSTEM}|b"
        ),
        entry("DELETE", f"Observation?identifier={SYSTEM}|nothing"),
        entry("PATCH", f"Observation/{name}", {"resourceType": "Binary", "contentType": "x/y"}),
        entry("GET", f"Observation/{name}", ifNoneMatch='W/"2"'),
        kind="batch",
    )
    reply = edge.ask("POST", "/fhir", own, sent)
    assert statuses(reply) == ["422", "200", "200", "204", "422", "304"], reply.body


def test_ten_megabytes_with_one_bad_entry_leave_nothing(edge: Edge, subject: str, own: str) -> None:
    text = {"note": [{"text": "x" * 10_000}]}
    entries = [entry("POST", "Observation", observation(subject, **text)) for _ in range(1000)]
    entries[997]["resource"]["status"] = "no-such"
    before = edge.rows()
    reply = edge.ask("POST", "/fhir", own, bundle(*entries))
    assert reply.status == 422
    assert reply.json["issue"][0]["expression"] == ["Bundle.entry[997].resource.status"]
    assert edge.rows() == before


def test_a_document_is_stored_whole_and_labelled_by_what_is_in_it(
    edge: Edge, subject: str, own: str
) -> None:
    inner = [
        {"fullUrl": URN + "1", "resource": {
            "resourceType": "Composition", "status": "final", "type": {"text": "x"},
            "date": "2026-01-01", "title": "x", "author": [{"display": "x"}],
            "subject": {"reference": f"Patient/{subject}"},
        }},
        {"fullUrl": URN + "2", "resource": observation(subject)},
    ]  # fmt: skip
    document = {
        "resourceType": "Bundle", "type": "document", "timestamp": "2026-01-01T00:00:00Z",
        "identifier": {"system": SYSTEM, "value": "doc"}, "entry": inner,
    }  # fmt: skip
    made = edge.ask("POST", "/fhir/Bundle", own, document)
    assert made.status == 201, made.body
    read = edge.ask("GET", f"/fhir/Bundle/{made.json['id']}", own).json
    assert read["entry"] == inner
    reader = edge.add_reader()
    edge.grant(subject, reader)
    clinic = edge.token(reader=reader, purpose="TREAT")
    where = f"/fhir/Bundle/{made.json['id']}"
    assert (
        edge.ask("GET", where, clinic).status == 404
    )  # the observation without a code is sensitive
