"""Many at once, and clients that behave badly: exactly one wins, nothing is kept by halves."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest
from node import Node

log = logging.getLogger(__name__)
STORM = 1000
AT_ONCE = 50


def observation(subject: str, value: float = 70.5, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
        "subject": {"reference": f"Patient/{subject}"},
        "valueQuantity": {"value": value, "unit": "kg"}, **more,
    }  # fmt: skip


def storm(
    node: Node, token: str, act: Callable[[httpx.AsyncClient, int], Coroutine[Any, Any, Any]],
    count: int = STORM,
) -> list[Any]:  # fmt: skip
    """Run an act so many times, `AT_ONCE` at a time, over real connections."""

    async def run() -> list[Any]:
        limits = httpx.Limits(max_connections=AT_ONCE)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}
        async with httpx.AsyncClient(
            base_url=node.url(""), headers=headers, limits=limits, timeout=120
        ) as client:
            return list(await asyncio.gather(*(act(client, n) for n in range(count))))

    return asyncio.run(run())


@pytest.fixture
def person(shared: Node) -> tuple[str, str]:
    """A subject and the own token."""
    subject = shared.add_subject()
    return subject, shared.token(subject=subject)


def total(node: Node, token: str, search: str) -> int:
    return int(node.get(f"/fhir/Observation?{search}&_count=0", token).json()["total"])


def test_of_a_thousand_conditional_creates_exactly_one_wins(
    shared: Node, person: tuple[str, str]
) -> None:
    subject, own = person
    name = {"system": "urn:lab", "value": "sample-1"}
    body = json.dumps(observation(subject, identifier=[name])).encode()

    async def create(client: httpx.AsyncClient, _n: int) -> int:
        condition = {"If-None-Exist": "identifier=urn:lab|sample-1"}
        answer = await client.post("/fhir/Observation", content=body, headers=condition)
        return answer.status_code

    seen = Counter(storm(shared, own, create))
    assert seen == {201: 1, 200: STORM - 1}
    assert total(shared, own, "identifier=urn:lab|sample-1") == 1


def test_in_a_storm_of_updates_each_version_is_given_once(
    shared: Node, person: tuple[str, str]
) -> None:
    subject, own = person
    made = shared.ask("POST", "/fhir/Observation", own, observation(subject)).json()["id"]

    async def update(client: httpx.AsyncClient, n: int) -> tuple[int, str | None]:
        body = json.dumps(observation(subject, n, id=made)).encode()
        answer = await client.put(
            f"/fhir/Observation/{made}", content=body, headers={"If-Match": 'W/"1"'}
        )
        return answer.status_code, answer.headers.get("etag")

    seen = storm(shared, own, update, 200)
    assert Counter(status for status, _etag in seen) == {200: 1, 412: 199}
    assert shared.get(f"/fhir/Observation/{made}", own).headers["etag"] == 'W/"2"'

    async def blind(client: httpx.AsyncClient, n: int) -> tuple[int, str | None]:
        body = json.dumps(observation(subject, n, id=made)).encode()
        answer = await client.put(f"/fhir/Observation/{made}", content=body)
        return answer.status_code, answer.headers.get("etag")

    etags = [etag for status, etag in storm(shared, own, blind, 200) if status == 200]
    assert len(etags) == len(set(etags)) == 200


def test_reads_during_deletions_see_all_or_nothing(shared: Node, person: tuple[str, str]) -> None:
    subject, own = person
    made = shared.ask("POST", "/fhir/Observation", own, observation(subject)).json()["id"]

    async def either(client: httpx.AsyncClient, n: int) -> tuple[str, int]:
        if n == 60:
            return "delete", (await client.delete(f"/fhir/Observation/{made}")).status_code
        answer = await client.get(f"/fhir/Observation/{made}")
        if answer.status_code == 200:
            assert answer.json()["valueQuantity"]["value"] == 70.5
        return "read", answer.status_code

    seen = Counter(storm(shared, own, either, 200))
    assert seen["delete", 204] == 1
    assert {status for kind, status in seen if kind == "read"} <= {200, 410}
    assert shared.get(f"/fhir/Observation/{made}", own).status_code == 410


def test_a_client_that_vanishes_inside_the_body_leaves_nothing(
    shared: Node, person: tuple[str, str]
) -> None:
    subject, own = person
    body = json.dumps(observation(subject)).encode()
    for sent in (0, 1, len(body) - 1):
        with socket.create_connection(("127.0.0.1", shared.port)) as wire:
            head = (
                f"POST /fhir/Observation HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {own}\r\n"
                f"Content-Type: application/fhir+json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            wire.sendall(head.encode() + body[:sent])
    assert total(shared, own, f"patient={subject}") == 0
    assert shared.get("/api/health", None).status_code == 200


def test_one_bad_entry_of_a_large_transaction_is_named_and_nothing_is_kept(
    shared: Node, person: tuple[str, str]
) -> None:
    subject, own = person
    note = [{"text": "x" * 9_000}]
    entries = [
        {
            "fullUrl": f"urn:uuid:00000000-0000-4000-8000-{n:012d}",
            "resource": observation(subject, n, note=note),
            "request": {"method": "POST", "url": "Observation"},
        }
        for n in range(1100)
    ]
    entries[777]["resource"]["status"] = "finale"  # type: ignore[index]
    bundle = json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert len(bundle) > 10_000_000
    answer = shared.ask("POST", "/fhir", own, bundle.encode())
    assert 400 <= answer.status_code < 500
    assert "entry[777]" in json.dumps(answer.json()["issue"])
    assert "finale" not in answer.text
    assert total(shared, own, f"patient={subject}") == 0


def test_a_hundred_pages_are_walked_while_others_write(
    shared: Node, person: tuple[str, str]
) -> None:
    subject, own = person
    log.info("2,000 resources at known instants, then a walk with newer and older ones coming in")
    for start in range(0, 2000, 500):
        entries = [
            {
                "resource": observation(
                    subject, n, effectiveDateTime=f"20{10 + n // 366:02d}-01-01"
                ),
                "request": {"method": "POST", "url": "Observation"},
            }
            for n in range(start, start + 500)
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        assert shared.ask("POST", "/fhir", own, bundle).status_code == 200
    seen: list[str] = []
    for number, page in enumerate(shared.walk(f"/fhir/Observation?patient={subject}", own)):
        seen += [each["resource"]["id"] for each in page["entry"]]
        for year in (2009, 2030):
            late = observation(subject, number, effectiveDateTime=f"{year}-06-01", status="amended")
            assert shared.ask("POST", "/fhir/Observation", own, late).status_code == 201
    found = shared.resources(f"/fhir/Observation?patient={subject}&status=final&_count=500", own)
    assert len(seen) == len(set(seen))
    assert {each["id"] for each in found} <= set(seen)
    assert len(found) == 2000


@pytest.mark.parametrize(
    "path",
    [
        "Observation?date=0000-00-00", "Observation?date=9999-12-31T23:59:60.999Z",
        "Observation?_lastUpdated=ge-1", "Observation?value-quantity=1e999999999",
        "Observation?value-quantity=--1", "Observation?_id=" + "a" * 65, "Observation?_count=-1",
        "Observation?_count=99999999999999999999", "Observation?_page=AAAA", "Observation/" + "a" * 65,
        "Observation/%00", "Observation/x/_history/99999999999999999999", "Observation?code=%ff",
    ],
)  # fmt: skip
def test_values_at_their_limits_are_answered_with_an_outcome_or_nothing(
    shared: Node, person: tuple[str, str], path: str
) -> None:
    _subject, own = person
    answer = shared.get(f"/fhir/{path}", own)
    assert answer.status_code < 500
    assert answer.json()["resourceType"] in {"OperationOutcome", "Bundle"}
