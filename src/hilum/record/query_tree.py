"""The tree of a search: filters that must all hold, order, page, and what is included. Plain data.

A filter speaks of one row; `ChainFilter` and `HasFilter` hold filters on other rows that the row
points to, or that point to it.

Source: HL7 FHIR R4, search.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from hilum.record.dates import DateValue
from hilum.record.numbers import NumberValue, QuantityValue
from hilum.record.parameters import Kind

__all__ = [
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
    "OfTypeFilter",
    "Place",
    "QuantityFilter",
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
]

Place = tuple[int | float | str | None, ...]
"""Where a page ends: the values of the sort keys, then (instant, row number) of its last row."""


@dataclass(frozen=True, slots=True)
class TokenValue:
    """``system|code``; None = any, ``""`` as system = none."""

    system: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class TokenFilter:
    """The parameter holds any of the tokens."""

    name: str
    parameter: int
    values: tuple[TokenValue, ...]
    is_bare: bool


@dataclass(frozen=True, slots=True)
class OfTypeFilter:
    """The parameter holds any of the identifiers: (type system, type code, value)."""

    name: str
    parameter: int
    values: tuple[tuple[str, str, str], ...]


class UriMatch(StrEnum):
    """How a uri is compared other than by equality."""

    BELOW = "below"
    ABOVE = "above"


@dataclass(frozen=True, slots=True)
class UriFilter:
    """The parameter holds a uri below, or above, any of the values."""

    name: str
    parameter: int
    values: tuple[str, ...]
    match: UriMatch


@dataclass(frozen=True, slots=True)
class ReferenceFilter:
    """The parameter points to any of the references."""

    name: str
    parameter: int
    references: tuple[str, ...]
    is_patient: bool


@dataclass(frozen=True, slots=True)
class DateFilter:
    """The parameter lies as any of the values says."""

    name: str
    parameter: int
    values: tuple[DateValue, ...]


class StringMatch(StrEnum):
    """How a string is compared: by its normalised beginning, as it is, or by what is in it."""

    STARTS = "starts"
    EXACT = "exact"
    CONTAINS = "contains"


@dataclass(frozen=True, slots=True)
class StringFilter:
    """The parameter holds a string that matches any of the values."""

    name: str
    parameter: int
    values: tuple[str, ...]
    match: StringMatch


@dataclass(frozen=True, slots=True)
class NumberFilter:
    """The parameter holds a number as any of the values says."""

    name: str
    parameter: int
    values: tuple[NumberValue, ...]


@dataclass(frozen=True, slots=True)
class QuantityFilter:
    """The parameter holds a quantity as any of the values says."""

    name: str
    parameter: int
    values: tuple[QuantityValue, ...]


ComponentValue = TokenValue | str | DateValue | NumberValue | QuantityValue
"""One part of a composite value; a str is a reference or a string, as its kind says."""


@dataclass(frozen=True, slots=True)
class CompositeFilter:
    """One occurrence of the parameter matches all parts of any of the values.

    Attributes:
        kinds: of the parts.
        is_bare: per part, whether its tokens never carry a system.
        values: alternatives; each has one value per part (several for a reference without type).
    """

    name: str
    parameter: int
    kinds: tuple[Kind, ...]
    is_bare: tuple[bool, ...]
    values: tuple[tuple[tuple[ComponentValue, ...], ...], ...]


@dataclass(frozen=True, slots=True)
class NearFilter:
    """The position lies within a distance of any of the points: (latitude, longitude, metres)."""

    name: str
    parameter: int
    values: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True, slots=True)
class IdFilter:
    """The id is any of these."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UpdatedFilter:
    """The version was stored as any of the values says."""

    values: tuple[DateValue, ...]


@dataclass(frozen=True, slots=True)
class MissingFilter:
    """The parameter has no value, or has one."""

    name: str
    parameter: int
    kind: Kind
    is_missing: bool


@dataclass(frozen=True, slots=True)
class NotFilter:
    """The inner filter does not hold; a row without any value passes."""

    name: str
    inner: Filter


@dataclass(frozen=True, slots=True)
class AnyFilter:
    """One of the filters holds; none = nothing passes."""

    name: str
    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Branch:
    """Rows of one type on which all filters hold."""

    type: str
    type_number: int
    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class ChainFilter:
    """The parameter points to a row of one of the branches that the reader may see, too."""

    name: str
    parameter: int
    branches: tuple[Branch, ...]


@dataclass(frozen=True, slots=True)
class HasFilter:
    """A row of the branch that the reader may see, too, points here through the parameter."""

    name: str
    parameter: int
    branch: Branch


Filter = (
    TokenFilter
    | OfTypeFilter
    | UriFilter
    | ReferenceFilter
    | DateFilter
    | StringFilter
    | NumberFilter
    | QuantityFilter
    | CompositeFilter
    | NearFilter
    | IdFilter
    | UpdatedFilter
    | MissingFilter
    | NotFilter
    | AnyFilter
    | ChainFilter
    | HasFilter
)


class SortSource(IntEnum):
    """Where the value of a sort key comes from."""

    ID = 1
    UPDATED = 2
    DATE = 3
    NUMBER = 4
    TEXT = 5
    """From the opened resource: strings, tokens, references, uris."""


@dataclass(frozen=True, slots=True)
class SortKey:
    """One key of the order; rows without a value come last either way.

    Attributes:
        name: of the search parameter.
        parameter: its number; 0 for columns.
        source: where its values are.
        is_descending: greatest first.
    """

    name: str
    parameter: int
    source: SortSource
    is_descending: bool


class Total(StrEnum):
    """Whether the number of matches is asked for."""

    NONE = "none"
    ESTIMATE = "estimate"
    ACCURATE = "accurate"


@dataclass(frozen=True, slots=True)
class Include:
    """What an answer also holds: rows that matches point to, or (reverse) that point to matches.

    Attributes:
        source: type of the rows that point; ``"*"`` = any.
        name: search parameter of `source`; ``"*"`` = every reference.
        target: only rows of this type are pointed to; ``""`` = any.
        is_reverse: `_revinclude`.
        is_iterated: rows that were included count as matches do.
    """

    source: str
    name: str
    target: str
    is_reverse: bool
    is_iterated: bool


@dataclass(frozen=True, slots=True)
class Query:
    """One search of one type.

    Attributes:
        type: the resource type.
        type_number: its number.
        filters: all must hold.
        count: page size, 0 to 1000.
        patient: id of the one patient that the query is about, or None.
        applied: the pairs that were understood, for the self link (without the cursor).
        ignored: names of the pairs that were not.
        sort: the order; empty = newest clinical instant first.
        total: whether matches are counted.
        includes: what else the answer holds.
    """

    type: str
    type_number: int
    filters: tuple[Filter, ...]
    count: int
    patient: str | None
    applied: tuple[tuple[str, str], ...]
    ignored: tuple[str, ...]
    sort: tuple[SortKey, ...] = ()
    total: Total = Total.NONE
    includes: tuple[Include, ...] = ()
