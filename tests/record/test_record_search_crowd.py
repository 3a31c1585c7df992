"""Searches of very many records find what searches of each would find, and nothing that is hidden."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hilum.record.access import Access, Action, Window
from hilum.record.change import Create
from hilum.record.crowd import Crowd, Scope
from hilum.record.query import parse_query
from hilum.record.resource import parse_resource

RECORDS = 40
NAMES = ["Smith", "Smythe", "Núñez", "O'Neill", "Smithers"]
SEARCH = Action.SEARCH
NORMAL = Window(segments=1)
EVERYTHING = Window(segments=0xFFFF)
DIRECTORY = Access(0, SEARCH, (Window(segments=0xFFFF),))


def trees_of(number: int) -> list[tuple[dict[str, Any], int]]:
    own = f"p{number}"
    about = {"subject": {"reference": f"Patient/{own}"}}
    coded = {"coding": [{"system": "http://l", "code": f"c{number % 4}"}], "text": "Weight now"}
    return [
        ({"resourceType": "Patient", "id": own, "birthDate": f"19{50 + number % 30}-0{1 + number % 9}-11",
          "gender": "male" if number % 2 else "female",
          "name": [{"family": NAMES[number % 5], "given": [f"G{number % 3}"]}],
          "identifier": [{"system": "urn:m", "value": f"m{number}"}],
          "generalPractitioner": [{"reference": f"Practitioner/d{number % 3}"}]}, 1),
        ({"resourceType": "Encounter", "id": f"e{number}", "status": "finished", "class": {"code": "AMB"},
          **about, "participant": [{"individual": {"reference": f"Practitioner/d{number % 3}"}}]}, 1),
        ({"resourceType": "Observation", "id": f"o{number}", "status": "final", "code": coded, **about,
          "encounter": {"reference": f"Encounter/e{number}"}, "effectiveDateTime": f"20{10 + number % 7}",
          "valueQuantity": {"value": number, "system": "http://unitsofmeasure.org", "code": "kg"},
          "performer": [{"reference": f"Practitioner/d{number % 3}"}]}, 2 if number % 5 == 0 else 1),
        ({"resourceType": "Condition", "id": f"k{number}", "code": coded, **about,
          "recordedDate": f"20{10 + number % 7}-03"}, 1),
    ]  # fmt: skip


@pytest.fixture
def crowded(shelf: Any) -> tuple[Any, list[Access]]:
    """Forty records: some closed, some open for one segment, one wholly."""
    accesses = []
    for number in range(RECORDS):
        cid = shelf.record.create_compartment(shelf.conn, f"p{number}", 1)
        for tree, seg in trees_of(number):
            resource = parse_resource(json.dumps(tree).encode())
            shelf.record.apply(shelf.conn, [Create(cid, resource, tree["id"], seg)], 9)
        windows = () if number % 7 == 3 else (EVERYTHING,) if number % 10 == 0 else (NORMAL,)
        accesses.append(Access(cid, SEARCH, windows))
    for number in range(3):
        tree = {
            "resourceType": "Practitioner", "id": f"d{number}", "name": [{"family": f"Doc{number}"}],
        }  # fmt: skip
        resource = parse_resource(json.dumps(tree).encode())
        shelf.record.apply(shelf.conn, [Create(0, resource, tree["id"], 1)], 9)
    return shelf, accesses


SEARCHES = [
    "Patient",
    "Patient?name=smith",
    "Patient?family:exact=Smith",
    "Patient?name:contains=mith",
    "Patient?name=smith,nun&gender=male",
    "Patient?identifier=urn:m|m5",
    "Patient?identifier=m5,m6,m10",
    "Patient?birthdate=1955",
    "Patient?birthdate=ge1960&name=o",
    "Patient?birthdate=1952-03-11",
    "Patient?gender=female",
    "Patient?gender:not=female",
    "Patient?name:missing=true",
    "Patient?general-practitioner=Practitioner/d1",
    "Patient?general-practitioner.name=doc2",
    "Patient?_has:Observation:subject:code=http://l|c1",
    "Patient?_has:Observation:patient:status:missing=true",
    "Patient?_has:Observation:subject:value-quantity=gt20",
    "Observation?code=http://l|c1",
    "Observation?code=c2&date=2012",
    "Observation?code:text=weight",
    "Observation?code=http://l|c1,http://l|c3",
    "Observation?subject:Patient.name=smith",
    "Observation?encounter.class=AMB",
    "Observation?encounter.subject:Patient.family=smythe",
    "Observation?performer:Practitioner.name=doc1",
    "Observation?value-quantity=lt10000|http://unitsofmeasure.org|g",
    "Observation?code-value-quantity=http://l|c1$gt20",
    "Observation?_id=o1,o3,o5,o7",
    "Observation?performer=Practitioner/d1",
    "Encounter?class=AMB&practitioner=Practitioner/d2",
    "Encounter?_has:Observation:encounter:code=c1",
    "Observation?encounter.subject:Patient._has:Condition:subject:subject:Patient.name=smith",
    "Condition?subject:Patient._has:Observation:subject:encounter.participant:Practitioner.name=doc1",
    "Patient?_has:Observation:subject:encounter.subject:Patient._has:Condition:subject:code=c1",
    "Condition?code=http://l|c1&recorded-date=gt2012",
]
SORTS = ["", "_sort=-_lastUpdated,_id", "_sort=birthdate", "_sort=-date,_id"]


def asked(text: str) -> Any:
    name, _, rest = text.partition("?")
    pairs = [tuple(each.split("=", 1)) for each in rest.split("&") if each]
    return parse_query(name, [*pairs, ("_count", "200")], strict=True)


@pytest.mark.parametrize("text", SEARCHES)
def test_a_crowd_is_searched_as_its_records_one_by_one(
    crowded: tuple[Any, list[Access]], text: str
) -> None:
    shelf, accesses = crowded
    query = asked(text)
    one_by_one = Scope(tuple(accesses), directory=DIRECTORY)
    together = Scope((), Crowd(accesses), DIRECTORY)
    expected = shelf.record.find(shelf.conn, query, one_by_one, after=None, limit=200)
    found = shelf.record.find(shelf.conn, query, together, after=None, limit=200)
    assert [row.id for row, _ in found] == [row.id for row, _ in expected]
    assert shelf.record.count(shelf.conn, query, together) == len(expected)
    hidden = {f"{letter}{n}" for n in range(RECORDS) if n % 7 == 3 for letter in "peok"}
    assert not hidden & {row.id for row, _ in found}
    pages, place = [], None
    while page := shelf.record.find(shelf.conn, query, together, after=place, limit=3):
        pages += [row.id for row, _ in page]
        place = page[-1][1]
    assert pages == [row.id for row, _ in expected]


def test_a_directory_is_searched_by_what_a_crowd_says_of_it(
    crowded: tuple[Any, list[Access]],
) -> None:
    shelf, accesses = crowded
    scope = Scope((DIRECTORY,), Crowd(accesses), DIRECTORY)
    for text, ids in (
        ("Practitioner?name=doc1", ["d1"]),
        ("Practitioner?_has:Encounter:practitioner:_id=e4", ["d1"]),
        ("Practitioner?_has:Encounter:practitioner:_id=e3", []),
        ("Practitioner?_has:Observation:performer:_id=o5", []),
    ):
        found = shelf.record.find(shelf.conn, asked(text), scope, after=None, limit=9)
        assert [row.id for row, _ in found] == ids, text


@pytest.mark.parametrize("sort", SORTS)
def test_a_crowd_is_sorted_as_its_records_are(crowded: tuple[Any, list[Access]], sort: str) -> None:
    shelf, accesses = crowded
    query = asked(
        f"{'Patient' if 'birth' in sort else 'Condition' if not sort else 'Observation'}?{sort}"
    )
    scopes = [Scope(tuple(accesses)), Scope((), Crowd(accesses))]
    orders = []
    for scope in scopes:
        ids, place = [], None
        while page := shelf.record.find(shelf.conn, query, scope, after=place, limit=7):
            ids += [row.id for row, _ in page]
            place = page[-1][1]
        orders.append(ids)
    assert orders[0] == orders[1]
    assert len(orders[0]) == len(set(orders[0])) > 20
