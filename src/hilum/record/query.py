"""A search, read from its name-value pairs. Pure: what is found here is run by an adapter.

Values are joined by OR at commas, repeated names by AND. A parameter that a type does not have is
refused (strict) or left out and named (lenient); a modifier that is not supported is refused.

Source: HL7 FHIR R4, search.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from hilum.errors import MalformedInputError
from hilum.record.numbers import NumberValue, QuantityValue
from hilum.record.parameters import Parameter, parameters_of
from hilum.record.query_filters import COLUMNS, MAX_WORK, Reading
from hilum.record.query_names import UnknownNameError, name_of_place
from hilum.record.query_results import parse_include, parse_sort, parse_total
from hilum.record.query_tree import (
    AnyFilter,
    Branch,
    ChainFilter,
    CompositeFilter,
    DateFilter,
    Filter,
    HasFilter,
    IdFilter,
    Include,
    MissingFilter,
    NearFilter,
    NotFilter,
    NumberFilter,
    OfTypeFilter,
    Place,
    QuantityFilter,
    Query,
    ReferenceFilter,
    SortKey,
    SortSource,
    StringFilter,
    StringMatch,
    TokenFilter,
    TokenValue,
    Total,
    UpdatedFilter,
    UriFilter,
    UriMatch,
)
from hilum.record.query_values import MAX_VALUES
from hilum.record.types import is_resource_type, type_number

__all__ = [
    "COLUMNS",
    "DEFAULT_COUNT",
    "MAX_COUNT",
    "MAX_PAIRS",
    "MAX_VALUES",
    "MAX_WORK",
    "PRESENTATION",
    "RESULT_NAMES",
    "AnyFilter",
    "Branch",
    "ChainFilter",
    "CompositeFilter",
    "DateFilter",
    "Filter",
    "HasFilter",
    "IdFilter",
    "Include",
    "MissingFilter",
    "NearFilter",
    "NotFilter",
    "NumberFilter",
    "NumberValue",
    "OfTypeFilter",
    "Place",
    "QuantityFilter",
    "QuantityValue",
    "Query",
    "ReferenceFilter",
    "SortKey",
    "SortSource",
    "StringFilter",
    "StringMatch",
    "TokenFilter",
    "TokenValue",
    "Total",
    "UpdatedFilter",
    "UriFilter",
    "UriMatch",
    "parse_query",
    "searched_parameters",
]

DEFAULT_COUNT = 20
MAX_COUNT = 1000
MAX_PAIRS = 64
"""Most parameters in one search."""
PRESENTATION = frozenset({"_format", "_pretty", "_summary", "_elements"})
"""They change how an answer looks, not what is found; the edge deals with them."""
RESULT_NAMES = frozenset({"_count", "_sort", "_total", "_include", "_revinclude"})
"""They say how much of what is found is given, in which order, and what comes with it."""


def searched_parameters(name: str) -> dict[str, Parameter]:
    """Return the parameters of a type that searches may name, by name."""
    return parameters_of(name)


def parse_query(
    name: str, pairs: Sequence[tuple[str, str]], *, strict: bool, base: str = ""
) -> Query:
    """Read a search.

    Args:
        name: the resource type.
        pairs: decoded name-value pairs in order.
        strict: refuse what is not supported instead of leaving it out.
        base: the node's own address, ``http://host/fhir``, taken off reference values.

    Raises:
        MalformedInputError: an unknown type, a malformed value, or (strict) something not
            supported.
    """
    return _parsed(name, tuple(pairs), strict, base)


@lru_cache(maxsize=2048)
def _parsed(name: str, pairs: tuple[tuple[str, str], ...], strict: bool, base: str) -> Query:
    if not is_resource_type(name):
        raise MalformedInputError("unknown-type", "not a FHIR R4 resource type")
    if len(pairs) > MAX_PAIRS:
        raise MalformedInputError("value", f"more than {MAX_PAIRS} parameters", where="query")
    reader = _Reader(name, base)
    applied: list[tuple[str, str]] = []
    ignored: list[str] = []
    for key, value in pairs:
        if key in PRESENTATION:
            continue
        try:
            reader.take(key, value)
        except UnknownNameError:
            if strict:
                raise MalformedInputError(
                    "unknown-parameter", "search parameter not supported",
                    where=name_of_place(key),
                    hint="the capability statement lists what is supported",
                ) from None  # fmt: skip
            ignored.append(key)
            continue
        applied.append((key, value))
    return reader.query(applied, ignored)


class _Reader:
    def __init__(self, name: str, base: str) -> None:
        self.name = name
        self._reading = Reading(base)
        self._filters: list[Filter] = []
        self._count = DEFAULT_COUNT
        self._sort: tuple[SortKey, ...] = ()
        self._total = Total.NONE
        self._includes: list[Include] = []

    def take(self, key: str, text: str) -> None:
        """Read one pair.

        Raises:
            UnknownNameError: the type has no such parameter.
            MalformedInputError: it is malformed.
        """
        base = key.partition(":")[0]
        if base not in RESULT_NAMES:
            self._filters.append(self._reading.read(self.name, key, text))
        elif base in {"_include", "_revinclude"}:
            self._includes += parse_include(self.name, key, text)
        elif base != key:
            raise MalformedInputError(
                "unsupported-modifier", "search modifier not supported", where=name_of_place(key)
            )
        elif key == "_count":
            self._count = _count(text)
        elif key == "_total":
            self._total = parse_total(text)
        else:
            self._sort = parse_sort(self.name, text)

    def query(self, applied: list[tuple[str, str]], ignored: list[str]) -> Query:
        return Query(
            type=self.name,
            type_number=type_number(self.name),
            filters=tuple(self._filters),
            count=self._count,
            patient=self._patient(),
            applied=tuple(applied),
            ignored=tuple(ignored),
            sort=self._sort,
            total=self._total,
            includes=tuple(dict.fromkeys(self._includes)),
        )

    def _patient(self) -> str | None:
        """Return the one patient that every patient filter allows, if there is one."""
        if not self._reading.patients:
            return None
        common = set.intersection(*self._reading.patients)
        return next(iter(common)) if len(common) == 1 else None


def _count(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise MalformedInputError("value", "not a whole number", where="_count")
    return min(int(text), MAX_COUNT)
