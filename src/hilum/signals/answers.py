"""Answer a search over series: which rows a day holds, in which order. Pure.

A day's rows are known only together: dense readings go by the hour, and systolic and diastolic
readings of one device at one instant are one row. Days are disjoint, so an answer is days
descending, rows descending within.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from hilum.record.dates import FAR_FUTURE, FAR_PAST, Prefix
from hilum.signals.identity import HOUR_MS, ReadingId, format_id, order_key
from hilum.signals.model import DAY_MS, Kind, Reading, RenderedRow
from hilum.signals.render import (
    CATEGORY,
    PANEL_CODINGS,
    codings_of,
    is_dense,
    render_hour,
    render_panel,
    render_reading,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hilum.record.dates import DateValue
    from hilum.signals.model import Series
    from hilum.signals.render import Origin

__all__ = [
    "DayOfSeries",
    "Filter",
    "Line",
    "day_lines",
    "is_pressure",
    "make_day",
    "render_line",
    "start_bounds",
]

_SYSTOLIC, _DIASTOLIC = "blood-pressure-systolic", "blood-pressure-diastolic"
_SKEW_MS = DAY_MS
"""Wall clocks are at most 14 hours away from UTC."""
Token = tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class Filter:
    """What is searched for: every member must hold, one alternative of each is enough.

    Attributes:
        codes: alternatives of (system, code); system None = any, "" = none; code None = any.
        categories: likewise.
        dates: alternatives of date values (`hilum.record.dates`), as of parameter ``date``.
        updated: alternatives of date values, as of ``_lastUpdated``.
    """

    codes: tuple[tuple[Token, ...], ...] = ()
    categories: tuple[tuple[Token, ...], ...] = ()
    dates: tuple[tuple[DateValue, ...], ...] = ()
    updated: tuple[tuple[DateValue, ...], ...] = ()

    def wants_category(self, series: Series) -> bool:
        """Tell whether the series' category is searched for."""
        return _holds(self.categories, ((CATEGORY, series.category),))

    def wants_codes(self, codings: Sequence[tuple[str, str]]) -> bool:
        """Tell whether a row with these codings is searched for."""
        return _holds(self.codes, codings)

    def may_want(self, series: Series) -> bool:
        """Tell whether any row of the series could be searched for, alone or in a panel."""
        if not self.wants_category(series):
            return False
        alone = self.wants_codes(codings_of(series))
        return alone or (is_pressure(series) and self.wants_codes(PANEL_CODINGS))

    def wants_time(self, start: int, end: int, offset_minutes: int) -> bool:
        """Tell whether start…end (UTC ms) is searched for; a time written in seconds covers one."""
        wall = offset_minutes * 60_000
        end += 999 if end % 1000 == 0 else 0
        return all(
            any(_compare(v, start, end, wall) for v in alternatives) for alternatives in self.dates
        )

    def wants_update(self, at_ms: int) -> bool:
        """Tell whether something last updated then is searched for."""
        return all(
            any(_compare(v, at_ms, at_ms, 0) for v in alternatives) for alternatives in self.updated
        )


@dataclass(frozen=True, slots=True)
class DayOfSeries:
    """What is visible of one series on one UTC day.

    Attributes:
        origin: whose and of which series.
        readings: visible readings, ascending.
        dense: whether the whole day, visible or not, is dense.
    """

    origin: Origin
    readings: Sequence[Reading]
    dense: bool


class Line(NamedTuple):
    """One row before it is rendered; `members` are one reading, a panel's two, or an hour's."""

    ts: int
    key: int
    name: ReadingId
    day: DayOfSeries
    members: tuple[Reading, ...]
    partner: Series | None


def _token_matches(token: Token, coding: tuple[str, str]) -> bool:
    return token[0] in {None, coding[0]} and token[1] in {None, coding[1]}


def _holds(wanted: Iterable[Sequence[Token]], codings: Sequence[tuple[str, str]]) -> bool:
    return all(
        any(_token_matches(token, coding) for token in alternatives for coding in codings)
        for alternatives in wanted
    )


def _compare(value: DateValue, start: int, end: int, wall: int) -> bool:
    """Compare start…end with a search value.

    Source: HL7 FHIR R4, search, "prefixes": eq = the searched range contains the target's.
    """
    span = value.interval
    lo, hi = (span.lo, span.hi) if span.zoned else (span.wall_lo, span.wall_hi)
    if not span.zoned:
        start, end = start + wall, end + wall
    inside = lo <= start and end <= hi
    verdicts = {
        Prefix.EQ: inside,
        Prefix.NE: not inside,
        Prefix.GT: end > hi,
        Prefix.LT: start < lo,
        Prefix.GE: end > hi or inside,
        Prefix.LE: start < lo or inside,
        Prefix.SA: start > hi,
        Prefix.EB: end < lo,
        Prefix.AP: start <= hi and lo <= end,
    }
    return verdicts[value.prefix]


def start_bounds(wanted: Filter) -> tuple[int, int]:
    """Return (least end, greatest start) of rows searched for, UTC ms; generous by a day."""
    lo, hi = FAR_PAST, FAR_FUTURE
    for alternatives in wanted.dates:
        los, his = [], []
        for value in alternatives:
            span, prefix = value.interval, value.prefix
            open_below = prefix in {Prefix.NE, Prefix.LT, Prefix.LE, Prefix.EB}
            open_above = prefix in {Prefix.NE, Prefix.GT, Prefix.GE, Prefix.SA}
            los.append(FAR_PAST if open_below else span.wall_lo - _SKEW_MS)
            his.append(FAR_FUTURE if open_above else span.wall_hi + _SKEW_MS)
        lo, hi = max(lo, min(los, default=lo)), min(hi, max(his, default=hi))
    return lo, hi


def is_pressure(series: Series) -> bool:
    """Tell whether the series can be one half of a blood pressure panel."""
    return series.key.measure in {_SYSTOLIC, _DIASTOLIC}


def _partners(days: Sequence[DayOfSeries]) -> dict[tuple[str, str], DayOfSeries]:
    """Diastolic days by (device, unit)."""
    return {
        (day.origin.series.key.device, day.origin.series.key.unit): day
        for day in days
        if day.origin.series.key.measure == _DIASTOLIC and not day.dense
    }


def _hour_lines(day: DayOfSeries) -> Iterable[Line]:
    hours: dict[int, list[Reading]] = {}
    for reading in day.readings:
        hours.setdefault(reading.t_unix_ms // HOUR_MS * HOUR_MS, []).append(reading)
    for hour, members in hours.items():
        name = ReadingId(day.origin.sid, hour, None)
        yield Line(hour, order_key(name), name, day, tuple(members), None)


def _single_lines(
    day: DayOfSeries, partner: DayOfSeries | None, taken: set[tuple[int, int, int]]
) -> Iterable[Line]:
    others: dict[tuple[int, int], Reading] = {}
    if partner is not None:
        others = {(r.t_unix_ms, r.duration_ms): r for r in partner.readings}
    sid = day.origin.sid
    for reading in day.readings:
        place = (reading.t_unix_ms, reading.duration_ms)
        if (sid, *place) in taken:
            continue
        name = ReadingId(sid, *place)
        other = others.get(place)
        if other is not None and partner is not None:
            taken.add((partner.origin.sid, *place))
            members, series = (reading, other), partner.origin.series
            yield Line(place[0], order_key(name), name, day, members, series)
        else:
            yield Line(place[0], order_key(name), name, day, (reading,), None)


def _wanted(line: Line, wanted: Filter) -> bool:
    series = line.day.origin.series
    codings = codings_of(series) if line.partner is None else PANEL_CODINGS
    first, last = line.members[0], line.members[-1]
    end = last.t_unix_ms + last.duration_ms
    return (
        wanted.wants_codes(codings)
        and wanted.wants_category(series)
        and wanted.wants_time(first.t_unix_ms, end, first.offset_minutes)
        and wanted.wants_update(line.day.origin.updated_ms)
    )


def day_lines(days: Sequence[DayOfSeries], wanted: Filter) -> list[Line]:
    """Return the rows of one UTC day that are searched for, by (ts, key) descending.

    Args:
        days: all series of the compartment with something visible on that day.
        wanted: the search.
    """
    partners = _partners(days)
    taken: set[tuple[int, int, int]] = set()
    lines: list[Line] = []
    # Systolic series first, so that their panels take the diastolic readings out.
    for day in sorted(days, key=lambda d: d.origin.series.key.measure != _SYSTOLIC):
        if day.dense and day.origin.series.kind is not Kind.STAGE:
            lines += _hour_lines(day)
            continue
        key = day.origin.series.key
        partner = partners.get((key.device, key.unit)) if key.measure == _SYSTOLIC else None
        lines += _single_lines(day, partner, taken)
    lines = [line for line in lines if _wanted(line, wanted)]
    lines.sort(key=lambda line: (line.ts, line.key), reverse=True)
    return lines


def render_line(line: Line) -> RenderedRow:
    """Return the row as an Observation."""
    origin = line.day.origin
    if line.name.duration_ms is None:
        body = render_hour(origin, line.members)
    elif line.partner is not None:
        body = render_panel(origin, line.members[0], (line.partner, line.members[1]))
    else:
        body = render_reading(origin, line.members[0])
    return RenderedRow(line.ts, line.key, format_id(line.name), body, origin.series.seg)


def make_day(origin: Origin, every: Sequence[Reading], visible: Sequence[Reading]) -> DayOfSeries:
    """Return a day of a series; density is judged on every reading, not on what is visible."""
    return DayOfSeries(origin, visible, is_dense(every))
