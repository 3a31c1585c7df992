"""The access filter in SQL against a plain filter in Python, on random stores and random accesses."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.record.access import ANY_TYPE, Access, Action, Window
from hilum.record.types import type_mask, type_number

TYPES = ["Observation", "Condition", "Procedure"]
CODES = ["a", "b", "c"]
ACTORS = ["Practitioner/1", "Practitioner/2"]
ENCOUNTERS = ["Encounter/1", "Encounter/2"]
YEARS = ["2019", "2020", "2021"]
STARTS = {"2019": 1_546_300_800_000, "2020": 1_577_836_800_000, "2021": 1_609_459_200_000}
DATE_MEMBERS = {
    "Observation": "effectiveDateTime",
    "Condition": "onsetDateTime",
    "Procedure": "performedDateTime",
}
UPDATED = 1_590_000_000_000

rows = st.lists(
    st.fixed_dictionaries({
        "type": st.sampled_from(TYPES),
        "seg": st.integers(1, 15),
        "codes": st.sets(st.sampled_from(CODES), max_size=2),
        "parts": st.sets(st.sampled_from(CODES), max_size=1),
        "authors": st.sets(st.sampled_from(ACTORS), max_size=2),
        "encounter": st.none() | st.sampled_from(ENCOUNTERS),
        "year": st.none() | st.sampled_from(YEARS),
    }),
    max_size=12,
)  # fmt: skip


def windows(shelf: Any, count: int) -> st.SearchStrategy[Window]:
    record = shelf.record
    return st.builds(
        Window,
        segments=st.integers(0, 15),
        types=st.just(ANY_TYPE) | st.sets(st.sampled_from(TYPES)).map(type_mask),
        codes=st.sets(st.sampled_from(CODES), max_size=2).map(
            lambda codes: frozenset(record.hash_code("s", code) for code in codes)
        ),
        data_from=st.none() | st.sampled_from([UPDATED, *STARTS.values()]),
        data_until=st.none() | st.sampled_from([UPDATED, *STARTS.values()]),
        authors=st.sets(st.sampled_from(ACTORS), max_size=1).map(
            lambda refs: frozenset(map(record.hash_reference, refs))
        ),
        encounters=st.sets(st.sampled_from(ENCOUNTERS), max_size=1).map(
            lambda refs: frozenset(map(record.hash_reference, refs))
        ),
        instances=st.sets(
            st.tuples(st.sampled_from(TYPES), st.integers(0, max(count - 1, 0))), max_size=2
        ).map(lambda refs: frozenset(record.hash_reference(f"{t}/r{i}") for t, i in refs)),
    )


def concept(code: str) -> dict[str, Any]:
    return {"coding": [{"system": "s", "code": code}]}


def tree_of(row: dict[str, Any], own_id: str) -> dict[str, Any]:
    tree: dict[str, Any] = {"resourceType": row["type"], "id": own_id}
    if row["codes"]:
        tree["code"] = {"coding": [{"system": "s", "code": c} for c in sorted(row["codes"])]}
    if row["year"]:
        tree[DATE_MEMBERS[row["type"]]] = row["year"]
    if row["encounter"]:
        tree["encounter"] = {"reference": row["encounter"]}
    actors = [{"reference": a} for a in sorted(row["authors"])]
    if row["type"] == "Observation":
        tree["performer"] = actors
        tree["component"] = [{"code": concept(c)} for c in sorted(row["parts"])]
    elif row["type"] == "Procedure":
        tree["performer"] = [{"actor": a} for a in actors]
    elif actors:
        tree["asserter"] = actors[0]
    return tree


def facts_of(shelf: Any, row: dict[str, Any], own_id: str) -> dict[str, Any]:
    record = shelf.record
    authors = sorted(row["authors"])
    if row["type"] == "Condition":
        authors = authors[:1]
    parts = row["parts"] if row["type"] == "Observation" else set()
    return {
        "number": type_number(row["type"]),
        "seg": row["seg"],
        "ts": STARTS[row["year"]] if row["year"] else UPDATED,
        "codes": {record.hash_code("s", c) for c in row["codes"]},
        "parts": {record.hash_code("s", c) for c in parts},
        "authors": {record.hash_reference(a) for a in authors},
        "encounters": {record.hash_reference(row["encounter"])} if row["encounter"] else set(),
        "instances": {record.hash_reference(f"{row['type']}/{own_id}")},
    }


def holds(window: Window, facts: dict[str, Any], *, denies: bool) -> bool:
    inside = facts["seg"] & window.segments != 0 if denies else facts["seg"] & ~window.segments == 0
    codes = facts["codes"] | facts["parts"] if denies else facts["codes"]
    return (
        inside
        and bool(window.types >> facts["number"] & 1)
        and (window.data_from is None or facts["ts"] >= window.data_from)
        and (window.data_until is None or facts["ts"] < window.data_until)
        and (not window.codes or bool(window.codes & codes))
        and (not window.authors or bool(window.authors & facts["authors"]))
        and (not window.encounters or bool(window.encounters & facts["encounters"]))
        and (not window.instances or bool(window.instances & facts["instances"]))
    )


def visible(access: Access, facts: dict[str, Any]) -> bool:
    return any(holds(w, facts, denies=False) for w in access.permits) and not any(
        holds(w, facts, denies=True) for w in access.denies
    )


@settings(max_examples=80, deadline=None)
@given(rows=rows, data=st.data())
def test_the_filter_in_sql_equals_a_filter_in_python(
    shelf_class: Any, rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    shelf = shelf_class()
    for index, row in enumerate(rows):
        shelf.add(tree_of(row, f"r{index}"), seg=row["seg"], at=UPDATED)
    one = windows(shelf, len(rows))
    access = Access(
        shelf.cid,
        Action(127),
        tuple(data.draw(st.lists(one, max_size=3))),
        tuple(data.draw(st.lists(one, max_size=2))),
    )
    facts = [facts_of(shelf, row, f"r{index}") for index, row in enumerate(rows)]
    for name in TYPES:
        expected = {
            f"r{i}"
            for i, row in enumerate(rows)
            if row["type"] == name and visible(access, facts[i])
        }
        assert set(shelf.find(name, access=access)) == expected
        for code in CODES:
            of_code = {own_id for own_id in expected if code in rows[int(own_id[1:])]["codes"]}
            assert set(shelf.find(name, ("code", f"s|{code}"), access=access)) == of_code
            assert set(shelf.find(name, ("code", code), access=access)) == of_code
        for index in range(len(rows)):
            found = shelf.record.read(shelf.conn, access, name, f"r{index}")
            assert (found is not None) == (f"r{index}" in expected)
            versions = shelf.record.history(shelf.conn, access, name, f"r{index}", limit=9)
            assert bool(versions) == (f"r{index}" in expected)
    shelf.conn.close()


def test_the_contributor_counts_as_an_author(shelf: Any) -> None:
    from hilum.record.change import Create
    from hilum.record.resource import parse_resource

    resource = parse_resource(b'{"resourceType":"Observation"}')
    shelf.record.apply(shelf.conn, [Create(shelf.cid, resource, "x", 1, author="Device/d")], 1)
    of_device = frozenset({shelf.record.hash_reference("Device/d")})
    access = Access(shelf.cid, Action(127), (Window(segments=1, authors=of_device),))
    assert shelf.find("Observation", access=access) == ["x"]
    assert shelf.record.check(shelf.conn) == []
