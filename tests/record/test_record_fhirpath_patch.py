from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from tests.conformance_page import told

from hilum.errors import MalformedInputError
from hilum.record.patching import apply_fhirpath_patch
from hilum.record.xml import from_xml

PATIENT = {
    "resourceType": "Patient",
    "id": "p",
    "meta": {"versionId": "3", "lastUpdated": "2020-01-01T00:00:00Z", "tag": [{"code": "t"}]},
    "name": [
        {"given": ["A", "B", "C"], "_given": [None, {"id": "b"}, None], "family": "F"},
        {"text": "second"},
    ],
    "birthDate": "2000",
    "_birthDate": {"extension": [{"url": "u", "valueString": "s"}]},
    "deceasedBoolean": True,
    "contact": [{"name": {"text": "n"}}],
    "contained": [{"resourceType": "Basic", "id": "q", "code": {"text": "c"}}],
}


EXTENSION = [{"name": "url", "valueUri": "w"}, {"name": "value", "valueCode": "c"}]


def operation(kind: str, path: str, **parts: Any) -> dict[str, Any]:
    listed = [{"name": "type", "valueCode": kind}, {"name": "path", "valueString": path}]
    if "name" in parts:
        listed.append({"name": "name", "valueString": parts.pop("name")})
    numbers = [name for name in ("index", "source", "destination") if name in parts]
    listed += [{"name": name, "valueInteger": parts.pop(name)} for name in numbers]
    if parts:
        listed.append({"name": "value", **parts})
    return {"name": "operation", "part": listed}


def apply(*operations: dict[str, Any], to: dict[str, Any] = PATIENT) -> Any:
    patch = {"resourceType": "Parameters", "parameter": list(operations)}
    return json.loads(apply_fhirpath_patch(json.dumps(to).encode(), json.dumps(patch).encode()))


def test_the_official_cases_of_fhirpath_patch(material: Callable[[str], Path]) -> None:
    document = etree.parse(material("fhir-test-cases/r4/patch") / "fhir-patch-tests.xml")
    cases = document.findall("case")
    for case in cases:
        given, diff, wanted = (
            from_xml(etree.tostring(case.find(name)[0])) if case.find(name) is not None else b""
            for name in ("input", "diff", "output")
        )
        if wanted:
            after = json.loads(apply_fhirpath_patch(given, diff), parse_float=str)
            assert after == json.loads(wanted, parse_float=str), case.get("name")
        else:
            with pytest.raises(MalformedInputError) as caught:
                apply_fhirpath_patch(given, diff)
            assert caught.value.code == "patch-failed"
    assert len(cases) == 33
    told("patch", len(cases), len(cases), "tests/record/test_record_fhirpath_patch.py")


def test_numbers_keep_their_digits() -> None:
    body = b'{"resourceType":"Observation","valueQuantity":{"value":1.0e2},"component":[]}'
    patch = (
        b'{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type",'
        b'"valueCode":"add"},{"name":"path","valueString":"Observation.value"},{"name":"name",'
        b'"valueString":"extension"},{"name":"value","part":[{"name":"url","valueUri":"u"},'
        b'{"name":"value","valueDecimal":2.50}]}]}]}'
    )
    after = apply_fhirpath_patch(body, patch)
    assert b'"value":1.0e2' in after
    assert b'"valueDecimal":2.50' in after


def test_a_choice_of_types_takes_another_type() -> None:
    after = apply(operation("replace", "Patient.deceased", valueDateTime="2020-01-01"))
    assert after["deceasedDateTime"] == "2020-01-01"
    assert "deceasedBoolean" not in after


def test_a_choice_of_types_is_added_by_the_name_of_the_element() -> None:
    without = {k: v for k, v in PATIENT.items() if k != "deceasedBoolean"}
    for name in ("deceased", "deceasedBoolean"):
        after = apply(operation("add", "Patient", name=name, valueBoolean=False), to=without)
        assert after["deceasedBoolean"] is False
    with pytest.raises(MalformedInputError):
        apply(operation("add", "Patient", name="deceased", valueString="no"), to=without)


def test_ids_and_extensions_move_with_their_values() -> None:
    after = apply(operation("move", "Patient.name[0].given", source=1, destination=0))["name"][0]
    assert (after["given"], after["_given"]) == (["B", "A", "C"], [{"id": "b"}, None, None])
    after = apply(operation("insert", "Patient.name[0].given", index=0, valueString="Z"))["name"][0]
    assert after["given"] == ["Z", "A", "B", "C"]
    assert after["_given"] == [None, None, {"id": "b"}, None]
    after = apply(operation("delete", "Patient.name[0].given[1]"))["name"][0]
    assert after["given"] == ["A", "C"]
    assert "_given" not in after


def test_a_replaced_value_loses_its_extensions() -> None:
    after = apply(operation("replace", "Patient.birthDate", valueDate="2001"))
    assert after["birthDate"] == "2001"
    assert "_birthDate" not in after


def test_a_value_takes_an_extension_of_its_own() -> None:
    extension = {"url": "w", "valueCode": "c"}
    after = apply(operation("add", "Patient.name[0].given[0]", name="extension", part=EXTENSION))
    assert after["name"][0]["_given"] == [{"extension": [extension]}, {"id": "b"}, None]
    after = apply(
        operation("replace", "Patient.birthDate.extension('u').value", valueString="other")
    )
    assert after["_birthDate"]["extension"] == [{"url": "u", "valueString": "other"}]


def test_what_becomes_empty_goes_with_what_was_in_it() -> None:
    after = apply(
        operation("delete", "Patient.contact[0].name.text"),
        operation("delete", "Patient.birthDate.extension('u')"),
        operation("delete", "Patient.meta.tag[0].code"),
    )
    assert "contact" not in after
    assert "_birthDate" not in after
    assert after["birthDate"] == "2000"
    assert "tag" not in after["meta"]


def test_deleting_what_is_not_there_changes_nothing() -> None:
    assert apply(operation("delete", "Patient.maritalStatus")) == PATIENT


def test_resources_inside_resources_can_be_patched() -> None:
    after = apply(operation("replace", "Patient.contained[0].code.text", valueString="d"))
    assert after["contained"][0]["code"]["text"] == "d"


FAILING: list[dict[str, Any]] = [
    operation("replace", "Patient.maritalStatus", valueCodeableConcept={"text": "m"}),
    operation("replace", "Patient.name", valueHumanName={"text": "m"}),
    operation("replace", "Patient", valueString="x"),
    operation("delete", "Patient.name"),
    operation("delete", "Patient"),
    operation("add", "Patient", name="birthDate", valueDate="2001"),
    operation("add", "Patient", name="colour", valueString="red"),
    operation("add", "Patient", name="active", valueString="true"),
    operation("add", "Patient", name="name", valueString="x"),
    operation("add", "Patient.name[0].given", name="extension", part=EXTENSION),
    operation("insert", "Patient.name[0].given", index=4, valueString="x"),
    operation("insert", "Patient.birthDate", index=0, valueDate="2001"),
    operation("insert", "Patient.name.where(family = 'F')", index=0, valueHumanName={"text": "x"}),
    operation("insert", "Patient.name.given | Patient.name", index=0, valueString="x"),
    operation("move", "Patient.name", source=0, destination=2),
    operation("replace", "'made'", valueString="x"),
    operation("replace", "Patient.name.count()", valueInteger=7),
]


@pytest.mark.parametrize("failing", FAILING, ids=str)
def test_what_cannot_be_done_is_refused_with_the_place_of_the_operation(
    failing: dict[str, Any],
) -> None:
    with pytest.raises(MalformedInputError) as caught:
        apply(operation("delete", "Patient.contact[0]"), failing)
    assert caught.value.code == "patch-failed"
    assert caught.value.where == "Parameters.parameter[1]"


def test_what_names_the_resource_cannot_be_patched() -> None:
    for path, value in (("Patient.id", "q"), ("Patient.meta.versionId", "1")):
        with pytest.raises(MalformedInputError) as caught:
            apply(operation("replace", path, valueId=value))
        assert (caught.value.code, caught.value.where) == ("patch-identity", path)


def part(name: str, **value: Any) -> dict[str, Any]:
    return {"name": name, **value}


BAD = [
    {"name": "jump", "part": []},
    {"name": "operation"},
    {"name": "operation", "part": [part("type", valueCode="jump")]},
    {"name": "operation", "part": [part("type", valueCode="delete")]},
    {"name": "operation", "part": [part("type", valueInteger=1)]},
    {"name": "operation", "part": [part("type", valueCode="add"), part("type", valueCode="add")]},
    {"name": "operation", "part": [{"valueCode": "delete"}]},
    {
        "name": "operation",
        "part": [part("type", valueCode="delete"), part("path", valueString="(")],
    },
    operation("delete", "Patient..name"),
    operation("move", "Patient.name", source=-1, destination=0),
    operation("add", "Patient", name="active", valueBoolean=True, valueString="x"),
    operation("add", "Patient", name="active", valueColour=True),
]


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_what_is_not_a_patch_is_refused_with_its_place(bad: dict[str, Any]) -> None:
    with pytest.raises(MalformedInputError) as caught:
        apply(bad, to={k: v for k, v in PATIENT.items() if k != "active"})
    assert caught.value.code == "bad-patch"
    assert caught.value.where.startswith("Parameters.parameter[0]")


def test_other_resources_are_no_patch() -> None:
    for patch in (
        b"[]",
        b"{",
        b'{"resourceType":"Patient"}',
        b'{"resourceType":"Parameters","parameter":1}',
    ):
        with pytest.raises(MalformedInputError):
            apply_fhirpath_patch(json.dumps(PATIENT).encode(), patch)


paths = st.sampled_from(
    ["Patient", "Patient.name", "Patient.name[0]", "Patient.name[1].text", "Patient.name.given",
     "Patient.name[0].given[1]", "Patient.birthDate", "Patient.birthDate.extension", "Patient.meta",
     "Patient.deceased", "Patient.contact[0].name", "Patient.descendants()", "Patient.contained[0]"]
)  # fmt: skip
values = st.sampled_from(
    [{"valueString": "x"}, {"valueHumanName": {"text": "x"}}, {"valueDate": "2020"},
     {"part": [{"name": "gender", "valueCode": "male"}]}, {"part": EXTENSION},
     {"_valueDate": {"id": "d"}}, {"resource": {"resourceType": "Basic"}}]
)  # fmt: skip
names = st.sampled_from(["name", "given", "extension", "birthDate", "contact", "contained"])
small = st.integers(0, 3)
any_operation = st.one_of(
    st.builds(lambda p, n, v: operation("add", p, name=n, **v), paths, names, values),
    st.builds(lambda p, i, v: operation("insert", p, index=i, **v), paths, small, values),
    st.builds(lambda p: operation("delete", p), paths),
    st.builds(lambda p, v: operation("replace", p, **v), paths, values),
    st.builds(lambda p, s, d: operation("move", p, source=s, destination=d), paths, small, small),
)  # fmt: skip


def empties(node: Any) -> bool:
    """Tell whether anything inside is empty, or a list of values is as long as its ids are not."""
    if isinstance(node, dict):
        for name, value in node.items():
            own = node.get("_" + name)
            if isinstance(own, list) and isinstance(value, list) and len(own) != len(value):
                return True
        return any(value in ({}, []) or empties(value) for value in node.values())
    return isinstance(node, list) and any(value == {} or empties(value) for value in node)


@given(st.lists(any_operation, max_size=5))
def test_any_patch_leaves_nothing_empty_and_the_identity_alone(
    operations: list[dict[str, Any]],
) -> None:
    after: Any = PATIENT
    with contextlib.suppress(MalformedInputError):
        after = apply(*operations)
    assert (after["resourceType"], after["id"]) == ("Patient", "p")
    assert not empties(after)
