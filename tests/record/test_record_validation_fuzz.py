"""Whatever comes in, the deep validation answers with findings, and agrees with the write gate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.errors import MalformedInputError
from hilum.record.outcome import Severity
from hilum.record.resource import parse_resource
from hilum.record.validate import list_issues
from hilum.record.validation.model import Environment
from hilum.record.validation.whole import validate_whole

CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"
IPS = "http://hl7.org/fhir/uv/ips/StructureDefinition/"
PROFILES = [
    (),
    (CORE + "us-core-patient",),
    (CORE + "us-core-blood-pressure",),
    (IPS + "Bundle-uv-ips",),
]
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p",
    "meta": {"profile": [CORE + "us-core-patient"]},
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'},
    "extension": [
        {
            "url": CORE + "us-core-race",
            "extension": [{"url": "text", "valueString": "x"}],
        }
    ],
    "identifier": [{"system": "urn:ietf:rfc:3986", "value": "urn:oid:1.2"}],
    "name": [{"given": ["a", None], "_given": [None, {"id": "g"}]}],
    "_birthDate": {"extension": [{"url": "http://x.org/e", "valueString": "x"}]},
    "generalPractitioner": [{"reference": "Practitioner/1"}],
}
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "status": "final",
    "category": [
        {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                    "code": "vital-signs",
                }
            ]
        }
    ],
    "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]},
    "subject": {"reference": "#p"},
    "contained": [PATIENT],
    "component": [{"code": {"text": "x"}, "valueQuantity": {"value": 1, "code": "mm[Hg]"}}],
}
SAMPLES: list[dict[str, Any]] = [
    PATIENT,
    OBSERVATION,
    {
        "resourceType": "Bundle",
        "type": "document",
        "link": [{"relation": "self", "url": "Patient?_id=1"}],
        "entry": [
            {"fullUrl": "http://x.org/Patient/p", "resource": PATIENT, "search": {"mode": "match"}},
            {"fullUrl": "urn:uuid:1", "resource": OBSERVATION},
        ],
    },
    {
        "resourceType": "ValueSet",
        "status": "draft",
        "compose": {"include": [{"system": "http://x.org", "filter": [
            {"property": "concept", "op": "is-a", "value": "a"}]}]},
    },
    {
        "resourceType": "StructureDefinition", "url": "http://x.org/s", "name": "S",
        "status": "draft", "kind": "resource", "abstract": False, "type": "Patient",
        "derivation": "constraint", "baseDefinition": "http://x.org/b",
        "differential": {"element": [{"id": "Patient.name", "path": "Patient.name"}]},
    },
    {
        "resourceType": "Parameters",
        "parameter": [{"name": "a", "part": [{"name": "b", "resource": PATIENT}]}],
    },
]  # fmt: skip
JUNK = st.sampled_from([
    None, True, 0, -1, 1.5, "", "x", "#", "#p", "2020", "Patient/1/_history/2", "http://a/b|1",
    "urn:uuid:x", "document", "message", "searchset", "<div>", "%a", "a.b(", [], {}, [None],
    {"reference": "#"}, {"coding": [{"code": "a"}]}, {"text": "x"}, [{"url": "u"}],
    [{"url": CORE + "us-core-race", "valueString": "x"}],
])  # fmt: skip
KEYS = st.sampled_from([
    "id", "extension", "_extension", "contained", "reference", "type", "url", "status", "_status",
    "value", "valueString", "resourceType", "mystery", "profile", "path", "filter", "div",
])  # fmt: skip


def fresh(value: Any) -> Any:
    return json.loads(json.dumps(value))


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
        yield node, key
        if isinstance(value, (dict, list)):
            yield from places(value)


def spoil(tree: Any, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(0, 4))):
        found = list(places(tree))
        if not found:
            return
        holder, key = data.draw(st.sampled_from(found))
        act = data.draw(st.sampled_from(["drop", "junk", "add"]))
        if act == "drop":
            del holder[key]
        elif act == "junk":
            holder[key] = fresh(data.draw(JUNK))
        elif isinstance(holder, dict):
            holder[data.draw(KEYS)] = fresh(data.draw(JUNK))


@settings(max_examples=150)
@given(st.data())
def test_every_input_is_answered_with_findings(data: st.DataObject) -> None:
    tree = fresh(data.draw(st.sampled_from(SAMPLES)))
    spoil(tree, data)
    raw = json.dumps(tree).encode()
    lenient = data.draw(st.booleans())
    environment = Environment(
        unknown_elements=Severity.INFORMATION if lenient else Severity.ERROR,
        html_in_text=Severity.ERROR,
        with_references=lenient,
    )
    profiles = data.draw(st.sampled_from(PROFILES))
    issues = validate_whole(raw, profiles=profiles, environment=environment)
    assert len(issues) == len(set(issues))
    try:
        resource = parse_resource(raw)
    except MalformedInputError:
        assert [each.severity for each in issues] == [Severity.ERROR]
        return
    refused = any(each.severity is Severity.ERROR for each in list_issues(resource))
    found = any(each.severity is Severity.ERROR for each in issues)
    assert found or not refused
