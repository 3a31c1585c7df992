"""What a search says about its answer: order, totals, inclusions, pages, and what was left out."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from edge import Edge


@pytest.fixture(scope="module")
def record(edge: Edge) -> tuple[str, str]:
    """One person's record: (own token, subject)."""
    subject = edge.add_subject()
    own = edge.token(subject=subject)
    about = {"subject": {"reference": f"Patient/{subject}"}}
    encounter = edge.create(
        own, {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}, **about}
    )
    last = None
    for number in range(12):
        tree: dict[str, Any] = {
            "resourceType": "Observation", "status": "final", **about,
            "code": {"coding": [{"system": "http://o", "code": "abc"[number % 3]}]},
            "encounter": {"reference": f"Encounter/{encounter}"},
        }  # fmt: skip
        if number % 4:
            tree["effectiveDateTime"] = f"2020-01-{1 + number // 2:02d}"
        if number % 5:
            tree["valueQuantity"] = {"value": 100 - number}
        if last is not None:
            tree["hasMember"] = [{"reference": f"Observation/{last}"}]
        last = edge.create(own, tree)
    first_id = edge.ask("GET", f"/fhir/Observation?patient={subject}&_sort=_lastUpdated,_id", own)
    assert first_id.status == 200
    return own, subject


def pages(edge: Edge, own: str, url: str) -> list[dict[str, Any]]:
    found = []
    while url:
        reply = edge.ask("GET", url, own)
        assert reply.status == 200, reply.body
        found += [
            e["resource"] for e in reply.json.get("entry", []) if e["search"]["mode"] == "match"
        ]
        url = next((each["url"] for each in reply.json["link"] if each["relation"] == "next"), "")
    return found


KEYS = {
    "date": lambda tree: tree.get("effectiveDateTime"),
    "value-quantity": lambda tree: tree.get("valueQuantity", {}).get("value"),
    "code": lambda tree: tree["code"]["coding"][0]["code"],
    "_id": lambda tree: tree["id"],
    "_lastUpdated": lambda tree: tree["meta"]["lastUpdated"],
}


@pytest.mark.parametrize("count", [1, 5, 50])
@pytest.mark.parametrize(
    "sort", ["date", "-date", "value-quantity,_id", "-value-quantity,-_id", "code,-date,_id",
             "-code,value-quantity,-_id", "_id", "-_lastUpdated,_id", "date,-value-quantity,_id"],
)  # fmt: skip
def test_results_come_in_the_order_asked_for_and_each_once(
    edge: Edge, record: tuple[str, str], sort: str, count: int
) -> None:
    own, subject = record
    found = pages(edge, own, f"/fhir/Observation?patient={subject}&_sort={sort}&_count={count}")
    assert len({tree["id"] for tree in found}) == len(found) == 12
    for one, other in itertools.pairwise(found):
        for key in sort.split(","):
            a, b = (KEYS[key.removeprefix("-")](tree) for tree in (one, other))
            if a == b:
                continue
            assert b is None or (a is not None and (a > b) == key.startswith("-")), (key, a, b)
            break


def test_totals_are_of_matches_alone(edge: Edge, record: tuple[str, str]) -> None:
    own, subject = record
    url = f"/fhir/Observation?patient={subject}&_include=Observation:encounter&_count=2"
    for total, expected in (("accurate", 12), ("estimate", 12), ("none", None)):
        reply = edge.ask("GET", f"{url}&_total={total}", own).json
        assert reply.get("total") == expected
        assert [each["search"]["mode"] for each in reply["entry"]] == ["match", "match", "include"]
    none = edge.ask("GET", f"/fhir/Observation?patient={subject}&_count=0", own).json
    assert none["total"] == 12
    assert "entry" not in none


def test_inclusions_follow_references_either_way_and_circles_end(
    edge: Edge, record: tuple[str, str]
) -> None:
    own, subject = record

    def modes(url: str) -> tuple[int, dict[str, int]]:
        entries = edge.ask("GET", f"/fhir/{url}", own).json["entry"]
        included = [
            e["resource"]["resourceType"] for e in entries if e["search"]["mode"] == "include"
        ]
        return len(entries) - len(included), {name: included.count(name) for name in included}

    found, included = modes(f"Observation?patient={subject}&_count=3&_include=*")
    assert (found, included.pop("Patient"), included.pop("Encounter")) == (3, 1, 1)
    assert 1 <= included.pop("Observation") <= 3
    assert included == {}
    chained = "_include:iterate=Observation:has-member&_count=1"
    assert modes(f"Observation?patient={subject}&_sort=-_lastUpdated,_id&{chained}")[1].keys() <= {
        "Observation"
    }
    assert modes(f"Encounter?patient={subject}&_revinclude=Observation:encounter") == (
        1, {"Observation": 12},
    )  # fmt: skip
    assert modes(f"Encounter?patient={subject}&_revinclude:iterate=*&_include:iterate=*") == (
        1, {"Observation": 12, "Patient": 1},
    )  # fmt: skip
    assert modes(f"Observation?patient={subject}&_count=2&_include=Observation:subject:Group") == (
        2, {},
    )  # fmt: skip


def test_what_is_left_out_is_named_beside_the_matches_and_not_in_the_self_link(
    edge: Edge, record: tuple[str, str]
) -> None:
    own, subject = record
    reply = edge.ask("GET", f"/fhir/Observation?patient={subject}&favourite=1&_count=1", own).json
    last = reply["entry"][-1]
    assert last["search"] == {"mode": "outcome"}
    assert "favourite" in last["resource"]["issue"][0]["diagnostics"]
    assert "favourite" not in reply["link"][0]["url"]
    strict = edge.ask(
        "GET", f"/fhir/Observation?patient={subject}&favourite=1", own, prefer="handling=strict"
    )
    assert strict.status == 400


def test_a_page_token_shows_nothing_of_what_it_stands_for(
    edge: Edge, record: tuple[str, str]
) -> None:
    from base64 import urlsafe_b64decode

    own, subject = record
    reply = edge.ask("GET", f"/fhir/Observation?patient={subject}&_sort=_id&_count=1", own).json
    url = reply["link"][1]["url"]
    token = url.partition("_page=")[2]
    shown = reply["entry"][0]["resource"]["id"]
    assert shown.encode() not in urlsafe_b64decode(token + "==")
    assert shown not in url


def test_a_compartment_holds_what_points_to_its_owner(edge: Edge, record: tuple[str, str]) -> None:
    own, subject = record
    encounter = pages(edge, own, f"/fhir/Patient/{subject}/Encounter")[0]["id"]
    assert len(pages(edge, own, f"/fhir/Patient/{subject}/Observation?_count=5")) == 12
    assert len(pages(edge, own, f"/fhir/Patient/{subject}/Observation?code=http://o|a")) == 4
    assert len(pages(edge, own, f"/fhir/Encounter/{encounter}/Observation")) == 12
    assert len(pages(edge, own, f"/fhir/Encounter/{encounter}/Encounter")) == 1
    assert pages(edge, own, f"/fhir/Encounter/{subject}/Observation") == []
    assert edge.ask("GET", f"/fhir/Observation/{subject}/Patient", own).status == 405
    assert edge.ask("GET", f"/fhir/Patient/{subject}/Nothing", own).status == 404


def test_several_types_are_found_in_one_order_each_once(
    edge: Edge, record: tuple[str, str]
) -> None:
    own, subject = record
    for url, most in (
        (f"/fhir/Patient/{subject}/*?_count=4", 14),
        ("/fhir?_type=Observation,Encounter,Patient&_count=4", 14),
        ("/fhir?_type=Encounter,Patient", 2),
        (f"/fhir?_id={subject}", 1),
        ("/fhir?_type=Observation,Encounter&_sort=-_lastUpdated,_id&_count=5", 13),
    ):
        found = pages(edge, own, url)
        assert len({tree["id"] for tree in found}) == len(found) == most, url
    counted = edge.ask("GET", "/fhir?_type=Observation,Encounter&_count=0", own).json
    assert counted["total"] == 13
    assert edge.ask("GET", "/fhir?_type=Nothing", own).status == 400
    left = edge.ask("GET", "/fhir?_type=Observation,Encounter&code=x", own).json
    assert "code" in left["entry"][-1]["resource"]["issue"][0]["diagnostics"]


def test_references_to_the_node_itself_are_those_of_the_record(
    edge: Edge, record: tuple[str, str]
) -> None:
    own, subject = record
    url = f"/fhir/Observation?subject=http://node.test/fhir/Patient/{subject}&_count=50"
    assert len(pages(edge, own, url)) == 12


def test_a_form_and_a_url_are_one_search(edge: Edge, record: tuple[str, str]) -> None:
    own, subject = record
    reply = edge.ask(
        "POST", f"/fhir/Observation/_search?patient={subject}&_count=50", own,
        b"code=http%3A%2F%2Fo%7Ca&date:missing=false",
        content_type="application/x-www-form-urlencoded",
    )  # fmt: skip
    assert len(reply.json["entry"]) == 3
