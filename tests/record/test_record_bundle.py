from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import MalformedInputError
from hilum.record.bundle import (
    Entry,
    conditional_references,
    parse_bundle,
    plan,
)
from hilum.record.references import list_references
from hilum.record.rewriting import rewrite_references

UUID = "urn:uuid:11111111-2222-3333-4444-555555555555"


def entry(method: str | None, url: str, resource: Any = None, **members: Any) -> dict[str, Any]:
    made: dict[str, Any] = dict(members)
    if resource is not None:
        made["resource"] = resource
    if method:
        made["request"] = {"method": method, "url": url}
    return made


def bundle(*entries: dict[str, Any], kind: str = "transaction") -> bytes:
    return json.dumps({"resourceType": "Bundle", "type": kind, "entry": list(entries)}).encode()


def number(entry_: Entry) -> Any:
    return f"n{entry_.index}"


def test_things_are_done_in_the_order_of_the_specification() -> None:
    made = parse_bundle(
        bundle(
            entry("GET", "Patient?_id=1"),
            entry("PUT", "Basic/p", {"resourceType": "Basic", "id": "p"}),
            entry("POST", "Basic", {"resourceType": "Basic"}),
            entry("DELETE", "/Basic/d"),
            entry("POST", "Basic", {"resourceType": "Basic"}),
            entry("GET", "Basic/g"),
        )
    )
    operations = plan(made, number)
    assert [(o.entry.method, o.entry.index) for o in operations] == [
        ("DELETE", 3), ("POST", 2), ("POST", 4), ("PUT", 1), ("GET", 0), ("GET", 5),
    ]  # fmt: skip
    assert [o.id for o in operations] == ["d", "n2", "n4", "p", None, None]
    assert operations[4].query == "_id=1"


def test_references_between_entries_are_rewritten_and_nothing_else() -> None:
    raw = (
        (
            '{"resourceType":"Observation","value":2.00,"text":{"div":"<a href=\\"%(u)s\\">%(u)s</a>"},'
            '"identifier":[{"system":"%(u)s","value":"%(u)s"}],"subject":{ "reference" : "%(u)s" },'
            '"focus":[{"reference":"%(u)s#part"},{"reference":"%(u)s-other"},{"display":"%(u)s"}],'
            '"note":[{"text":"%(u)s"}],"instantiatesUri":["urn:a","%(u)s" , "b"],"valueUri":"%(u)s",'
            '"valueString":"%(u)s"}'
        )
        .replace("%(u)s", UUID)
        .encode()
    )
    new = rewrite_references(raw, {UUID: "Patient/7"})
    expected = (
        raw.replace(b'href=\\"' + UUID.encode(), b'href=\\"Patient/7')
        .replace(b'{ "reference" : "%s" }' % UUID.encode(), b'{ "reference" : "Patient/7" }')
        .replace(b"%s#part" % UUID.encode(), b"Patient/7#part")
        .replace(b'["urn:a","%s" , "b"]' % UUID.encode(), b'["urn:a","Patient/7" , "b"]')
        .replace(b'"valueUri":"%s"' % UUID.encode(), b'"valueUri":"Patient/7"')
    )
    assert new == expected


def test_escaped_and_absolute_addresses_are_rewritten_too() -> None:
    raw = rb'{"subject":{"reference":"http:\/\/s\/fhir\/Patient\/1"}}'
    assert rewrite_references(raw, {"http://s/fhir/Patient/1": "Patient/9"}) == (
        b'{"subject":{"reference":"Patient/9"}}'
    )


def test_relative_references_follow_the_base_of_their_entry() -> None:
    url, reference = "http://s/Patient/1", {"reference": "Patient/1"}
    made = parse_bundle(
        bundle(
            entry("POST", "Patient", {"resourceType": "Patient", "id": "1"}, fullUrl=url),
            entry("POST", "Basic", {"resourceType": "Basic", "subject": reference}),
        )
    )  # fmt: skip
    bodies = [json.loads(o.body or b"{}") for o in plan(made, number)]
    assert bodies[1]["subject"]["reference"] == "Patient/n0"


def test_conditional_references_are_listed_and_replaced() -> None:
    query = r"Practitioner?identifier=http://npi|12\"3"
    raw = {"resourceType": "Basic", "author": {"reference": query, "display": "Patient?x=1"}}
    made = parse_bundle(bundle(entry("POST", "Basic", raw)))
    kind, _, rest = query.partition("?")
    assert conditional_references(made.entries) == {(kind, rest)}
    [operation] = plan(made, number, {query: "Practitioner/5"})
    assert json.loads(operation.body or b"")["author"] == {
        "reference": "Practitioner/5",
        "display": "Patient?x=1",
    }


NAMES = st.sampled_from(["reference", "value", "url", "a", 'q"'])
nested = st.recursive(
    st.text(max_size=6) | st.just(UUID),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
)


@given(nested)
def test_rewriting_equals_rewriting_the_tree(tree: Any) -> None:
    def walk(node: Any, key: str) -> Any:
        if isinstance(node, dict):
            return {k: walk(v, k) for k, v in node.items()}
        if isinstance(node, list):
            plain = all(isinstance(v, str) for v in node)
            return [walk(v, key if plain else "") for v in node]
        return "Patient/7" if node == UUID and key in {"reference", "url"} else node

    raw = json.dumps({"x": tree}).encode()
    assert json.loads(rewrite_references(raw, {UUID: "Patient/7"})) == walk({"x": tree}, "")


BAD: list[tuple[bytes, str]] = [
    (b"{", ""),
    (b'{"resourceType":"Patient","type":"batch"}', "resourceType"),
    (b'{"resourceType":"Bundle"}', "Bundle"),
    (b'{"resourceType":"Bundle","type":"batch","entry":{}}', "Bundle.entry"),
    (
        b'{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":1,"url":""}}]}',
        "Bundle.entry[0].request.method",
    ),
    (bundle(entry(None, "", {"resourceType": "Basic"})), "Bundle.entry[0].request"),
    (bundle(entry("JUMP", "Basic")), "Bundle.entry[0].request.method"),
    (bundle(entry("POST", "Basic")), "Bundle.entry[0].resource"),
    (bundle(entry("POST", "Patient", {"resourceType": "Basic"})), "Bundle.entry[0].request.url"),
    (bundle(entry("GET", "Nonsense/1")), "Bundle.entry[0].request.url"),
    (bundle(entry("POST", "Basic", {"a": 1})), "Bundle.entry[0].resource"),
    (bundle(entry("POST", "X", {"resourceType": "X"})), "Bundle.entry[0].resource"),
    (
        bundle(*[entry("DELETE", f"Basic/{i}", fullUrl="urn:a") for i in (1, 2)]),
        "Bundle.entry[1].fullUrl",
    ),
    (bundle({}, kind="collection"), "Bundle.entry[0].resource"),
    (
        bundle({"request": {"method": "DELETE", "url": "Basic/1", "ifMatch": "3"}}),
        "Bundle.entry[0].request.ifMatch",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("data", "place"), BAD)
def test_a_bad_bundle_is_refused_by_place(data: bytes, place: str) -> None:
    with pytest.raises(MalformedInputError) as caught:
        parse_bundle(data)
    assert caught.value.where == place


@pytest.mark.parametrize("url", ["Basic", "Basic/a b", "Basic/"])
def test_a_put_must_name_an_id(url: str) -> None:
    made = parse_bundle(bundle(entry("PUT", url, {"resourceType": "Basic"})))
    with pytest.raises(MalformedInputError) as caught:
        plan(made, number)
    assert caught.value.where == "Bundle.entry[0].request.url"


def test_if_match_is_read_as_a_version() -> None:
    data = bundle({"request": {"method": "DELETE", "url": "Basic/1", "ifMatch": 'W/"3"'}})
    [operation] = plan(parse_bundle(data), number)
    assert operation.entry.if_match == 3


def test_a_synthea_bundle_is_whole_after_rewriting(material: Callable[[str], Path]) -> None:
    paths = sorted(material("synthea-r4").glob("*.json.gz"), key=lambda p: p.stat().st_size)
    made = parse_bundle(gzip.decompress(paths[8].read_bytes()))
    operations = plan(made, number)
    ids = {f"{o.entry.type}/{o.id}" for o in operations}
    full_urls = {e.full_url for e in made.entries}
    assert len(ids) == len(operations) > 30
    seen = 0
    for operation in operations:
        before = dict(list_references(json.loads(operation.entry.resource or b"")))
        after = dict(list_references(json.loads(operation.body or b"")))
        assert before.keys() == after.keys()
        for path, reference in before.items():
            inside = reference in full_urls
            assert (after[path] in ids) == inside
            assert inside or after[path] == reference
            seen += inside
    assert seen > 50
