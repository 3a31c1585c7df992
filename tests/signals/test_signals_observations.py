from __future__ import annotations

import io
import json
from typing import Any

import pytest

from hilum.errors import MalformedInputError
from hilum.signals.model import Comparator, Flag, Source
from hilum.signals.observations import is_device_reading, map_observation
from hilum.signals.pipeline import detect, read_payload
from hilum.signals.template import load_template

NOW = 1_790_000_000_000
TEMPLATE = load_template("fhir-device")


def observation(**changes: Any) -> Any:
    body = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "device": {"reference": "Device/d1"},
        "effectiveDateTime": "2024-01-01T08:00:00+01:00",
        "valueQuantity": {"value": 60, "system": "http://unitsofmeasure.org", "code": "/min"},
    }
    body.update(changes)
    return {k: v for k, v in body.items() if v is not None}


def mapped(body: Any) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return map_observation(raw, TEMPLATE, now_ms=NOW)


def read(body: Any) -> Any:
    return list(read_payload(io.BytesIO(body), Source.FHIR, now_ms=NOW))


def test_decimals_keep_their_digits() -> None:
    raw = json.dumps(observation()).replace('"value": 60', '"value": 60.00').encode()
    ((mapping, device, reading),) = mapped(raw)
    assert (reading.unscaled, reading.scale) == (6000, 2)
    assert (mapping.series.key.measure, device, reading.offset_minutes) == ("heart-rate", "d1", 60)


def test_a_comparator_survives_and_flags() -> None:
    quantity = {
        "value": 40,
        "comparator": "<",
        "system": "http://unitsofmeasure.org",
        "code": "mg/dL",
    }
    code = {"coding": [{"system": "http://loinc.org", "code": "99504-3"}]}
    ((_, _, reading),) = mapped(observation(valueQuantity=quantity, code=code))
    assert (reading.comparator, reading.flags) == (Comparator.LESS, Flag.OFF_SCALE_LOW)


def test_a_period_gives_the_duration() -> None:
    period = {"start": "2024-01-01T08:00:00Z", "end": "2024-01-01T08:10:00.5Z"}
    ((_, _, reading),) = mapped(observation(effectiveDateTime=None, effectivePeriod=period))
    assert reading.duration_ms == 600_500


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "entered-in-error"},
        {"status": None},
        {"device": None},
        {"device": {}},
        {"effectiveDateTime": None},
        {"effectiveDateTime": "2024-01-01"},
        {"effectiveDateTime": "2024-01-01T08:00:00"},
        {"valueQuantity": None},
        {"valueQuantity": {"code": "/min"}},
        {"valueQuantity": {"value": "60", "system": "http://unitsofmeasure.org", "code": "/min"}},
        {
            "valueQuantity": {
                "value": 60,
                "comparator": "~",
                "system": "http://unitsofmeasure.org",
                "code": "/min",
            }
        },
        {
            "effectiveDateTime": None,
            "effectivePeriod": {"start": "2024-01-02T00:00:00Z", "end": "2024-01-01T00:00:00Z"},
        },
    ],
)
def test_what_is_no_device_reading_is_refused(changes: Any) -> None:
    with pytest.raises(MalformedInputError):
        mapped(observation(**changes))


def test_unknown_codes_and_units_give_nothing() -> None:
    assert (
        mapped(observation(code={"coding": [{"system": "http://loinc.org", "code": "1-8"}]})) == []
    )
    quantity = {"value": 60, "system": "urn:other", "code": "/min"}
    assert mapped(observation(valueQuantity=quantity)) == []


@pytest.mark.parametrize(
    ("name", "measures"),
    [
        (
            "compound-numeric-blood-pressure.json",
            {"blood-pressure-systolic", "blood-pressure-diastolic", "blood-pressure-mean"},
        ),
        ("temperature-observation.json", {"body-temperature"}),
        ("glucose-observation.json", {"glucose-plasma"}),
        ("numeric-spo2-alarm.json", {"oxygen-saturation"}),
    ],
)
def test_examples_of_the_phd_guide_are_read(material: Any, name: Any, measures: Any) -> None:
    body = material(f"hl7-phd/{name}").read_bytes()
    assert is_device_reading(body)
    (batch,) = read(body)
    assert {s.key.measure for s, _ in batch.series} == measures
    assert batch.refused == []


def test_a_continuous_bundle_becomes_three_series(material: Any) -> None:
    (batch,) = read(material("hl7-phd/bundle-continuousnonin.json").read_bytes())
    assert {s.key.measure: len(r) for s, r in batch.series} == {
        "oxygen-saturation": 12,
        "pulse-rate": 12,
        "pulse-amplitude": 11,
    }
    spo2 = next(r for s, r in batch.series if s.key.measure == "oxygen-saturation")
    assert (spo2[0].unscaled, spo2[0].scale) == (990, 1)
    assert batch.refused_count == 11  # status bits and one value that is not a number
    assert batch.not_mapped == {"Observation": 1}  # battery charge


def test_ndjson_is_read_line_by_line() -> None:
    lines = [
        json.dumps(observation(effectiveDateTime=f"2024-01-01T08:{m:02d}:00Z")) for m in range(50)
    ]
    lines.insert(3, "{broken")
    lines.insert(9, '{"resourceType":"Patient"}')
    (batch,) = read("\n".join(lines).encode())
    assert sum(len(r) for _, r in batch.series) == 50
    assert batch.not_mapped == {"not a resource": 1, "Patient": 1}
    assert batch.seen == 52


@pytest.mark.parametrize("body", [b"", b"[", b"[]", b"\xff"])
def test_what_is_no_fhir_json_is_refused(body: Any) -> None:
    with pytest.raises(MalformedInputError):
        read(body)


def test_fhir_is_never_claimed_by_detection() -> None:
    assert detect(json.dumps(observation()).encode()) is None
    assert not is_device_reading(b"{")
    assert not is_device_reading(json.dumps(observation(device=None)).encode())
