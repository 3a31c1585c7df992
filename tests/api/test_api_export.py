from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from edge import Edge, Reply
from test_leaks import clarity_csv

from hilum.exchange import bulk_planning
from hilum.exchange.sharing import revoke

DAY_MS = 86_400_000


def observation(subject: str, day: str = "2020-05-01", code: str = "29463-7") -> dict[str, Any]:
    return {
        "resourceType": "Observation", "status": "final",
        "subject": {"reference": f"Patient/{subject}"},
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "effectiveDateTime": day, "valueQuantity": {"value": 70.10, "unit": "kg"},
    }  # fmt: skip


@pytest.fixture
def people(edge: Edge) -> dict[str, list[str]]:
    """Three subjects with two observations and a condition each."""
    made: dict[str, list[str]] = {}
    for _ in range(3):
        subject = edge.add_subject()
        own = edge.token(subject=subject)
        condition = {"resourceType": "Condition", "subject": {"reference": f"Patient/{subject}"}}
        made[subject] = [
            edge.create(own, observation(subject)),
            edge.create(own, observation(subject, "2011", code="8867-4")),
            edge.create(own, condition),
        ]
    return made


@pytest.fixture
def reader(edge: Edge, people: dict[str, list[str]]) -> tuple[str, dict[str, str]]:
    """A token of someone to whom the three gave leave to export, and their directives."""
    name = edge.add_reader()
    given = {
        subject: edge.grant(
            subject, name, segments="ALL", actions="read,search,export", purpose="HRESCH"
        )
        for subject in people
    }
    return edge.token(reader=name, purpose="HRESCH"), given


def begin(edge: Edge, token: str, target: str = "$export", **more: Any) -> str:
    reply = edge.ask("GET", f"/fhir/{target}", token, prefer="respond-async", **more)
    assert reply.status == 202, reply.body
    where = reply.header(b"content-location")
    assert where is not None
    return where.decode()


def wait(edge: Edge, token: str, where: str) -> Reply:
    for _ in range(2000):
        reply = edge.ask("GET", where, token)
        if reply.status != 202:
            return reply
        assert reply.header(b"x-progress")
        time.sleep(
            0.005
        )  # the division runs in a thread of its own, which this polls as a client does
    raise AssertionError("the export does not end")


def lines(reply: Reply) -> list[Any]:
    assert reply.status == 200, reply.body
    assert reply.header(b"content-type") == b"application/fhir+ndjson"
    return [json.loads(line) for line in reply.body.splitlines()]


def files(edge: Edge, token: str, where: str) -> Iterator[tuple[str, list[Any]]]:
    for output in wait(edge, token, where).json["output"]:
        yield output["type"], lines(edge.ask("GET", output["url"], token))


def exported(edge: Edge, token: str, target: str = "$export", **more: Any) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for kind, resources in files(edge, token, begin(edge, token, target, **more)):
        assert {each["resourceType"] for each in resources} <= {kind}
        ids = [each["id"] for each in resources]
        assert len(ids) == len(set(ids))
        found.setdefault(kind, set()).update(ids)
    return {kind: ids for kind, ids in found.items() if ids}


def ids_of(people: dict[str, list[str]], *places: int) -> set[str]:
    return {own[place] for own in people.values() for place in places}


def test_an_export_holds_what_the_three_let_be_exported(
    edge: Edge, people: dict[str, list[str]], reader: tuple[str, dict[str, str]]
) -> None:
    found = exported(edge, reader[0], "Patient/$export")
    assert found["Patient"] == set(people)
    assert found["Observation"] == ids_of(people, 0, 1)
    assert found["Condition"] == ids_of(people, 2)
    assert not {"Organization", "Practitioner"} & found.keys()


def test_the_manifest_says_what_bulk_data_demands(
    edge: Edge, reader: tuple[str, dict[str, str]]
) -> None:
    where = begin(edge, reader[0], "$export?_type=Patient")
    reply = wait(edge, reader[0], where)
    assert reply.header(b"content-type") == b"application/json"
    assert b"GMT" in (reply.header(b"expires") or b"")
    assert reply.json["requiresAccessToken"] is True
    assert reply.json["error"] == []
    assert reply.json["request"] == "http://node.test/fhir/$export?_type=Patient"
    assert reply.json["transactionTime"].endswith("Z")
    assert [output["type"] for output in reply.json["output"]] == ["Patient"]


def test_reading_is_not_exporting(edge: Edge, people: dict[str, list[str]]) -> None:
    name = edge.add_reader()
    for subject in people:
        edge.grant(subject, name, segments="ALL", purpose="HRESCH")
    assert exported(edge, edge.token(reader=name, purpose="HRESCH"), "Patient/$export") == {}


def test_types_filters_and_instants_narrow_an_export(
    edge: Edge, people: dict[str, list[str]], reader: tuple[str, dict[str, str]]
) -> None:
    token = reader[0]
    assert exported(edge, token, "$export?_type=Condition") == {"Condition": ids_of(people, 2)}
    one = "_typeFilter=Observation%3Fcode%3D8867-4"
    assert exported(edge, token, f"$export?_type=Observation&{one}")["Observation"] == ids_of(
        people, 1
    )
    both = f"{one}&_typeFilter=Observation%3Fdate%3Dgt2000"
    assert exported(edge, token, f"$export?_type=Observation&{both}")["Observation"] == ids_of(
        people, 0, 1
    )
    assert exported(edge, token, "$export?_since=2200-01-01T00:00:00Z") == {}


def test_patients_may_be_named(
    edge: Edge, people: dict[str, list[str]], reader: tuple[str, dict[str, str]]
) -> None:
    subject = next(iter(people))
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "_type", "valueString": "Patient"},
            {"name": "patient", "valueReference": {"reference": f"Patient/{subject}"}},
        ],
    }
    reply = edge.ask("POST", "/fhir/Patient/$export", reader[0], body, prefer="respond-async")
    assert reply.status == 202, reply.body
    where = (reply.header(b"content-location") or b"").decode()
    assert dict(files(edge, reader[0], where))["Patient"][0]["id"] == subject


def test_a_group_is_exported_as_far_as_its_members_let(edge: Edge) -> None:
    subject = edge.add_subject()
    own = edge.token(subject=subject)
    made = edge.create(own, observation(subject))
    group = edge.create(
        own,
        {
            "resourceType": "Group", "type": "person", "actual": True,
            "member": [{"entity": {"reference": f"Patient/{subject}"}}],
        },
    )  # fmt: skip
    found = exported(edge, own, f"Group/{group}/$export?_type=Patient,Observation")
    assert found == {"Patient": {subject}, "Observation": {made}}
    other = edge.token(subject=edge.add_subject())
    reply = edge.ask("GET", f"/fhir/Group/{group}/$export", other, prefer="respond-async")
    assert reply.status == 404


def test_receipts_of_each_subject_come_before_its_lines(
    edge: Edge, people: dict[str, list[str]], reader: tuple[str, dict[str, str]]
) -> None:
    where = begin(edge, reader[0], "$export?_type=Observation")
    (output,) = wait(edge, reader[0], where).json["output"]
    reply = edge.ask("GET", output["url"], reader[0])
    assert reply.receipts == 3
    for subject in people:
        own = edge.token(subject=subject)
        events = edge.ask("GET", f"/fhir/AuditEvent?patient={subject}&_count=9", own).json["entry"]
        kinds = [event["resource"]["subtype"][0]["code"] for event in events]
        assert kinds.count("disclose") == 1


def test_a_revocation_stops_what_has_not_left_yet(
    edge: Edge, people: dict[str, list[str]], reader: tuple[str, dict[str, str]]
) -> None:
    token, given = reader
    where = begin(edge, token, "$export?_type=Patient")
    (output,) = wait(edge, token, where).json["output"]
    first, *rest = people
    assert {each["id"] for each in lines(edge.ask("GET", output["url"], token))} == set(people)
    revoke(edge.node, directive=given[first])
    assert {each["id"] for each in lines(edge.ask("GET", output["url"], token))} == set(rest)


def test_what_was_made_after_the_export_began_waits_for_the_next_one(
    edge: Edge, people: dict[str, list[str]], reader: tuple[str, dict[str, str]]
) -> None:
    token = reader[0]
    where = begin(edge, token, "$export?_type=Observation")
    (output,) = wait(edge, token, where).json["output"]
    subject = next(iter(people))
    with edge.later(1000):
        late = edge.create(edge.token(subject=subject), observation(subject))
    ids = {each["id"] for each in lines(edge.ask("GET", output["url"], token))}
    assert ids == ids_of(people, 0, 1)
    with edge.later(2000):
        since = wait(edge, token, where).json["transactionTime"]
        found = exported(edge, token, f"$export?_type=Observation&_since={since}")
    assert late in found["Observation"]


def test_numbers_leave_with_their_digits(edge: Edge, reader: tuple[str, dict[str, str]]) -> None:
    subject = edge.add_subject()
    own = edge.token(subject=subject)
    body = json.dumps(observation(subject)).replace("70.1,", "70.10,").encode()
    edge.ask("POST", "/fhir/Observation", own, body)
    where = begin(edge, own, "$export?_type=Observation")
    (output,) = wait(edge, own, where).json["output"]
    assert b'"value":70.10,' in edge.ask("GET", output["url"], own).body


def test_files_are_cut_where_they_are_full_and_together_hold_everything_once(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = edge.add_subject()
    own = edge.token(subject=subject)
    edge.take(clarity_csv(3, 1_700_000_000_000, 1, "Europe/Madrid"), "c.csv", subject=subject)
    made = {edge.create(own, observation(subject, f"20{n:02}")) for n in range(30)}
    whole = exported(edge, own, "$export?_type=Observation")["Observation"]
    assert made < whole
    monkeypatch.setattr(bulk_planning.plan, "__kwdefaults__", {"most": 20_000})
    where = begin(edge, own, "$export?_type=Observation")
    parts = [resources for _kind, resources in files(edge, own, where)]
    assert len(parts) > 3
    assert all(parts)
    ids = [each["id"] for part in parts for each in part]
    assert len(ids) == len(set(ids))
    assert set(ids) == whole


def test_an_export_belongs_to_the_token_that_asked(
    edge: Edge, reader: tuple[str, dict[str, str]]
) -> None:
    token = reader[0]
    where = begin(edge, token, "$export?_type=Patient")
    (output,) = wait(edge, token, where).json["output"]
    other = edge.token(subject=edge.add_subject())
    for method, url in (("GET", where), ("DELETE", where), ("GET", output["url"])):
        assert edge.ask(method, url, other).status == 404
    assert edge.ask("GET", f"{where}/7.ndjson", token).status == 404
    assert edge.ask("GET", f"{where}/x", token).status == 404


def test_a_deleted_export_is_gone(edge: Edge, reader: tuple[str, dict[str, str]]) -> None:
    token = reader[0]
    where = begin(edge, token, "$export?_type=Patient")
    (output,) = wait(edge, token, where).json["output"]
    assert edge.ask("DELETE", where, token).status == 202
    for url in (where, output["url"]):
        assert edge.ask("GET", url, token).status == 404


def test_an_export_ends_after_a_day_and_leaves_nothing(
    edge: Edge, reader: tuple[str, dict[str, str]]
) -> None:
    name = edge.add_reader()
    token = edge.token(reader=name, purpose="HRESCH", ttl="7d")
    where = begin(edge, token)
    wait(edge, token, where)
    with edge.later(DAY_MS + 60_000):
        assert edge.ask("GET", where, token).status == 404
        wait(edge, token, begin(edge, token))
        assert len(edge.node.identity.fact_names(edge.node.conn, "export:")) == 1


@pytest.mark.parametrize(
    "query",
    ["_outputFormat=csv", "_type=Nothing", "_since=x", "_typeFilter=Observation",
     "_typeFilter=Observation%3Fno-such%3D1", "_typeFilter=Observation%3F_count%3D1"],
)  # fmt: skip
def test_wrong_arguments_are_refused(
    edge: Edge, reader: tuple[str, dict[str, str]], query: str
) -> None:
    target = f"/fhir/$export?_type=Observation&{query}"
    reply = edge.ask("GET", target, reader[0], prefer="respond-async")
    assert reply.status == 400, reply.body
    assert reply.json["resourceType"] == "OperationOutcome"


def test_an_export_is_always_asked_for_later(
    edge: Edge, reader: tuple[str, dict[str, str]]
) -> None:
    assert edge.ask("GET", "/fhir/$export", reader[0]).status == 400
    reply = edge.ask("GET", "/fhir/Observation/$export", reader[0], prefer="respond-async")
    assert reply.status == 405
