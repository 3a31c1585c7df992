"""Lint mappings: every unit parses, every LOINC code is shipped and of the unit's dimension.

The UCUM parser is passed in: it is needed when templates are tested, not when they are used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import yaml

from hilum.errors import MalformedInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hilum.signals.template import Template

__all__ = ["Entry", "entries_of", "is_loinc_code", "lint_entries", "load_loinc"]

_LOINC = re.compile(r"\d{1,7}-\d\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Entry:
    """One mapping, as far as lint is concerned.

    Attributes:
        where: the vendor type that is mapped.
        vendor_code: the vendor code that its readings carry, or "".
        loinc: LOINC codes that they carry.
        unit: UCUM code, or "" for none.
    """

    where: str
    vendor_code: str
    loinc: tuple[str, ...]
    unit: str


@cache
def load_loinc() -> dict[str, str]:
    """Return the shipped LOINC codes, each with a UCUM unit of its dimension."""
    source = files("hilum.signals").joinpath("templates", "loinc.yaml")
    table: dict[str, str] = yaml.safe_load(source.read_bytes())
    return table


def is_loinc_code(text: str) -> bool:
    """Tell whether the text is shaped like a LOINC code and its check digit holds.

    Source: LOINC Users' Guide, appendix "Calculating Mod 10 check digits".
    """
    if not _LOINC.match(text):
        return False
    total = 0
    for index, digit in enumerate(reversed(text.replace("-", ""))):
        value = int(digit) * (2 if index % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def entries_of(template: Template) -> Iterator[Entry]:
    """Yield the mappings of a template."""
    for (vendor_type, _), mapping in template.mappings.items():
        key = mapping.series.key
        # Localised names of an event carry the code of the event, not their own.
        yield Entry(key.vendor_code or vendor_type, key.vendor_code, key.loinc, key.unit)


def _lint_loinc(entry: Entry, dimension: Callable[[str], object]) -> Iterator[str]:
    table = load_loinc()
    for code in entry.loinc:
        if not is_loinc_code(code):
            yield f"{entry.where}: {code} is not a LOINC code"
        elif code not in table:
            yield f"{entry.where}: LOINC {code} is not in the shipped table"
        elif entry.unit and dimension(table[code]) != dimension(entry.unit):
            yield f"{entry.where}: unit {entry.unit} does not fit LOINC {code}"


def lint_entries(entries: Iterable[Entry], *, dimension: Callable[[str], object]) -> list[str]:
    """Return every defect found, one sentence each.

    Args:
        entries: mappings.
        dimension: UCUM code → something that is equal for units of one dimension; raises
            MalformedInputError for what is no UCUM code.
    """
    found = []
    for entry in entries:
        if entry.vendor_code and entry.vendor_code != entry.where:
            found.append(f"{entry.where}: carries the code of {entry.vendor_code}")
        try:
            if entry.unit:
                dimension(entry.unit)
            found += _lint_loinc(entry, dimension)
        except MalformedInputError:
            found.append(f"{entry.where}: {entry.unit} is not a UCUM code")
    return found
