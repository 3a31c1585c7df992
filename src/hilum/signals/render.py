"""Readings as FHIR R4 Observations, made on demand.

Source: HL7 FHIR R4, Observation, "vital signs" profiles (category, LOINC and UCUM of each; oxygen
saturation fixes 2708-6, 59408-5 goes beside it); HL7 PHD IG (MDC coding beside LOINC); SampledData
(fixed period,
``E`` no value, ``L`` below, ``U`` above the limits).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING, Any

import msgspec

from hilum.signals.clock import instant_text
from hilum.signals.identity import HOUR_MS, ReadingId, format_id
from hilum.signals.judge import METHOD
from hilum.signals.model import Comparator, Flag, Kind
from hilum.signals.numeral import numeral_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hilum.signals.model import Reading, Series

__all__ = [
    "LOINC",
    "MDC",
    "PANEL_CODINGS",
    "QUALITY_URL",
    "Origin",
    "codings_of",
    "is_dense",
    "render_hour",
    "render_panel",
    "render_reading",
]

LOINC = "http://loinc.org"
MDC = "urn:iso:std:iso:11073:10101"
UCUM = "http://unitsofmeasure.org"
MEASURE = "urn:hilum:fhir:measure"
QUALITY_URL = "urn:hilum:fhir:reading-quality"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
_INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
PANEL_CODINGS = ((LOINC, "85354-9"), (MDC, "150020"))
"""Blood pressure panel: both pressures of one device at one instant are one Observation."""

_SYMBOLS = {
    Comparator.LESS: "<",
    Comparator.LESS_OR_EQUAL: "<=",
    Comparator.GREATER_OR_EQUAL: ">=",
    Comparator.GREATER: ">",
}
_DENSE_SPACING_MS = 5000
_DENSE_COUNT = 30
_MAX_SLOTS = 36_000
_encode = msgspec.json.Encoder().encode
_Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a reading rests: whose it is, its series, the version of the chunk that holds it."""

    subject: str
    sid: int
    series: Series
    version: int
    updated_ms: int


def codings_of(series: Series) -> tuple[tuple[str, str], ...]:
    """Return (system, code) of `Observation.code` in order: LOINC, MDC, vendor, own measure."""
    key = series.key
    codings = [(LOINC, code) for code in key.loinc]
    if key.mdc:
        codings.append((MDC, key.mdc))
    if key.vendor_code:
        codings.append((key.vendor_system, key.vendor_code))
    codings.append((MEASURE, key.measure))
    return tuple(codings)


def is_dense(readings: Sequence[Reading]) -> bool:
    """Tell whether a day's readings render by the hour: 30 or more, median spacing ≤ 5 s."""
    if len(readings) < _DENSE_COUNT:
        return False
    starts = [r.t_unix_ms for r in readings]
    steps = sorted(b - a for a, b in itertools.pairwise(starts))
    return steps[len(steps) // 2] <= _DENSE_SPACING_MS


def _concept(codings: Sequence[tuple[str, str]], text: str) -> _Json:
    return {"coding": [{"system": s, "code": c} for s, c in codings], "text": text}


def _frame(origin: Origin, name: str, codings: Sequence[tuple[str, str]], text: str) -> _Json:
    category = {"coding": [{"system": CATEGORY, "code": origin.series.category}]}
    return {
        "resourceType": "Observation",
        "id": name,
        "meta": {
            "versionId": str(origin.version),
            "lastUpdated": instant_text(origin.updated_ms, 0),
        },
        "status": "final",
        "category": [category],
        "code": _concept(codings, text),
        "subject": {"reference": f"Patient/{origin.subject}"},
        "device": {"display": origin.series.key.device},
    }


def _effective(body: _Json, reading: Reading, end_ms: int) -> None:
    offset = reading.offset_minutes
    start = instant_text(reading.t_unix_ms, offset)
    if end_ms == reading.t_unix_ms:
        body["effectiveDateTime"] = start
    else:
        body["effectivePeriod"] = {"start": start, "end": instant_text(end_ms, offset)}


def _quantity(series: Series, reading: Reading) -> _Json:
    text = numeral_text(reading.unscaled, reading.scale)
    quantity: _Json = {"value": msgspec.Raw(text.encode())}
    if reading.comparator:
        quantity["comparator"] = _SYMBOLS[Comparator(reading.comparator)]
    unit = series.key.unit
    return quantity | {"unit": unit, "system": UCUM, "code": unit}


def _put_value(body: _Json, series: Series, reading: Reading) -> None:
    if series.kind is Kind.STAGE:
        stage = series.stages[reading.unscaled]
        coding = {
            "system": series.key.vendor_system,
            "code": stage.code,
            "display": stage.display,
        }
        body["valueCodeableConcept"] = {"coding": [coding], "text": stage.display}
    else:
        body["valueQuantity"] = _quantity(series, reading)


def _interpretation(flags: int) -> list[_Json]:
    marks = []
    if flags & Flag.OFF_SCALE_LOW:
        marks.append("<")
    if flags & Flag.OFF_SCALE_HIGH:
        marks.append(">")
    return [{"coding": [{"system": _INTERPRETATION, "code": mark}]} for mark in marks]


def _quality(flags: int, score: int) -> _Json:
    parts: list[_Json] = [
        {"url": "score", "valueDecimal": msgspec.Raw(numeral_text(score, 2).encode())}
    ]
    names = [(flag.name or "").lower().replace("_", "-") for flag in Flag if flags & flag]
    parts.extend({"url": "flag", "valueCode": name} for name in names)
    parts.append({"url": "method", "valueString": METHOD})
    return {"url": QUALITY_URL, "extension": parts}


def _judged(body: _Json, flags: int, score: int) -> bytes:
    marks = _interpretation(flags)
    if marks:
        body["interpretation"] = marks
    body["extension"] = [_quality(flags, score)]
    return _encode(body)


def render_reading(origin: Origin, reading: Reading) -> bytes:
    """Return one reading as an Observation, JSON bytes."""
    series = origin.series
    name = format_id(ReadingId(origin.sid, reading.t_unix_ms, reading.duration_ms))
    body = _frame(origin, name, codings_of(series), series.display)
    _effective(body, reading, reading.t_unix_ms + reading.duration_ms)
    _put_value(body, series, reading)
    return _judged(body, reading.flags, reading.score)


def render_panel(origin: Origin, systolic: Reading, diastolic: tuple[Series, Reading]) -> bytes:
    """Return a blood pressure panel; id, version and device are those of the systolic reading.

    Args:
        origin: of the systolic reading.
        systolic: the systolic reading.
        diastolic: series and reading of the same device, instant and duration.
    """
    name = format_id(ReadingId(origin.sid, systolic.t_unix_ms, systolic.duration_ms))
    body = _frame(origin, name, PANEL_CODINGS, "Blood pressure")
    _effective(body, systolic, systolic.t_unix_ms + systolic.duration_ms)
    body["component"] = [
        {
            "code": _concept(codings_of(series), series.display),
            "valueQuantity": _quantity(series, reading),
        }
        for series, reading in ((origin.series, systolic), diastolic)
    ]
    other = diastolic[1]
    return _judged(body, systolic.flags | other.flags, min(systolic.score, other.score))


def _period_ms(starts: Sequence[int]) -> int:
    """The spacing that puts every start on the grid; 100 ms where that needs too many slots."""
    step = 0
    for a, b in itertools.pairwise(starts):
        step = gcd(step, b - a)
    return step if step and HOUR_MS // step <= _MAX_SLOTS else HOUR_MS // _MAX_SLOTS


def _slot_text(reading: Reading) -> str:
    if reading.flags & Flag.OFF_SCALE_LOW:
        return "L"
    if reading.flags & Flag.OFF_SCALE_HIGH:
        return "U"
    return numeral_text(reading.unscaled, reading.scale)


def render_hour(origin: Origin, readings: Sequence[Reading]) -> bytes:
    """Return the visible readings of one hour of a dense series as one SampledData Observation.

    Slots without a reading are ``E``. Starts are exact unless they need a grid finer than 100 ms;
    then they are moved by less than that in the rendering, never in the store.

    Args:
        origin: of the series.
        readings: at least one, ascending, all in one UTC hour.
    """
    series, first, last = origin.series, readings[0], readings[-1]
    period = _period_ms([r.t_unix_ms for r in readings])
    slots = ["E"] * ((last.t_unix_ms - first.t_unix_ms) // period + 1)
    flags, score = 0, 0
    for reading in readings:
        slots[(reading.t_unix_ms - first.t_unix_ms) // period] = _slot_text(reading)
        flags |= reading.flags
        score += reading.score
    hour = first.t_unix_ms // HOUR_MS * HOUR_MS
    name = format_id(ReadingId(origin.sid, hour, None))
    body = _frame(origin, name, codings_of(series), series.display)
    _effective(body, first, last.t_unix_ms + last.duration_ms)
    unit = series.key.unit
    sampled: _Json = {"origin": {"value": 0, "unit": unit, "system": UCUM, "code": unit}}
    sampled["period"] = period
    low = next((r for r in readings if r.flags & Flag.OFF_SCALE_LOW), None)
    high = next((r for r in readings if r.flags & Flag.OFF_SCALE_HIGH), None)
    for limit, reading_at in (("lowerLimit", low), ("upperLimit", high)):
        if reading_at is not None:
            text = numeral_text(reading_at.unscaled, reading_at.scale)
            sampled[limit] = msgspec.Raw(text.encode())
    body["valueSampledData"] = sampled | {"dimensions": 1, "data": " ".join(slots)}
    return _judged(body, flags, score // len(readings))
