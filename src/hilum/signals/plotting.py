"""Thin out readings for a chart: minimum and maximum per bucket, gaps and flags kept."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from hilum.signals.model import Point

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hilum.signals.model import Reading, Rules

__all__ = ["thin_out"]

_GAP_INTERVALS = 2.5
_GAP_MEDIANS = 6


def _value(reading: Reading) -> float:
    return float(reading.unscaled) * 10.0**-reading.scale


def _gap_ms(readings: Sequence[Reading], rules: Rules) -> float:
    """The distance from which on a line would pretend to know."""
    if rules.interval_s is not None:
        return _GAP_INTERVALS * 1000 * rules.interval_s
    starts = [r.t_unix_ms for r in readings]
    steps = sorted(b - a for a, b in itertools.pairwise(starts))
    return _GAP_MEDIANS * steps[len(steps) // 2] if steps else float("inf")


def _point(readings: Sequence[Reading], *, gap: bool) -> Point:
    values = [_value(r) for r in readings]
    flags = 0
    for reading in readings:
        flags |= reading.flags
    total = sum(values)
    return Point(
        readings[0].t_unix_ms,
        readings[-1].t_unix_ms,
        min(values),
        max(values),
        total / len(values),
        total,
        len(values),
        flags,
        gap,
        readings[0].offset_minutes,
    )


def thin_out(readings: Sequence[Reading], rules: Rules, *, max_points: int) -> list[Point]:
    """Return at most `max_points` points, ascending; one per reading when they are few enough.

    Args:
        readings: ascending by start.
        rules: of the series, for what counts as a gap.
        max_points: at least 1.
    """
    if not readings:
        return []
    limit = _gap_ms(readings, rules)
    first, last = readings[0].t_unix_ms, readings[-1].t_unix_ms
    width = 1 if len(readings) <= max_points else (last - first) // max_points + 1
    whole = len(readings) <= max_points
    points: list[Point] = []
    bucket: list[Reading] = []
    slot, before, gap = 0, first, False
    for index, reading in enumerate(readings):
        here = index if whole else (reading.t_unix_ms - first) // width
        if bucket and here != slot:
            points.append(_point(bucket, gap=gap))
            gap = reading.t_unix_ms - before > limit
            bucket = []
        bucket.append(reading)
        slot, before = here, reading.t_unix_ms
    points.append(_point(bucket, gap=gap))
    return points
