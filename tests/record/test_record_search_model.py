"""Searches find what a naive reader of all visible trees finds, whatever is asked of whatever is stored."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from search_model import PATHS, UCUM, search

from hilum.record.access import Access, Action, Window

WORDS = ["Núñez", "nunez", "O'Neill", "Smith", "smith-jones", "Jo", "von der Ley", "李明", "Straße"]
CODES = ["a", "b", "c"]
SYSTEMS = ["http://s", "http://t", ""]
DATES = [
    "2019",
    "2020",
    "2020-02",
    "2020-02-29",
    "2020-02-29T23:30:00-05:00",
    "2020-03-01T04:00:00Z",
]
NUMBERS = ["5", "5.0", "5.4", "5.40", "5.35", "5.45", "5400", "0.0054", "-1"]
UNITS = [(UCUM, "g"), (UCUM, "mg"), (UCUM, "kg"), ("http://u", "g"), ("", "")]
PREFIXES = ["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]


def concept(pick: random.Random) -> dict[str, Any]:
    made: dict[str, Any] = {}
    codings = [
        {k: v for k, v in (("system", pick.choice(SYSTEMS)), ("code", pick.choice(CODES))) if v}
        for _ in range(pick.randint(0, 2))
    ]
    if codings:
        made["coding"] = codings
    if pick.random() < 0.5 or not codings:
        made["text"] = pick.choice(WORDS)
    if codings and pick.random() < 0.3:
        codings[0]["display"] = pick.choice(WORDS)
    return made


def world(seed: int) -> list[dict[str, Any]]:
    """A few people, encounters and observations that point to each other, to nothing, and in circles."""
    pick = random.Random(seed)
    trees: list[dict[str, Any]] = []
    for n in range(3):
        tree: dict[str, Any] = {"resourceType": "Patient", "id": f"p{n}"}
        if pick.random() < 0.8:
            tree["gender"] = pick.choice(["male", "female"])
        tree["name"] = [
            {
                "family": pick.choice(WORDS),
                "given": [pick.choice(WORDS) for _ in range(pick.randint(1, 2))],
            }
            for _ in range(pick.randint(1, 2))
        ]
        if pick.random() < 0.7:
            tree["birthDate"] = pick.choice(DATES[:4])
        tree["identifier"] = [{"system": "http://s", "value": pick.choice(CODES)}]
        trees.append(tree)
    for n in range(4):
        tree = {"resourceType": "Encounter", "id": f"e{n}", "status": pick.choice(["finished", "planned"]),
                "class": {"system": "http://s", "code": pick.choice(CODES)},
                "type": [concept(pick)],
                "subject": {"reference": f"Patient/p{pick.randint(0, 3)}"}}  # fmt: skip
        if pick.random() < 0.7:
            tree["period"] = {"start": pick.choice(DATES)}
        trees.append(tree)
    for n in range(10):
        tree = {"resourceType": "Observation", "id": f"o{n}",
                "status": pick.choice(["final", "amended"]),
                "code": concept(pick),
                "subject": {"reference": f"Patient/p{pick.randint(0, 3)}"}}  # fmt: skip
        if pick.random() < 0.7:
            tree["encounter"] = {"reference": f"Encounter/e{pick.randint(0, 4)}"}
        if pick.random() < 0.8:
            tree["effectiveDateTime"] = pick.choice(DATES)
        if pick.random() < 0.6:
            system, code = pick.choice(UNITS)
            value = {"value": Number(pick.choice(NUMBERS)), "system": system, "code": code}
            tree["valueQuantity"] = {k: v for k, v in value.items() if v != ""}
        else:
            tree["valueString"] = pick.choice(WORDS)
        if pick.random() < 0.5:
            tree["category"] = [concept(pick)]
        tree["component"] = [{"code": concept(pick)} for _ in range(pick.randint(0, 2))] or None
        trees.append({key: value for key, value in tree.items() if value is not None})
    return trees


class Number(float):
    """A number that keeps how it is written."""

    def __new__(cls, text: str) -> Number:
        made = super().__new__(cls, text)
        made.text = text
        return made

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


@st.composite
def a_value(draw: st.DrawFn, kind: str) -> tuple[str, str]:
    """A modifier and a value of a kind."""
    match kind:
        case "token":
            how = draw(st.sampled_from(["", "", "not", "missing"]))
            made = st.tuples(
                st.sampled_from(["", "|", "http://s|", "http://t|"]), st.sampled_from(CODES)
            ).map("".join)
        case "date":
            how, made = (
                "",
                st.tuples(st.sampled_from(PREFIXES), st.sampled_from(DATES)).map("".join),
            )
        case "quantity":
            how = ""
            unit = st.sampled_from(["", f"|{UCUM}|g", f"|{UCUM}|mg", "||g", "|http://u|g"])
            made = st.tuples(st.sampled_from(PREFIXES), st.sampled_from(NUMBERS), unit).map("".join)
        case "string":
            how = draw(st.sampled_from(["", "exact", "contains"]))
            made = st.sampled_from([*WORDS, "smi", "nun", "Nei", "von  DER", "ley"])
            made = made.filter(lambda w: how != "contains" or len(w) > 2)
        case _:
            how = ""
            made = st.sampled_from(["p0", "Patient/p1", "Encounter/e0", "e1", "Patient/none"])
    if draw(st.integers(0, 5)) == 0:
        how = "missing"
    if how == "missing":
        return ":missing", draw(st.sampled_from(["true", "false"]))
    texts = draw(st.lists(made, min_size=1, max_size=2))
    return (f":{how}" if how else ""), ",".join(texts)


TARGETS = {"subject": "Patient", "encounter": "Encounter"}


@st.composite
def a_pair(draw: st.DrawFn, type: str, depth: int = 0) -> tuple[str, str]:
    name = draw(st.sampled_from(sorted(PATHS[type])))
    if depth < 4 and name in TARGETS and draw(st.booleans()):
        target = TARGETS[name]
        key, value = draw(a_pair(target, depth + 1))
        return f"{name}:{target}.{key}", value
    if depth < 3 and type != "Observation" and draw(st.integers(0, 3)) == 0:
        link = "subject" if type == "Patient" else "encounter"
        key, value = draw(a_pair("Observation", depth + 1))
        return f"_has:Observation:{link}:{key}", value
    if name in {"code", "type", "category"} and draw(st.integers(0, 3)) == 0:
        return f"{name}:text", draw(st.sampled_from(["smi", "Straße", "jo", "NUÑ", "li"]))
    how, value = draw(a_value(PATHS[type][name][0]))
    return name + how, value


@st.composite
def a_search(draw: st.DrawFn) -> tuple[int, str, list[tuple[str, str]]]:
    type = draw(st.sampled_from(sorted(PATHS)))
    pairs = draw(st.lists(a_pair(type), min_size=1, max_size=3))
    return draw(st.integers(0, 5)), type, pairs


SEEN = Access(1, Action.SEARCH, (Window(segments=1),))


@pytest.fixture(scope="module")
def worlds(shelf_class: Any) -> list[tuple[Any, list[dict[str, Any]]]]:
    """Six stores; in each, every fourth resource is in a segment that the reader may not see."""
    made = []
    for seed in range(6):
        shelf, trees = shelf_class(), world(seed)
        for place, tree in enumerate(trees):
            shelf.add(tree, seg=2 if place % 4 == 3 else 1)
        made.append((shelf, [tree for place, tree in enumerate(trees) if place % 4 != 3]))
    return made


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(a_search())
def test_a_search_finds_what_a_naive_reader_finds(
    worlds: list[tuple[Any, list[dict[str, Any]]]], asked: tuple[int, str, list[tuple[str, str]]]
) -> None:
    seed, type, pairs = asked
    shelf, visible = worlds[seed]
    found = shelf.find(type, *pairs, ("_count", "100"), access=SEEN)
    assert len(found) == len(set(found))
    assert set(found) == search(visible, type, pairs), (type, pairs)
