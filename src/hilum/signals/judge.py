"""Judge readings: flags and a score, from the readings of one UTC day of one series.

Judging looks at one day only, so that the verdict does not depend on the order in which payloads
arrive. A value is never changed. The score is a product of parts on Kahn's axes; each flag takes
its share from one part, so that a score can be explained.

Source: Kahn MG et al., "A Harmonized Data Quality Assessment Terminology and Framework", eGEMs
2016;4(1):18 (axes conformance, completeness, plausibility), with timeliness and provenance added.
The shares below are our own choice (method version 1): an impossible value must fall under 0.25, a
remarkable one stay above 0.5.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from hilum.signals.model import Flag

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hilum.signals.model import Reading, Rules

__all__ = ["METHOD", "METHOD_VERSION", "explain_score", "judge_day", "score_of"]

METHOD_VERSION = 1
METHOD = f"hilum-judge/{METHOD_VERSION}"

_RATE_SPAN_MS = 15 * 60_000
"""Two readings farther apart say nothing about a rate; of a CGM this spans three."""
_GAP_INTERVALS = 2.5
"""More than 2.5 intervals between readings: at least two are missing, jitter cannot explain it."""
_JUDGED_HERE = Flag.RANGE | Flag.RATE | Flag.GAP_BEFORE | Flag.DUPLICATE_TIME | Flag.FLAT

_SHARES: Mapping[Flag, tuple[str, float]] = {
    Flag.RANGE: ("plausibility", 0.2),
    Flag.RATE: ("plausibility", 0.6),
    Flag.FLAT: ("plausibility", 0.5),
    Flag.OFF_SCALE_LOW: ("conformance", 0.7),
    Flag.OFF_SCALE_HIGH: ("conformance", 0.7),
    Flag.DUPLICATE_TIME: ("conformance", 0.9),
    Flag.GAP_BEFORE: ("completeness", 0.95),
    Flag.CLOCK: ("timeliness", 0.5),
    Flag.AMBIGUOUS_HOUR: ("timeliness", 0.7),
    Flag.MANUAL: ("provenance", 0.8),
}


def explain_score(flags: int) -> dict[str, float]:
    """Return the parts of the score by axis, each 0 to 1; their product is the score."""
    parts = dict.fromkeys(
        ("conformance", "completeness", "plausibility", "timeliness", "provenance"), 1.0
    )
    for flag, (axis, share) in _SHARES.items():
        if flags & flag:
            parts[axis] *= share
    return parts


@lru_cache(maxsize=1024)
def score_of(flags: int) -> int:
    """Return the score 0 to 100 of a reading with these flags."""
    product = 1.0
    for part in explain_score(flags).values():
        product *= part
    return round(product * 100)


def _value(reading: Reading) -> float:
    return (
        reading.unscaled / 10**reading.scale
        if reading.scale > 0
        else float(reading.unscaled * 10**-reading.scale)
    )


def _context_flags(before: Reading, reading: Reading, change: float, rules: Rules) -> int:
    span = reading.t_unix_ms - before.t_unix_ms
    if span == 0:
        return Flag.DUPLICATE_TIME.value
    flags = 0
    limit = rules.rate_per_minute
    if limit is not None and span <= _RATE_SPAN_MS and change * 60_000 > limit * span:
        flags = Flag.RATE.value
    if rules.interval_s is not None and span > _GAP_INTERVALS * 1000 * rules.interval_s:
        flags |= Flag.GAP_BEFORE.value
    return flags


def _mark_flat(readings: Sequence[Reading], values: Sequence[float], flat_count: int) -> None:
    start = 0
    for index in range(1, len(values) + 1):
        if index < len(values) and values[index] == values[start]:
            continue
        if index - start >= flat_count:
            for reading in readings[start:index]:
                if not reading.comparator:
                    reading.flags |= Flag.FLAT.value
        start = index


def judge_day(readings: Sequence[Reading], rules: Rules) -> None:
    """Set flags and scores of one day's readings in place; flags set at intake stay.

    Args:
        readings: all readings of one series on one UTC day, ascending by (t_unix_ms, duration_ms).
        rules: what is plausible, in the unit of the series.

    Source: CGM rate above 5 mg/dL/min is suspicious (`rules.rate_per_minute`, given by the
    template); the physiological maximum reported for interstitial glucose is about 4 mg/dL/min
    (Dunn TC et al., Diabetes Technol Ther 2004).
    """
    keep = ~int(_JUDGED_HERE)
    low = float("-inf") if rules.low is None else rules.low
    high = float("inf") if rules.high is None else rules.high
    values = [_value(reading) for reading in readings]
    before: Reading | None = None
    last = 0.0
    for reading, value in zip(readings, values, strict=True):
        flags = reading.flags & keep
        if not low <= value <= high:
            flags |= 1
        if before is not None:
            flags |= _context_flags(before, reading, abs(value - last), rules)
        reading.flags = flags
        before, last = reading, value
    if rules.flat_count is not None:
        _mark_flat(readings, values, rules.flat_count)
    for reading in readings:
        reading.score = score_of(reading.flags)
