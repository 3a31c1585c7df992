"""Time on a chart: round instants for the axis; bins of an hour, a day or a month in local time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from hilum.signals.model import DAY_MS

if TYPE_CHECKING:
    from hilum.exchange.measures import SeriesWindow
    from hilum.signals.model import Point

__all__ = [
    "HOUR_MS",
    "Bin",
    "BinSize",
    "Tick",
    "bin_size",
    "gather",
    "ticks_of_time",
    "without_partial",
]

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
_WIDTH = 2000
_MOST_TICKS = 8
_STEPS_MS = (
    *(minutes * MINUTE_MS for minutes in (1, 2, 5, 10, 15, 30)),
    *(hours * HOUR_MS for hours in (1, 2, 3, 6, 12)),
    *(days * DAY_MS for days in (1, 2, 7, 14)),
)
_STEPS_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120)
_MONTH_MS = 2_629_746_000  # a mean Gregorian month: 365.2425 days / 12
BinSize = str


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis.

    Attributes:
        at: units of the box (2000 wide, 1000 high from the top).
        label: what stands beside it.
        minor: True for those that a narrow screen leaves out.
    """

    at: int
    label: str
    minor: bool


@dataclass(frozen=True, slots=True)
class Bin:
    """What fell into an hour, a day or a month of local time.

    Attributes:
        t_from: start (ms).
        t_until: end (ms).
        low: smallest value.
        high: largest value.
        mean: mean over its readings.
        total: sum over its readings.
        count: readings.
        flags: all flags that occur.
        offset_minutes: UTC offset of the first reading.
    """

    t_from: int
    t_until: int
    low: float
    high: float
    mean: float
    total: float
    count: int
    flags: int
    offset_minutes: int


def ticks_of_time(
    t_from: int, t_until: int, offset_minutes: int, moment: Callable[[int, str], str]
) -> tuple[Tick, ...]:
    """Return round instants between two, at most eight.

    Args:
        t_from: start of the axis (ms).
        t_until: end of the axis (ms).
        offset_minutes: UTC offset that decides what is round.
        moment: writes an instant in the form of a CLDR skeleton.
    """
    span = max(t_until - t_from, 1)
    step = next((s for s in _STEPS_MS if span / s <= _MOST_TICKS), None)
    shift = offset_minutes * MINUTE_MS
    if step is not None:
        instants = _multiples(t_from, t_until, step, shift)
        form = _form_of_step(step)
    else:
        months = next((m for m in _STEPS_MONTHS if span / (m * _MONTH_MS) <= _MOST_TICKS), 240)
        instants = (at - shift for at in _months(t_from + shift, t_until + shift, months))
        form = "y" if months >= 12 else "yMMM"
    return tuple(
        Tick(
            round((at - t_from) / span * _WIDTH),
            moment(at, "MMMd" if form == "Hm" and (at + shift) % DAY_MS == 0 else form),
            minor=bool(n % 2),
        )
        for n, at in enumerate(instants)
    )


def _form_of_step(step: int) -> str:
    return "Hm" if step < DAY_MS else "MMMd"


def _multiples(t_from: int, t_until: int, step: int, shift: int) -> Iterator[int]:
    first = -(-(t_from + shift) // step) * step - shift
    yield from range(first, t_until + 1, step)


def _months(local_from: int, local_until: int, every: int) -> Iterator[int]:
    start = _moment_of(local_from)
    count = start.year * 12 + start.month - 1
    count += -count % every
    while True:
        at = _instant_of(count)
        if at > local_until:
            return
        if at >= local_from:
            yield at
        count += every


def _moment_of(local_ms: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=local_ms)


def _instant_of(months: int) -> int:
    year, month = divmod(months, 12)
    return int(datetime(year, month + 1, 1, tzinfo=UTC).timestamp()) * 1000


def bin_size(span_ms: int) -> BinSize:
    """Return what the table and the bars of such a window are made of: hour, day or month.

    Args:
        span_ms: length of the window.
    """
    if span_ms <= 2 * DAY_MS + HOUR_MS:
        return "hour"
    return "day" if span_ms <= 92 * DAY_MS else "month"


def gather(window: SeriesWindow, size: BinSize) -> tuple[Bin, ...]:
    """Return the window's points gathered into bins, those without readings left out.

    Args:
        window: the points; each counts where it starts.
        size: hour, day or month.
    """
    gathered: dict[tuple[int, int], list[Point]] = {}
    for point in window.points:
        gathered.setdefault(_bounds(point, size), []).append(point)
    return tuple(_bin(bounds, points) for bounds, points in sorted(gathered.items()))


def without_partial(window: SeriesWindow, size: BinSize) -> SeriesWindow:
    """Return the window without the bin that its start cuts through: part of a day is not a day.

    Args:
        window: the points.
        size: hour, day or month.
    """
    points = tuple(one for one in window.points if _bounds(one, size)[0] >= window.t_from)
    return replace(window, points=points)


def _bounds(point: Point, size: BinSize) -> tuple[int, int]:
    shift = point.offset_minutes * MINUTE_MS
    local = point.t + shift
    if size == "month":
        start = _moment_of(local)
        count = start.year * 12 + start.month - 1
        return _instant_of(count) - shift, _instant_of(count + 1) - shift
    width = HOUR_MS if size == "hour" else DAY_MS
    return local - local % width - shift, local - local % width - shift + width


def _bin(bounds: tuple[int, int], points: list[Point]) -> Bin:
    count = sum(point.count for point in points)
    flags = 0
    for point in points:
        flags |= point.flags
    total = sum(point.total for point in points)
    return Bin(
        t_from=bounds[0],
        t_until=bounds[1],
        low=min(point.low for point in points),
        high=max(point.high for point in points),
        mean=sum(point.mean * point.count for point in points) / count,
        total=total,
        count=count,
        flags=flags,
        offset_minutes=points[0].offset_minutes,
    )
