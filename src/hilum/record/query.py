"""A search, read from its name-value pairs. Pure: what is found here is run by an adapter.

Supported: token, reference, date and uri parameters of every resource type, ``_id``,
    ``_lastUpdated``, ``_tag``, ``_security``, ``_profile``, ``_source``, ``_count`` and the paging
    cursor. Values are joined by OR at commas, repeated names by AND. What is not supported is
    refused (strict) or left out and named (lenient); a modifier that is not supported is refused.

Source: HL7 FHIR R4, search.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from hilum.base.ids import is_fhir_id
from hilum.errors import MalformedInputError
from hilum.record.dates import DateValue, parse_date_value
from hilum.record.parameters import Kind, Parameter, parameters_of, patient_parameters
from hilum.record.types import is_resource_type, type_number

__all__ = [
    "DEFAULT_COUNT",
    "MAX_COUNT",
    "DateFilter",
    "Filter",
    "IdFilter",
    "Query",
    "ReferenceFilter",
    "TokenFilter",
    "TokenValue",
    "UpdatedFilter",
    "format_cursor",
    "parse_query",
    "searched_parameters",
]

DEFAULT_COUNT = 20
MAX_COUNT = 1000
MAX_VALUES = 200
"""Most alternatives in one parameter."""
MAX_PAIRS = 64
"""Most parameters in one search."""
MAX_WORK = 4000
"""Most things to compare with in one search; a reference without a type counts once per type."""
CURSOR = "_cursor"
# The planner looks at every pair of alternatives between intervals.
_DATE_WORK = 10
_MODIFIER = "unsupported-modifier"
"""Refused in lenient searches as well: to leave a modifier out changes what is found.

Source: HL7 FHIR R4, search, modifiers (servers reject those that they do not support)."""
_COLUMNS = frozenset({"_id", "_lastUpdated", "_count", CURSOR})
_VALUE = re.compile(r"(?:\\.|[^\\,]|\\\Z)+", re.DOTALL)
_BAR = re.compile(r"((?:\\.|[^\\|])*)\|(.*)", re.DOTALL)
_CURSOR = re.compile(r"(-?\d{1,19})\.(\d{1,19})\Z", re.ASCII)
# They change how an answer looks, not what is found; the edge deals with them.
_PRESENTATION = frozenset({"_format", "_pretty"})


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


@dataclass(frozen=True, slots=True)
class IdFilter:
    """The id is any of these."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UpdatedFilter:
    """The version was stored as any of the values says."""

    values: tuple[DateValue, ...]


Filter = TokenFilter | ReferenceFilter | DateFilter | IdFilter | UpdatedFilter


@dataclass(frozen=True, slots=True)
class Query:
    """One search.

    Attributes:
        type: the resource type.
        type_number: its number.
        filters: all must hold.
        count: page size, 0 to 1000.
        cursor: (clinical instant, row number) of the last row of the page before, or None.
        patient: id of the one patient that the query is about, or None.
        applied: the pairs that were understood, for the self link (without the cursor).
        ignored: names of the pairs that were not.
    """

    type: str
    type_number: int
    filters: tuple[Filter, ...]
    count: int
    cursor: tuple[int, int] | None
    patient: str | None
    applied: tuple[tuple[str, str], ...]
    ignored: tuple[str, ...]


_SEARCHED = frozenset({Kind.TOKEN, Kind.REFERENCE, Kind.DATE, Kind.URI})


@cache
def searched_parameters(name: str) -> dict[str, Parameter]:
    """Return the parameters of a type that searches may name, by name."""
    return {code: p for code, p in parameters_of(name).items() if p.kind in _SEARCHED}


def format_cursor(ts: int, rid: int) -> str:
    """Return the cursor that continues after a row; sign it before it leaves the node."""
    return f"{ts}.{rid}"


def parse_query(name: str, pairs: Sequence[tuple[str, str]], *, strict: bool) -> Query:
    """Read a search.

    Args:
        name: the resource type.
        pairs: decoded name-value pairs in order.
        strict: refuse what is not supported instead of leaving it out.

    Raises:
        MalformedInputError: an unknown type, a malformed value, or (strict) something not
            supported.
    """
    if not is_resource_type(name):
        raise MalformedInputError("unknown-type", "not a FHIR R4 resource type")
    if len(pairs) > MAX_PAIRS:
        raise MalformedInputError("value", f"more than {MAX_PAIRS} parameters", where="query")
    reader = _Reader(name)
    applied: list[tuple[str, str]] = []
    ignored: list[str] = []
    for key, value in pairs:
        if key in _PRESENTATION:
            continue
        refusal = reader.refusal(key)
        if refusal is None:
            reader.take(key, value)
            # the cursor is the place of one page: a self link does not repeat it
            applied += [(key, value)] if key != CURSOR else []
        elif strict or refusal[0] == _MODIFIER:
            raise MalformedInputError(
                *refusal, where=_place(key), hint="the capability statement lists what is supported"
            )
        else:
            ignored.append(key)
    if reader.work > MAX_WORK:
        raise MalformedInputError(
            "value", "too many values", where="query", hint="name the types of references"
        )
    return Query(
        type=name,
        type_number=type_number(name),
        filters=tuple(reader.filters),
        count=reader.count,
        cursor=reader.cursor,
        patient=reader.patient(),
        applied=tuple(applied),
        ignored=tuple(ignored),
    )


def _is_date(name: str, base: str) -> bool:
    parameter = searched_parameters(name).get(base)
    return base == "_lastUpdated" or (parameter is not None and parameter.kind is Kind.DATE)


def _place(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z_][\w.:-]{0,63}", key) else "query"


class _Reader:
    def __init__(self, name: str) -> None:
        self.name = name
        self.filters: list[Filter] = []
        self.count = DEFAULT_COUNT
        self.cursor: tuple[int, int] | None = None
        self.work = 0
        self._patients: list[set[str]] = []

    def refusal(self, key: str) -> tuple[str, str] | None:
        """Return (code, why) when a name or its modifier is not supported."""
        base, colon, modifier = key.partition(":")
        parameter = searched_parameters(self.name).get(base)
        if parameter is None and base not in _COLUMNS:
            return "unknown-parameter", "search parameter not supported"
        names_type = parameter is not None and modifier in parameter.targets
        if colon and not names_type:
            return _MODIFIER, "search modifier not supported"
        return None

    def take(self, key: str, text: str) -> None:
        """Read one pair that is supported."""
        base, _, modifier = key.partition(":")
        self.work += 1 + text.count(",") * (_DATE_WORK if _is_date(self.name, base) else 1)
        if base == "_count":
            self.count = _count(text)
        elif base == CURSOR:
            self.cursor = _cursor(text)
        elif base in _COLUMNS:
            self._column(base, _alternatives(text, where=base))
        else:
            parameter = searched_parameters(self.name)[base]
            self._parameter(parameter, modifier, _alternatives(text, where=base))

    def _column(self, base: str, values: list[str]) -> None:
        if base == "_lastUpdated":
            dates = tuple(parse_date_value(v, where=base) for v in values)
            self.filters.append(UpdatedFilter(dates))
            return
        # what is no id cannot be one of a resource: it finds nothing
        ids = tuple(v for v in values if is_fhir_id(v))
        self.filters.append(IdFilter(ids))
        if self.name == "Patient":
            self._patients.append(set(ids))

    def _parameter(self, parameter: Parameter, modifier: str, values: list[str]) -> None:
        name, number = parameter.name, parameter.number
        match parameter.kind:
            case Kind.DATE:
                dates = tuple(parse_date_value(v, where=name) for v in values)
                self.filters.append(DateFilter(name, number, dates))
            case Kind.URI:
                uris = tuple(TokenValue("", _unescape(v)) for v in values)
                self.filters.append(TokenFilter(name, number, uris, is_bare=True))
            case Kind.TOKEN:
                tokens = tuple(_token(v, where=name) for v in values)
                self.filters.append(TokenFilter(name, number, tokens, parameter.is_bare))
            case Kind.REFERENCE:
                self._reference(parameter, modifier, values)

    def _reference(self, parameter: Parameter, modifier: str, values: list[str]) -> None:
        targets = (modifier,) if modifier else parameter.targets
        found: list[str] = []
        for value in values:
            found += _references(_unescape(value), targets)
        self.work += len(found)
        is_patient = "Patient" in targets and parameter.name in (
            patient_parameters(self.name) | {"patient", "subject"}
        )
        self.filters.append(
            ReferenceFilter(
                parameter.name, parameter.number, tuple(dict.fromkeys(found)), is_patient
            )
        )
        # A bare id may mean any target; only where it can mean a patient alone, or says so, is it
        # one.
        patients = [r.removeprefix("Patient/") for r in found if r.startswith("Patient/")]
        if is_patient and patients and parameter.name in {"patient", "subject"}:
            self._patients.append(set(patients))

    def patient(self) -> str | None:
        """Return the one patient that every patient filter allows, if there is one."""
        if not self._patients:
            return None
        common = set.intersection(*self._patients)
        return next(iter(common)) if len(common) == 1 else None


def _count(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise MalformedInputError("value", "not a whole number", where="_count")
    return min(int(text), MAX_COUNT)


def _cursor(text: str) -> tuple[int, int]:
    match = _CURSOR.match(text)
    limit = 1 << 63
    if match is None or abs(int(match[1])) >= limit or int(match[2]) >= limit:
        raise MalformedInputError("value", "not a page of this node", where=CURSOR)
    return int(match[1]), int(match[2])


def _alternatives(text: str, *, where: str) -> list[str]:
    # commas that are escaped do not split; escapes stay for the next step
    values = _VALUE.findall(text)
    if not values:
        raise MalformedInputError("value", "no value given", where=where)
    if len(values) > MAX_VALUES:
        raise MalformedInputError("value", f"more than {MAX_VALUES} values", where=where)
    return values


def _unescape(text: str) -> str:
    return re.sub(r"\\([,|$\\])", r"\1", text)


def _token(text: str, *, where: str) -> TokenValue:
    match = _BAR.fullmatch(text)
    if match is None:
        return TokenValue(None, _unescape(text))
    system, code = match[1], _unescape(match[2]) or None
    if not system and code is None:
        raise MalformedInputError("value", "neither system nor code given", where=where)
    return TokenValue(_unescape(system), code)


def _references(text: str, targets: tuple[str, ...]) -> list[str]:
    if "/" in text or ":" in text:
        head, _, tail = text.partition("/")
        if is_resource_type(head) and "/" in tail:
            return [f"{head}/{tail.partition('/')[0]}"]
        return [text]
    return [f"{target}/{text}" for target in targets]
