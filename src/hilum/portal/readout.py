"""Readings in words: values with their units, points of a chart, rows of its table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hilum.portal.timeline import gather
from hilum.portal.words import flag_words, unit_words
from hilum.signals.model import Flag, Kind

if TYPE_CHECKING:
    from hilum.exchange.measures import Measure, MeasureView, Target
    from hilum.portal.language import Language
    from hilum.portal.timeline import Bin
    from hilum.signals.model import Point

__all__ = ["Readout"]

_FORM_OF_BIN = {"day": "yMMMd", "month": "yMMMM"}


@dataclass(frozen=True, slots=True)
class Readout:
    """Says the values of one measure in one language.

    Attributes:
        language: to say them in.
        measure: what they are of.
    """

    language: Language
    measure: Measure

    @property
    def name(self) -> str:
        """Name of the measure."""
        return self.language.say(self.measure.display)

    @property
    def unit(self) -> str:
        """Unit as people write it, or ""."""
        if self.measure.kind == Kind.STAGE:
            return ""
        return unit_words(self.language, self.measure.unit)

    @property
    def title(self) -> str:
        """Name and unit, the unit only where it says more than the name."""
        says_more = self.unit and self.unit.casefold() != self.name.casefold()
        return f"{self.name}{self.language.say(', ')}{self.unit}" if says_more else self.name

    def number(self, value: float) -> str:
        """Return a value without its unit; the larger, the fewer digits after the point."""
        places = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2
        return self.language.number(round(value, places))

    def value(self, value: float) -> str:
        """Return a value with its unit, or the name of a stage."""
        if self.measure.kind == Kind.STAGE:
            stages = self.measure.stages
            number = round(value)
            return self.language.say(stages[number].display) if number < len(stages) else ""
        return f"{self.number(value)} {self.unit}".strip()

    def newest(self, view: MeasureView) -> tuple[str, str]:
        """Return the newest value and when it was; of what adds up, the total of the last day."""
        point = view.newest
        if point is None:
            return "", ""
        if self.measure.kind == Kind.SUM:
            today = gather(view.recent, "day")[-1]
            return self.value(today.total), self.period(today, "day")
        return self._bounded(point), self.when(point)

    def per_day(self, view: MeasureView) -> str:
        """Return the smallest and largest total of a whole day of the recent days, or ""."""
        whole = gather(view.recent, "day")[1:-1]
        if self.measure.kind != Kind.SUM or not whole:
            return ""
        return self.range(min(day.total for day in whole), max(day.total for day in whole))

    def _bounded(self, point: Point) -> str:
        sign = ""
        if point.count == 1:
            sign = "< " if point.flags & Flag.OFF_SCALE_LOW else sign
            sign = "> " if point.flags & Flag.OFF_SCALE_HIGH else sign
        return sign + self.value(point.mean)

    def when(self, point: Point) -> str:
        """Return when a point was taken, by the clock of its device."""
        return self.language.instant(point.t, point.offset_minutes)

    def range(self, low: float, high: float) -> str:
        """Return a range with its unit."""
        if low == high:
            return self.value(low)
        return f"{self.number(low)} – {self.value(high)}"

    def target(self, target: Target) -> str:
        """Return a target range in words."""
        if target.low is None or target.high is None:
            bound, sign = (target.high, "≤") if target.low is None else (target.low, "≥")
            return f"{sign} {self.value(bound or 0.0)}"
        return self.range(target.low, target.high)

    def point(self, point: Point) -> str:
        """Return what is read off a point of a line."""
        if point.count == 1 or self.measure.kind == Kind.STAGE:
            said = self._bounded(point)
        else:
            said = self.range(point.low, point.high)
            said += self.language.ngettext(
                " (%(count)s reading)", " (%(count)s readings)", point.count
            )
        remarks = flag_words(self.language, point.flags & ~Flag.GAP_BEFORE)
        return f"{self.when(point)} · {said}" + (f" · {remarks}" if remarks else "")

    def bin(self, one: Bin, size: str) -> str:
        """Return what is read off a bar."""
        return f"{self.period(one, size)} · {self.value(one.total)}"

    def period(self, one: Bin, size: str) -> str:
        """Return the hour, day or month of a bin."""
        if size == "hour":
            return self.language.instant(one.t_from, one.offset_minutes)
        return self.language.moment(one.t_from, one.offset_minutes, _FORM_OF_BIN[size])
