"""A reader of very many records: one search over all of them, and receipts where something was shown."""

from __future__ import annotations

from typing import Any

import pytest
from edge import Edge

from hilum.exchange.crowds import FEW_RECORDS
from hilum.exchange.sharing import revoke

PEOPLE = FEW_RECORDS + 4


@pytest.fixture(scope="module")
def clinic(edge: Edge) -> tuple[str, list[str], list[str]]:
    """One reader with leave of more people than are asked one by one: token, subjects, directives."""
    reader = edge.add_reader()
    subjects, directives = [], []
    for number in range(PEOPLE):
        subject = edge.add_subject()
        own = edge.token(subject=subject)
        edge.create(own, weight(subject, number))
        directives.append(edge.grant(subject, reader, segments="ALL"))
        subjects.append(subject)
    return edge.token(reader=reader, purpose="TREAT"), subjects, directives


def weight(subject: str, number: int) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "status": "final",
        "code": {"coding": [{"system": "http://crowd", "code": f"c{number % 3}"}]},
        "subject": {"reference": f"Patient/{subject}"},
        "effectiveDateTime": f"2020-01-{1 + number % 28:02d}",
    }  # fmt: skip


def subjects_of(reply: Any) -> list[str]:
    entries = [each for each in reply.json.get("entry", []) if each["search"]["mode"] == "match"]
    return [each["resource"]["subject"]["reference"].partition("/")[2] for each in entries]


def chain_length(edge: Edge, subject: str) -> int:
    own = edge.token(subject=subject)
    return int(edge.ask("GET", f"/fhir/AuditEvent?patient={subject}&_count=0", own).json["total"])


def test_one_search_finds_what_is_in_all_records(
    edge: Edge, clinic: tuple[str, list[str], list[str]]
) -> None:
    token, subjects, _directives = clinic
    expected = {subject for number, subject in enumerate(subjects) if number % 3 == 1}
    seen: list[str] = []
    url = "/fhir/Observation?code=http://crowd|c1&_count=5&_total=accurate"
    while url:
        reply = edge.ask("GET", url, token)
        assert reply.status == 200, reply.body
        assert reply.json["total"] == len(expected)
        seen += subjects_of(reply)
        url = next((each["url"] for each in reply.json["link"] if each["relation"] == "next"), "")
    assert len(seen) == len(set(seen))
    assert set(seen) == expected


def test_only_records_of_which_something_was_shown_keep_a_receipt(
    edge: Edge, clinic: tuple[str, list[str], list[str]]
) -> None:
    token, subjects, _directives = clinic
    before = [chain_length(edge, subject) for subject in subjects[:6]]
    reply = edge.ask("GET", "/fhir/Observation?code=http://crowd|c1&_count=100", token)
    shown = set(subjects_of(reply))
    assert reply.receipts == len(shown) + 1
    after = [chain_length(edge, subject) for subject in subjects[:6]]
    for subject, then, now in zip(subjects, before, after, strict=False):
        # the look at the own chain is on it as well
        assert now - then == 1 + (subject in shown)


def test_a_revocation_takes_a_record_out_of_the_crowd_at_once(
    edge: Edge, clinic: tuple[str, list[str], list[str]]
) -> None:
    token, subjects, directives = clinic
    url = "/fhir/Observation?code=http://crowd|c2&_count=100"
    assert subjects[2] in subjects_of(edge.ask("GET", url, token))
    revoke(edge.node, directive=directives[2])
    found = edge.ask("GET", url, token)
    assert subjects[2] not in subjects_of(found)
    assert subjects[5] in subjects_of(found)
    assert edge.ask("GET", f"{url}&_count=0", token).json["total"] == len(subjects_of(found))


def test_chains_and_inclusions_work_across_records(
    edge: Edge, clinic: tuple[str, list[str], list[str]]
) -> None:
    token, subjects, _directives = clinic
    url = "/fhir/Patient?_has:Observation:subject:code=http://crowd|c0&_revinclude=Observation:subject"
    reply = edge.ask("GET", f"{url}&_count=100", token)
    modes = [each["search"]["mode"] for each in reply.json["entry"]]
    expected = {subject for number, subject in enumerate(subjects) if number % 3 == 0}
    found = [each["resource"]["id"] for each in reply.json["entry"][: modes.count("match")]]
    assert set(found) == expected
    assert modes.count("include") == len(expected)
    chained = edge.ask("GET", "/fhir/Observation?subject:Patient.name=ada&_count=100", token)
    assert set(subjects_of(chained)) <= set(subjects)
    assert len(subjects_of(chained)) == PEOPLE - 1
