"""Charts as SVG: geometry of one window of a series; templates only write it down.

The plot is a box of 2000 × 1000 units that is stretched to the page, so a chart fits any width without a
script; texts stand outside the box and keep their size. Everything here is pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, log10
from typing import TYPE_CHECKING

from hilum.portal.timeline import Bin, Tick, bin_size, gather, ticks_of_time
from hilum.portal.words import MARKED
from hilum.signals.model import Kind

if TYPE_CHECKING:
    from hilum.exchange.measures import SeriesWindow, Target
    from hilum.signals.model import Point

__all__ = ["HEIGHT", "WIDTH", "Bar", "Chart", "Place", "Scale", "draw", "nice_ticks"]

WIDTH = 2000
HEIGHT = 1000
_FEW = 90
"""Up to so many points, each one is drawn as a dot too."""
_PADDING = 0.06


@dataclass(frozen=True, slots=True)
class Scale:
    """A straight line from values to places.

    Attributes:
        low: value at place 0.
        high: value at place `size`.
        size: length of the axis in units of the box.
    """

    low: float
    high: float
    size: int

    def place(self, value: float) -> int:
        """Return where a value lies, inside the axis."""
        share = (value - self.low) / (self.high - self.low)
        return round(min(1.0, max(0.0, share)) * self.size)


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, in units of the box."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a point of the series was drawn, for reading it off.

    Attributes:
        x: units of the box.
        y: units of the box from the top.
        index: which point, or which bin of a chart of bars.
    """

    x: int
    y: int
    index: int


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawn window.

    Attributes:
        across: marks of time.
        up: marks of value.
        band: (y, height) of the target range inside the box, or None.
        envelope: path around smallest and largest values; "" when every point is one reading.
        line: path through the means, broken where readings are missing.
        dots: path of zero-length strokes at single points.
        marked: the same at points whose flags deserve a look.
        bars: for series whose values add up.
        places: for reading off.
        bins: what the bars and the table below a chart stand for.
    """

    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    band: tuple[int, int] | None
    envelope: str
    line: str
    dots: str
    marked: str
    bars: tuple[Bar, ...]
    places: tuple[Place, ...]
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class _Axes:
    x: Scale
    y: Scale

    def at(self, point: Point) -> tuple[int, int]:
        return self.x.place((point.t + point.until) / 2), HEIGHT - self.y.place(point.mean)


def draw(
    window: SeriesWindow,
    kind: Kind,
    *,
    target: Target | None,
    stages: Sequence[str],
    moment: Callable[[int, str], str],
    number: Callable[[float], str],
) -> Chart:
    """Return the drawing of a window.

    Args:
        window: what to draw.
        kind: how the values combine: a line, bars or stages.
        target: range to shade, or None.
        stages: for stages, what 0, 1, 2 … are called, as it is to be shown.
        moment: writes an instant (ms) in the form of a CLDR skeleton.
        number: writes a value.
    """
    across = ticks_of_time(window.t_from, window.t_until, window.offset_minutes, moment)
    bins = gather(window, bin_size(window.t_until - window.t_from))
    x = Scale(window.t_from, max(window.t_until, window.t_from + 1), WIDTH)
    if kind == Kind.SUM:
        top = max((one.total for one in bins), default=1.0) or 1.0
        axes = _Axes(x, Scale(0.0, top * (1 + _PADDING), HEIGHT))
        up = _ticks_of_value(axes.y, number)
        bars = tuple(_bar(one, axes) for one in bins)
        places = tuple(Place(bar.x + bar.width // 2, bar.y, n) for n, bar in enumerate(bars))
        return Chart(across, up, None, "", "", "", "", bars, places, bins)
    if kind == Kind.STAGE:
        seen = sorted({round(end) for one in window.points for end in (one.low, one.high)})
        rows = {stage: row for row, stage in enumerate(seen)}
        axes = _Axes(x, Scale(max(len(seen), 1) - 0.5, -0.5, HEIGHT))
        up = tuple(
            Tick(HEIGHT - axes.y.place(row), stages[stage], minor=False)
            for stage, row in rows.items()
            if stage < len(stages)
        )
        line = " ".join(_stretches(window.points, axes, rows))
        places = tuple(
            Place(x.place(one.t), HEIGHT - axes.y.place(rows[round(one.low)]), n)
            for n, one in enumerate(window.points)
        )
        return Chart(across, up, None, "", line, "", "", (), places, bins)
    axes = _Axes(x, _scale_of_values(window.points, target))
    return Chart(
        across=across,
        up=_ticks_of_value(axes.y, number),
        band=_band(axes.y, target),
        envelope=" ".join(_envelope(run, axes) for run in _runs(window.points)).strip(),
        line=" ".join(_line(run, axes) for run in _runs(window.points)).strip(),
        dots=_dots(_lonely(window.points), axes),
        marked=_dots((point for point in window.points if point.flags & MARKED), axes),
        bars=(),
        places=_places(window.points, axes),
        bins=bins,
    )


def nice_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round values between two, 1, 2 or 5 times a power of ten apart.

    Args:
        low: lower end.
        high: upper end, above `low`.
        most: at most so many.
    """
    rough = (high - low) / most
    power = 10.0 ** floor(log10(rough))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough * (1 - 1e-9))
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    return [round(n * step, 10) for n in range(first, last + 1)]


def _ticks_of_value(scale: Scale, number: Callable[[float], str]) -> tuple[Tick, ...]:
    return tuple(
        Tick(HEIGHT - scale.place(value), number(value), minor=False)
        for value in nice_ticks(scale.low, scale.high)
    )


def _scale_of_values(points: Sequence[Point], target: Target | None) -> Scale:
    """The values with some air, and the ends of the target, so that one sees where it lies."""
    ends = [point.low for point in points] + [point.high for point in points]
    if target is not None:
        ends += _ends_of_target(target, ends)
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    if high - low < 1e-9:
        low, high = low - max(1.0, abs(low) * 0.05), high + max(1.0, abs(high) * 0.05)
    air = (high - low) * _PADDING
    return Scale(low - air if low < 0 or low - air > 0 else 0.0, high + air, HEIGHT)


def _ends_of_target(target: Target, ends: Sequence[float]) -> list[float]:
    """The target's ends; one that is open shows a piece, so that it does not look like a line."""
    known = [end for end in (target.low, target.high) if end is not None]
    if len(known) == 1:
        piece = 0.25 * max(abs(end - known[0]) for end in [*ends, known[0]])
        known.append(known[0] - piece if target.low is None else known[0] + piece)
    return known


def _band(scale: Scale, target: Target | None) -> tuple[int, int] | None:
    if target is None:
        return None
    top = 0 if target.high is None else HEIGHT - scale.place(target.high)
    bottom = HEIGHT if target.low is None else HEIGHT - scale.place(target.low)
    return top, bottom - top


def _runs(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Split where readings are missing."""
    run: list[Point] = []
    for point in points:
        if point.gap and run:
            yield run
            run = []
        run.append(point)
    if run:
        yield run


def _line(run: Sequence[Point], axes: _Axes) -> str:
    if len(run) < 2:
        return ""
    (x, y), *others = (axes.at(point) for point in run)
    return f"M{x} {y}L" + " ".join(f"{x} {y}" for x, y in others)


def _envelope(run: Sequence[Point], axes: _Axes) -> str:
    if len(run) < 2 or all(point.count == 1 for point in run):
        return ""
    upper = [(axes.at(point)[0], HEIGHT - axes.y.place(point.high)) for point in run]
    lower = [(axes.at(point)[0], HEIGHT - axes.y.place(point.low)) for point in reversed(run)]
    return "M" + "L".join(f"{x} {y}" for x, y in [*upper, *lower]) + "Z"


def _lonely(points: Sequence[Point]) -> Iterator[Point]:
    """Points that no line shows, or all of them when they are few."""
    for run in _runs(points):
        if len(run) == 1 or len(points) <= _FEW:
            yield from run


def _dots(points: Iterator[Point], axes: _Axes) -> str:
    return "".join(f"M{x} {y}h0" for x, y in map(axes.at, points))


def _places(points: Sequence[Point], axes: _Axes) -> tuple[Place, ...]:
    return tuple(Place(*axes.at(point), n) for n, point in enumerate(points))


def _bar(one: Bin, axes: _Axes) -> Bar:
    left, right = axes.x.place(one.t_from), axes.x.place(one.t_until)
    gap = (right - left) // 8
    top = HEIGHT - axes.y.place(one.total)
    return Bar(left + gap, top, max(right - left - 2 * gap, 2), HEIGHT - top)


def _stretches(points: Sequence[Point], axes: _Axes, rows: Mapping[int, int]) -> Iterator[str]:
    """A stretch from each stage to the next one's start; the last of a night is only a mark."""
    for one, after in pairwise([*points, None]):
        if one is None:
            continue
        start = axes.x.place(one.t)
        end = start if after is None or after.gap else axes.x.place(after.t)
        for stage in {round(one.low), round(one.high)}:
            yield f"M{start} {HEIGHT - axes.y.place(rows[stage])}H{max(end, start + 4)}"
