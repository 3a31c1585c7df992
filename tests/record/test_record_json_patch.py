from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import MalformedInputError
from hilum.record.patching import apply_json_patch

PATIENT = (
    b'{"resourceType":"Patient","id":"p","meta":{"versionId":"3","lastUpdated":'
    b'"2020-01-01T00:00:00Z"},"active":true,"name":[{"family":"A"}],"extension":[{"url":"u",'
    b'"valueDecimal":1.500},{"url":"v","valueDecimal":1.0e2}],"multipleBirthInteger":2}'
)


def apply(*operations: dict[str, Any]) -> Any:
    return json.loads(apply_json_patch(PATIENT, json.dumps(operations).encode()), parse_float=str)


def test_the_official_cases_of_json_patch(material: Callable[[str], Path]) -> None:
    path = material("fhir-test-cases/r4/patch") / "json-patch-tests.json"
    cases = json.loads(path.read_bytes())
    for case in cases:
        doc, patch = (json.dumps(case[name]).encode() for name in ("doc", "patch"))
        if "error" in case:
            with pytest.raises(MalformedInputError) as caught:
                apply_json_patch(doc, patch)
            assert caught.value.where == "patch[0]", case["comment"]
        else:
            assert json.loads(apply_json_patch(doc, patch)) == case["expected"], case["comment"]
    assert len(cases) >= 15


def test_numbers_that_no_operation_touches_keep_their_digits() -> None:
    after = apply_json_patch(PATIENT, b'[{"op":"replace","path":"/active","value":false}]')
    assert after == PATIENT.replace(b"true", b"false")


def test_numbers_that_come_with_a_patch_keep_their_digits() -> None:
    after = apply_json_patch(
        PATIENT, b'[{"op":"replace","path":"/extension/0/valueDecimal","value":2.50e1}]'
    )
    assert b'"valueDecimal":2.50e1}' in after


@pytest.mark.parametrize(
    ("path", "value"),
    [("/active", 1), ("/multipleBirthInteger", "2"), ("/name/0", {}), ("/nothing", None)],
)
def test_a_test_that_does_not_hold_fails(path: str, value: object) -> None:
    with pytest.raises(MalformedInputError) as caught:
        apply({"op": "remove", "path": "/active"}, {"op": "test", "path": path, "value": value})
    assert (caught.value.code, caught.value.where) == ("patch-failed", "patch[1]")


def test_a_test_compares_numbers_by_value() -> None:
    body = apply_json_patch(
        PATIENT, b'[{"op":"test","path":"/extension/1/valueDecimal","value":100}]'
    )
    assert body == PATIENT


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "/id", "value": "q"},
        {"op": "remove", "path": "/id"},
        {"op": "replace", "path": "/resourceType", "value": "Basic"},
        {"op": "replace", "path": "/meta/versionId", "value": "1"},
        {"op": "replace", "path": "/meta/lastUpdated", "value": "2020-01-02T00:00:00Z"},
        {"op": "replace", "path": "", "value": {"resourceType": "Patient", "id": "q"}},
        {"op": "move", "from": "/active", "path": "/id"},
    ],
)
def test_what_names_the_resource_cannot_be_patched(operation: dict[str, Any]) -> None:
    with pytest.raises(MalformedInputError) as caught:
        apply(operation)
    assert caught.value.code == "patch-identity"
    assert caught.value.where.startswith("Patient.")


@pytest.mark.parametrize(
    ("patch", "where"),
    [
        (b"{}", "patch"),
        (b"[1]", "patch[0]"),
        (b'[{"op":"jump","path":"/a"}]', "patch[0]"),
        (b'[{"op":"add","path":"/a"}]', "patch[0]"),
        (b'[{"op":"add","path":"a","value":1}]', "patch[0]"),
        (b'[{"op":"move","path":"/a"}]', "patch[0]"),
        (b'[{"op":"remove","path":["a"]}]', "patch[0]"),
        (b'[{"op":["add"],"path":"/a"}]', "patch[0]"),
        (b'[{"op":"remove","path":"/' + b"a" * 1100 + b'"}]', "patch[0]"),
        (b"[" + b",".join([b'{"op":"test","path":"","value":1}'] * 1001) + b"]", "patch"),
    ],
)
def test_what_is_not_a_patch_is_refused_with_its_place(patch: bytes, where: str) -> None:
    with pytest.raises(MalformedInputError) as caught:
        apply_json_patch(PATIENT, patch)
    assert (caught.value.code, caught.value.where) == ("bad-patch", where)


def test_a_patch_that_doubles_itself_is_refused() -> None:
    operations = [{"op": "copy", "from": "/name", "path": "/name/-"} for _ in range(60)]
    with pytest.raises(MalformedInputError) as caught:
        apply(*operations)
    assert caught.value.code in {"too-large", "too-deep"}


def test_errors_tell_no_values() -> None:
    for operations in (
        [{"op": "test", "path": "/name/0/family", "value": "secret"}],
        [{"op": "add", "path": "/name/secret", "value": 1}],
        [{"op": "remove", "path": "/secret"}],
    ):
        with pytest.raises(MalformedInputError) as caught:
            apply(*operations)
        assert "secret" not in str(caught.value)


pointers = st.lists(
    st.sampled_from(["name", "0", "1", "-", "family", "meta", "", "~0", "~2", "-1", "01"]),
    max_size=4,
).map(lambda parts: "".join("/" + part for part in parts))
operations = st.lists(
    st.fixed_dictionaries(
        {
            "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]),
            "path": pointers,
            "from": pointers,
            "value": st.sampled_from([1, "x", {}, [], None, [[1]], {"a": {"b": 2}}]),
        }
    ),
    max_size=6,
)


@given(operations)
def test_any_patch_is_applied_or_refused_and_never_crashes(patch: list[dict[str, Any]]) -> None:
    after: dict[str, Any] = {"resourceType": "Patient", "id": "p"}
    with contextlib.suppress(MalformedInputError):
        after = json.loads(apply_json_patch(PATIENT, json.dumps(patch).encode()))
    assert (after["resourceType"], after["id"]) == ("Patient", "p")
