from __future__ import annotations

from typing import Any

import pytest
from edge import Edge, Reply

TAG = {"system": "urn:study", "code": "arm-1"}


@pytest.fixture
def subject(edge: Edge) -> str:
    return edge.add_subject()


@pytest.fixture
def own(edge: Edge, subject: str) -> str:
    return edge.token(subject=subject)


@pytest.fixture
def where(edge: Edge, subject: str, own: str) -> str:
    body = {
        "resourceType": "Observation", "status": "final", "code": {"text": "weight"},
        "subject": {"reference": f"Patient/{subject}"},
        "meta": {"tag": [{"system": "urn:old", "code": "kept"}], "profile": ["http://p"]},
    }  # fmt: skip
    return f"/fhir/Observation/{edge.create(own, body)}"


def change(edge: Edge, where: str, token: str, word: str, **meta: Any) -> Reply:
    parts = [{"name": "meta", "valueMeta": meta}]
    body = {"resourceType": "Parameters", "parameter": parts}
    return edge.ask("POST", f"{where}/$meta-{word}", token, body)


def meta(reply: Reply) -> dict[str, Any]:
    assert reply.status == 200, reply.body
    (part,) = reply.json["parameter"]
    assert part["name"] == "return"
    found: dict[str, Any] = part["valueMeta"]
    return found


def test_meta_shows_what_the_resource_has(edge: Edge, where: str, own: str) -> None:
    assert meta(edge.ask("GET", f"{where}/$meta", own)) == edge.ask("GET", where, own).json["meta"]


def test_a_tag_is_added_once_and_makes_a_version(edge: Edge, where: str, own: str) -> None:
    after = meta(change(edge, where, own, "add", tag=[TAG]))
    assert after["tag"] == [{"system": "urn:old", "code": "kept"}, TAG]
    assert (after["versionId"], after["profile"]) == ("2", ["http://p"])
    again = meta(change(edge, where, own, "add", tag=[TAG], profile=["http://p"]))
    assert again == after
    assert edge.ask("GET", where, own).json["meta"] == after


def test_a_tag_is_taken_away(edge: Edge, where: str, own: str) -> None:
    after = meta(change(edge, where, own, "delete", tag=[{"system": "urn:old", "code": "kept"}]))
    assert "tag" not in after
    assert after["profile"] == ["http://p"]
    assert edge.ask("GET", f"{where}/_history/1", own).json["meta"]["tag"]


def test_a_label_of_the_node_cannot_be_taken_away(edge: Edge, where: str, own: str) -> None:
    label = next(
        each
        for each in edge.ask("GET", where, own).json["meta"]["security"]
        if each["code"] == "PATAST"
    )
    reply = change(edge, where, own, "delete", security=[label])
    assert reply.status == 409
    assert edge.ask("GET", where, own).json["meta"]["versionId"] == "1"


def test_who_may_only_read_cannot_tag(edge: Edge, where: str, subject: str) -> None:
    reader = edge.add_reader()
    edge.grant(subject, reader, segments="ALL")
    token = edge.token(reader=reader, purpose="TREAT")
    assert meta(edge.ask("GET", f"{where}/$meta", token))["versionId"] == "1"
    assert change(edge, where, token, "add", tag=[TAG]).status == 404


def test_a_deleted_resource_has_no_meta(edge: Edge, where: str, own: str) -> None:
    assert edge.ask("DELETE", where, own).status == 204
    assert edge.ask("GET", f"{where}/$meta", own).status == 410
    assert change(edge, where, own, "add", tag=[TAG]).status == 404


@pytest.mark.parametrize(
    "body",
    [
        {"resourceType": "Parameters"},
        {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueString": "x"}]},
        {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": 1}}]},
        {"resourceType": "Patient"},
    ],
)
def test_what_is_no_meta_is_refused(edge: Edge, where: str, own: str, body: Any) -> None:
    reply = edge.ask("POST", f"{where}/$meta-add", own, body)
    assert reply.status == 422
    assert reply.json["resourceType"] == "OperationOutcome"
