from __future__ import annotations

import io
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from hilum.errors import MalformedInputError
from hilum.signals.clock import LocalTime, instant_text, parse_instant, resolve_local
from hilum.signals.model import Comparator, Flag, Source
from hilum.signals.pipeline import detect, read_payload

NOW = 1_790_000_000_000
HEADER = (
    '"Index","Timestamp (YYYY-MM-DDThh:mm:ss)","Event Type","Event Subtype","Patient Info","Device Info",'
    '"Source Device ID","Glucose Value (mg/dL)","Insulin Value (u)",'
    '"Carb Value (grams)","Duration (hh:mm:ss)",'
    '"Glucose Rate of Change (mg/dL/min)","Transmitter Time (Long Integer)","Transmitter ID"'
)


def row(
    stamp: Any, value: Any = "100", *, event: Any = "EGV", ticks: Any = "", session: Any = "T1"
) -> Any:
    return (
        f'"9","{stamp}","{event}","","","","iPhone G6","{value}","","","","","{ticks}","{session}"'
    )


def table(*rows: Any, header: Any = HEADER, end: Any = "\r\n") -> Any:
    return ("\ufeff" + header + end + end.join(rows) + end).encode()


def read(body: Any, zone: Any = "Europe/Berlin", **more: Any) -> Any:
    return list(read_payload(io.BytesIO(body), Source.CLARITY, now_ms=NOW, zone=zone, **more))


def readings_of(body: Any, **more: Any) -> Any:
    return [r for batch in read(body, **more) for _, readings in batch.series for r in readings]


def test_a_whole_export_is_read(material: Any) -> None:
    body = material("cgm-csv/Clarity_Export_synthetic.csv").read_bytes()
    assert detect(body[:65536]) is Source.CLARITY
    (batch,) = read(body)
    ((series, readings),) = batch.series
    assert series.key.loinc == ("99504-3",)
    assert (len(readings), batch.seen) == (3922, 3979)
    low = [r for r in readings if r.comparator]
    assert {(r.comparator, r.unscaled, r.flags & ~Flag.CLOCK) for r in low} == {
        (Comparator.LESS, 40, Flag.OFF_SCALE_LOW)
    }
    assert len(low) == 5
    assert batch.not_mapped["Insulin"] == 47
    assert all(r.flags & Flag.CLOCK for r in readings)  # its dates were moved to 1961


def test_values_equal_a_plain_reading_of_the_file(material: Any) -> None:
    path = material("cgm-csv/Clarity_Export_synthetic.csv")
    cells = [line.split(",") for line in path.read_text("utf-8-sig").splitlines()[1:]]
    plain = [(c[1], c[7]) for c in cells if c[2] == "EGV" and c[7] != "Low"]
    zone = ZoneInfo("Europe/Berlin")
    got = [
        (
            (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=r.t_unix_ms))
            .astimezone(zone)
            .strftime("%Y-%m-%d %H:%M:%S"),
            str(r.unscaled),
        )
        for r in readings_of(path.read_bytes())
        if not r.comparator
    ]
    assert Counter(got) == Counter(plain)


@pytest.mark.parametrize("word", ["Low", "LOW", "Niedrig", "Bas", "Bajo", "Laag"])
def test_a_low_word_is_a_comparator_never_a_number_below_the_scale(word: Any) -> None:
    (only,) = readings_of(table(row("2024-03-01T08:00:00", word)))
    assert (only.unscaled, only.scale, only.comparator) == (40, 0, Comparator.LESS)
    assert only.flags == Flag.OFF_SCALE_LOW


@pytest.mark.parametrize("word", ["High", "Hoch", "Élevé", "Alto"])
def test_a_high_word_is_a_comparator(word: Any) -> None:
    (only,) = readings_of(table(row("2024-03-01T08:00:00", word)))
    assert (only.unscaled, only.comparator, only.flags) == (
        400,
        Comparator.GREATER,
        Flag.OFF_SCALE_HIGH,
    )


def test_a_german_export_with_semicolons_and_decimal_commas_is_read() -> None:
    header = (
        "Index;Zeitstempel (JJJJ-MM-TTThh:mm:ss);Ereignistyp;Ereignissubtyp;Patienteninformation;"
        "Geräteinformation;Quellgerät-ID;Glukosewert (mmol/L);Insulinwert (u);Kohlenhydratwert (Gramm);"
        "Dauer (hh:mm:ss);Glukoseänderungsrate (mmol/L/min);Transmitterzeit (lange ganze Zahl);Transmitter-ID"
    )
    body = table(
        "9;2024-03-01T08:00:00;EGV;;;;iPhone G6;5,50;;;;;100;T1",
        "9;2024-03-01T08:05:00;EGV;;;;iPhone G6;Niedrig;;;;;400;T1",
        "9;2024-03-01T08:07:00;Kalibrierung;;;;iPhone G6;5,9;;;;;;",
        header=header,
    )
    assert detect(body) is Source.CLARITY
    (batch,) = read(body)
    by_measure = {s.key.measure: (s, r) for s, r in batch.series}
    series, (first, low) = by_measure["glucose-cgm"]
    assert (series.key.unit, series.key.loinc) == ("mmol/L", ("105272-9",))
    assert (first.unscaled, first.scale) == (550, 2)
    assert (low.unscaled, low.scale, low.comparator) == (22, 1, Comparator.LESS)
    meter, (calibration,) = by_measure["glucose-meter"]
    assert (meter.key.loinc, calibration.flags) == (("14743-9",), Flag.MANUAL)


def test_rows_of_thirteen_columns_are_read() -> None:
    ragged = row("2024-03-01T08:00:00").rpartition(",")[0]
    header = HEADER.rpartition(",")[0]
    assert len(readings_of(table(ragged, header=header))) == 1
    assert len(readings_of(table(ragged))) == 1


def test_local_times_need_a_known_zone() -> None:
    body = table(row("2024-03-01T08:00:00"))
    for zone in (None, "Mars/Olympus", "../etc/passwd"):
        with pytest.raises(MalformedInputError) as caught:
            read(body, zone=zone)
        assert caught.value.where == "zone"


def test_the_repeated_hour_is_resolved_by_ticks() -> None:
    zone, start = ZoneInfo("America/New_York"), datetime(2025, 11, 2, 4, 0, tzinfo=UTC)
    truth = [start + timedelta(minutes=5 * i) for i in range(48)]
    rows = [
        row(t.astimezone(zone).strftime("%Y-%m-%dT%H:%M:%S"), str(100 + i), ticks=str(300 * i))
        for i, t in enumerate(truth)
    ]
    got = readings_of(table(*rows), zone="America/New_York")
    assert [r.t_unix_ms for r in got] == [int(t.timestamp() * 1000) for t in truth]
    assert {r.flags for r in got} == {0}
    assert {r.offset_minutes for r in got} == {-240, -300}


def test_the_repeated_hour_without_ticks_is_flagged() -> None:
    (first, second) = readings_of(
        table(row("2025-11-02T00:59:00"), row("2025-11-02T01:30:00")), zone="America/New_York"
    )
    assert (first.flags, second.flags) == (0, Flag.AMBIGUOUS_HOUR)
    assert second.offset_minutes == -240


def test_ticks_of_another_sensor_or_a_restarted_counter_prove_nothing() -> None:
    zone = ZoneInfo("America/New_York")
    before = datetime.fromisoformat("2025-11-02T00:30:00")
    inside = datetime.fromisoformat("2025-11-02T01:30:00")
    other = [LocalTime(before, 10_000, "A"), LocalTime(inside, 13_600, "B")]
    restarted = [LocalTime(before, 9_000_000, "A"), LocalTime(inside, 20, "A")]
    for times in (other, restarted):
        assert resolve_local(times, zone)[1].flags == Flag.AMBIGUOUS_HOUR


def test_a_wall_time_that_the_clocks_skip_is_flagged() -> None:
    (only,) = readings_of(table(row("2025-03-09T02:30:00")), zone="America/New_York")
    assert only.flags == Flag.CLOCK


def test_bad_rows_are_refused_by_line_and_the_rest_goes_on() -> None:
    body = table(
        row("2024-03-01T08:00:00"),
        row("not a time"),
        row("2024-03-01T08:05:00", "many"),
        row("2024-03-01T08:10:00+01:00"),
        row("2024-03-01T08:15:00"),
    )
    (batch,) = read(body)
    assert [r.where for r in batch.refused] == ["line 3", "line 5", "line 4"]
    assert sum(len(r) for _, r in batch.series) == 2


def test_batches_are_bounded() -> None:
    rows = [row(f"2024-03-01T08:{m:02d}:00") for m in range(60)]
    assert [sum(len(r) for _, r in b.series) for b in read(table(*rows), batch_size=25)] == [
        25,
        25,
        10,
    ]


@pytest.mark.parametrize(
    "body", [b"", b"a,b,c\n1,2,3\n", b"\xff\xfe\x00", HEADER.replace("mg/dL", "x").encode()]
)
def test_what_is_no_clarity_export_is_refused(body: Any) -> None:
    assert detect(body) is None
    with pytest.raises(MalformedInputError):
        read(body)


@pytest.mark.parametrize(
    ("text", "ms", "offset"),
    [("1970-01-01T00:00:00Z", 0, 0), ("1969-12-31T23:59:59.500-05:00", 17_999_500, -300)],
)
def test_instants_are_read_with_their_offset(text: Any, ms: Any, offset: Any) -> None:
    assert parse_instant(text) == (ms, offset)


@pytest.mark.parametrize(
    "text", ["2024", "2024-01-01", "2024-01-01T00:00:00", "x", "", "9999-12-31T23:59:59-14:00"]
)
def test_what_is_no_instant_is_refused(text: Any) -> None:
    with pytest.raises(MalformedInputError):
        parse_instant(text)


@pytest.mark.parametrize("ms", [0, 1, 999, -1, -12_345_678_901, 1_790_000_000_123])
@pytest.mark.parametrize("offset", [0, 60, -210, 345, 840])
def test_an_instant_written_is_read_back(ms: Any, offset: Any) -> None:
    assert parse_instant(instant_text(ms, offset)) == (ms, offset)
