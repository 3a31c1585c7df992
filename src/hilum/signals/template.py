"""Mapping templates: one YAML file per source, compiled once to plain lookups.

A template says which vendor types it maps, from which source units to which UCUM codes by which
exact factor, with which codes, what is plausible, and what it leaves out and why.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import msgspec
import yaml

from hilum.errors import MalformedInputError
from hilum.signals.model import DEVICE_SEGMENT, Kind, Rules, Series, SeriesKey, Stage
from hilum.signals.numeral import IDENTITY, Factor, parse_factor

__all__ = ["Mapping", "Template", "load_template", "parse_template"]

_SEGMENTS = {"PSY": 2, "SUD": 4, "HIV": 8, "SEX": 16, "ETH": 32, "GEN": 64}
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")


class _Unit(msgspec.Struct, forbid_unknown_fields=True):
    ucum: str
    factor: str = "1"


_Units = list[str] | dict[str, str | _Unit]
_Bounds = tuple[float, float]


class _Type(msgspec.Struct, forbid_unknown_fields=True):
    display: str
    measure: str = ""
    loinc: list[str] | dict[str, list[str]] = []
    mdc: str = ""
    also: list[str] = []
    units: _Units | None = None
    range: dict[str, _Bounds] | None = None
    rate: dict[str, float] = {}
    interval_s: int | None = None
    flat: int | None = None
    kind: Kind | None = None
    segments: list[str] | None = None
    stages: dict[str, str] = {}


class _Group(msgspec.Struct, forbid_unknown_fields=True):
    category: str
    types: dict[str, str | _Type]
    prefix: str = ""
    units: _Units = []
    range: dict[str, _Bounds] = {}
    kind: Kind = Kind.POINT
    segments: list[str] = []


class _File(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    version: int
    groups: list[_Group]
    vendor_system: str = ""
    units: dict[str, str | _Unit] = {}
    not_mapped: dict[str, str] = {}
    otherwise: str = "no mapping in this template"
    words: dict[str, list[str]] = {}
    off_scale: dict[str, tuple[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Mapping:
    """How records of one vendor type in one source unit become readings.

    Attributes:
        series: the series, still without a device.
        factor: source unit → UCUM unit, exact.
        stages: vendor word → stage number, for series of stages.
        vendor_type: the type as the source writes it.
    """

    series: Series
    factor: Factor
    stages: dict[str, int]
    vendor_type: str


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template.

    Attributes:
        id: its name.
        version: raised whenever a mapping changes.
        mappings: (vendor type, source unit) → mapping; stages have the unit "".
        not_mapped: vendor type → reason.
        otherwise: reason for types it does not know.
        words: ``low`` and ``high`` → words that stand for values off the scale.
        off_scale: UCUM unit → (lowest, highest) value that the device reports as a number.
    """

    id: str
    version: int
    mappings: dict[tuple[str, str], Mapping]
    not_mapped: dict[str, str]
    otherwise: str
    words: dict[str, frozenset[str]]
    off_scale: dict[str, tuple[str, str]]

    @property
    def name(self) -> str:
        """Return id and version, as stored with each series."""
        return f"{self.id}/{self.version}"

    def types(self) -> frozenset[str]:
        """Return the vendor types that are mapped."""
        return frozenset(kind for kind, _ in self.mappings)

    def reason(self, vendor_type: str) -> str:
        """Return why records of this type are left out."""
        if vendor_type in self.not_mapped:
            return self.not_mapped[vendor_type]
        if vendor_type in self.types():
            return "unit not known for this type"
        return self.otherwise


class _Compiler:
    """Resolve the groups of one file; lives as long as one `parse_template` call."""

    def __init__(self, raw: _File) -> None:
        self.raw = raw
        self.mappings: dict[tuple[str, str], Mapping] = {}

    def compile(self) -> Template:
        raw = self.raw
        for group in raw.groups:
            for name, entry in group.types.items():
                self.add(group, name, _Type(entry) if isinstance(entry, str) else entry)
        words = {kind: frozenset(w.casefold() for w in words) for kind, words in raw.words.items()}
        return Template(
            raw.id, raw.version, self.mappings, raw.not_mapped, raw.otherwise, words, raw.off_scale
        )

    def add(self, group: _Group, name: str, entry: _Type) -> None:
        vendor_type = group.prefix + name
        if entry.stages:
            units = {"": _Unit("{stage}")}
        else:
            units = self.units(group.units if entry.units is None else entry.units, vendor_type)
        for source_unit, unit in units.items():
            series = self.series(group, entry, name, unit.ucum)
            factor = (
                IDENTITY if unit.factor == "1" else parse_factor(unit.factor, where=vendor_type)
            )
            stages = {word: number for number, word in enumerate(entry.stages)}
            for type_name in (vendor_type, *entry.also):
                if (type_name, source_unit) in self.mappings:
                    raise MalformedInputError("mapped-twice", "mapped twice", where=type_name)
                self.mappings[type_name, source_unit] = Mapping(series, factor, stages, type_name)

    def units(self, given: _Units, where: str) -> dict[str, _Unit]:
        known = self.raw.units
        pairs = given.items() if isinstance(given, dict) else ((u, known.get(u, u)) for u in given)
        units = {name: _Unit(u) if isinstance(u, str) else u for name, u in pairs}
        if not units:
            raise MalformedInputError("no-unit", "a quantity needs a source unit", where=where)
        return units

    def series(self, group: _Group, entry: _Type, name: str, ucum: str) -> Series:
        loinc = entry.loinc.get(ucum, []) if isinstance(entry.loinc, dict) else entry.loinc
        bounds = (group.range if entry.range is None else entry.range).get(ucum)
        low, high = bounds if bounds is not None else (None, None)
        segments = group.segments if entry.segments is None else entry.segments
        seg = DEVICE_SEGMENT
        for segment in segments:
            seg |= _SEGMENTS[segment]
        vendor_system = self.raw.vendor_system
        return Series(
            key=SeriesKey(
                measure=entry.measure or "-".join(_WORD.findall(name)).lower(),
                device="",
                unit=ucum,
                loinc=tuple(loinc),
                mdc=entry.mdc,
                vendor_system=vendor_system,
                vendor_code=group.prefix + name if vendor_system else "",
            ),
            display=entry.display,
            category=group.category,
            template=f"{self.raw.id}/{self.raw.version}",
            kind=Kind.STAGE if entry.stages else entry.kind or group.kind,
            rules=Rules(low, high, entry.rate.get(ucum), entry.interval_s, entry.flat),
            seg=seg,
            stages=tuple(Stage(code, display) for code, display in entry.stages.items()),
        )


def parse_template(text: str | bytes, *, where: str) -> Template:
    """Return the compiled template.

    Args:
        text: YAML.
        where: file name, for errors.

    Raises:
        MalformedInputError: when it is no template, maps a type twice or has an inexact factor.
    """
    try:
        raw = msgspec.convert(yaml.safe_load(text), _File)
        return _Compiler(raw).compile()
    except (yaml.YAMLError, msgspec.ValidationError, KeyError) as error:
        raise MalformedInputError("bad-template", "not a mapping template", where=where) from error


@cache
def load_template(name: str) -> Template:
    """Return a template of this package by its file name without ``.yaml``."""
    source = files("hilum.signals").joinpath("templates", f"{name}.yaml")
    return parse_template(source.read_bytes(), where=name)
