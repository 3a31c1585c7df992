from __future__ import annotations

import gzip
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.errors import MalformedInputError
from hilum.record.outcome import Severity, issue_of, outcome, outcome_of
from hilum.record.resource import parse_resource
from hilum.record.structure import find_issues
from hilum.record.validate import Unknown, is_sound, list_issues, validate

Material = Callable[[str], Path]


def errors_of(data: bytes) -> list[tuple[str, str]]:
    issues = list_issues(parse_resource(data))
    return [(i.code, i.expression) for i in issues if i.severity is Severity.ERROR]


def json_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*.json")):
        yield str(path.relative_to(folder)), path.read_bytes()


def test_no_false_error_on_synthea(material: Material) -> None:
    paths = sorted(material("synthea-r4").glob("*.json.gz"))
    assert len(paths) == 42
    for path in paths:
        assert errors_of(gzip.decompress(path.read_bytes())) == [], path.name


@pytest.mark.parametrize(
    "folder", ["us-core-7.0.0", "ips-2.0.0-examples", "hl7-phd", "ips-samples"]
)
def test_no_false_error_on_guides(material: Material, folder: str) -> None:
    seen = 0
    for name, data in json_files(material(folder)):
        if name.startswith("errors/") or name == "floats.json":
            continue
        assert errors_of(data) == [], name
        seen += 1
    assert seen >= 14


def test_no_false_error_on_the_examples_of_the_specification(material: Material) -> None:
    seen = 0
    with tarfile.open(material("fhir-r4-examples/examples.tar.gz")) as tar:
        for member in tar:
            handle = tar.extractfile(member) if member.name.endswith(".json") else None
            if handle is None:
                continue
            seen += 1
            # The generated questionnaires lack linkId, which is 1..1: those findings are true.
            found = [
                error
                for error in errors_of(handle.read())
                if not (error[0] == "required" and error[1].endswith(".linkId"))
            ]
            assert found == [], member.name
    assert seen == 713


def observation(**members: Any) -> dict[str, Any]:
    tree = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, **members}
    return {key: value for key, value in tree.items() if value is not ...}


CASES: list[tuple[dict[str, Any], str, str]] = [
    (observation(status=...), "required", "Observation.status"),
    (observation(status="finale"), "code-invalid", "Observation.status"),
    (observation(status=None), "value", "Observation.status"),
    (observation(status=["final"]), "value", "Observation.status"),
    (observation(code=...), "required", "Observation.code"),
    (observation(code={}), "structure", "Observation.code"),
    (observation(code="x"), "structure", "Observation.code"),
    (observation(category={"text": "x"}), "structure", "Observation.category"),
    (observation(category=[]), "structure", "Observation.category"),
    (observation(category=[None]), "structure", "Observation.category[0]"),
    (
        observation(category=[{"text": "a"}, {"text": ""}]),
        "value",
        "Observation.category[1].text",
    ),
    (
        observation(valueString="a", valueInteger=1),
        "structure",
        "Observation.value",
    ),
    (
        observation(valueString="a", _valueInteger={"id": "x"}),
        "structure",
        "Observation.value",
    ),
    (
        observation(valueQuantity={"value": "1"}),
        "value",
        "Observation.value.ofType(Quantity).value",
    ),
    (observation(valueInteger=1.5), "value", "Observation.value.ofType(integer)"),
    (observation(valueInteger=True), "value", "Observation.value.ofType(integer)"),
    (observation(valueInteger=2**31), "value", "Observation.value.ofType(integer)"),
    (observation(valueBoolean=1), "value", "Observation.value.ofType(boolean)"),
    (
        observation(effectiveDateTime="2020-13-01"),
        "value",
        "Observation.effective.ofType(dateTime)",
    ),
    (
        observation(effectiveDateTime="2020-04-31"),
        "value",
        "Observation.effective.ofType(dateTime)",
    ),
    (
        observation(effectiveDateTime="2020-01-01T10:00:00"),
        "value",
        "Observation.effective.ofType(dateTime)",
    ),
    (observation(issued="2020-01-01"), "value", "Observation.issued"),
    (observation(subject="Patient/1"), "structure", "Observation.subject"),
    (observation(subject={"reference": 7}), "value", "Observation.subject.reference"),
    (
        observation(component=[{"valueString": "x"}]),
        "required",
        "Observation.component[0].code",
    ),
    (
        observation(component=[{"code": {}, "referenceRange": [{"low": {"value": True}}]}]),
        "value",
        "Observation.component[0].referenceRange[0].low.value",
    ),
    (observation(extension=[{"valueString": "x"}]), "required", "Observation.extension[0].url"),
    (
        observation(extension=[{"url": "u", "valueString": "x", "valueCode": "y"}]),
        "structure",
        "Observation.extension[0].value",
    ),
    (observation(_status="x"), "structure", "Observation.status"),
    (observation(contained=[{"id": "x"}]), "structure", "Observation.contained[0].resourceType"),
    (
        observation(contained=[{"resourceType": "Patient", "gender": "x"}]),
        "code-invalid",
        "Observation.contained[0].gender",
    ),
    (
        {
            "resourceType": "Bundle",
            "type": "collection",
            "entry": [{"resource": {"resourceType": "Observation", "code": {"text": "x"}}}],
        },
        "required",
        "Bundle.entry[0].resource.status",
    ),
    (
        {
            "resourceType": "Parameters",
            "parameter": [
                {"name": "a", "part": [{"name": "b", "resource": {"resourceType": "No"}}]}
            ],
        },
        "structure",
        "Parameters.parameter[0].part[0].resource.resourceType",
    ),
    (
        {"resourceType": "Patient", "name": [{"given": ["a", ""]}]},
        "value",
        "Patient.name[0].given[1]",
    ),
    ({"resourceType": "Patient", "birthDate": "1990-02-30"}, "value", "Patient.birthDate"),
]


@pytest.mark.parametrize(("tree", "code", "place"), CASES)
def test_what_is_wrong_is_named_by_its_place(tree: dict[str, Any], code: str, place: str) -> None:
    resource = parse_resource(json.dumps(tree).encode())
    with pytest.raises(MalformedInputError) as caught:
        validate(resource)
    found = [(i.code, i.expression) for i in list_issues(resource)]
    assert (code, place) in found
    assert caught.value.where in {where for _, where in found}


FINE: list[dict[str, Any]] = [
    observation(),
    observation(status=..., _status={"extension": [{"url": "u", "valueCode": "unknown"}]}),
    observation(valueString="a", _valueString={"id": "x"}),
    observation(effectiveDateTime="2020"),
    observation(effectiveDateTime="2020-02-29T23:59:60.123456789+14:00"),
    {"resourceType": "Patient", "name": [{"given": ["a", None], "_given": [None, {"id": "x"}]}]},
    {"resourceType": "Binary", "contentType": "text/plain", "data": "aGk="},
    {"resourceType": "Bundle", "type": "collection"},
]


@pytest.mark.parametrize("tree", FINE)
def test_what_is_right_passes_in_silence(tree: dict[str, Any]) -> None:
    assert validate(parse_resource(json.dumps(tree).encode())) == ()


def test_an_unknown_element_is_kept_and_reported() -> None:
    tree = observation(code={"text": "x", "mystery": {"deep": [1]}}, other=7)
    resource = parse_resource(json.dumps(tree).encode())
    issues = validate(resource)
    assert {i.expression for i in issues} == {"Observation.code.mystery", "Observation.other"}
    assert {i.severity for i in issues} == {Severity.WARNING}
    with pytest.raises(MalformedInputError):
        validate(resource, unknown=Unknown.REFUSE)


def test_messages_hold_places_but_no_values() -> None:
    secret = "Zebedee-4711"
    tree = observation(
        status=secret, subject={"reference": [secret]}, **{f"{secret} <b>": 1}, issued=secret
    )
    resource = parse_resource(json.dumps(tree).encode())
    text = outcome(list_issues(resource, unknown=Unknown.REFUSE)).decode()
    assert secret not in text
    assert "Observation.status" in text


def test_an_error_becomes_an_operation_outcome_with_its_place() -> None:
    error = MalformedInputError("required", "is required", where="Observation.status")
    tree = json.loads(outcome_of(error))
    assert tree["issue"] == [
        {
            "severity": "error",
            "code": "required",
            "diagnostics": "is required",
            "expression": ["Observation.status"],
        }
    ]
    elsewhere = issue_of(MalformedInputError("bad-json", "not JSON", where="byte 7"))
    assert elsewhere.expression == ""
    assert elsewhere.why == "byte 7: not JSON"
    assert validate(parse_resource(outcome([issue_of(error), elsewhere]))) == ()
    assert validate(parse_resource(outcome([]))) == ()


BASES: list[dict[str, Any]] = [
    observation(
        category=[{"coding": [{"system": "s", "code": "c", "userSelected": True}]}],
        valueQuantity={"value": 1, "unit": "mg", "comparator": "<"},
        extension=[{"url": "u", "valuePeriod": {"start": "2020"}}],
        component=[{"code": {"text": "t"}, "valueInteger": 3, "referenceRange": [{"text": "r"}]}],
        contained=[{"resourceType": "Patient", "gender": "male", "name": [{"given": ["a", "b"]}]}],
        _status={"extension": [{"url": "u", "valueString": "v"}]},
    ),
    {
        "resourceType": "Bundle",
        "type": "collection",
        "total": 1,
        "entry": [
            {"fullUrl": "urn:x", "resource": {"resourceType": "Basic", "code": {"text": "t"}}}
        ],
    },
    {
        "resourceType": "Parameters",
        "parameter": [{"name": "p", "part": [{"name": "q", "resource": observation()}]}],
    },
    {
        "resourceType": "Questionnaire",
        "status": "active",
        "item": [{"linkId": "1", "type": "group", "item": [{"linkId": "2", "type": "string"}]}],
    },
]
JUNK = st.sampled_from([
    None, True, 0, -1, 1.5, 2**40, "", " ", "x", "2020-01-01", "male", [], {}, [None], ["x"], [[]],
    {"text": "t"}, {"id": "i"}, {"resourceType": "Basic", "code": {"text": "t"}}, [{"url": "u"}],
])  # fmt: skip
KEYS = st.sampled_from([
    "id", "status", "_status", "code", "value", "valueString", "_valueString", "valueCode", "text",
    "resourceType", "extension", "_given", "given", "_", "mystery", "linkId", "resource", "url",
])  # fmt: skip


def fresh(value: Any) -> Any:
    return json.loads(json.dumps(value))


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in list(items):
        yield node, key
        if isinstance(value, (dict, list)):
            yield from places(value)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_the_fast_and_the_explaining_half_of_the_gate_agree(data: st.DataObject) -> None:
    tree = fresh(data.draw(st.sampled_from(BASES)))
    for _ in range(data.draw(st.integers(0, 3))):
        holder, key = data.draw(st.sampled_from(list(places(tree))))
        if holder is tree and key == "resourceType":
            continue
        act = data.draw(st.sampled_from(["drop", "junk", "add"]))
        if act == "drop" and key in (holder if isinstance(holder, dict) else range(len(holder))):
            del holder[key]
        elif act == "junk":
            holder[key] = fresh(data.draw(JUNK))
        elif isinstance(holder, dict):
            name = data.draw(KEYS)
            if not (holder is tree and name == "resourceType"):
                holder[name] = fresh(data.draw(JUNK))
    issues = find_issues(tree, unknown=Severity.ERROR)
    assert is_sound(tree) == (not issues)
