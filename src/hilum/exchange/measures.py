"""What pages show of series: a summary per measure, and windows of points for charts.

Everything is read through the gate as the session's own record and leaves receipts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hilum.exchange import reading
from hilum.signals.model import DAY_MS, Flag, Kind, Point, Stage

if TYPE_CHECKING:
    from hilum.exchange.node import Node
    from hilum.identity import Session
    from hilum.signals.model import SeriesSummary

__all__ = [
    "DOUBTFUL",
    "RECENT_DAYS",
    "TARGETS",
    "Measure",
    "MeasureView",
    "SeriesWindow",
    "Target",
    "list_measures",
    "load_recent",
    "load_window",
    "shape_measure",
    "sum_up",
]

RECENT_DAYS = 14
"""Days that a summary covers, back from the newest reading.

Source: 14 days of sensor data are what time in range is reported over (Battelino et al. 2019,
Diabetes Care 42:1593-1603, doi:10.2337/dci19-0028).
"""
_ENOUGH_POINTS = 5_000
"""14 days of a reading each 5 minutes are 4,032: a glucose sensor's readings arrive one by one."""
DOUBTFUL = Flag.RANGE | Flag.RATE | Flag.CLOCK | Flag.FLAT | Flag.DUPLICATE_TIME
"""Flags that cast doubt on a reading, as against those that only explain it."""


@dataclass(frozen=True, slots=True)
class Target:
    """A range that a source recommends, in the unit of the series.

    Attributes:
        low: lower end, inclusive, or None.
        high: upper end, inclusive, or None.
        source: short name of the source.
        timed: True when the share of readings inside is a recognised figure.
    """

    low: float | None
    high: float | None
    source: str
    timed: bool = False

    def holds(self, value: float) -> bool:
        """Tell whether the value lies in the range."""
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


_CONSENSUS = "Battelino et al. 2019, doi:10.2337/dci19-0028"
_ACC_AHA = "ACC/AHA 2017, doi:10.1161/HYP.0000000000000065"
TARGETS: dict[tuple[str, str], Target] = {
    ("glucose-cgm", "mg/dL"): Target(70, 180, _CONSENSUS, timed=True),
    ("glucose-cgm", "mmol/L"): Target(3.9, 10.0, _CONSENSUS, timed=True),
    ("blood-pressure-systolic", "mm[Hg]"): Target(None, 120, _ACC_AHA),
    ("blood-pressure-diastolic", "mm[Hg]"): Target(None, 80, _ACC_AHA),
    ("oxygen-saturation", "%"): Target(95, None, "WHO 2011, Pulse Oximetry Training Manual"),
}
"""(measure, UCUM unit) → range for adults. Most measures have none that fits everybody."""


_FIRST = (
    "glucose-cgm",
    "heart-rate",
    "blood-pressure-systolic",
    "blood-pressure-diastolic",
    "oxygen-saturation",
    "resting-heart-rate",
    "heart-rate-variability-sdnn",
    "respiratory-rate",
    "body-temperature",
    "sleep-analysis",
    "step-count",
    "body-mass",
)


@dataclass(frozen=True, slots=True)
class SeriesWindow:
    """A stretch of a series, thinned out for a chart.

    Attributes:
        t_from: start (ms, inclusive).
        t_until: end (ms, exclusive).
        offset_minutes: UTC offset of the last point, for the axis; 0 when there is none.
        points: ascending; `gap` says where the line is broken.
    """

    t_from: int
    t_until: int
    offset_minutes: int
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Measure:
    """What one series is of.

    Attributes:
        sid: the series' number.
        name: our word for what it measures.
        display: plain English name of the measure.
        unit: UCUM code.
        device: what measured it.
        kind: how values combine over time.
        stages: for `Kind.STAGE`, what the values stand for.
        target: recommended range, or None.
        count: all readings.
        first: instant of the first (ms).
        last: instant of the newest (ms).
    """

    sid: int
    name: str
    display: str
    unit: str
    device: str
    kind: Kind
    stages: tuple[Stage, ...]
    target: Target | None
    count: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class MeasureView:
    """One series in short.

    Attributes:
        measure: what it is of.
        recent: its recent days.
        newest: the newest reading, or None.
        low: smallest value of the recent days, or None.
        high: largest value of the recent days, or None.
        in_range: share of the recent readings inside a timed target, or None.
        doubtful: share of the recent points that carry a doubtful flag.
    """

    measure: Measure
    recent: SeriesWindow
    newest: Point | None
    low: float | None
    high: float | None
    in_range: float | None
    doubtful: float


def list_measures(node: Node, session: Session) -> list[Measure]:
    """Return what series the session's own record has, what people ask for most first, then by name.

    Args:
        node: the wired node.
        session: a subject's own session.
    """
    found = [shape_measure(summary) for summary in reading.series_summary(node, session)]
    return sorted(found, key=_order)


def _order(measure: Measure) -> tuple[int, str, int, int]:
    place = _FIRST.index(measure.name) if measure.name in _FIRST else len(_FIRST)
    return place, measure.display, -measure.last, measure.sid


def shape_measure(found: SeriesSummary) -> Measure:
    """Return what a series is of.

    Args:
        found: the series as the store sums it up.
    """
    key, series = found.series.key, found.series
    return Measure(
        sid=found.sid,
        name=key.measure,
        display=series.display,
        unit=key.unit,
        device=key.device,
        kind=series.kind,
        stages=series.stages,
        target=TARGETS.get((key.measure, key.unit)),
        count=found.count,
        first=found.first,
        last=found.last,
    )


def load_recent(node: Node, session: Session, measure: Measure) -> MeasureView:
    """Return a series in short.

    Args:
        node: the wired node.
        session: a subject's own session.
        measure: which series.
    """
    start = max(measure.first, measure.last - RECENT_DAYS * DAY_MS)
    span = (start, measure.last + 1)
    view = sum_up(measure, load_window(node, session, measure.sid, span, _ENOUGH_POINTS))
    if view.newest is None or view.newest.count == 1:
        return view
    last = load_window(node, session, measure.sid, (measure.last, measure.last + 1), 1)
    return replace(view, newest=last.points[-1]) if last.points else view


def load_window(
    node: Node, session: Session, sid: int, span: tuple[int, int], max_points: int
) -> SeriesWindow:
    """Return a stretch of a series.

    Args:
        node: the wired node.
        session: a subject's own session.
        sid: the series' number.
        span: [from, until) in ms.
        max_points: at most so many points come back.
    """
    points = reading.series_window(node, session, sid, span[0], span[1], max_points)
    offset = points[-1].offset_minutes if points else 0
    return SeriesWindow(span[0], span[1], offset, tuple(points))


def sum_up(measure: Measure, recent: SeriesWindow) -> MeasureView:
    """Return a series in short.

    Args:
        measure: what it is of.
        recent: its recent days.
    """
    points, target = recent.points, measure.target
    in_range = None
    if target is not None and target.timed and all(point.count == 1 for point in points):
        in_range = _share(points, target)
    return MeasureView(
        measure=measure,
        recent=recent,
        newest=points[-1] if points else None,
        low=min((point.low for point in points), default=None),
        high=max((point.high for point in points), default=None),
        in_range=in_range,
        doubtful=_doubtful(points),
    )


def _share(points: Sequence[Point], target: Target) -> float | None:
    """Share of readings inside; an off-scale reading counts on the side where it fell off."""
    if not points:
        return None
    off = Flag.OFF_SCALE_LOW | Flag.OFF_SCALE_HIGH
    inside = sum(target.holds(point.mean) and not point.flags & off for point in points)
    return inside / len(points)


def _doubtful(points: Sequence[Point]) -> float:
    if not points:
        return 0.0
    return sum(bool(point.flags & DOUBTFUL) for point in points) / len(points)
