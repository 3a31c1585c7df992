from __future__ import annotations

import io
import zipfile
import zoneinfo
from datetime import UTC, datetime
from typing import Any

import pytest

from hilum.errors import MalformedInputError
from hilum.signals import apple
from hilum.signals.model import Flag, Source
from hilum.signals.pipeline import detect, read_payload

NOW = 1_790_000_000_000
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
RECORD = (
    '<Record type="HKQuantityTypeIdentifier{type}" sourceName="S" unit="{unit}" value="{value}"'
    ' creationDate="2024-01-01 08:00:00 +0100" startDate="{start}" endDate="{end}"{tail}'
)


def record(
    type: Any = "HeartRate",
    unit: Any = "count/min",
    value: Any = "60",
    start: Any = "2024-01-01 08:00:00 +0100",
    end: Any = None,
    inside: Any = "",
) -> Any:
    tail = f">{inside}</Record>" if inside else "/>"
    return RECORD.format(
        type=type, unit=unit, value=value, start=start, end=end or start, tail=tail
    )


def export(*records: Any, head: Any = HEAD) -> Any:
    return f'{head}<HealthData locale="en_US">{"".join(records)}</HealthData>'.encode()


def read(body: Any, source: Any = Source.APPLE_XML, **more: Any) -> Any:
    return list(read_payload(io.BytesIO(body), source, now_ms=NOW, **more))


def only(body: Any) -> Any:
    (batch,) = read(body)
    ((series, (reading,)),) = batch.series
    return series, reading


@pytest.mark.parametrize("name", ["export.xml", "export-from-zip.xml"])
def test_a_real_export_is_read(material: Any, name: Any) -> None:
    body = material(f"apple-health/{name}").read_bytes()
    assert detect(body) is Source.APPLE_XML
    (batch,) = read(body)
    assert [(s.key.measure, s.key.unit, len(r)) for s, r in batch.series] == [
        ("body-mass-index", "kg/m2", 1),
        ("heart-rate", "/min", 1),
    ]
    series, (reading,) = batch.series[1]
    assert series.key.device == "Apple Watch (Watch2,4)"
    assert reading.t_unix_ms == datetime(2018, 9, 10, 9, 28, 55, tzinfo=UTC).timestamp() * 1000
    assert reading.offset_minutes == -420
    assert batch.not_mapped == {"Workout": 1, "ActivitySummary": 2}
    assert set(batch.reasons) == {"Workout", "ActivitySummary"}
    assert (batch.broken, batch.refused) == ("", [])


@pytest.mark.parametrize(
    ("type", "unit", "value", "expected"),
    [
        ("OxygenSaturation", "%", "0.97", (97, 0, "%")),
        ("OxygenSaturation", "%", "1", (1, -2, "%")),
        ("OxygenSaturation", "%", "0.975", (975, 1, "%")),
        (
            "BloodGlucose",
            "mmol<180.1558800000541>/L".replace("<", "&lt;"),
            "5.50",
            (550, 2, "mmol/L"),
        ),
        ("BloodGlucose", "mg/dL", "99", (99, 0, "mg/dL")),
        ("Height", "m", "1.80", (180, 0, "cm")),
        ("ActiveEnergyBurned", "Cal", "1.250", (1250, 3, "kcal")),
        ("BodyMass", "lb", "150.2", (1502, 1, "[lb_av]")),
        ("BodyMass", "st", "11.5", (115 * 14, 1, "[lb_av]")),
        ("BodyTemperature", "degF", "98.6", (986, 1, "[degF]")),
        ("VO2Max", "mL/min·kg", "41.2", (412, 1, "mL/min/kg")),
        ("BodyMassIndex", "count", "22.50", (2250, 2, "kg/m2")),
    ],
)
def test_units_become_ucum_without_losing_a_digit(
    type: Any, unit: Any, value: Any, expected: Any
) -> None:
    series, reading = only(export(record(type, unit, value)))
    assert (reading.unscaled, reading.scale, series.key.unit) == expected


def test_a_glucose_value_keeps_the_code_of_its_unit() -> None:
    assert only(export(record("BloodGlucose", "mg/dL", "99")))[0].key.loinc == ("2339-0",)
    mmol = export(record("BloodGlucose", "mmol&lt;180.1558800000541>/L", "5"))
    assert only(mmol)[0].key.loinc == ("15074-8",)


def test_what_a_person_typed_is_manual() -> None:
    inside = '<MetadataEntry key="HKWasUserEntered" value="1"/>'
    assert only(export(record(inside=inside)))[1].flags == Flag.MANUAL


def test_the_zone_in_the_metadata_gives_the_offset() -> None:
    inside = '<MetadataEntry key="HKTimeZone" value="America/New_York"/>'
    reading = only(export(record(inside=inside)))[1]
    assert reading.offset_minutes == -300
    assert reading.t_unix_ms == datetime(2024, 1, 1, 7, tzinfo=UTC).timestamp() * 1000


def test_an_unknown_zone_leaves_the_offset_of_the_export() -> None:
    inside = '<MetadataEntry key="HKTimeZone" value="Not/AZone"/>'
    assert only(export(record(inside=inside)))[1].offset_minutes == 60


def test_instants_are_those_of_the_standard_library() -> None:
    zone = zoneinfo.ZoneInfo("Asia/Kathmandu")
    stamps = [datetime(2024, m, 28, 23, 59, m, tzinfo=zone) for m in range(1, 13)]
    body = export(*(record(start=s.strftime("%Y-%m-%d %H:%M:%S %z")) for s in stamps))
    (batch,) = read(body)
    ((_, readings),) = batch.series
    assert [r.t_unix_ms for r in readings] == [int(s.timestamp() * 1000) for s in stamps]


def test_a_future_reading_and_one_of_a_reset_clock_are_flagged() -> None:
    assert only(export(record(start="2999-01-01 00:00:00 +0000")))[1].flags == Flag.CLOCK
    assert only(export(record(start="1970-01-01 00:00:00 +0000")))[1].flags == Flag.CLOCK


def test_the_two_memory_addresses_of_one_watch_are_one_device() -> None:
    def device(address: Any) -> Any:
        text = f"&lt;&lt;HKDevice: {address}>, name:W, hardware:Watch6,12, software:9>"
        return record().replace(' unit="', f' device="{text}" unit="')

    (batch,) = read(export(device("0x1"), device("0x2")))
    assert [len(r) for _, r in batch.series] == [2]
    assert batch.series[0][0].key.device == "S (W Watch6,12)"


def test_sleep_stages_are_read() -> None:
    body = export(
        record("X", "", "HKCategoryValueSleepAnalysisAsleepREM", end="2024-01-01 08:20:00 +0100")
    )
    body = body.replace(b"HKQuantityTypeIdentifierX", b"HKCategoryTypeIdentifierSleepAnalysis")
    series, reading = only(body.replace(b' unit=""', b""))
    assert series.stages[reading.unscaled].display == "REM sleep"
    assert reading.duration_ms == 1_200_000


@pytest.mark.parametrize(
    "bad",
    [
        record(value="abc"),
        record(value=""),
        record(value="NaN"),
        record(start="yesterday"),
        record(start="2024-13-01 00:00:00 +0000"),
        record(start="2024-01-01 00:61:00 +0000"),
        record(start="2024-01-01 00:00:00"),
        record(start=""),
        record(start="2024-01-02 00:00:00 +0000", end="2024-01-01 00:00:00 +0000"),
        record(end="2025-01-01 00:00:00 +0000"),
    ],
)
def test_a_bad_record_is_refused_by_place_and_the_rest_goes_on(bad: Any) -> None:
    (batch,) = read(export(record(), bad, record(start="2024-01-01 09:00:00 +0100")))
    assert [r.where for r in batch.refused] == ["record 2"]
    assert batch.refused_count == 1
    assert sum(len(r) for _, r in batch.series) == 2


def test_unknown_types_and_units_are_counted_with_reasons() -> None:
    (batch,) = read(export(record("Novel"), record(unit="furlongs"), record(unit="furlongs")))
    assert batch.not_mapped == {
        "HKQuantityTypeIdentifierNovel": 1,
        "HKQuantityTypeIdentifierHeartRate": 2,
    }
    assert batch.reasons["HKQuantityTypeIdentifierHeartRate"] == "unit not known for this type"


def test_a_broken_tail_keeps_what_was_good_and_says_where() -> None:
    body = export(record(), "\n", record(start="2024-01-01 09:00:00 +0100"))
    batches = read(body[:-40])
    assert sum(len(r) for b in batches for _, r in b.series) == 1
    assert batches[-1].broken.startswith("line 3")


def test_batches_are_bounded_and_complete() -> None:
    stamps = [f"2024-01-01 {h:02d}:{m:02d}:00 +0000" for h in range(10) for m in range(60)]
    batches = read(export(*(record(start=s) for s in stamps)), batch_size=64)
    sizes = [sum(len(r) for _, r in b.series) for b in batches]
    assert max(sizes) <= 64
    assert sum(sizes) == sum(b.seen for b in batches) == 600


def test_the_doctype_of_real_exports_is_tolerated() -> None:
    doctype = (
        HEAD + "<!DOCTYPE HealthData [\n<!ELEMENT HealthData (ExportDate,Me,(Record)*)>\n"
        "<!ATTLIST HealthData\n locale CDATA #REQUIRED\n>\n<!-- <HealthData> in a comment -->\n]>\n"
    )
    assert only(export(record(), head=doctype))[1].unscaled == 60


BOMBS = [
    '<!DOCTYPE HealthData [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>',
    '<!DOCTYPE HealthData [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]>',
    "<!DOCTYPE HealthData [\n" + "<!-- filler -->\n" * 5000 + '<!ENTITY a "a">]>',
]


@pytest.mark.parametrize("doctype", BOMBS)
def test_entity_declarations_are_refused(doctype: Any) -> None:
    with pytest.raises(MalformedInputError):
        read(export(record(value="&a;"), head=HEAD + doctype))


def test_an_external_dtd_is_not_fetched() -> None:
    doctype = HEAD + '<!DOCTYPE HealthData SYSTEM "http://localhost:9/x.dtd">'
    assert only(export(record(), head=doctype))[1].unscaled == 60


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"<x/>",
        export(record()).decode().encode("utf-16"),
        export(record(), head='<?xml version="1.0" encoding="ISO-8859-1"?>'),
        b"<!DOCTYPE HealthData [" + b" " * 300_000,
    ],
)
def test_what_is_no_export_is_refused(body: Any) -> None:
    with pytest.raises(MalformedInputError):
        read(body)


def packed(*members: Any, **more: Any) -> Any:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, **more) as archive:
        for name, body in members:
            archive.writestr(name, body)
    return out.getvalue()


@pytest.mark.parametrize(
    "name", ["apple_health_export/export.xml", "apple_health_export/导出.xml", "export.xml"]
)
def test_a_zip_is_read_by_its_export_member_only(name: Any) -> None:
    body = packed(
        ("apple_health_export/export_cda.xml", "<ClinicalDocument/>"),
        ("apple_health_export/workout-routes/route.gpx", "<gpx/>"),
        (name, export(record())),
    )
    assert detect(body) is Source.APPLE_ZIP
    (batch,) = read(body, Source.APPLE_ZIP)
    assert sum(len(r) for _, r in batch.series) == 1


def test_a_zip_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = packed(("apple_health_export/export.xml", export() + b" " * 64_000_000))
    assert len(bomb) < 100_000
    with pytest.raises(MalformedInputError) as caught:
        read(bomb, Source.APPLE_ZIP)
    assert caught.value.code == "zip-bomb"


def test_a_size_limit_stops_reading() -> None:
    stream = io.BytesIO(export(*[record()] * 10_000))
    template = __import__("hilum.signals.template", fromlist=["x"]).load_template("apple-health")
    with pytest.raises(MalformedInputError) as caught:
        list(apple.read_apple(stream, template, now_ms=NOW, batch_size=100_000, limit=500_000))
    assert caught.value.code == "too-large"


@pytest.mark.parametrize(
    "body",
    [
        b"PK\x03\x04 rubbish",
        packed(("photos/a.jpg", b"x")),
        packed(("a/export.xml", export()), ("b/export.xml", export())),
    ],
)
def test_a_zip_without_one_export_is_refused(body: Any) -> None:
    with pytest.raises(MalformedInputError):
        read(body, Source.APPLE_ZIP)


def test_a_damaged_zip_member_keeps_what_was_good() -> None:
    stamps = [
        f"2024-01-{d:02d} {h:02d}:{m:02d}:00 +0000"
        for d in range(1, 29)
        for h in range(24)
        for m in range(60)
    ]
    whole = bytearray(
        packed(("apple_health_export/export.xml", export(*(record(start=s) for s in stamps))))
    )
    middle = len(whole) // 2
    whole[middle : middle + 64] = bytes(64)
    batches = read(bytes(whole), Source.APPLE_ZIP, batch_size=1000)
    assert batches[-1].broken
    assert 0 < sum(b.seen for b in batches) < len(stamps)
