"""The measurements pages: every measure in short, and one of them to look into."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from starlette.responses import JSONResponse, Response

from hilum.exchange.measures import (
    Measure,
    SeriesWindow,
    list_measures,
    load_recent,
    load_window,
)
from hilum.portal.chart import Chart, draw
from hilum.portal.page import PageRequest
from hilum.portal.readout import Readout
from hilum.portal.timeline import bin_size, without_partial
from hilum.signals.model import DAY_MS, Kind

__all__ = ["SPANS", "Zoom", "send_window", "show_measure", "show_measurements", "zoom_of"]

SPANS = {"day": DAY_MS, "week": 7 * DAY_MS, "month": 30 * DAY_MS}
"""Words of the address → length of the window."""
_SHORTEST_MS = 10 * 60_000
_POINTS = 400
_POINTS_OF_PARTS = 3_000
"""Sums are gathered into bars and stages cannot be averaged: both want their readings one by one."""
_SMALL_DAYS = 3
_FEW = 60


@dataclass(frozen=True, slots=True)
class Zoom:
    """Which stretch of a series is looked at.

    Attributes:
        t_from: start (ms, inclusive).
        t_until: end (ms, exclusive).
        earliest: first reading (ms).
        latest: newest reading (ms).
    """

    t_from: int
    t_until: int
    earliest: int
    latest: int

    @property
    def span(self) -> int:
        """Length in ms."""
        return self.t_until - self.t_from

    @property
    def earlier(self) -> tuple[int, int] | None:
        """The stretch before, or None when there are no readings there."""
        if self.t_from <= self.earliest:
            return None
        return self.t_from - self.span, self.t_from

    @property
    def later(self) -> tuple[int, int] | None:
        """The stretch after, or None when there are no readings there."""
        if self.t_until > self.latest:
            return None
        return self.t_until, self.t_until + self.span


def zoom_of(query: Mapping[str, str], found: Measure) -> Zoom:
    """Return the stretch that an address asks for; by default the last week, or all of a thin series.

    Args:
        query: parameters: ``from`` and ``until`` (ms), or ``span``.
        found: the series.
    """
    first, last = found.first, found.last
    whole = Zoom(first, max(last + 1, first + _SHORTEST_MS), first, last)
    start, end = query.get("from", ""), query.get("until", "")
    if start.isdecimal() and end.isdecimal() and len(start) < 15 and len(end) < 15:
        t_from, t_until = int(start), int(end)
        if t_until - t_from >= _SHORTEST_MS:
            return Zoom(t_from, t_until, first, last)
    span = SPANS.get(query.get("span", "" if found.count <= _FEW else "week"))
    if span is None or span >= whole.span:
        return whole
    return Zoom(last + 1 - span, last + 1, first, last)


def show_measurements(ask: PageRequest) -> Response:
    """Answer with every measure in short."""
    cards = []
    for measure in list_measures(ask.node, ask.own):
        view = load_recent(ask.node, ask.own, measure)
        readout = Readout(ask.language, measure)
        cards.append((view, readout, _draw(readout, _newest_days(view.recent, measure.kind))))
    return ask.show("measurements.html", cards=cards)


def show_measure(ask: PageRequest) -> Response:
    """Answer with one measure: a chart to look into, and its values as a table."""
    measure = _find(ask)
    if measure is None:
        return ask.show("nothing.html", 404)
    view = load_recent(ask.node, ask.own, measure)
    return ask.show("measure.html", view=view, **_parts(ask, measure))


def send_window(ask: PageRequest) -> Response:
    """Answer with one stretch of a measure, drawn, for the script of the page."""
    measure = _find(ask)
    if measure is None:
        return JSONResponse({"error": "absent"}, 404)
    parts = _parts(ask, measure)
    zoom: Zoom = parts["zoom"]
    answer = {
        "from": zoom.t_from,
        "until": zoom.t_until,
        "html": ask.render("window.html", **parts),
    }
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})


def _find(ask: PageRequest) -> Measure | None:
    sid = int(ask.place["sid"])
    return next((one for one in list_measures(ask.node, ask.own) if one.sid == sid), None)


def _parts(ask: PageRequest, measure: Measure) -> dict[str, Any]:
    """Return what the templates of one stretch name."""
    zoom = zoom_of(ask.query, measure)
    most = _POINTS if measure.kind == Kind.POINT else _POINTS_OF_PARTS
    window = load_window(ask.node, ask.own, measure.sid, (zoom.t_from, zoom.t_until), most)
    if measure.kind == Kind.SUM and zoom.t_from > zoom.earliest:
        window = without_partial(window, bin_size(zoom.span))
    readout = Readout(ask.language, measure)
    chart = _draw(readout, window)
    return {
        "measure": measure,
        "zoom": zoom,
        "spans": SPANS,
        "window": window,
        "readout": readout,
        "chart": chart,
        "places": list(_places(readout, window, chart)),
        "size": bin_size(zoom.span),
    }


def _draw(readout: Readout, window: SeriesWindow) -> Chart:
    measure = readout.measure
    return draw(
        window,
        measure.kind,
        target=measure.target,
        stages=[readout.language.say(stage.display) for stage in measure.stages],
        moment=lambda at, form: readout.language.moment(at, window.offset_minutes, form),
        number=readout.number,
    )


def _places(readout: Readout, window: SeriesWindow, chart: Chart) -> Iterator[list[object]]:
    """Yield x, y and words of every place on a chart that can be read off."""
    size = bin_size(window.t_until - window.t_from)
    for place in chart.places:
        if chart.bars:
            said = readout.bin(chart.bins[place.index], size)
        else:
            said = readout.point(window.points[place.index])
        yield [place.x, place.y, said]


def _newest_days(recent: SeriesWindow, kind: Kind) -> SeriesWindow:
    """Return the last days of a window, few enough points for a small chart."""
    start = max(recent.t_from, recent.t_until - _SMALL_DAYS * DAY_MS)
    points = tuple(point for point in recent.points if point.t >= start)
    window = replace(recent, t_from=start, points=points)
    is_cut = kind == Kind.SUM and start > recent.t_from
    return without_partial(window, "day") if is_cut else window
