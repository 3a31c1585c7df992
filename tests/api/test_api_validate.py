"""$validate over HTTP: what is sent, what is stored, in which modes, and who may ask."""

from __future__ import annotations

from typing import Any

import pytest
from edge import Edge, Reply

from hilum.record.resource import parse_resource
from hilum.record.validate import validate

NOBODY = "99999999-0000-4000-8000-000000000009"
BP = "http://hl7.org/fhir/StructureDefinition/bp"
Tree = dict[str, Any]


@pytest.fixture
def subject(edge: Edge) -> str:
    return edge.add_subject()


@pytest.fixture
def own(edge: Edge, subject: str) -> str:
    return edge.token(subject=subject)


def observation(subject: str, **more: Any) -> Tree:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "weight"},
        "subject": {"reference": f"Patient/{subject}"},
        **more,
    }


def issues(reply: Reply, severity: str = "error") -> list[tuple[str, str]]:
    assert reply.status == 200, reply
    assert validate(parse_resource(reply.body)) == ()
    return [
        (each["code"], each.get("expression", [""])[0])
        for each in reply.json["issue"]
        if each["severity"] == severity
    ]


def test_what_is_sent_is_judged_and_not_stored(edge: Edge, subject: str, own: str) -> None:
    before = edge.rows()
    good = edge.ask("POST", "/fhir/Observation/$validate", own, observation(subject))
    assert issues(good) == []
    bad = observation(subject, effectivePeriod={"start": "2021", "end": "2020"})
    reply = edge.ask("POST", "/fhir/Observation/$validate", own, bad)
    assert issues(reply) == [("invariant", "Observation.effective.ofType(Period)")]
    assert (edge.rows(), good.receipts, reply.receipts) == (before, 0, 0)


def test_parameters_carry_resource_mode_and_profile(edge: Edge, subject: str, own: str) -> None:
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "resource", "resource": observation(subject)},
            {"name": "mode", "valueCode": "create"},
            {"name": "profile", "valueUri": BP},
        ],
    }
    found = issues(edge.ask("POST", "/fhir/Observation/$validate", own, body))
    assert ("required", "Observation.component") in found
    by_url = f"/fhir/Observation/$validate?profile={BP}"
    assert issues(edge.ask("POST", by_url, own, observation(subject))) == found


def test_parameters_that_are_no_call_are_judged_themselves(edge: Edge, own: str) -> None:
    body = {"resourceType": "Parameters", "parameter": [{"name": "x", "valueString": "y"}]}
    assert issues(edge.ask("POST", "/fhir/Parameters/$validate", own, body)) == []
    del body["parameter"][0]["valueString"]  # type: ignore[index]
    found = issues(edge.ask("POST", "/fhir/Parameters/$validate", own, body))
    assert found == [("invariant", "Parameters.parameter[0]")]


def test_a_profile_that_is_not_known_is_an_error(edge: Edge, subject: str, own: str) -> None:
    target = "/fhir/Observation/$validate?profile=http://x.org/none"
    found = issues(edge.ask("POST", target, own, observation(subject)))
    assert found == [("not-found", "Observation.meta.profile")]


@pytest.mark.parametrize("body", [b"{", b'{"resourceType":"Nothing"}', b"[]", b'{"a":1}'])
def test_what_is_no_resource_is_said_in_the_outcome(edge: Edge, own: str, body: bytes) -> None:
    reply = edge.ask("POST", "/fhir/Observation/$validate", own, body)
    assert len(issues(reply)) == 1


@pytest.mark.parametrize("name", [[], {}, None, 7])
def test_parameters_without_names_are_judged_as_they_are(
    edge: Edge, own: str, name: object
) -> None:
    body = {"resourceType": "Parameters", "parameter": [{"name": name}, {"name": "mode"}]}
    assert issues(edge.ask("POST", "/fhir/Parameters/$validate", own, body))


def test_type_and_id_must_be_those_of_the_url(edge: Edge, subject: str, own: str) -> None:
    body = observation(subject, id="a")
    assert issues(edge.ask("POST", "/fhir/Condition/$validate", own, body)) == [("invalid", "")]
    assert issues(edge.ask("POST", "/fhir/Observation/b/$validate", own, body)) == [("invalid", "")]
    assert issues(edge.ask("POST", "/fhir/Observation/a/$validate", own, body)) == []
    created = "/fhir/Observation/b/$validate?mode=create"
    assert issues(edge.ask("POST", created, own, body)) == []


def test_what_is_stored_is_read_through_the_gate_with_a_receipt(
    edge: Edge, subject: str, own: str
) -> None:
    made = edge.ask("POST", "/fhir/Observation", own, observation(subject))
    target = f"/fhir/Observation/{made.json['id']}/$validate"
    for method in ("GET", "POST"):
        reply = edge.ask(method, target, own)
        assert issues(reply) == []
        assert reply.receipts == 1
    assert issues(edge.ask("GET", f"{target}?mode=delete", own)) == []
    assert ("required", "Observation.component") in issues(
        edge.ask("GET", f"{target}?profile={BP}", own)
    )
    stranger = edge.token(reader=edge.add_reader(), purpose="TREAT")
    hidden = edge.ask("GET", target, stranger)
    never = edge.ask("GET", f"/fhir/Observation/{NOBODY}/$validate", stranger)
    assert (hidden.status, hidden.body) == (never.status, never.body)
    assert hidden.status == 404


@pytest.mark.parametrize("query", ["mode=nonsense", "mode=create&mode=update"])
def test_a_mode_that_is_none_is_refused(edge: Edge, subject: str, own: str, query: str) -> None:
    target = f"/fhir/Observation/$validate?{query}"
    assert edge.ask("POST", target, own, observation(subject)).status == 400


def test_nothing_sent_is_refused(edge: Edge, own: str) -> None:
    assert edge.ask("POST", "/fhir/Observation/$validate", own).status == 422


def test_a_token_is_needed(edge: Edge, subject: str) -> None:
    target = "/fhir/Observation/$validate"
    assert edge.ask("POST", target, None, observation(subject)).status == 401
    reply = edge.ask("POST", target, "hlm_" + "A" * 43, observation(subject))
    assert reply.status == 404
