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
    """Windows that are wide in most respects, so that each respect decides often."""
    record = shelf.record

    def hashed(values: list[str], make: Any) -> st.SearchStrategy[frozenset[int]]:
        some = st.sets(st.sampled_from(values), min_size=1, max_size=2)
        return st.just(frozenset()) | some.map(lambda chosen: frozenset(map(make, chosen)))

    instants = st.none() | st.sampled_from([UPDATED, *STARTS.values()])
    instances = [f"{name}/r{index}" for name in TYPES for index in range(max(count, 1))]
    few = st.sets(st.sampled_from(TYPES), min_size=1).map(type_mask)
    return st.builds(
        Window,
        segments=st.just(15) | st.integers(0, 15),
        types=st.just(ANY_TYPE) | few,
        codes=hashed(CODES, lambda code: record.hash_code("s", code)),
        data_from=st.none() | instants,
        data_until=st.none() | instants,
        authors=st.just(frozenset()) | hashed(ACTORS, record.hash_reference),
        encounters=st.just(frozenset()) | hashed(ENCOUNTERS, record.hash_reference),
        instances=st.just(frozenset()) | hashed(instances, record.hash_reference),
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


@settings(max_examples=35, deadline=None)
@given(rows=rows, data=st.data())
def test_the_filter_in_sql_equals_a_filter_in_python(
    shelf_class: Any, rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    shelf = shelf_class()
    for index, row in enumerate(rows):
        shelf.add(tree_of(row, f"r{index}"), seg=row["seg"], at=UPDATED)
    facts = [facts_of(shelf, row, f"r{index}") for index, row in enumerate(rows)]
    one = windows(shelf, len(rows))
    wide = Window(segments=15)
    for _ in range(4):
        access = Access(
            shelf.cid,
            Action(127),
            tuple(data.draw(st.just([wide]) | st.lists(one, max_size=3))),
            tuple(data.draw(st.lists(one, max_size=2))),
        )
        compare(shelf, rows, facts, access)
    shelf.conn.close()


def compare(
    shelf: Any, rows: list[dict[str, Any]], facts: list[dict[str, Any]], access: Access
) -> None:
    shown = {f"r{i}" for i in range(len(rows)) if visible(access, facts[i])}
    for name in TYPES:
        expected = {own_id for own_id in shown if rows[int(own_id[1:])]["type"] == name}
        assert set(shelf.find(name, access=access)) == expected
        for code in CODES:
            of_code = {own_id for own_id in expected if code in rows[int(own_id[1:])]["codes"]}
            assert set(shelf.find(name, ("code", f"s|{code}"), access=access)) == of_code
            assert set(shelf.find(name, ("code", code), access=access)) == of_code
        for index in range(len(rows)):
            found = shelf.record.read(shelf.conn, access, name, f"r{index}")
            assert (found is not None) == (f"r{index}" in expected)
            versions = shelf.record.history(shelf.conn, access, (name, f"r{index}"), limit=9)
            assert bool(versions) == (f"r{index}" in expected)


def test_a_period_begins_with_its_first_instant_and_ends_before_its_last(shelf: Any) -> None:
    for year in YEARS:
        shelf.add({"resourceType": "Observation", "id": year, "effectiveDateTime": year})
    window = Window(segments=1, data_from=STARTS["2020"], data_until=STARTS["2021"])  # type: ignore[arg-type] # plain ms in a test
    permitted = Access(shelf.cid, Action(127), (window,))
    assert shelf.find("Observation", access=permitted) == ["2020"]
    denied = Access(shelf.cid, Action(127), (Window(segments=1),), (window,))
    assert shelf.find("Observation", access=denied) == ["2021", "2019"]


def test_a_code_inside_a_part_denies_but_does_not_permit(shelf: Any) -> None:
    shelf.add({
        "resourceType": "Observation", "id": "panel", "code": concept("whole"),
        "component": [{"code": concept("part")}],
    })  # fmt: skip

    def window(code: str) -> Window:
        return Window(segments=1, codes=frozenset({shelf.record.hash_code("s", code)}))

    whole = Window(segments=1)
    assert shelf.find("Observation", access=Access(shelf.cid, Action(127), (window("whole"),)))
    for access in (
        Access(shelf.cid, Action(127), (window("part"),)),
        Access(shelf.cid, Action(127), (whole,), (window("part"),)),
        Access(shelf.cid, Action(127), (whole,), (window("whole"),)),
    ):
        assert shelf.find("Observation", access=access) == []


def test_the_contributor_counts_as_an_author(shelf: Any) -> None:
    from hilum.record.change import Create
    from hilum.record.resource import parse_resource

    resource = parse_resource(b'{"resourceType":"Observation"}')
    shelf.record.apply(shelf.conn, [Create(shelf.cid, resource, "x", 1, author="Device/d")], 1)
    of_device = frozenset({shelf.record.hash_reference("Device/d")})
    access = Access(shelf.cid, Action(127), (Window(segments=1, authors=of_device),))
    assert shelf.find("Observation", access=access) == ["x"]
    assert shelf.record.check(shelf.conn) == []
