"""Sensors and phones: exports of a glucose sensor and of Apple Health, read back as FHIR."""

from __future__ import annotations

import gzip
import logging
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from node import Node

log = logging.getLogger(__name__)

GLUCOSE = "http://loinc.org|99504-3"


@pytest.fixture
def clarity(material: Callable[[str], Path]) -> Path:
    return material("cgm-csv/Clarity_Export_synthetic.csv")


def count(node: Node, path: str, token: str) -> int:
    return len(node.resources(f"{path}&_count=1000", token))


def test_a_sensor_export_is_read_back_reading_by_reading(shared: Node, clarity: Path) -> None:
    report = shared.take(clarity, zone="Europe/Madrid")
    subject = report["subject"]
    own = shared.token(subject=subject)
    lines = clarity.read_text("utf-8-sig").splitlines()
    values = [line.split(",")[7] for line in lines if ",EGV," in line]
    assert report["accepted"] >= len(values)
    found = shared.resources(f"/fhir/Observation?patient={subject}&code={GLUCOSE}&_count=1000", own)
    assert len(found) == len(values)
    numbers = sorted(float(v) for v in values if v.replace(".", "").isdigit())
    exact = [o["valueQuantity"] for o in found if "comparator" not in o["valueQuantity"]]
    assert sorted(float(each["value"]) for each in exact) == numbers
    assert len(found) - len(exact) == len(values) - len(numbers), "the others are off the scale"
    assert {o["valueQuantity"]["code"] for o in found} == {"mg/dL"}
    one = found[0]
    alone = shared.get(f"/fhir/Observation/{one['id']}", own)
    assert alone.json() == one

    log.info("a second import, packed in another way, adds nothing")
    packed = shared.folder / "clarity.csv.gz"
    packed.write_bytes(gzip.compress(clarity.read_bytes()))
    again = shared.take(packed, subject=subject, zone="Europe/Madrid")
    assert (again["accepted"], again["refused"]) == (0, report["refused"])
    assert again["duplicate"] == report["accepted"] + report["duplicate"]

    log.info("a day asked for is a day given")
    day = one["effectiveDateTime"][:10]
    path = f"/fhir/Observation?patient={subject}&code={GLUCOSE}&date={day}"
    assert count(shared, path, own) == sum(o["effectiveDateTime"][:10] == day for o in found)


def test_readings_follow_consent_like_everything_else(shared: Node, clarity: Path) -> None:
    subject = shared.take(clarity, zone="Europe/Madrid")["subject"]
    reader = shared.add_reader()
    clinic = shared.token(reader=reader, purpose="TREAT")
    path = f"/fhir/Observation?patient={subject}&code={GLUCOSE}"
    before = shared.get(path, clinic)
    assert "entry" not in before.json()
    without = shared.grant(subject, reader, segments="NORMAL")
    assert count(shared, path, clinic) == 0
    with_device = shared.grant(subject, reader, segments="DEV")
    found = shared.get(f"{path}&_count=5", clinic).json()["entry"]
    name = found[0]["resource"]["id"]
    assert shared.get(f"/fhir/Observation/{name}", clinic).status_code == 200
    shared.operate("revoke", directive=with_device)
    assert shared.get(f"/fhir/Observation/{name}", clinic).status_code == 404
    shared.operate("revoke", directive=without)
    assert shared.get(path, clinic).content == before.content


@pytest.mark.parametrize("name", ["export.xml", "export-from-zip.xml"])
def test_an_apple_health_export_is_read_plain_and_zipped(
    shared: Node, material: Callable[[str], Path], name: str, tmp_path: Path
) -> None:
    source = material(f"apple-health/{name}")
    report = shared.take(source)
    subject = report["subject"]
    own = shared.token(subject=subject)
    found = shared.resources(f"/fhir/Observation?patient={subject}&_count=1000", own)
    assert report["accepted"] >= len(found) > 0
    assert {o["subject"]["reference"] for o in found} == {f"Patient/{subject}"}
    packed = tmp_path / "export.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(source, "apple_health_export/export.xml")
    again = shared.take(packed, subject=subject)
    assert again["accepted"] == 0
    assert again["duplicate"] == report["accepted"] + report["duplicate"]


def test_the_originals_and_every_index_hold_at_the_end(shared: Node) -> None:
    assert shared.operate("fsck") == {"ok": True, "problems": []}
