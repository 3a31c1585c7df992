import gzip
import json
import re
from importlib.resources import files
from typing import Any

import pytest

from hilum.consent.fhir_codes import SENSITIVE_SEGMENTS
from hilum.consent.label import label, labels_version
from hilum.record.access import Segment

SCT, LOINC, ICD = "http://snomed.info/sct", "http://loinc.org", "http://hl7.org/fhir/sid/icd-10-cm"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CONF = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"


def condition(system: Any, code: Any, **more: Any) -> Any:
    return {
        "resourceType": "Condition",
        "code": {"coding": [{"system": system, "code": code}]},
        **more,
    }


def labelled(*security: Any, **more: Any) -> Any:
    meta = {"security": [{"system": system, "code": code} for system, code in security]}
    return condition(SCT, "38341003", meta=meta, **more)


@pytest.mark.parametrize(
    ("resource", "segments"),
    [
        (condition(SCT, "38341003"), Segment.NORMAL),
        (condition(SCT, "370143000"), Segment.PSY),
        (condition(SCT, "7200002"), Segment.ETH),
        (condition(SCT, "86406008"), Segment.HIV),
        (condition(LOINC, "74013-4"), Segment.ETH),
        (condition(ICD, "F32.9"), Segment.PSY),
        (condition(ICD, "f10.20"), Segment.ETH),
        (condition(ICD, "F17.210"), Segment.NORMAL),
        (condition(ICD, "F11.2"), Segment.SUD),
        (condition(ICD, "B20"), Segment.HIV),
        (condition(ICD, "O98.711"), Segment.HIV | Segment.SEX),
        (condition(ICD, "T74.21XA"), Segment.PSY | Segment.SEX),
        (condition(ICD, "I10"), Segment.NORMAL),
        (condition("urn:local", "370143000"), Segment.NORMAL),
        (labelled((CONF, "N")), Segment.NORMAL),
        (labelled((CONF, "R")), SENSITIVE_SEGMENTS),
        (labelled((CONF, "V")), SENSITIVE_SEGMENTS),
        (labelled((CONF, "R"), (ACT, "ETHUD")), Segment.ETH),
        (labelled((ACT, "SUD")), Segment.SUD | Segment.ETH),
        (labelled((ACT, "SDV")), Segment.PSY | Segment.SEX),
        (labelled((ACT, "NEWLABEL")), SENSITIVE_SEGMENTS),
        (labelled((ACT, "RACE")), Segment.NORMAL),
        ({"resourceType": "Binary", "contentType": "image/png"}, SENSITIVE_SEGMENTS),
        ({"resourceType": "DocumentReference", "type": {"text": "a letter"}}, SENSITIVE_SEGMENTS),
        ({"resourceType": "Condition", "code": {"text": "something"}}, SENSITIVE_SEGMENTS),
        ({"resourceType": "MolecularSequence"}, Segment.GEN),
        ({"resourceType": "Patient"}, Segment.NORMAL),
        ({}, Segment.NORMAL),
    ],
)  # fmt: skip
def test_a_resource_gets_the_segments_that_its_content_calls_for(
    resource: Any, segments: Any
) -> None:
    assert label(resource) == segments
    for raw in (json.dumps(resource), json.dumps(resource, indent=1), _spelt(json.dumps(resource))):
        assert label(resource, raw.encode()) == segments


def _spelt(text: str) -> str:
    """The same JSON with every letter c of keys and values spelt as an escape."""
    return text.replace("c", "\\u0063")


def test_bytes_never_hide_a_code_that_the_tree_holds() -> None:
    codes = re.findall(r'"([^"]{3,})"', files("hilum.consent").joinpath("labels.toml").read_text())
    for code in codes:
        for system in (SCT, LOINC, ICD, ACT, "urn:oid:2.16.840.1.113883.6.90"):
            resource = condition(system, code)
            for text in (json.dumps(resource), json.dumps(resource).replace("/", "\\/")):
                assert label(resource, text.encode()) == label(resource)


@pytest.mark.parametrize("place", ["reasonCode", "category", "component", "contained", "activity"])
def test_a_sensitive_code_counts_wherever_it_stands(place: Any) -> None:
    code = {"coding": [{"system": SCT, "code": "370143000"}]}
    inside = [{"resourceType": "Condition", "code": code}] if place == "contained" else [code]
    assert label(condition(SCT, "38341003", **{place: inside})) == Segment.PSY


def test_device_data_has_its_own_segment_and_stays_sensitive_where_it_is() -> None:
    profile = {"profile": ["http://hl7.org/fhir/uv/phd/StructureDefinition/PhdNumericObservation"]}
    plain = condition(LOINC, "8867-4", meta=profile)
    assert label({**plain, "resourceType": "Observation"}) == Segment.DEV
    assert label(condition(SCT, "370143000", meta=profile)) == Segment.DEV | Segment.PSY


def test_the_pcf_sensitive_examples_are_labelled_as_their_text_says(material: Any) -> None:
    text = material("ihe-pcf/ex-sensitive.fsh").read_text()
    found = {}
    for block in re.split(r"(?m)^Instance:", text)[1:]:
        labels = re.findall(r"\* meta\.security\S* = (\S+)#(\S+)", block)
        codes = re.findall(r"\* code\S* = (\S+?)#(\S+)", block)
        name = block.split("\n", 1)[0].strip()
        codings = [
            {"system": system.replace("LOINC", LOINC), "code": code} for system, code in codes
        ]
        if not codings:
            continue
        meta = {"security": [{"system": system, "code": code} for system, code in labels]}
        kept = {"resourceType": "Observation", "code": {"coding": codings}}
        found[name] = (label(kept), label({**kept, "meta": meta}))
    assert found.pop("ex-alcoholUse") == (Segment.ETH, Segment.ETH)
    assert set(found.values()) == {(Segment.NORMAL, Segment.NORMAL)}
    assert len(found) == 4


def test_labels_on_a_synthea_record_are_few_and_where_they_belong(material: Any) -> None:
    folder = material("synthea-r4")
    path = min(folder.rglob("*.json.gz"))
    masks = [
        label(entry["resource"])
        for entry in json.loads(gzip.decompress(path.read_bytes()))["entry"]
    ]
    assert all(0 < mask < 256 for mask in masks)
    assert sum(mask == Segment.NORMAL for mask in masks) > len(masks) / 2


def test_the_rules_have_a_version() -> None:
    assert labels_version() == 1
