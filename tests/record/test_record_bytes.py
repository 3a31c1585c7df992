from __future__ import annotations

import contextlib
import json
import tarfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import MalformedInputError
from hilum.record.resource import format_instant, parse_json, parse_resource, stamp

STAMPED = {"versionId", "lastUpdated"}
EXACT = (
    rb'{"resourceType":"Observation","id":"mine","meta":{"profile":["http://p"],"x-unknown":1e-5},'
    rb'"status":"final","zeta":{"b":2.00,"a":[1E+05,-0,0.10,123456789012345678901234567890.5]},'
    rb'"code":{"text":"caf\u00e9 \/ \ud83d\ude00 \"q\" "},"valueQuantity":{"value":2.00,"unit":"mg"}}'
)


def test_stamping_keeps_every_value_to_the_byte() -> None:
    body = stamp(EXACT, id="new", version=3, updated=1_600_000_000_123)
    for kept in (
        rb'"zeta":{"b":2.00,"a":[1E+05,-0,0.10,123456789012345678901234567890.5]}',
        rb'"code":{"text":"caf\u00e9 \/ \ud83d\ude00 \"q\" "}',
        rb'"valueQuantity":{"value":2.00,"unit":"mg"}',
        rb'"profile":["http://p"],"x-unknown":1e-5',
    ):
        assert kept in body
    assert body.startswith(b'{"resourceType":"Observation","id":"new","meta":{')
    tree = json.loads(body)
    assert tree["meta"]["versionId"] == "3"
    assert tree["meta"]["lastUpdated"] == "2020-09-13T12:26:40.123Z"
    assert list(tree)[3:] == ["status", "zeta", "code", "valueQuantity"]


def test_stamping_changes_nothing_but_white_space_and_the_stamp() -> None:
    spaced = json.dumps(json.loads(EXACT), indent=4).encode()
    assert stamp(spaced, id="n", version=1, updated=0) == stamp(
        json.dumps(json.loads(EXACT), separators=(",", ":")).encode(), id="n", version=1, updated=0
    )


def test_stamping_adds_each_security_label_once() -> None:
    label = b'{"system":"s","code":"PATAST"}'
    raw = b'{"resourceType":"Basic","meta":{"security":[{"code":"R"}]}}'
    once = stamp(raw, id="a", version=1, updated=0, security=(label,))
    twice = stamp(once, id="a", version=2, updated=0, security=(label,))
    assert json.loads(twice)["meta"]["security"] == [{"code": "R"}, json.loads(label)]


def written(data: bytes) -> dict[str, object]:
    """Return a tree whose numbers are their written digits."""
    tree: dict[str, object] = json.loads(data, parse_float=str, parse_int=str)
    return tree


def test_official_examples_keep_every_value_through_stamping(
    material: Callable[[str], Path],
) -> None:
    seen = 0
    with tarfile.open(material("fhir-r4-examples/examples.tar.gz")) as tar:
        for member in tar:
            handle = tar.extractfile(member) if member.name.endswith(".json") else None
            if handle is None:
                continue
            data = handle.read()
            before = written(data)
            after = written(stamp(data, id="new", version=1, updated=0))
            for tree in (before, after):
                tree.pop("id", None)
                meta = tree.pop("meta", None) or {}
                tree["meta"] = {k: v for k, v in meta.items() if k not in STAMPED}
            assert after == before, member.name
            seen += 1
    assert seen == 713


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.text(max_size=8)
    | st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abcdef", min_size=1, max_size=4), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text("ghijkl", min_size=1, max_size=4), json_values, max_size=5))
def test_any_member_survives_stamping(members: dict[str, object]) -> None:
    raw = json.dumps({"resourceType": "Basic", **members}, ensure_ascii=False).encode()
    tree = json.loads(stamp(raw, id="x", version=1, updated=5))
    assert {key: tree[key] for key in members} == members


def test_decimals_keep_their_written_digits() -> None:
    tree = parse_json(b'{"a":2.00,"b":1e-5,"c":7}')
    assert str(tree["a"]) == "2.00"
    assert tree["b"] == Decimal("0.00001")
    assert tree["c"] == 7


DEEP = b'{"resourceType":"Basic","x":' + b"[" * 64 + b"]" * 64 + b"}"
BAD = [
    (b"", "bad-json"),
    (b"[]", "bad-json"),
    (b"7", "bad-json"),
    (b'{"resourceType":"Basic"', "bad-json"),
    (b'{"resourceType":"Basic",}', "bad-json"),
    (b'{"resourceType":"Basic"}x', "bad-json"),
    (b'{"resourceType":NaN}', "bad-json"),
    (b'{"resourceType":"Basic","a":"\n"}', "bad-json"),
    (b'\xef\xbb\xbf{"resourceType":"Basic"}', "bad-json"),
    ('{"resourceType":"Basic"}'.encode("utf-16"), "bad-json"),
    (b'{"resourceType":"Basic","a":"\xff"}', "bad-encoding"),
    (b'{"resourceType":"Basic","a":1,"a":2}', "twin-key"),
    (b'{"resourceType":"Basic","x":{"a":1,"\\u0061":2}}', "twin-key"),
    (b'{"resourceType":"Basic","x":[{"a":"\\u0022\\u0022","a":""}]}', "twin-key"),
    (b'{"a":1}', "no-type"),
    (b'{"resourceType":7}', "no-type"),
    (b'{"resourceType":"SubscriptionStatus"}', "unknown-type"),
    (b'{"resourceType":"DomainResource"}', "unknown-type"),
    (b'{"resourceType":"patient"}', "unknown-type"),
    (b'{"resourceType":"Basic","id":"a b"}', "bad-id"),
    (b'{"resourceType":"Basic","id":""}', "bad-id"),
    (b'{"resourceType":"Basic","id":7}', "bad-id"),
    (b'{"resourceType":"Basic","id":"' + b"a" * 65 + b'"}', "bad-id"),
    (DEEP, "too-deep"),
    (b"[" * 5000 + b"]" * 5000, "too-deep"),
]


@pytest.mark.parametrize(("data", "code"), BAD)
def test_bad_bytes_are_refused_with_a_reason(data: bytes, code: str) -> None:
    with pytest.raises(MalformedInputError) as caught:
        parse_resource(data)
    assert caught.value.code == code


def test_just_deep_enough_is_taken() -> None:
    data = b'{"resourceType":"Basic","x":' + b"[" * 63 + b"]" * 63 + b"}"
    assert parse_resource(data).type == "Basic"


def test_size_limit_is_exact() -> None:
    data = b'{"resourceType":"Basic"}'
    assert parse_resource(data, max_bytes=len(data)).raw == data
    with pytest.raises(MalformedInputError) as caught:
        parse_resource(data, max_bytes=len(data) - 1)
    assert caught.value.code == "too-large"


@given(st.binary(max_size=60))
def test_parsing_is_total(data: bytes) -> None:
    with contextlib.suppress(MalformedInputError):
        parse_resource(data)


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_600_000_000_007, "2020-09-13T12:26:40.007Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
    ],
)
def test_instants_are_utc_with_milliseconds(at: int, text: str) -> None:
    assert format_instant(at) == text
