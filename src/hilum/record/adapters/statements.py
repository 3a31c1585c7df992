"""SQL of the record's reads: the access filter and the search statement, as text and parameters.

Everything that decides whether a row may be seen stands in the SQL: no hidden row reaches Python.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from hilum.record.access import Access, Action, Window
from hilum.record.adapters.layout import COLUMNS
from hilum.record.dates import DateValue, Prefix
from hilum.record.keyed import NO_SYSTEM, KeyedHash
from hilum.record.query import (
    DateFilter,
    Filter,
    IdFilter,
    Query,
    ReferenceFilter,
    TokenFilter,
    TokenValue,
    UpdatedFilter,
)

__all__ = ["Statement", "access_filter", "search"]

_SEGMENT_BITS = (1 << 32) - 1


@dataclass(slots=True)
class Statement:
    """SQL text in pieces, and its parameters in order."""

    parts: list[str] = field(default_factory=list)
    values: list[object] = field(default_factory=list)

    def add(self, text: str, *values: object) -> None:
        """Append a piece with the values of its question marks."""
        self.parts.append(text)
        self.values += values

    @property
    def text(self) -> str:
        """The whole SQL."""
        return " ".join(self.parts)


@lru_cache(maxsize=4096)
def access_filter(
    access: Access, action: Action, type_number: int, alias: str = "x"
) -> tuple[str, tuple[object, ...]]:
    """Return the condition that a row of one type is visible, and its parameters.

    Args:
        access: what the gate made.
        action: what is being done.
        type_number: the type of all rows looked at.
        alias: the table whose ``seg ts inst codes parts authors encs`` are asked.
    """
    statement = Statement()
    statement.add(f"{alias}.cid = ?", access.compartment)
    permits = (
        [w for w in access.permits if w.types >> type_number & 1] if access.admits(action) else []
    )
    if not permits:
        return f"{statement.text} and false", tuple(statement.values)
    statement.add("and (")
    for index, window in enumerate(permits):
        statement.add("or (" if index else "(")
        statement.add(f"{alias}.seg & ? = 0", ~window.segments & _SEGMENT_BITS)
        _conjunction(statement, window, alias, ("codes",))
        statement.add(")")
    statement.add(")")
    for window in access.denies:
        if window.types >> type_number & 1:
            statement.add(f"and not ({alias}.seg & ? != 0", window.segments & _SEGMENT_BITS)
            _conjunction(statement, window, alias, ("codes", "parts"))
            statement.add(")")
    return statement.text, tuple(statement.values)


def _conjunction(
    statement: Statement, window: Window, alias: str, code_columns: tuple[str, ...]
) -> None:
    if window.data_from is not None:
        statement.add(f"and {alias}.ts >= ?", window.data_from)
    if window.data_until is not None:
        statement.add(f"and {alias}.ts < ?", window.data_until)
    _any_of(statement, [f"{alias}.{column}" for column in code_columns], window.codes)
    _any_of(statement, [f"{alias}.authors"], window.authors)
    _any_of(statement, [f"{alias}.encs"], window.encounters)
    if window.instances:
        marks = ", ".join("?" * len(window.instances))
        statement.add(f"and {alias}.inst in ({marks})", *sorted(window.instances))


def _any_of(statement: Statement, columns: list[str], hashes: Iterable[int]) -> None:
    words = [value.to_bytes(8, "little", signed=True) for value in sorted(hashes)]
    if not words:
        return
    tests = [f"instr({column}, ?)" for word in words for column in columns]
    statement.add(f"and ({' or '.join(tests)})", *(word for word in words for _ in columns))


def search(
    query: Query, access: Access, keyed: KeyedHash, *, after: tuple[int, int] | None, limit: int
) -> Statement:
    """Return the statement that finds the visible rows of a query in one compartment.

    Rows come by clinical instant, newest first, then by row number, highest first.
    """
    compiler = _Search(query, access.compartment, keyed)
    driver = compiler.driver()
    statement = Statement()
    time = "x.ts, x.rid"
    if driver is None:
        statement.add(f"select {COLUMNS} from resource x where")  # noqa: S608 - constant names
    else:
        table, equal, values = driver.source
        # cross join: the driver's rows come in the wanted order, and the planner must keep it
        statement.add(
            f"select {COLUMNS} from {table} d cross join resource x on x.rid = d.rid where"  # noqa: S608 - constant names
        )
        statement.add(f"d.cid = ? and d.p = ? and {equal} and", access.compartment, *values)
        time = "d.ts, d.rid"
    statement.add("x.type = ? and x.body is not null and", query.type_number)
    text, filter_values = access_filter(access, Action.SEARCH, query.type_number)
    statement.add(text, *filter_values)
    if after is not None:
        statement.add(f"and ({time}) < (?, ?)", *after)
    for item in query.filters:
        if driver is None or item is not driver.filter:
            compiler.condition(statement, item)
    statement.add(f"order by {time.replace(',', ' desc,')} desc limit ?", limit)
    return statement


@dataclass(frozen=True, slots=True)
class _Driver:
    filter: Filter
    source: tuple[str, str, tuple[object, ...]]


# Lower drives first. What nearly every row of a compartment shares drives nothing.
_RANKS = {"identifier": 0, "code": 1, "vaccine-code": 1, "encounter": 2, "category": 8, "status": 9}
_NO_DRIVER = 9


class _Search:
    def __init__(self, query: Query, cid: int, keyed: KeyedHash) -> None:
        self._query = query
        self._cid = cid
        self._keyed = keyed

    def driver(self) -> _Driver | None:
        """Return the filter whose index gives the rows in order, if one is selective enough."""
        best: tuple[int, _Driver] | None = None
        for item in self._query.filters:
            if isinstance(item, IdFilter):
                return None
            found = self._drive(item)
            if found is not None and (best is None or found[0] < best[0]):
                best = found
        return best[1] if best and best[0] < _NO_DRIVER else None

    def _drive(self, item: Filter) -> tuple[int, _Driver] | None:
        if isinstance(item, TokenFilter) and len(item.values) == 1:
            code, system = self._token(item.values[0], is_bare=item.is_bare)
            if code is None or system is None:
                return None
            source = ("i_tok", "d.code = ? and d.sys = ?", (item.parameter, code, system))
            return _RANKS.get(item.name, 4), _Driver(item, source)
        if isinstance(item, ReferenceFilter) and len(item.references) == 1 and not item.is_patient:
            ref = self._keyed.reference(item.references[0])
            return _RANKS.get(item.name, 3), _Driver(
                item, ("i_ref", "d.ref = ?", (item.parameter, ref))
            )
        return None

    def _token(self, value: TokenValue, is_bare: bool) -> tuple[int | None, int | None]:
        code = None if value.code is None else self._keyed.code(value.code)
        if is_bare:
            return code, NO_SYSTEM
        return code, None if value.system is None else self._keyed.system(value.system)

    def condition(self, statement: Statement, item: Filter) -> None:
        """Append one filter of the query."""
        statement.add("and (")
        if isinstance(item, TokenFilter):
            self._tokens(statement, item)
        elif isinstance(item, ReferenceFilter):
            self._references(statement, item)
        elif isinstance(item, DateFilter):
            self._dates(statement, item)
        elif isinstance(item, IdFilter):
            statement.add(f"x.id in ({', '.join('?' * len(item.ids))})", *item.ids)
        elif isinstance(item, UpdatedFilter):
            for index, value in enumerate(item.values):
                statement.add("or" if index else "")
                _compare(statement, value, "x.updated", "x.updated")
        statement.add(")")

    def _tokens(self, statement: Statement, item: TokenFilter) -> None:
        # one look-up per system, not one per value
        of_system: dict[int, list[int]] = {}
        codes: list[int] = []
        systems: list[int] = []
        for value in item.values:
            code, system = self._token(value, is_bare=item.is_bare)
            if code is not None and system is not None:
                of_system.setdefault(system, []).append(code)
            elif code is not None:
                codes.append(code)
            elif system is not None:
                systems.append(system)
        tests: list[tuple[str, list[int], tuple[int, ...]]]
        tests = [(_HAS_CODING, wanted, (system,)) for system, wanted in of_system.items()]
        tests += [(_ROWS_WITH_CODE, codes, ())] if codes else []
        tests += [(_ROWS_WITH_SYSTEM, systems, ())] if systems else []
        for index, (test, wanted, last) in enumerate(tests):
            statement.add("or" if index else "")
            marks = ", ".join("?" * len(wanted))
            statement.add(test.format(marks), self._cid, item.parameter, *wanted, *last)

    def _references(self, statement: Statement, item: ReferenceFilter) -> None:
        hashes = [self._keyed.reference(reference) for reference in item.references]
        marks = ", ".join("?" * len(hashes))
        statement.add(_HAS_REFERENCE.format(marks), self._cid, item.parameter, *hashes)

    def _dates(self, statement: Statement, item: DateFilter) -> None:
        for index, value in enumerate(item.values):
            statement.add("or" if index else "")
            statement.add(_ROWS_WITH_DATE, self._cid, item.parameter)
            zoned = value.interval.zoned
            _compare(statement, value, "t.lo" if zoned else "t.wlo", "t.hi" if zoned else "t.whi")
            statement.add(")")


_HAS_CODING = (
    "exists (select 1 from i_tok t where t.cid = ? and t.p = ? and t.code in ({}) and t.sys = ?"
    " and t.ts = x.ts and t.rid = x.rid)"
)
_HAS_REFERENCE = (
    "exists (select 1 from i_ref t where t.cid = ? and t.p = ? and t.ref in ({})"
    " and t.ts = x.ts and t.rid = x.rid)"
)
_ROWS_WITH_CODE = (
    "x.rid in (select t.rid from i_tok t where t.cid = ? and t.p = ? and t.code in ({}))"
)
_ROWS_WITH_SYSTEM = (
    "x.rid in (select t.rid from i_tok t where t.cid = ? and t.p = ? and t.sys in ({}))"
)
_ROWS_WITH_DATE = "x.rid in (select t.rid from i_dat t where t.cid = ? and t.p = ? and"


def _compare(statement: Statement, value: DateValue, lo: str, hi: str) -> None:
    """Append how a target interval compares with a search value.

    Source: HL7 FHIR R4, search, "prefixes".
    """
    span = value.interval
    if lo == "x.updated" or span.zoned:
        first, last = span.lo, span.hi
    else:
        first, last = span.wall_lo, span.wall_hi
    test, values = _COMPARISONS[value.prefix]
    bounds = {"first": first, "last": last}
    statement.add(test.format(lo=lo, hi=hi), *(bounds[name] for name in values))


_INSIDE = "{lo} >= ? and {hi} <= ?"
_COMPARISONS: dict[Prefix, tuple[str, tuple[str, ...]]] = {
    Prefix.EQ: (f"({_INSIDE})", ("first", "last")),
    Prefix.NE: (f"not ({_INSIDE})", ("first", "last")),
    Prefix.GT: ("{hi} > ?", ("last",)),
    Prefix.LT: ("{lo} < ?", ("first",)),
    Prefix.GE: (f"({{hi}} > ? or {_INSIDE})", ("last", "first", "last")),
    Prefix.LE: (f"({{lo}} < ? or {_INSIDE})", ("first", "first", "last")),
    Prefix.SA: ("{lo} > ?", ("last",)),
    Prefix.EB: ("{hi} < ?", ("first",)),
    Prefix.AP: ("({lo} <= ? and {hi} >= ?)", ("last", "first")),
}
