"""Official examples have no false errors, neither at the write gate nor in the deep validation.

True errors of published examples are listed by file. They were settled with the HL7 validator
(HAPI 8.8 with the HL7 validation core, offline), which finds an error in each of them as well; what
only we find is listed in `OWN` with its reason.
"""

from __future__ import annotations

import gzip
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.conformance_page import told

from hilum.record.outcome import Severity
from hilum.record.resource import parse_resource
from hilum.record.validate import list_issues
from hilum.record.validation.whole import validate_whole

Material = Callable[[str], Path]
OWN = {
    "observation-example-genetics-brcapat.json": "an old form of a US Core extension; the HL7 validator"
    " says so as well when it has US Core loaded",
    "imagingstudy-example-xr.json": "a code that has not the form of SNOMED CT",
    "plandefinition-example-cardiology-os.json": "a code that has not the form of SNOMED CT",
    "AT_ELGA_GmbH_01.json": "vital signs without coded units, against the profile that R4 prescribes",
}
"""Files in which only we find an error: the HL7 validator was asked without US Core and terminology."""
TRUE = json.loads((Path(__file__).parent / "true_errors.json").read_text("utf-8"))
"""Folder → files of which the HL7 validator says that they have errors."""


def files_of(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*.json")):
        if "errors" not in path.parts and path.name != "floats.json":
            yield path.name, path.read_bytes()


def examples_of(material: Material, name: str) -> Iterator[tuple[str, bytes]]:
    if name == "synthea-r4":
        for path in sorted(material(name).glob("*.json.gz")):
            yield path.name, gzip.decompress(path.read_bytes())
    elif name == "fhir-r4-examples":
        with tarfile.open(material("fhir-r4-examples/examples.tar.gz")) as tar:
            for member in tar:
                handle = tar.extractfile(member) if member.name.endswith(".json") else None
                if handle is not None:
                    yield member.name, handle.read()
    else:
        yield from files_of(material(name))


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("fhir-r4-examples", 713),
        ("us-core-7.0.0", 193),
        ("ips-2.0.0-examples", 40),
        ("hl7-phd", 26),
        ("ips-samples", 14),
        ("fhir-test-cases/r4/examples", 72),
        ("synthea-r4", 42),
    ],
)
def test_examples_have_no_false_errors(material: Material, name: str, least: int) -> None:
    seen = 0
    with_errors: set[str] = set()
    for file, data in examples_of(material, name):
        seen += 1
        if any(issue.severity is Severity.ERROR for issue in validate_whole(data)):
            with_errors.add(file)
    assert seen == least
    assert sorted(with_errors - OWN.keys()) == sorted(TRUE.get(name, ()))
    false = len(with_errors & OWN.keys())
    told(f"example:{name}", seen - false, seen, "tests/record/test_record_validation_examples.py")


def test_what_the_deep_validation_lets_pass_passes_the_gate(material: Material) -> None:
    compared = 0
    for name in ("us-core-7.0.0", "ips-2.0.0-examples", "hl7-phd", "ips-samples"):
        for file, data in examples_of(material, name):
            resource = parse_resource(data)
            gate = [i for i in list_issues(resource) if i.severity is Severity.ERROR]
            deep = [i for i in validate_whole(data) if i.severity is Severity.ERROR]
            assert not gate or deep, file
            compared += 1
    assert compared >= 270
