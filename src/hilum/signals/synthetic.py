"""Made-up device exports with the shape of real ones: for the demonstration, tests and benchmarks.

Pure: the same seed gives the same bytes. Every source is named as synthetic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["apple_export_xml", "clarity_csv"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HEADER = (
    '"Index","Timestamp (YYYY-MM-DDThh:mm:ss)","Event Type","Event Subtype","Patient Info",'
    '"Device Info","Source Device ID","Glucose Value (mg/dL)","Insulin Value (u)",'
    '"Carb Value (grams)","Duration (hh:mm:ss)","Glucose Rate of Change (mg/dL/min)",'
    '"Transmitter Time (Long Integer)","Transmitter ID"'
)
_WATCH = quoteattr(
    "<<HKDevice: 0x28{:07x}>, name:Synthetic Watch, manufacturer:Synthetic, model:Watch, "
    "hardware:Watch0,1, software:1.0>"
)
_DOCTYPE = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE HealthData [
<!-- HealthKit Export Version: 14 -->
<!ELEMENT HealthData (ExportDate,Me,(Record|Correlation|Workout|ActivitySummary)*)>
<!ATTLIST HealthData locale CDATA #REQUIRED>
<!ELEMENT ExportDate EMPTY>
<!ATTLIST ExportDate value CDATA #REQUIRED>
<!ELEMENT Record ((MetadataEntry|HeartRateVariabilityMetadataList)*)>
<!ELEMENT MetadataEntry EMPTY>
<!ATTLIST MetadataEntry key CDATA #REQUIRED value CDATA #REQUIRED>
]>
<HealthData locale="en_US">
"""
_CHUNK = 64 * 1024


def _local(t_unix_ms: int, zone: ZoneInfo) -> datetime:
    return (_EPOCH + timedelta(milliseconds=t_unix_ms)).astimezone(zone)


@dataclass(frozen=True, slots=True)
class _Meal:
    minute: float
    rise: float
    length: float


def _meals(rng: Random) -> list[_Meal]:
    """Three meals and sometimes a snack: minute of the day, rise in mg/dL, minutes to peak."""
    hours = [7.5, 12.5, 19.0] + ([16.0] if rng.random() < 0.4 else [])
    return [
        _Meal(60 * hour + rng.gauss(0, 25), rng.uniform(35, 130), rng.uniform(35, 60))
        for hour in hours
    ]


def _glucose(minute: float, meals: list[_Meal]) -> float:
    level = 100 + 8 * math.sin(2 * math.pi * (minute - 300) / 1440)
    for meal in meals:
        since = (minute - meal.minute) / meal.length
        if since > 0:
            level += meal.rise * since * math.exp(1 - since)
    return level


def clarity_csv(seed: int, start_ms: int, days: int, zone: str) -> bytes:
    """Return a Dexcom Clarity export: every 5 minutes, off-scale words, gaps, calibrations.

    Args:
        seed: of the random numbers.
        start_ms: first instant, UTC ms.
        days: how many days.
        zone: IANA name; the file has its local times only, as real ones have.
    """
    rng, place = Random(f"clarity-{seed}"), ZoneInfo(zone)  # noqa: S311  made-up data, not secrets
    rows = [
        ",".join((f'"{index}"', '""', f'"{kind}"', *('""',) * 11))
        for index, kind in enumerate(("FirstName", "LastName", "Device"), start=1)
    ]
    meals, day, drift, low_at = _meals(rng), -1, 0.0, rng.randrange(200, 280)
    gap_at = rng.randrange(60, 250)
    for step in range(days * 288):
        if step // 288 != day:
            day, meals = step // 288, _meals(rng)
        drift = 0.96 * drift + rng.gauss(0, 2.0)
        if gap_at <= step % 1152 < gap_at + 14:
            continue  # about an hour without signal, every fourth day
        t_unix_ms = start_ms + step * 300_000 + rng.randrange(-1, 2) * 1000
        wall = _local(t_unix_ms, place)
        level = _glucose(wall.hour * 60 + wall.minute, meals) + drift
        if step % 864 in range(low_at, low_at + 8):
            level -= 75  # a night with values below the scale, every third day
        word = "Low" if level < 40 else "High" if level > 400 else str(round(level))
        rows.append(_clarity_row(len(rows) + 1, wall, "EGV", word, str(4_000_000 + step * 300)))
        if step % 288 == 100:
            rows.append(_clarity_row(len(rows) + 1, wall, "Calibration", str(round(level + 4)), ""))
    return ("\ufeff" + _HEADER + "\r\n" + "\r\n".join(rows) + "\r\n").encode()


def _clarity_row(index: int, wall: datetime, event: str, value: str, ticks: str) -> str:
    stamp = wall.replace(tzinfo=None).isoformat(timespec="seconds")
    cells = [str(index), stamp, event, "", "", "", "Synthetic G6", value, "", "", "", "", ticks]
    return ",".join(f'"{cell}"' for cell in [*cells, "SYNTH1" if ticks else ""])


class _Writer:
    """Write records of one person; each kind has its own random numbers."""

    def __init__(self, seed: int, start_ms: int, days: int, zone: str) -> None:
        self.seed = seed
        self.start_ms = start_ms
        self.days = days
        self.zone = ZoneInfo(zone)
        self._quarters: dict[int, tuple[str, int, str]] = {}

    def rng(self, kind: str) -> Random:
        return Random(f"{kind}-{self.seed}")  # noqa: S311  made-up data, not secrets

    def stamp(self, t_unix_ms: int) -> str:
        quarter, rest = divmod(t_unix_ms, 900_000)
        known = self._quarters.get(quarter)
        if known is None:
            # No zone in use changes its offset but at a quarter of an hour.
            local = _local(quarter * 900_000, self.zone)
            known = (local.strftime("%Y-%m-%d %H:"), local.minute, local.strftime(" %z"))
            if len(self._quarters) > 10_000:
                self._quarters.clear()
            self._quarters[quarter] = known
        minute, second = divmod(rest // 1000, 60)
        return f"{known[0]}{known[1] + minute:02d}:{second:02d}{known[2]}"

    def record(
        self, kind: str, unit: str, value: str, start_ms: int, *, end_ms: int = 0, inside: str = ""
    ) -> str:
        start = self.stamp(start_ms)
        end = self.stamp(end_ms) if end_ms else start
        device = _WATCH.format((start_ms // 3_600_000) % 0x10000000)
        measure = f' unit="{unit}"' if unit else ""
        head = (
            f' <Record type="{kind}" sourceName="Synthetic Watch" sourceVersion="1.0"'
            f" device={device}"
            f'{measure} creationDate="{end}" startDate="{start}" endDate="{end}" value="{value}"'
        )
        return f"{head}>\n{inside} </Record>\n" if inside else f"{head}/>\n"

    def midnights(self) -> Iterator[int]:
        """Start of each local day, about: UTC ms."""
        for day in range(self.days):
            yield self.start_ms + day * 86_400_000

    def heart_rates(self) -> Iterator[str]:
        rng, kind = self.rng("heart"), "HKQuantityTypeIdentifierHeartRate"
        inside = '  <MetadataEntry key="HKMetadataKeyHeartRateMotionContext" value="{}"/>\n'
        for start in self.midnights():
            t, end = start + rng.randrange(60_000), start + 86_400_000
            workout = start + rng.randrange(61_200_000, 68_400_000)
            while t < end:
                hour = _local(t, self.zone).hour
                active = workout <= t < workout + 2_400_000
                level = 138 if active else 54 if hour < 6 else 72
                rate = max(40, round(rng.gauss(level, 9 if active else 5)))
                context = inside.format(2 if active else 1)
                yield self.record(kind, "count/min", str(rate), t, inside=context)
                t += 5000 if active else rng.randrange(180_000, 420_000)

    def movement(self, kind: str, unit: str, per_minute: float, digits: int) -> Iterator[str]:
        rng, name = self.rng(kind), f"HKQuantityTypeIdentifier{kind}"
        for start in self.midnights():
            t, end = start + rng.randrange(600_000), start + 86_400_000
            while t < end:
                awake = 7 <= _local(t, self.zone).hour < 23
                length = rng.randrange(60, 600) * 1000
                if awake and rng.random() < 0.8:
                    amount = per_minute * length / 60_000 * rng.uniform(0.2, 1.6)
                    value = str(round(amount)) if digits == 0 else f"{amount:.{digits}f}"
                    yield self.record(name, unit, value, t, end_ms=t + length)
                t += length + rng.randrange(0, 400) * 1000

    def daily(
        self, kind: str, unit: str, hours: tuple[float, ...], shape: tuple[float, float, int]
    ) -> Iterator[str]:
        rng, name = self.rng(kind), f"HKQuantityTypeIdentifier{kind}"
        mean, spread, digits = shape
        for start in self.midnights():
            for hour in hours:
                t = start + int(hour * 3_600_000) + rng.randrange(1_800) * 1000
                yield self.record(name, unit, f"{rng.gauss(mean, spread):.{digits}f}", t)

    def saturation(self) -> Iterator[str]:
        rng, name = self.rng("saturation"), "HKQuantityTypeIdentifierOxygenSaturation"
        for start in self.midnights():
            for _ in range(24):
                t = start + rng.randrange(86_400) * 1000
                yield self.record(name, "%", f"{min(1.0, rng.gauss(0.967, 0.012)):.2f}", t)

    def sleep(self) -> Iterator[str]:
        rng, name = self.rng("sleep"), "HKCategoryTypeIdentifierSleepAnalysis"
        stages = ("AsleepCore", "AsleepDeep", "AsleepCore", "AsleepREM")
        for start in self.midnights():
            t = start + rng.randrange(1_200) * 1000
            for _ in range(rng.randrange(4, 6)):
                for stage in stages:
                    end = t + rng.randrange(900, 1_800) * 1000
                    value = f"HKCategoryValueSleepAnalysis{stage}"
                    yield self.record(name, "", value, t, end_ms=end)
                    t = end

    def pressure(self) -> Iterator[str]:
        rng, name = self.rng("pressure"), "HKQuantityTypeIdentifierBloodPressure"
        entered = '  <MetadataEntry key="HKWasUserEntered" value="1"/>\n'
        for start in self.midnights():
            t = start + 27_000_000 + rng.randrange(1_800) * 1000
            systolic, stamp = rng.gauss(128, 9), self.stamp(t)
            pair = [
                self.record(f"{name}{side}", "mmHg", f"{value:.0f}", t, inside=entered)
                for side, value in (("Systolic", systolic), ("Diastolic", systolic * 0.63))
            ]
            yield from pair
            yield (
                ' <Correlation type="HKCorrelationTypeIdentifierBloodPressure"'
                f' sourceName="Synthetic Watch" creationDate="{stamp}" startDate="{stamp}"'
                f' endDate="{stamp}">\n{"".join(pair)} </Correlation>\n'
            )


def _records(writer: _Writer) -> Iterator[str]:
    """All records, one kind after the other as in real exports."""
    yield from writer.daily("BodyMass", "kg", (7.2,), (78.4, 0.4, 1))
    yield from writer.heart_rates()
    yield from writer.saturation()
    yield from writer.daily("RespiratoryRate", "count/min", (1.0, 2.5, 4.0), (14.5, 1.1, 1))
    yield from writer.movement("StepCount", "count", 38, 0)
    yield from writer.movement("DistanceWalkingRunning", "km", 0.027, 5)
    yield from writer.movement("ActiveEnergyBurned", "Cal", 1.9, 3)
    yield from writer.movement("BasalEnergyBurned", "Cal", 1.2, 3)
    yield from writer.daily("RestingHeartRate", "count/min", (23.0,), (57, 2.5, 0))
    yield from writer.daily("HeartRateVariabilitySDNN", "ms", (3.0, 9.0, 15.0), (46, 12, 4))
    yield from writer.sleep()
    yield from writer.pressure()


def apple_export_xml(seed: int, start_ms: int, days: int, zone: str) -> Iterator[bytes]:
    """Yield an Apple Health `export.xml` in pieces: about 1,100 records a day, grouped by type.

    Args:
        seed: of the random numbers.
        start_ms: local midnight of the first day, UTC ms.
        days: how many days.
        zone: IANA name of the phone's zone.
    """
    writer = _Writer(seed, start_ms, days, zone)
    exported = writer.stamp(start_ms + days * 86_400_000)
    pieces = [_DOCTYPE, f' <ExportDate value="{exported}"/>\n <Me/>\n']
    size = 0
    for piece in _records(writer):
        pieces.append(piece)
        size += len(piece)
        if size >= _CHUNK:
            yield "".join(pieces).encode()
            pieces, size = [], 0
    pieces.append("</HealthData>\n")
    yield "".join(pieces).encode()
