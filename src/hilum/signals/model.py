"""What the pipeline passes on: series, readings, refusals, batches. Values are exact decimals."""

from __future__ import annotations

from enum import IntEnum, IntFlag, StrEnum

import msgspec

__all__ = [
    "DAY_MS",
    "DEVICE_SEGMENT",
    "MAX_DURATION_MS",
    "MAX_REFUSALS",
    "Batch",
    "Comparator",
    "Flag",
    "Kind",
    "Placement",
    "Point",
    "Reading",
    "Refusal",
    "RenderedRow",
    "Rules",
    "Series",
    "SeriesKey",
    "SeriesSummary",
    "Source",
    "Stage",
]

DAY_MS = 86_400_000
DEVICE_SEGMENT = 128
"""`Segment.DEV` of `hilum.record.access`, whose run-time import belongs to record and consent."""
MAX_DURATION_MS = 2**31 - 1
"""Longest duration of one reading, 24.8 days; it shares a 63-bit key with the series' number."""
MAX_REFUSALS = 1000
"""How many refusals an answer spells out; all are counted."""


class Flag(IntFlag):
    """What is remarkable about a reading. Bits are stored: append only."""

    RANGE = 1
    RATE = 2
    GAP_BEFORE = 4
    OFF_SCALE_LOW = 8
    OFF_SCALE_HIGH = 16
    CLOCK = 32
    AMBIGUOUS_HOUR = 64
    MANUAL = 128
    DUPLICATE_TIME = 256
    FLAT = 512


class Comparator(IntEnum):
    """How the value stands to the true one; the numbers are stored."""

    EQUAL = 0
    LESS = 1
    LESS_OR_EQUAL = 2
    GREATER_OR_EQUAL = 3
    GREATER = 4


class Kind(StrEnum):
    """What a value of the series means over time."""

    POINT = "point"
    SUM = "sum"
    STAGE = "stage"


class Source(StrEnum):
    """The payloads that can be read."""

    APPLE_XML = "apple-health-xml"
    APPLE_ZIP = "apple-health-zip"
    CLARITY = "dexcom-clarity-csv"
    FHIR = "fhir-observations"


class Reading(msgspec.Struct, gc=False):
    """One value of a series. The value is ``unscaled * 10**-scale``, so that 2.00 stays 2.00.

    Attributes:
        t_unix_ms: start of the reading, milliseconds since 1970-01-01T00:00:00Z.
        offset_minutes: UTC offset that the source gave, minutes east.
        unscaled: all digits of the value.
        scale: digits after the point; negative means trailing zeros before it.
        comparator: a `Comparator`.
        duration_ms: length of the reading, 0 for an instant.
        flags: mask of `Flag`.
        score: 0 to 100, from `hilum.signals.judge`.
        origin: ordinal in the payload (1-based), for places in answers; never stored.
    """

    t_unix_ms: int
    offset_minutes: int
    unscaled: int
    scale: int
    comparator: int = 0
    duration_ms: int = 0
    flags: int = 0
    score: int = 100
    origin: int = 0


class SeriesKey(msgspec.Struct, frozen=True):
    """What a series is of. Identity is (measure, device, unit); the codes may be completed later.

    Attributes:
        measure: own word, e.g. ``heart-rate``.
        device: what measured it, without serials of software or addresses of memory.
        unit: UCUM code.
        loinc: LOINC codes, most specific to the R4 profile first.
        mdc: ISO/IEEE 11073-10101 code or "".
        vendor_system: code system URI of the vendor or "".
        vendor_code: the vendor's own type code or "".
    """

    measure: str
    device: str
    unit: str
    loinc: tuple[str, ...] = ()
    mdc: str = ""
    vendor_system: str = ""
    vendor_code: str = ""


class Rules(msgspec.Struct, frozen=True):
    """What is plausible for a series.

    Attributes:
        low: smallest plausible value in the series' unit, or None.
        high: largest plausible value, or None.
        rate_per_minute: largest plausible change per minute, or None.
        interval_s: seconds between readings when nothing is missing, or None.
        flat_count: so many equal values in a row are suspicious, or None.
    """

    low: float | None = None
    high: float | None = None
    rate_per_minute: float | None = None
    interval_s: int | None = None
    flat_count: int | None = None


class Stage(msgspec.Struct, frozen=True):
    """One value of a series of stages: the vendor's code and our word for it."""

    code: str
    display: str


class Series(msgspec.Struct, frozen=True):
    """A stream of readings of one measure from one device.

    Attributes:
        key: what it is of.
        display: plain English name of the measure.
        category: FHIR observation-category code.
        template: id and version of the template that mapped it, ``apple-health/1``.
        kind: how values combine over time.
        rules: what is plausible.
        seg: segment mask; always contains DEV (128).
        stages: for `Kind.STAGE`, what the values 0, 1, 2 … stand for.
    """

    key: SeriesKey
    display: str
    category: str
    template: str
    kind: Kind = Kind.POINT
    rules: Rules = Rules()
    seg: int = DEVICE_SEGMENT
    stages: tuple[Stage, ...] = ()


class Refusal(msgspec.Struct, frozen=True):
    """Something of the payload that did not become a reading: place and reason, no value."""

    where: str
    why: str


class Batch(msgspec.Struct):
    """Some of a payload, mapped. Batches come in the order of the payload.

    Attributes:
        series: readings by series, in payload order.
        seen: records of the payload read since the last batch.
        refused: malformed records since the last batch (at most MAX_REFUSALS).
        refused_count: how many they were.
        not_mapped: vendor type → records left out since the last batch.
        reasons: vendor type → why it is left out.
        broken: where the payload ends in rubbish, in the last batch; "" when it does not.
    """

    series: list[tuple[Series, list[Reading]]]
    seen: int = 0
    refused: list[Refusal] = []
    refused_count: int = 0
    not_mapped: dict[str, int] = {}
    reasons: dict[str, str] = {}
    broken: str = ""


class Placement(msgspec.Struct):
    """The answer to placing readings.

    Attributes:
        accepted: readings that are new.
        duplicate: readings that were already there, equal.
        refused: readings that were not stored, at most MAX_REFUSALS of them.
        refused_count: how many were not stored.
        high_water: latest start instant among the readings sent (ms), the advance token; None for
            none.
    """

    accepted: int = 0
    duplicate: int = 0
    refused: list[Refusal] = []
    refused_count: int = 0
    high_water: int | None = None

    def add(self, other: Placement) -> None:
        """Add another answer to this one."""
        self.accepted += other.accepted
        self.duplicate += other.duplicate
        self.refused_count += other.refused_count
        self.refused = (self.refused + other.refused)[:MAX_REFUSALS]
        marks = [m for m in (self.high_water, other.high_water) if m is not None]
        self.high_water = max(marks) if marks else None


class RenderedRow(msgspec.Struct, frozen=True):
    """One FHIR Observation made from readings.

    Attributes:
        ts: instant that orders it (ms).
        key: orders rows of equal `ts`; 63 bits.
        id: the Observation's id.
        body: UTF-8 JSON.
        seg: segment mask of the series it came from.
    """

    ts: int
    key: int
    id: str
    body: bytes
    seg: int


class SeriesSummary(msgspec.Struct, frozen=True):
    """What is visible of a series: how many readings, from when (ms) to when (ms)."""

    sid: int
    series: Series
    count: int
    first: int
    last: int


class Point(msgspec.Struct, frozen=True):
    """One point or bucket for plotting.

    Attributes:
        t: start of the first reading in it (ms).
        until: start of the last reading in it (ms).
        low: smallest value.
        high: largest value.
        mean: arithmetic mean.
        total: sum, for series of kind `sum`.
        count: readings in it.
        flags: all flags that occur in it.
        gap: True when the line must be broken before it.
        offset_minutes: UTC offset of its first reading.
    """

    t: int
    until: int
    low: float
    high: float
    mean: float
    total: float
    count: int
    flags: int
    gap: bool
    offset_minutes: int
