"""Conditional requests: what they depend on is seen through the gate, and looked at again on writing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from edge import Edge

from hilum.exchange import contributing
from hilum.exchange.naming import name_space
from hilum.exchange.settling import Done

SYSTEM = "urn:example:lab"
PATCH = {"content_type": "application/json-patch+json"}


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


def test_create_unless_it_exists_makes_one_and_then_finds_it(
    edge: Edge, subject: str, own: str
) -> None:
    condition = {"if_none_exist": f"identifier={SYSTEM}|a"}
    made = edge.ask("POST", "/fhir/Observation", own, observation(subject, "a"), **condition)
    again = edge.ask("POST", "/fhir/Observation", own, observation(subject, "a"), **condition)
    assert (made.status, again.status) == (201, 200)
    assert again.json["id"] == made.json["id"]
    assert again.header(b"location") == made.header(b"location")
    edge.create(own, observation(subject, "a"))
    several = edge.ask("POST", "/fhir/Observation", own, observation(subject, "a"), **condition)
    assert several.status == 412


def test_what_is_hidden_does_not_keep_a_conditional_create_from_creating(
    edge: Edge, subject: str, own: str
) -> None:
    edge.create(own, observation(subject, "hidden"))
    other = edge.add_subject()
    reply = edge.ask(
        "POST", "/fhir/Observation", edge.token(subject=other), observation(other, "hidden"),
        if_none_exist=f"identifier={SYSTEM}|hidden",
    )  # fmt: skip
    assert reply.status == 201


def test_of_a_thousand_equal_conditional_creates_one_creates(
    edge: Edge, subject: str, own: str
) -> None:
    session = edge.node.sessions.authenticate(f"Bearer {own}".encode(), edge.node.clock())
    assert session is not None
    body = b'{"resourceType":"Observation","status":"final","code":{"text":"x"},"identifier":[{"value":"1"}]'
    body += b',"subject":{"reference":"Patient/%s"}}' % subject.encode()

    def create(_number: int) -> Done:
        pairs = [("identifier", "1")]
        return contributing.create_unless(edge.node, session, "Observation", body, pairs=pairs)

    with ThreadPoolExecutor(16) as pool:
        done = list(pool.map(create, range(1000)))
    assert sum(each.is_new for each in done) == 1
    assert len({each.id for each in done}) == 1
    found = edge.ask("GET", f"/fhir/Observation?patient={subject}&identifier=1", own).json
    assert len(found["entry"]) == 1


def test_conditional_update_creates_then_updates_then_refuses_several(
    edge: Edge, subject: str, own: str
) -> None:
    where = f"/fhir/Observation?identifier={SYSTEM}|u"
    made = edge.ask("PUT", where, own, observation(subject, "u"))
    changed = edge.ask("PUT", where, own, observation(subject, "u", status="amended"))
    assert (made.status, changed.status) == (201, 200)
    assert changed.json["id"] == made.json["id"]
    assert changed.json["meta"]["versionId"] == "2"
    wrong = edge.ask("PUT", where, own, {**observation(subject, "u"), "id": "another"})
    assert wrong.status == 400
    edge.create(own, observation(subject, "u"))
    assert edge.ask("PUT", where, own, observation(subject, "u")).status == 412


def test_conditional_delete_deletes_the_one_it_finds(edge: Edge, subject: str, own: str) -> None:
    made = edge.create(own, observation(subject, "d"))
    where = f"/fhir/Observation?identifier={SYSTEM}|d"
    assert edge.ask("DELETE", where, own).status == 204
    assert edge.ask("GET", f"/fhir/Observation/{made}", own).status == 410
    assert edge.ask("DELETE", where, own).status == 204
    for _ in range(2):
        edge.create(own, observation(subject, "d"))
    assert edge.ask("DELETE", where, own).status == 412


@pytest.mark.parametrize("query", ["", "_count=1", "no-such-parameter=1", "identifier:nonsense=1"])
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_a_condition_that_says_nothing_is_refused(
    edge: Edge, subject: str, own: str, method: str, query: str
) -> None:
    edge.create(own, observation(subject))
    before = edge.rows()
    body: Any = observation(subject)
    more = {}
    if method == "PATCH":
        body, more = [{"op": "replace", "path": "/status", "value": "amended"}], PATCH
    assert edge.ask(method, f"/fhir/Observation?{query}", own, body, **more).status == 400
    assert edge.rows() == before


def test_json_patch_changes_what_is_current_and_keeps_decimals(
    edge: Edge, subject: str, own: str
) -> None:
    body = observation(subject)
    made = edge.ask("POST", "/fhir/Observation", own, body)
    name = made.json["id"]
    patch = [{"op": "replace", "path": "/status", "value": "amended"}]
    done = edge.ask("PATCH", f"/fhir/Observation/{name}", own, patch, **PATCH)
    assert (done.status, done.json["status"]) == (200, "amended")
    assert done.header(b"etag") == b'W/"2"'
    stale = edge.ask("PATCH", f"/fhir/Observation/{name}", own, patch, if_match='W/"1"', **PATCH)
    assert stale.status == 412
    bad = [{"op": "replace", "path": "/status", "value": "no-such-status"}]
    refused = edge.ask("PATCH", f"/fhir/Observation/{name}", own, bad, **PATCH)
    assert refused.status == 422
    assert refused.json["issue"][0]["expression"] == ["Observation.status"]
    assert edge.ask("PATCH", f"/fhir/Observation/{name}", own, patch).status == 415


def test_fhirpath_patch_is_understood(edge: Edge, subject: str, own: str) -> None:
    name = edge.create(own, observation(subject))
    parts = [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": "Observation.status"},
        {"name": "value", "valueCode": "amended"},
    ]
    patch = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}
    done = edge.ask(
        "PATCH", f"/fhir/Observation/{name}", own, patch, content_type="application/fhir+json"
    )
    assert (done.status, done.json["status"]) == (200, "amended")


def test_patches_at_once_all_count(edge: Edge, subject: str, own: str) -> None:
    name = edge.create(own, observation(subject, note=[{"text": "0"}]))
    session = edge.node.sessions.authenticate(f"Bearer {own}".encode(), edge.node.clock())
    assert session is not None

    def add(number: int) -> int:
        def change(body: bytes) -> bytes:
            return body.replace(b'"note":[', b'"note":[{"text":"%d"},' % number)

        done = contributing.patch(edge.node, session, ("Observation", name), change=change)
        return done.ver

    with ThreadPoolExecutor(4) as pool:
        versions = list(pool.map(add, range(1, 25)))
    assert sorted(versions) == list(range(2, 26))
    last = edge.ask("GET", f"/fhir/Observation/{name}", own).json
    assert {each["text"] for each in last["note"]} == {str(number) for number in range(25)}


def test_a_storm_on_one_version_lets_one_through(edge: Edge, subject: str, own: str) -> None:
    name = edge.create(own, observation(subject))
    session = edge.node.sessions.authenticate(f"Bearer {own}".encode(), edge.node.clock())
    assert session is not None
    from hilum.errors import ConflictError
    from hilum.exchange.preparing import Expected

    body = b'{"resourceType":"Observation","id":"%s","status":"final","code":{"text":"x"}' % (
        name.encode()
    )
    body += b',"subject":{"reference":"Patient/%s"}}' % subject.encode()

    def update(_number: int) -> str:
        try:
            contributing.update(edge.node, session, "Observation", name, body, expected=Expected(1))
        except ConflictError as error:
            return error.code
        return "done"

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(update, range(64)))
    assert told.count("done") == 1
    assert set(told) == {"done", "version-mismatch"}


def test_ids_are_chosen_in_the_own_name_space_only(edge: Edge, subject: str, own: str) -> None:
    mark = name_space(f"Patient/{subject}", subject)
    body = {**observation(subject), "id": f"{mark}mine"}
    made = edge.ask("PUT", f"/fhir/Observation/{mark}mine", own, body)
    assert made.status == 201, made.body
    assert edge.ask("PUT", f"/fhir/Observation/{mark}mine", own, body).status == 200
    only_new = edge.ask("PUT", f"/fhir/Observation/{mark}mine", own, body, if_none_match="*")
    assert only_new.status == 412
    outside = {**observation(subject), "id": "mine"}
    refused = edge.ask("PUT", "/fhir/Observation/mine", own, outside)
    assert refused.status == 422
    assert mark in refused.json["issue"][0]["diagnostics"]


def test_an_id_in_the_name_space_of_another_looks_free_taken_or_not(
    edge: Edge, subject: str, own: str
) -> None:
    mark = name_space(f"Patient/{subject}", subject)
    named = f"/fhir/Observation/{mark}taken"
    assert edge.ask("PUT", named, own, {**observation(subject), "id": f"{mark}taken"}).status == 201
    other = edge.add_subject()
    stranger = edge.token(subject=other)
    replies = []
    for name in (f"{mark}taken", f"{mark}never") * 2:
        body = {**observation(other), "id": name}
        replies.append(edge.ask("PUT", f"/fhir/Observation/{name}", stranger, body))
    taken, never = replies[2:]
    assert (taken.status, taken.body, taken.calls, taken.receipts) == (
        never.status, never.body, never.calls, never.receipts,
    )  # fmt: skip


def test_what_was_deleted_comes_back_by_an_update(edge: Edge, subject: str, own: str) -> None:
    name = edge.create(own, observation(subject))
    where = f"/fhir/Observation/{name}"
    assert edge.ask("DELETE", where, own).status == 204
    assert edge.ask("DELETE", where, own).status == 204
    back = edge.ask("PUT", where, own, {**observation(subject), "id": name})
    assert back.status in {200, 201}
    assert edge.ask("GET", where, own).json["meta"]["versionId"] == "3"
