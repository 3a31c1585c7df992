"""Composite parameters: values that lie together in one occurrence of an element.

Each combination of the parts' values within one occurrence is one row, so that parts of two
occurrences never mix.

Source: HL7 FHIR R4, search, "composite".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import product
from typing import Any

from hilum.record.expressions import Path, Step, collector
from hilum.record.keyed import NO_SYSTEM, KeyedHash
from hilum.record.parameters import Kind, Parameter
from hilum.record.rows import IndexRows
from hilum.record.strings import KeyedStrings
from hilum.record.values import ValueReader, read_dates, read_numbers, read_strings, reference_of

__all__ = ["CompositeReader"]

Columns = tuple[Any, ...]
"""(code, system, lo, hi, wall lo, wall hi, low, high, starts) of one value of a part."""

_Source = tuple[Path, tuple[tuple[Kind, tuple[Path, ...]], ...]]
_NO_TIME = (0, 0, 0, 0)
_NO_RANGE = (0.0, 0.0)
_ELEMENT = "element"


class CompositeReader:
    """Makes the closures of composite parameters.

    Args:
        keyed: hashes of tokens and references.
        strings: hashes of strings.
        values: readers of single values.
    """

    def __init__(self, keyed: KeyedHash, strings: KeyedStrings, values: ValueReader) -> None:
        self._keyed = keyed
        self._strings = strings
        self._values = values

    def extractors(
        self, parameters: Iterable[Parameter]
    ) -> Iterator[tuple[str, Callable[[Any, IndexRows], None]]]:
        """Yield (member that is read first, closure) for each element of each composite.

        Composites that combine the same values share a closure.
        """
        sources: dict[_Source, list[int]] = {}
        for parameter in parameters:
            if parameter.kind is Kind.COMPOSITE:
                for index, path in enumerate(parameter.paths):
                    parts = tuple((part.kind, part.paths[index]) for part in parameter.components)
                    sources.setdefault((path, parts), []).append(parameter.number)
        for (path, kinds), found in sources.items():
            numbers, read = tuple(found), [self._part(*part) for part in kinds]
            if path.steps:
                yield path.steps[0].key, _in_elements(numbers, path, read)
            else:
                # The element is the resource itself: read once, at the rarest of its members.
                for member in dict.fromkeys(inner.steps[0].key for inner in kinds[-1][1]):
                    yield member, _in_resource(numbers, read)

    def _part(self, kind: Kind, paths: tuple[Path, ...]) -> _Part:
        read: list[tuple[bool, Callable[[Any], list[Any]], Callable[[Any], list[Columns]]]] = []
        for path in paths:
            wrapped = Path((Step(_ELEMENT), *path.steps), path.leaf)
            read.append((path.from_resource, collector(wrapped), self._columns(kind, path.leaf)))
        return _Part(read)

    def _columns(self, kind: Kind, leaf: str) -> Callable[[Any], list[Columns]]:
        match kind:
            case Kind.TOKEN:
                tokens = self._values.tokens(leaf)
                return lambda value: [_columns(token) for token in tokens(value)]
            case Kind.REFERENCE:
                hashed = self._keyed.reference

                def reference(value: Any) -> list[Columns]:  # noqa: ANN401 - a decoded JSON value
                    text = reference_of(value)
                    return [_columns((hashed(text), NO_SYSTEM))] if text else []

                return reference
            case Kind.QUANTITY:
                quantities = self._values.quantities(leaf)
                return lambda value: [
                    _columns((code, system), span=(lo, hi))
                    for system, code, lo, hi in quantities(value)
                ]
            case Kind.NUMBER:
                numbers = read_numbers(leaf)
                return lambda value: [
                    _columns(span=span) for span in (numbers(value),) if span is not None
                ]
            case Kind.DATE:
                dates = read_dates(leaf)
                return lambda value: [
                    _columns(time=(d.lo, d.hi, d.wall_lo, d.wall_hi))
                    for d in (dates(value),)
                    if d is not None
                ]
        texts, starts = read_strings(leaf), self._strings.starts
        return lambda value: [_columns(starts=starts(text)) for text in texts(value)]


class _Part:
    """Gives the columns of every value that one part has in an occurrence."""

    def __init__(
        self,
        read: list[tuple[bool, Callable[[Any], list[Any]], Callable[[Any], list[Columns]]]],
    ) -> None:
        self._read = read

    def of(self, element: Any, rows: IndexRows) -> list[Columns]:  # noqa: ANN401 - decoded JSON
        found: list[Columns] = []
        for from_resource, collect, columns in self._read:
            for value in collect(rows.tree if from_resource else element):
                found += columns(value)
        return found


def _columns(
    token: tuple[int, int] = (NO_SYSTEM, NO_SYSTEM),
    *,
    time: tuple[int, int, int, int] = _NO_TIME,
    span: tuple[float, float] = _NO_RANGE,
    starts: bytes = b"",
) -> Columns:
    return (*token, *time, *span, starts)


def _in_elements(
    numbers: tuple[int, ...], path: Path, parts: list[_Part]
) -> Callable[[Any, IndexRows], None]:
    collect = collector(path)

    def extract(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
        for element in collect(value):
            _combine(numbers, parts, element, rows)

    return extract


def _in_resource(numbers: tuple[int, ...], parts: list[_Part]) -> Callable[[Any, IndexRows], None]:
    def extract(_value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
        _combine(numbers, parts, rows.tree, rows)

    return extract


def _combine(numbers: tuple[int, ...], parts: list[_Part], element: Any, rows: IndexRows) -> None:  # noqa: ANN401
    values: list[list[Columns]] = []
    for part in reversed(parts):
        found = part.of(element, rows)
        if not found:
            return
        values.append(found)
    values.reverse()
    for first, second, *rest in product(*values):
        third = rest[0][6:8] if rest else _NO_RANGE
        row = (*first[:2], *second[:8], *third, second[8])
        for number in numbers:
            rows.composites.add((number, *row))
