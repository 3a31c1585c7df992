"""What pages show of resources and series: shaped from any resource, losing no digit."""

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
from hilum.exchange.measures import SeriesWindow, shape_measure, sum_up
from hilum.exchange.views import SECTION_TYPES, Item, matching, shape_item, shape_person
from hilum.signals.model import Flag, Kind, Point, Series, SeriesKey, SeriesSummary

SHAPED: list[tuple[dict[str, Any], tuple[str, str, str, tuple[str, ...]]]] = [
    (
        {
            "resourceType": "Condition",
            "clinicalStatus": {"coding": [{"code": "active"}]},
            "code": {
                "coding": [{"code": "I10", "display": "Hypertension"}],
                "text": "High pressure",
            },
            "onsetDateTime": "2019",
        },
        ("High pressure", "2019", "", ("active",)),
    ),
    (
        {
            "resourceType": "Observation",
            "status": "final",
            "code": {"coding": [{"display": "Hemoglobin"}]},
            "effectivePeriod": {"start": "2024-01-02", "end": "2024-01-03"},
            "interpretation": [{"coding": [{"code": "H"}]}],
            "valueQuantity": {"comparator": ">", "unit": "g/dL"},
        },
        ("Hemoglobin", "2024-01-02", "", ("final", "H")),
    ),
    (
        {
            "resourceType": "Observation",
            "code": {"text": "Blood pressure"},
            "component": [
                {"code": {"text": "Systolic"}, "valueQuantity": {"value": 120, "unit": "mm[Hg]"}},
                {"code": {"text": "Diastolic"}, "valueQuantity": {"value": 80, "code": "mm[Hg]"}},
                {"code": {"text": "Mean"}, "dataAbsentReason": {"text": "not measured"}},
            ],
        },
        ("Blood pressure", "", "Systolic 120 mmHg; Diastolic 80 mmHg", ()),
    ),
    (
        {
            "resourceType": "MedicationRequest",
            "status": "stopped",
            "medicationReference": {"display": "Amlodipine"},
            "authoredOn": "2020-05",
            "dosageInstruction": [{"text": "one a day"}, {"text": "one a day"}],
            "reasonCode": [{"coding": [{"code": "I10"}]}],
        },
        ("Amlodipine", "2020-05", "one a day; I10", ("stopped",)),
    ),
    (
        {
            "resourceType": "AllergyIntolerance",
            "criticality": "high",
            "code": {"coding": [{"code": "227493005"}]},
            "reaction": [{"manifestation": [{"text": "Hives"}, {"text": "Swelling"}]}],
        },
        ("227493005", "", "Hives; Swelling", ("high",)),
    ),
    (
        {
            "resourceType": "Encounter",
            "status": "finished",
            "class": {"code": "AMB"},
            "type": [{"text": "Check-up"}],
            "period": {"start": "2024-05-17T08:00:00Z"},
            "serviceProvider": {"display": "Riverside"},
        },
        ("Check-up", "2024-05-17T08:00:00Z", "Riverside", ("finished", "AMB")),
    ),
    (
        {"resourceType": "Goal", "description": {"text": "Walk"}, "startDate": "2024"},
        ("Walk", "2024", "", ()),
    ),
    ({"resourceType": "CareTeam", "name": "Team A"}, ("Team A", "", "", ())),
    ({"resourceType": "Basic"}, ("", "", "", ())),
]


@pytest.mark.parametrize(("resource", "expected"), SHAPED)
def test_an_entry_says_what_it_is_when_and_how_much(
    resource: dict[str, Any], expected: tuple[str, str, str, tuple[str, ...]]
) -> None:
    item = shape_item(json.dumps({**resource, "id": "x"}).encode())
    assert (item.title, item.date, item.detail, item.marks) == expected
    assert (item.type, item.id) == (resource["resourceType"], "x")


@pytest.mark.parametrize(
    "number", ["2.00", "0.10", "1e3", "100", "-0.5", "12345678901234567890.10"]
)
def test_no_digit_of_a_value_is_lost(number: str) -> None:
    body = f'{{"resourceType":"Observation","valueQuantity":{{"value":{number},"unit":"u"}}}}'
    assert shape_item(body.encode()).detail == f"{number} u"


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("27.784511354789533", "≈ 27.78"),
        ("-1.99999", "≈ -2.00"),
        ("0.000123456", "≈ 0.000123"),
        ("3.1415", "3.1415"),
    ],
)
def test_digits_that_nobody_measured_are_left_to_the_original(number: str, shown: str) -> None:
    body = f'{{"resourceType":"Observation","valueQuantity":{{"value":{number}}}}}'
    assert shape_item(body.encode()).detail == shown


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        ({"valueCodeableConcept": {"text": "Never smoker"}}, "Never smoker"),
        ({"valueString": "clear"}, "clear"),
        ({"valueInteger": 3}, "3"),
        (
            {"valueRange": {"low": {"value": 1, "unit": "h"}, "high": {"value": 2, "unit": "h"}}},
            "1 h – 2 h",
        ),
        ({"valueBoolean": True}, ""),
        ({"valueQuantity": {"value": 7.3, "comparator": "<", "unit": "%"}}, "<7.3 %"),
    ],
)
def test_values_of_every_kind_are_shown(value: dict[str, Any], detail: str) -> None:
    assert (
        shape_item(json.dumps({"resourceType": "Observation", **value}).encode()).detail == detail
    )


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=12,
)
FIELDS = [
    "code",
    "status",
    "period",
    "valueQuantity",
    "component",
    "reaction",
    "name",
    "meta",
    "class",
]


@given(st.dictionaries(st.sampled_from(FIELDS), json_values))
def test_shaping_is_total_over_whatever_a_record_holds(resource: dict[str, Any]) -> None:
    body = json.dumps(resource).encode()
    item = shape_item(body)
    person = shape_person(body)
    assert all(isinstance(text, str) for text in (item.title, item.date, item.detail, person.name))


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff"])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedInputError):
        shape_item(body)
    with pytest.raises(MalformedInputError):
        shape_person(body)


@pytest.mark.parametrize(
    ("patient", "name"),
    [
        ({"name": [{"given": ["Mara", "Lu"], "family": "Demo"}]}, "Mara Lu Demo"),
        ({"name": [{}, {"text": "王小明"}]}, "王小明"),
        ({"name": [{"family": "Solo"}]}, "Solo"),
        ({}, ""),
    ],
)
def test_people_are_named_as_they_are_called(patient: dict[str, Any], name: str) -> None:
    assert shape_person(json.dumps(patient).encode()).name == name


def test_every_entry_of_a_hospital_record_has_a_title(material: Callable[[str], Path]) -> None:
    paths = sorted(material("synthea-r4").glob("*.json.gz"), key=lambda path: path.stat().st_size)
    listed = {kind for kinds in SECTION_TYPES.values() for kind in kinds}
    seen = set()
    for path in [paths[0], paths[len(paths) // 2]]:
        for entry in json.loads(gzip.decompress(path.read_bytes()))["entry"]:
            item = shape_item(json.dumps(entry["resource"]).encode())
            seen.add(item.type)
            if item.type in listed:
                assert item.title or item.type in {"ImagingStudy", "Claim"}, item
                assert item.date or item.type in {"Goal", "CareTeam", "Device"}, item
    assert {"Condition", "Observation", "Encounter", "Immunization"} <= seen


words = st.text("abcÄß 中", max_size=12)


@given(st.lists(words), words, words)
def test_more_words_never_find_more(titles: list[str], one: str, two: str) -> None:
    items = [Item("Condition", str(n), title, "", "", ()) for n, title in enumerate(titles)]
    both = matching(items, f"{one} {two}")
    assert set(both) == set(matching(items, one)) & set(matching(items, two))
    assert matching(items, "  ") == items
    assert all(
        item in matching(items, item.title.upper()) for item in items if "ß" not in item.title
    )


# -- measures --------------------------------------------------------------------------------------


def point(value: float, flags: int = 0, count: int = 1) -> Point:
    return Point(1, 1, value, value, value, value * count, count, flags, False, 0)


def summary(name: str = "glucose-cgm", unit: str = "mg/dL") -> SeriesSummary:
    key = SeriesKey(name, "A sensor", unit)
    return SeriesSummary(4, Series(key, "Glucose", "laboratory", "t/1", Kind.POINT), 9, 1, 2)


def view_of(points: list[Point], found: SeriesSummary | None = None) -> Any:
    return sum_up(shape_measure(found or summary()), SeriesWindow(0, 9, 0, tuple(points)))


def test_time_in_range_counts_both_ends_and_off_scale_readings_as_outside() -> None:
    view = view_of([
        point(69), point(70), point(180), point(181),
        point(40, Flag.OFF_SCALE_LOW), point(100), point(100, Flag.OFF_SCALE_HIGH), point(120),
    ])  # fmt: skip
    assert view.in_range == 0.5
    assert (view.low, view.high) == (40, 181)


def test_time_in_range_is_not_claimed_from_averages_or_for_other_measures() -> None:
    assert view_of([point(100), point(100, count=2)]).in_range is None
    assert view_of([]).in_range is None
    assert view_of([point(97)], summary("oxygen-saturation", "%")).in_range is None
    assert view_of([point(5.5)], summary("glucose-cgm", "mmol/L")).in_range == 1.0
    assert view_of([point(5.5)], summary("glucose-cgm", "g/L")).measure.target is None


def test_quality_counts_doubtful_flags_only() -> None:
    view = view_of(
        [point(1, Flag.MANUAL), point(1, Flag.RATE), point(1, Flag.GAP_BEFORE), point(1)]
    )
    assert view.doubtful == 0.25
    assert view_of([]).doubtful == 0.0
    assert view_of([]).newest is None
