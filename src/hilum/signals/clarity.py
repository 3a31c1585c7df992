"""Dexcom Clarity CSV: columns by structure, local time by ticks and zone, Low and High compared."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from hilum.errors import MalformedInputError
from hilum.signals.clock import LocalTime, clock_flags, load_zone, resolve_local
from hilum.signals.gathering import Gathering
from hilum.signals.model import Batch, Comparator, Flag, Reading
from hilum.signals.numeral import parse_numeral

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

    from hilum.signals.clock import Moment
    from hilum.signals.template import Mapping, Template

__all__ = ["looks_like_clarity", "read_clarity"]

_UNIT = re.compile(r"\((mg/dL|mmol/L)\)", re.IGNORECASE)
_STAMP = re.compile(r"[YJAÅ]{4}-", re.IGNORECASE)
_MIN_COLUMNS = 13
_MANUAL_EVENTS = "EGV"


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where things are; glucose is the anchor, the rest stands around it in every version seen."""

    separator: str
    unit: str
    stamp: int
    glucose: int

    def cell(self, row: list[str], index: int) -> str:
        return row[index].strip() if index < len(row) else ""


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    mapping: Mapping
    event: str
    device: str
    value: str
    time: LocalTime


def _find_columns(header: str) -> _Columns | None:
    for separator in (",", ";", "\t"):
        cells = next(csv.reader([header], delimiter=separator), [])
        if len(cells) < _MIN_COLUMNS:
            continue
        units = [(i, found[1]) for i, c in enumerate(cells) if (found := _UNIT.search(c))]
        if not units:
            return None
        stamp = next((i for i, c in enumerate(cells) if _STAMP.search(c)), 1)
        unit = "mg/dL" if units[0][1].lower() == "mg/dl" else "mmol/L"
        return _Columns(separator, unit, stamp, units[0][0])
    return None


def looks_like_clarity(head: str) -> bool:
    """Tell whether the text starts with the header of a Clarity export."""
    return _find_columns(head.lstrip("\ufeff").partition("\n")[0].rstrip("\r")) is not None


class _Table:
    """The rows of one file, mapped but not yet placed in time."""

    def __init__(self, template: Template, gathering: Gathering, columns: _Columns) -> None:
        self.template = template
        self.gathering = gathering
        self.columns = columns
        self.rows: list[_Row] = []

    def take(self, line: int, row: list[str]) -> None:
        columns, gathering = self.columns, self.gathering
        gathering.origin += 1
        event = columns.cell(row, columns.stamp + 1)
        mapping = self.template.mappings.get((event, columns.unit))
        if mapping is None:
            gathering.leave_out(event or "row without event type")
            return
        if len(row) < _MIN_COLUMNS - 1:
            gathering.refuse(f"line {line}", "the row is cut short")
            return
        try:
            wall = datetime.fromisoformat(columns.cell(row, columns.stamp).replace(" ", "T"))
        except ValueError:
            gathering.refuse(f"line {line}", "not a local date-time")
            return
        if wall.tzinfo is not None:
            gathering.refuse(f"line {line}", "a local date-time has no offset")
            return
        ticks = columns.cell(row, columns.glucose + 5)
        time = LocalTime(
            wall,
            int(ticks) if ticks.isascii() and ticks.isdigit() else None,
            columns.cell(row, columns.glucose + 6),
        )
        device = f"Dexcom {columns.cell(row, columns.glucose - 1)}".strip()
        value = columns.cell(row, columns.glucose)
        self.rows.append(_Row(line, mapping, event, device, value, time))

    def place(self, zone: ZoneInfo, now_ms: int) -> None:
        moments = resolve_local([row.time for row in self.rows], zone)
        for row, moment in zip(self.rows, moments, strict=True):
            try:
                reading = self.reading(row, moment)
            except MalformedInputError as error:
                self.gathering.refuse(f"line {row.line}", error.why)
                continue
            reading.flags |= moment.flags | clock_flags(moment.t_unix_ms, now_ms)
            self.gathering.add(row.mapping, row.device, reading)

    def reading(self, row: _Row, moment: Moment) -> Reading:
        words, comparator = self.template.words, Comparator.EQUAL
        flags = 0 if row.event == _MANUAL_EVENTS else Flag.MANUAL.value
        low, high = self.template.off_scale[self.columns.unit]
        text = row.value
        if text.casefold() in words["low"]:
            text, comparator, flags = low, Comparator.LESS, flags | Flag.OFF_SCALE_LOW
        elif text.casefold() in words["high"]:
            text, comparator, flags = high, Comparator.GREATER, flags | Flag.OFF_SCALE_HIGH
        unscaled, scale = parse_numeral(text.replace(",", "."))
        unscaled, scale = row.mapping.factor.apply(unscaled, scale)
        return Reading(
            moment.t_unix_ms,
            moment.offset_minutes,
            unscaled,
            scale,
            int(comparator),
            flags=int(flags),
            origin=row.line,
        )


def read_clarity(
    body: bytes, template: Template, *, zone: str | None, now_ms: int, batch_size: int
) -> Iterator[Batch]:
    """Yield batches of readings of a Clarity export.

    Args:
        body: the file; at most a few years of readings, so it is held in memory.
        template: the Clarity template.
        zone: IANA name of the zone of the phone, since the file has local times only.
        now_ms: the caller's clock.
        batch_size: readings per batch (a batch ends after a series).

    Raises:
        MalformedInputError: when it is no such export, is not UTF-8, or `zone` is missing or
            unknown.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedInputError(
            "encoding", "only UTF-8 is read", where=f"byte {error.start}"
        ) from error
    columns = _find_columns(text.partition("\n")[0].rstrip("\r"))
    if columns is None:
        raise MalformedInputError("not-clarity", "not a Clarity header", where="line 1")
    if zone is None:
        raise MalformedInputError(
            "no-zone",
            "the file has local times only",
            where="zone",
            hint="name the zone of the phone, e.g. Europe/Berlin",
        )
    place = load_zone(zone)
    gathering = Gathering(template)
    table = _Table(template, gathering, columns)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=columns.separator)
    broken = ""
    try:
        next(rows, None)
        for row in rows:
            if row:
                table.take(rows.line_num, row)
    except csv.Error:
        broken = f"line {rows.line_num}: not CSV"
    table.place(place, now_ms)
    whole = gathering.flush(broken=broken)
    yield from _split(whole, batch_size)


def _split(whole: Batch, batch_size: int) -> Iterator[Batch]:
    """Cut a batch into pieces of bounded size; counts and `broken` stay with the last piece."""
    room, piece = batch_size, Batch(series=[])
    for series, readings in whole.series:
        start = 0
        while start < len(readings):
            if not room:
                yield piece
                room, piece = batch_size, Batch(series=[])
            part = readings[start : start + room]
            piece.series.append((series, part))
            start, room = start + len(part), room - len(part)
    whole.series = piece.series
    yield whole
