"""Every search and interaction that US Core 7.0.0 demands (SHALL), generated from its metadata file."""

from __future__ import annotations

import itertools
import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from tests.conformance_page import told
from tests_material import MATERIAL
from us_core import Search, Tree, groups, searches, values
from us_core_node import Examples

PRESENT = (MATERIAL / "us-core-7.0.0" / "metadata.yml").exists()
SHALL = list(searches(MATERIAL)) if PRESENT else []
GROUPS = groups(MATERIAL) if PRESENT else []
READABLE = sorted({
    group["resource"] for group in GROUPS
    for each in group["interactions"] if each["code"] == "read" and each["expectation"] == "SHALL"
})  # fmt: skip
COMPARED = sorted({
    (search.resource, name)
    for search in SHALL for name in search.names
    if search.definitions[name]["comparators"].get("gt") == "SHALL"
})  # fmt: skip
SEVERAL = sorted({
    (group["resource"], name)
    for group in GROUPS for name, each in group["search_definitions"].items()
    if each["multiple_or"] == "SHALL"
})  # fmt: skip
INCLUDES = sorted({(g["resource"], each) for g in GROUPS for each in g["include_params"]})
REVINCLUDES = sorted({(g["resource"], each) for g in GROUPS for each in g["revincludes"]})


def test_the_material_is_there(us_core: Examples) -> None:
    assert PRESENT
    assert len(SHALL) == 126
    assert us_core.held
    here = "tests/conformance/test_us_core.py"
    told("us-core", len(SHALL), len(SHALL), here)
    rest = [*READABLE, *COMPARED * 4, *SEVERAL, *INCLUDES, *REVINCLUDES]
    told("us-core-rest", len(rest), len(rest), here)


def candidates(us_core: Examples, search: Search) -> list[Tree]:
    """Return the examples of a search's type, those that say its profile first."""
    held = us_core.held.get(search.resource, [])
    return sorted(held, key=lambda x: search.profile not in x.get("meta", {}).get("profile", ()))


def criteria(tree: Tree, search: Search) -> list[tuple[str, str]] | None:
    """Return name-value pairs by which a resource must be found, or None where it lacks one."""
    pairs = []
    for name in search.names:
        found = values(tree, search.definitions[name])
        if not found:
            return None
        pairs.append((name, found[0]))
    return pairs


def ids(entries: list[Tree], mode: str = "match") -> set[str]:
    return {
        f"{each['resource']['resourceType']}/{each['resource']['id']}"
        for each in entries if each["search"]["mode"] == mode
    }  # fmt: skip


@pytest.mark.parametrize("search", SHALL, ids=str)
def test_every_demanded_search_finds_its_example_and_nothing_else(
    us_core: Examples, search: Search
) -> None:
    asked = [(tree, pairs) for tree in candidates(us_core, search)
             if (pairs := criteria(tree, search)) is not None]  # fmt: skip
    assert asked, f"no example can be asked for: {search}"
    for tree, pairs in asked[:3]:
        entries = us_core.find(f"{search.resource}?{urlencode(pairs)}")
        assert f"{search.resource}/{tree['id']}" in ids(entries), pairs
        for each in entries:
            held = each["resource"]
            for name, value in pairs:
                assert _agrees(values(held, search.definitions[name]), name, value), (name, value)


def _agrees(held: list[str], name: str, value: str) -> bool:
    if name in {"name", "address"}:
        return any(each.lower().startswith(value.lower()) for each in held) or any(
            value.lower() in each.lower() for each in held
        )
    if "date" in name or name == "authored":
        return any(each[:10] == value[:10] for each in held)
    return value in held


@pytest.mark.parametrize("search", SHALL, ids=str)
def test_the_same_search_by_post_finds_the_same(us_core: Examples, search: Search) -> None:
    tree, pairs = next(
        (tree, pairs) for tree in candidates(us_core, search)
        if (pairs := criteria(tree, search)) is not None
    )  # fmt: skip
    reply = us_core.edge.ask(
        "POST", f"/fhir/{search.resource}/_search", us_core.token, urlencode(pairs).encode(),
        content_type="application/x-www-form-urlencoded",
    )  # fmt: skip
    assert reply.status == 200
    assert f"{search.resource}/{tree['id']}" in ids(reply.json["entry"])


@pytest.mark.parametrize("resource", READABLE)
def test_every_demanded_read_gives_the_resource_as_it_was(us_core: Examples, resource: str) -> None:
    assert us_core.held[resource]
    for tree in us_core.held[resource]:
        reply = us_core.edge.ask("GET", f"/fhir/{resource}/{tree['id']}", us_core.token)
        assert reply.status == 200
        assert _content(reply.json) == _content(tree)
        version = reply.json["meta"]["versionId"]
        again = us_core.edge.ask(
            "GET", f"/fhir/{resource}/{tree['id']}/_history/{version}", us_core.token
        )
        assert again.body == reply.body
        history = us_core.edge.ask("GET", f"/fhir/{resource}/{tree['id']}/_history", us_core.token)
        assert history.json["entry"][0]["resource"] == reply.json


def _content(tree: Tree) -> str:
    meta = {
        key: value for key, value in tree.get("meta", {}).items()
        if key not in {"versionId", "lastUpdated"}
    }  # fmt: skip
    return json.dumps({**tree, "meta": meta}, sort_keys=True)


@pytest.mark.parametrize(("resource", "name"), COMPARED)
@pytest.mark.parametrize("comparator", ["gt", "ge", "lt", "le"])
def test_demanded_comparators_keep_the_day_itself_as_they_say(
    us_core: Examples, resource: str, name: str, comparator: str
) -> None:
    search = next(each for each in SHALL if each.resource == resource and name in each.names)
    tree = next(x for x in candidates(us_core, search) if values(x, search.definitions[name]))
    own = values(tree, search.definitions[name])[0]
    pairs = [("_id", tree["id"])]
    same = us_core.find(f"{resource}?{urlencode([*pairs, (name, comparator + own)])}")
    before = us_core.find(f"{resource}?{urlencode([*pairs, (name, comparator + '1900-01-01')])}")
    after = us_core.find(f"{resource}?{urlencode([*pairs, (name, comparator + '2999-01-01')])}")
    is_period = isinstance(_leaf(tree, search.definitions[name]), dict)
    if not is_period:
        assert bool(same) == (comparator in {"ge", "le"})
    assert bool(before) == (comparator in {"gt", "ge"})
    assert bool(after) == (comparator in {"lt", "le"})


def _leaf(tree: Tree, definition: Tree) -> Any:
    stem = definition["paths"][0]
    return next((value for key, value in tree.items() if key.startswith(stem)), None)


@pytest.mark.parametrize(("resource", "name"), SEVERAL)
def test_demanded_alternatives_are_joined(us_core: Examples, resource: str, name: str) -> None:
    group = next(g for g in GROUPS if g["resource"] == resource and name in g["search_definitions"])
    definition = group["search_definitions"][name]
    held = [(x["id"], each) for x in us_core.held[resource] for each in values(x, definition)[:1]]
    several = list(dict.fromkeys(value for _id, value in held))[:3] or ["active", "completed"]
    joined = ",".join(each.replace(",", "\\,") for each in several)
    found = ids(us_core.find(f"{resource}?{name}={quote(joined)}&_count=500"))
    alone = [ids(us_core.find(f"{resource}?{name}={quote(each)}&_count=500")) for each in several]
    assert found == set(itertools.chain.from_iterable(alone))
    assert found or not held


@pytest.mark.parametrize(("resource", "include"), INCLUDES)
def test_demanded_includes_bring_what_is_pointed_to(
    us_core: Examples, resource: str, include: str
) -> None:
    member, target = include.split(":")[1], include.split(":")[2:3]
    entries = us_core.find(f"{resource}?_include={include}")
    assert ids(entries)
    wanted = {
        reference
        for tree in us_core.held[resource]
        for reference in _references(tree, member)
        if (not target or reference.startswith(target[0] + "/")) and _is_held(us_core, reference)
    }
    assert ids(entries, "include") == wanted


@pytest.mark.parametrize(("resource", "include"), REVINCLUDES)
def test_demanded_revincludes_bring_what_points_here(
    us_core: Examples, resource: str, include: str
) -> None:
    entries = us_core.find(f"{resource}?_revinclude={include}&_count=500")
    found = ids(entries)
    wanted = {
        f"Provenance/{each['id']}"
        for each in us_core.held["Provenance"]
        if {x["reference"] for x in each["target"]} & found
    }
    assert ids(entries, "include") == wanted


def _references(tree: Tree, member: str) -> list[str]:
    text = json.dumps(
        tree.get(member) or tree.get(f"{member}Reference") or tree.get("participant", [])
    )
    return [part.split('"')[0] for part in text.split('"reference": "')[1:]]


def _is_held(us_core: Examples, reference: str) -> bool:
    kind, _slash, name = reference.partition("/")
    return any(each["id"] == name for each in us_core.held.get(kind, ()))
