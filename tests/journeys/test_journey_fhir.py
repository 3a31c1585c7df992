"""A subject uses the own record over FHIR: contributes, corrects, deletes, consents, and sees who looked."""

from __future__ import annotations

import json
import logging
import threading
from typing import Any

import pytest
from node import Node

log = logging.getLogger(__name__)

PATAST = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "PATAST",
}


def weight(subject: str, kilograms: str, **more: Any) -> bytes:
    """Return an observation whose number keeps its digits."""
    tree = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
        "subject": {"reference": f"Patient/{subject}"},
        "effectiveDateTime": "2026-02-03T07:08:09+08:00",
        "valueQuantity": {"value": "@", "unit": "kg"},
        **more,
    }
    return json.dumps(tree, separators=(",", ":")).replace('"@"', kilograms).encode()


def names(bundle: dict[str, Any]) -> list[str]:
    return [entry["resource"]["id"] for entry in bundle.get("entry", ())]


@pytest.fixture
def subject(shared: Node) -> str:
    return shared.add_subject()


@pytest.fixture
def own(shared: Node, subject: str) -> str:
    return shared.token(subject=subject)


def test_a_resource_lives_from_create_to_history(shared: Node, subject: str, own: str) -> None:
    log.info("create")
    made = shared.ask("POST", "/fhir/Observation", own, weight(subject, "70.10"))
    assert made.status_code == 201
    assert made.headers["etag"] == 'W/"1"'
    name = made.json()["id"]
    assert made.headers["location"] == shared.url(f"/fhir/Observation/{name}/_history/1")
    assert PATAST in made.json()["meta"]["security"]
    assert b'"value":70.10,' in made.content

    log.info("read and vread give the same bytes")
    read = shared.get(f"/fhir/Observation/{name}", own)
    assert read.content == made.content
    assert shared.get(made.headers["location"], own).content == made.content

    log.info("update")
    second = weight(subject, "70.100", id=name, note=[{"text": "second look"}])
    stale = shared.ask("PUT", f"/fhir/Observation/{name}", own, second, If_Match='W/"7"')
    assert stale.status_code == 412
    put = shared.ask("PUT", f"/fhir/Observation/{name}", own, second, If_Match='W/"1"')
    assert (put.status_code, put.headers["etag"]) == (200, 'W/"2"')
    assert b'"value":70.100,' in put.content
    first = shared.get(f"/fhir/Observation/{name}/_history/1", own)
    assert first.content == made.content

    log.info("delete")
    assert shared.ask("DELETE", f"/fhir/Observation/{name}", own).status_code == 204
    assert shared.get(f"/fhir/Observation/{name}", own).status_code in {404, 410}
    assert shared.get(f"/fhir/Observation/{name}/_history/3", own).status_code == 410
    search = shared.get(f"/fhir/Observation?patient={subject}", own)
    assert (search.json()["total"], names(search.json())) == (0, [])

    log.info("history tells all of it, newest first, page by page")
    pages = list(shared.walk(f"/fhir/Observation/{name}/_history?_count=1", own))
    told = [
        (entry["request"]["method"], entry["response"]["status"][:3], entry["response"]["etag"])
        for page in pages
        for entry in page["entry"]
    ]
    assert told == [
        ("DELETE", "204", 'W/"3"'),
        ("PUT", "200", 'W/"2"'),
        ("POST", "201", 'W/"1"'),
    ]
    assert "resource" not in pages[0]["entry"][0]


def test_search_understands_what_the_capability_statement_promises(
    shared: Node, subject: str, own: str
) -> None:
    for day in ("2026-01-01", "2026-01-02"):
        body = weight(
            subject, "71", effectiveDateTime=day, category=[{"coding": [{"code": "vital-signs"}]}]
        )
        assert shared.ask("POST", "/fhir/Observation", own, body).status_code == 201
    other = weight(subject, "72", code={"text": "x", "coding": [{"system": "urn:x", "code": "y"}]})
    third = shared.ask("POST", "/fhir/Observation", own, other).json()["id"]
    who = f"patient={subject}"

    def count(query: str) -> int:
        return int(shared.get(f"/fhir/Observation?{query}", own).json()["total"])

    assert count(who) == 3
    assert count(f"{who}&code=http://loinc.org|29463-7") == 2
    assert count(f"{who}&code=29463-7,y") == 3
    assert count(f"{who}&category=vital-signs&date=2026-01-02") == 1
    assert count(f"{who}&date=ge2026-01-01&date=lt2026-01-02") == 1
    assert count(f"{who}&_id={third}") == 1
    assert count(f"_id={third}") == 1
    assert count(f"{who}&_lastUpdated=ge2020") == 3
    assert count(f"{who}&_lastUpdated=lt2020") == 0
    assert count(f"subject=Patient/{subject}") == 3
    by_post = shared.ask(
        "POST", "/fhir/Observation/_search", own, f"{who}&_count=2".encode(),
        Content_Type="application/x-www-form-urlencoded",
    )  # fmt: skip
    assert len(names(by_post.json())) == 2
    odd = f"/fhir/Observation?{who}&no-such-parameter=1"
    assert shared.get(odd, own).json()["total"] == 3
    assert "no-such" not in shared.get(odd, own).json()["link"][0]["url"]
    assert shared.get(odd, own, Prefer="handling=strict").status_code == 400
    statement = shared.get("/fhir/metadata", None).json()
    observation = next(
        each for each in statement["rest"][0]["resource"] if each["type"] == "Observation"
    )
    assert {"read", "vread", "update", "delete", "history-instance", "create", "search-type"} <= {
        each["code"] for each in observation["interaction"]
    }


def test_paging_walks_each_resource_once_while_others_write(
    shared: Node, subject: str, own: str
) -> None:
    def entry(day: int) -> dict[str, Any]:
        body = json.loads(weight(subject, "70", effectiveDateTime=f"2026-03-{day % 28 + 1:02d}"))
        return {"resource": body, "request": {"method": "POST", "url": "Observation"}}

    first = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [entry(n) for n in range(60)],
    }
    made = shared.ask("POST", "/fhir", own, first).json()
    wanted = {each["response"]["location"].split("/")[1] for each in made["entry"]}
    assert len(wanted) == 60
    done = threading.Event()
    codes: set[int] = set()

    def keep_writing() -> None:
        number = 0
        while not done.is_set():
            body = weight(subject, "80", effectiveDateTime=f"2026-03-{number % 28 + 1:02d}")
            codes.add(shared.ask("POST", "/fhir/Observation", own, body).status_code)
            number += 1

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        seen = [
            name
            for page in shared.walk(f"/fhir/Observation?patient={subject}&_count=7", own)
            for name in names(page)
        ]
    finally:
        done.set()
        writer.join()
    assert codes == {201}
    assert len(seen) == len(set(seen))
    assert wanted <= set(seen)


def test_a_transaction_is_kept_whole_or_not_at_all(shared: Node, subject: str, own: str) -> None:
    encounter = {
        "fullUrl": "urn:uuid:8c3a6c9e-1111-4222-8333-444455556666",
        "resource": {
            "resourceType": "Encounter",
            "status": "finished",
            "class": {"code": "AMB"},
            "subject": {"reference": f"Patient/{subject}"},
        },
        "request": {"method": "POST", "url": "Encounter"},
    }
    observation = {
        "resource": json.loads(
            weight(subject, "70", encounter={"reference": encounter["fullUrl"]})
        ),
        "request": {"method": "POST", "url": "Observation"},
    }
    good = {"resourceType": "Bundle", "type": "transaction", "entry": [observation, encounter]}
    answer = shared.ask("POST", "/fhir", own, good)
    assert (answer.status_code, answer.json()["type"]) == (200, "transaction-response")
    places = [each["response"]["location"] for each in answer.json()["entry"]]
    stored = shared.get(f"/fhir/{places[0]}", own).json()
    assert stored["encounter"]["reference"] == places[1].split("/_history")[0]

    log.info("one bad entry takes everything back and is named")
    broken = {"resource": {"resourceType": "Observation"}, "request": observation["request"]}
    bad = {**good, "entry": [encounter, broken]}
    refused = shared.ask("POST", "/fhir", own, bad)
    assert refused.status_code == 422
    assert "entry[1]" in json.dumps(refused.json()["issue"])
    assert shared.get(f"/fhir/Encounter?patient={subject}", own).json()["total"] == 1


def test_a_batch_answers_each_entry_on_its_own(shared: Node, subject: str, own: str) -> None:
    made, gone = (
        shared.ask("POST", "/fhir/Observation", own, weight(subject, "70")).json()["id"]
        for _ in range(2)
    )
    requests = [
        ("GET", f"Observation/{made}", None),
        ("GET", f"Observation?patient={subject}", None),
        ("GET", "Observation/nothing-here", None),
        ("POST", "Observation", {"resourceType": "Observation"}),
        ("POST", "Observation", json.loads(weight(subject, "71"))),
        ("DELETE", f"Observation/{gone}", None),
    ]
    entries = [
        {"request": {"method": method, "url": url}, **({} if body is None else {"resource": body})}
        for method, url, body in requests
    ]
    batch = {"resourceType": "Bundle", "type": "batch", "entry": entries}
    answer = shared.ask("POST", "/fhir", own, batch)
    assert answer.status_code == 200
    told = [each["response"]["status"][:3] for each in answer.json()["entry"]]
    assert told == ["200", "200", "404", "422", "201", "204"]
    assert answer.json()["entry"][0]["resource"]["id"] == made


def pcf_basic(subject: str, reader: str, **more: Any) -> dict[str, Any]:
    """Return a Consent of IHE PCF Basic: permit treatment by one organisation until a date."""
    act_reason = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
    role = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
    return {
        "resourceType": "Consent",
        "status": "active",
        "scope": {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/consentscope",
                    "code": "patient-privacy",
                }
            ]
        },
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": f"Patient/{subject}"},
        "dateTime": "2026-01-01T00:00:00Z",
        "performer": [{"reference": f"Patient/{subject}"}],
        "organization": [{"display": "A Hilum node"}],
        "policy": [{"uri": "http://example.org/policies/basic"}],
        "provision": {
            "type": "permit",
            "period": {"start": "2026-01-01", "end": "2099-12-31"},
            "actor": [
                {
                    "role": {"coding": [{"system": role, "code": "IRCP"}]},
                    "reference": {"reference": f"Organization/{reader}"},
                }
            ],
            "purpose": [{"system": act_reason, "code": "TREAT"}],
        },
        **more,
    }


def test_a_consent_resource_is_a_directive(shared: Node, subject: str, own: str) -> None:
    reader = shared.add_reader()
    clinic = shared.token(reader=reader, purpose="TREAT")
    research = shared.token(reader=reader, purpose="HRESCH")
    name = shared.ask("POST", "/fhir/Observation", own, weight(subject, "70")).json()["id"]
    where = f"/fhir/Observation/{name}"
    assert shared.get(where, clinic).status_code == 404

    log.info("posting it opens access for its reader and purpose only")
    made = shared.ask("POST", "/fhir/Consent", own, pcf_basic(subject, reader))
    assert made.status_code == 201, made.text
    consent = made.json()["id"]
    assert made.headers["location"].endswith(f"/fhir/Consent/{consent}/_history/1")
    assert shared.get(f"/fhir/Consent/{consent}", own).content == made.content
    assert shared.get(where, clinic).status_code == 200
    assert shared.get(where, research).status_code == 404
    (held,) = shared.operate("consents", subject=subject)
    assert (held["directive"], held["status"]) == (consent, "active")

    assert PATAST in made.json()["meta"]["security"]

    log.info("its terms never change")
    body = {**made.json(), "provision": {"type": "permit"}}
    changed = shared.ask("PUT", f"/fhir/Consent/{consent}", own, body)
    assert changed.status_code == 409
    log.info("making it inactive revokes it, for the very next request")
    ended = shared.ask(
        "PUT", f"/fhir/Consent/{consent}", own, {**made.json(), "status": "inactive"}
    )
    assert ended.status_code == 200, ended.text
    assert shared.get(where, clinic).status_code == 404
    assert shared.operate("consents", subject=subject)[0]["status"] == "revoked"
    assert shared.get(f"/fhir/Consent/{consent}", own).json()["status"] == "inactive"

    log.info("what terms cannot say is refused and named")
    odd = pcf_basic(subject, reader)
    odd["provision"]["dataPeriod"] = {"start": "not a date"}
    refused = shared.ask("POST", "/fhir/Consent", own, odd)
    assert refused.status_code == 422
    assert "dataPeriod" in refused.text
    assert len(shared.operate("consents", subject=subject)) == 1


def test_only_the_subject_makes_or_ends_a_consent(shared: Node, subject: str, own: str) -> None:
    reader, other = shared.add_reader(), shared.add_reader("Curious Lab")
    clinic = shared.token(reader=reader, purpose="TREAT")
    wide = pcf_basic(subject, reader)
    actions = "http://terminology.hl7.org/CodeSystem/consentaction"
    types = "http://hl7.org/fhir/resource-types"
    wide["provision"] |= {
        "action": [{"coding": [{"system": actions, "code": c}]} for c in ("collect", "access")],
        "class": [{"system": types, "code": c} for c in ("Consent", "Observation")],
    }
    made = shared.ask("POST", "/fhir/Consent", own, wide)
    assert made.status_code == 201, made.text
    directive = made.json()["id"]

    log.info("the grant is wide enough to read the consent and to add an observation")
    assert shared.get(f"/fhir/Consent/{directive}", clinic).status_code == 200
    added = shared.ask("POST", "/fhir/Observation", clinic, weight(subject, "70"))
    assert added.status_code == 201, added.text
    assert PATAST not in added.json()["meta"].get("security", [])

    log.info("but not to speak in the subject's place")
    forged = shared.ask("POST", "/fhir/Consent", clinic, pcf_basic(subject, other))
    assert forged.status_code == 404
    ended = {**made.json(), "status": "inactive"}
    assert shared.ask("PUT", f"/fhir/Consent/{directive}", clinic, ended).status_code == 404
    assert shared.ask("DELETE", f"/fhir/Consent/{directive}", clinic).status_code == 404
    statuses = [each["status"] for each in shared.operate("consents", subject=subject)]
    assert statuses == ["active"]


def test_the_subject_finds_every_look_as_an_audit_event(
    shared: Node, subject: str, own: str
) -> None:
    reader = shared.add_reader("Curious Clinic")
    clinic = shared.token(reader=reader, purpose="TREAT")
    for _ in range(3):
        shared.get(f"/fhir/Patient/{subject}", clinic)
    directive = shared.grant(subject, reader)
    assert shared.get(f"/fhir/Patient/{subject}", clinic).status_code == 200
    rows = shared.operate("log", subject=subject)
    events = shared.resources(f"/fhir/AuditEvent?patient={subject}&_count=2", own)
    told = [event["id"] for event in reversed(events)]
    assert [row["receipt"] for row in rows] == told[: len(rows)]
    named = [event for event in events if "Curious Clinic" in json.dumps(event["agent"])]
    assert len(named) == 4
    one = named[0]["id"]
    assert shared.get(f"/fhir/AuditEvent/{one}", own).json()["id"] == one
    by_id = shared.get(f"/fhir/AuditEvent?patient={subject}&_id={one}", own)
    assert names(by_id.json()) == [one]
    later = f"/fhir/AuditEvent?patient={subject}&date=gt2099"
    assert shared.get(later, own).json()["total"] == 0
    log.info("a reader never sees them, even with a grant for everything")
    assert shared.get(f"/fhir/AuditEvent/{one}", clinic).status_code == 404
    assert "entry" not in shared.get(f"/fhir/AuditEvent?patient={subject}", clinic).json()
    assert shared.get(f"/fhir/Consent/{directive}", clinic).status_code == 404
    log.info("and nobody writes one")
    forged = {**named[0], "id": one}
    assert shared.ask("PUT", f"/fhir/AuditEvent/{one}", own, forged).status_code == 405
    assert shared.ask("POST", "/fhir/AuditEvent", own, forged).status_code == 405
    assert shared.ask("DELETE", f"/fhir/AuditEvent/{one}", own).status_code == 405


def test_breaking_the_glass_is_told_to_the_subject(shared: Node, subject: str, own: str) -> None:
    reader = shared.add_reader()
    urgent = shared.token(reader=reader, purpose="ETREAT")
    calm = shared.token(reader=reader, purpose="TREAT")
    words = {
        "subject": subject,
        "reason": "unconscious",
        "nature": "emergency",
        "affiliation": "Riverside",
    }
    where = f"/fhir/Patient/{subject}"
    assert shared.get(where, urgent).status_code == 404
    assert shared.ask("POST", "/api/break-glass", calm, words).status_code == 404
    assert shared.ask("POST", "/api/break-glass", own, words).status_code == 404
    without = {name: value for name, value in words.items() if name != "reason"}
    assert shared.ask("POST", "/api/break-glass", urgent, without).status_code in {400, 422}
    assert shared.ask("POST", "/api/break-glass", urgent, {**words, "reason": " "}).status_code in {
        400, 422,
    }  # fmt: skip
    assert shared.get(where, urgent).status_code == 404
    opened = shared.ask("POST", "/api/break-glass", urgent, words)
    assert (opened.status_code, set(opened.json())) == (201, {"expires"})
    assert shared.get(where, urgent).status_code == 200
    assert shared.get(where, calm).status_code == 404
    last = [row for row in shared.operate("log", subject=subject) if row["outcome"] == "emergency"]
    assert [(row["reason"], row["count"]) for row in last] == [
        ("unconscious", 0),
        ("unconscious", 1),
    ]
    waiting = shared.operate("review list")
    assert [row["reason"] for row in waiting] == ["unconscious"]
    done = shared.operate("review done", id=waiting[0]["id"])
    assert done["id"] == waiting[0]["id"]
    assert shared.operate("review list") == []
