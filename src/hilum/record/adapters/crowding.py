"""Which filter drives a search among very many records: chosen by counting a little, never by guess.

A seed is a select of row numbers that holds all rows that pass a filter, and maybe some more. The one
with the fewest rows drives when they are few. Otherwise rows come newest first from an index of codings
or references, or from all rows of the type: since many match, a page is soon full.
"""

from __future__ import annotations

from collections.abc import Callable

from hilum.record.adapters.conditions import Conditions
from hilum.record.adapters.driving import FEW, Driver, ordered_driver
from hilum.record.adapters.linking import DIRECTORY
from hilum.record.adapters.sight import Home
from hilum.record.adapters.statement import Statement, marks
from hilum.record.dates import DateValue, Prefix
from hilum.record.parameters import Kind, parameters_of
from hilum.record.population import population_of
from hilum.record.query_tree import (
    Branch,
    ChainFilter,
    DateFilter,
    Filter,
    HasFilter,
    IdFilter,
    Query,
    ReferenceFilter,
    StringFilter,
    StringMatch,
    TokenFilter,
)
from hilum.record.types import is_directory_type, type_name

__all__ = ["crowd_driver"]

_DAY = 86_400_000
_TYPE_BITS = 10


def crowd_driver(
    query: Query, conditions: Conditions, count: Callable[[Statement], int]
) -> Driver | None:
    """Return the filter that gives the rows of a search among many records, or None to walk.

    Args:
        query: what is searched.
        conditions: the hashes.
        count: returns the number of rows of a select; it is asked for at most `FEW` and one.
    """
    home = Home("x", None)
    fewest = FEW + 1
    best: Driver | None = None
    for item in query.filters:
        if isinstance(item, IdFilter):
            return None
        seed = _seed(item, conditions, query.type_number)
        if seed is None:
            continue
        probe = Statement()
        probe.add(f"select count(*) from ({seed.text} limit ?) n", *seed.values, FEW + 1)  # noqa: S608 - constant names
        rows = count(probe)
        if rows < fewest:
            fewest = rows
            source = Statement()
            source.add(f"({seed.text})", *seed.values)
            best = Driver(item, source, None, in_order=False, is_exact=False)
    if best is not None:
        return best
    runs = [
        found
        for item in query.filters
        if _is_plain(item)
        and _number(item) in population_of(query.type)
        and (found := ordered_driver(item, conditions, home)) is not None
    ]
    return min(runs, key=lambda run: run[0])[1] if runs else None


def _number(item: Filter) -> int:
    return int(getattr(item, "parameter", -1))


def _seed(item: Filter, conditions: Conditions, type_number: int) -> Statement | None:
    if isinstance(item, ChainFilter):
        return _chain(item, conditions)
    if isinstance(item, HasFilter):
        return _has(item, conditions, type_number)
    return _rows(item, conditions, None)


def _rows(item: Filter, conditions: Conditions, cid: int | None) -> Statement | None:
    """Return a select of (rid, cid) of rows that pass a filter on an index; None when none has them.

    Args:
        item: the filter.
        conditions: the hashes.
        cid: in this compartment only; None = in all.
    """
    if not _is_plain(item) or (cid is None and not _is_shared(_number(item))):
        return None
    found = Statement()
    if isinstance(item, TokenFilter):
        return _tokens(item, conditions, cid)
    if isinstance(item, ReferenceFilter):
        hashes = [conditions.reference(each) for each in item.references]
        _open(found, "ref", item.parameter, cid)
        found.add(f"and t.ref in ({marks(hashes)})", *hashes)
    elif isinstance(item, StringFilter) and item.match is not StringMatch.CONTAINS:
        _open(found, "str", item.parameter, cid)
        found.add("and (")
        for index, text in enumerate(item.values):
            found.add("or (" if index else "(")
            conditions.begins(found, text)
            found.add(")")
        found.add(")")
    elif isinstance(item, DateFilter) and all(v.prefix is Prefix.EQ for v in item.values):
        _open(found, "dat", item.parameter, cid)
        found.add("and (")
        for index, value in enumerate(item.values):
            first, last = _around(value)
            found.add("or" if index else "")
            found.add("t.lo between ? and ?", first, last)
        found.add(")")
    else:
        return None
    return found


_KINDS: dict[type, Kind] = {
    TokenFilter: Kind.TOKEN,
    ReferenceFilter: Kind.REFERENCE,
    StringFilter: Kind.STRING,
    DateFilter: Kind.DATE,
}


def _is_plain(item: Filter) -> bool:
    """Tell whether a filter asks for the values of its parameter, not for a text or identifier of them."""
    number = _number(item)
    if number < 0 or type(item) not in _KINDS:
        return False
    known = parameters_of(type_name(number >> _TYPE_BITS))
    name = str(getattr(item, "name", ""))
    return name in known and known[name].kind is _KINDS[type(item)]


def _is_shared(number: int) -> bool:
    return number >= 0 and number in population_of(type_name(number >> _TYPE_BITS))


def _open(statement: Statement, kind: str, parameter: int, cid: int | None) -> None:
    if cid is None:
        statement.add(f"select distinct t.rid, t.cid from p_{kind} t where t.p = ?", parameter)  # noqa: S608 - constant names
    else:
        statement.add(
            f"select distinct t.rid, t.cid from i_{kind} t where t.cid = ? and t.p = ?",  # noqa: S608 - constant names
            cid, parameter,
        )  # fmt: skip


def _tokens(item: TokenFilter, conditions: Conditions, cid: int | None) -> Statement | None:
    found = Statement()
    _open(found, "tok", item.parameter, cid)
    found.add("and (")
    for index, value in enumerate(item.values):
        code, system = conditions.token(value, is_bare=item.is_bare)
        if code is None:
            return None
        found.add("or" if index else "")
        found.add("(t.code = ?" if system is None else "(t.code = ? and t.sys = ?", code)
        found.add(")", *([] if system is None else [system]))
    found.add(")")
    return found


def _around(value: DateValue) -> tuple[int, int]:
    # the index of all records holds UTC; wall clocks are less than a day away
    span = value.interval
    return min(span.lo, span.wall_lo) - _DAY, max(span.hi, span.wall_hi) + _DAY


def _inner(branch: Branch, conditions: Conditions, cid: int | None) -> Statement | None:
    """Return a select of rows that pass one filter of a branch."""
    for item in branch.filters:
        if isinstance(item, ChainFilter):
            found = _chain(item, conditions) if cid is None else None
        elif isinstance(item, HasFilter):
            found = _has(item, conditions, branch.type_number) if cid is None else None
        elif isinstance(item, IdFilter):
            found = Statement()
            found.add(
                f"select t.rid, t.cid from resource t where t.type = ? and t.id in ({marks(item.ids)})",  # noqa: S608 - constant names
                branch.type_number, *item.ids,
            )  # fmt: skip
        else:
            found = _rows(item, conditions, cid)
        if found is not None:
            return found
    return None


def _chain(item: ChainFilter, conditions: Conditions) -> Statement | None:
    """Rows that point to rows which pass a filter of every branch."""
    found = Statement()
    for index, branch in enumerate(item.branches):
        home = DIRECTORY if is_directory_type(branch.type) else None
        inner = _inner(branch, conditions, home)
        if inner is None or (home is not None and not _is_shared(item.parameter)):
            return None
        found.add("union" if index else "")
        table = "i_ref t on t.cid = s.cid and" if home is None else "p_ref t on"
        found.add(f"select t.rid, t.cid from ({inner.text}) s", *inner.values)  # noqa: S608 - built from constants
        found.add(
            f"cross join resource y on y.rid = s.rid cross join {table} t.p = ? and t.ref = y.inst",
            item.parameter,
        )
    return found


def _has(item: HasFilter, conditions: Conditions, type_number: int) -> Statement | None:
    """All rows of the type in compartments that have a row which passes a filter of the branch."""
    inner = _inner(item.branch, conditions, None)
    if inner is None:
        return None
    found = Statement()
    found.add("select z.rid, z.cid from resource z where z.type = ? and z.cid in", type_number)
    found.add(f"(select s.cid from ({inner.text}) s)", *inner.values)  # noqa: S608 - built from constants
    return found
