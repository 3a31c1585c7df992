"""Which filter of a search gives the rows that the others are tried on.

In one compartment the choice is by kind: rows of a compartment are few. Among very many records, and
in the shared directory, it is by counting a little: a filter with few rows drives, else one whose
index has them newest first, else rows are walked newest first, which ends soon since many match.
"""

from __future__ import annotations

from dataclasses import dataclass

from hilum.record.adapters.conditions import Conditions
from hilum.record.adapters.sight import Home
from hilum.record.adapters.statement import Statement
from hilum.record.query_tree import (
    CompositeFilter,
    Filter,
    IdFilter,
    OfTypeFilter,
    QuantityFilter,
    Query,
    ReferenceFilter,
    StringFilter,
    StringMatch,
    TokenFilter,
)

__all__ = ["FEW", "Driver", "compartment_driver", "ordered_driver"]

FEW = 1000
"""So many rows are looked at one by one rather than walking."""


@dataclass(frozen=True, slots=True)
class Driver:
    """One filter as a source of rows, with alias ``d``.

    Attributes:
        filter: which.
        source: a table, or a select of row numbers in brackets.
        condition: on alias ``d``, or None.
        in_order: its rows come newest first.
        is_exact: nothing of the filter is left to check.
    """

    filter: Filter
    source: Statement
    condition: Statement | None
    in_order: bool
    is_exact: bool = True


# Lower drives first. What nearly every row of a compartment shares drives nothing.
_RANKS = {"identifier": 0, "code": 2, "vaccine-code": 2, "encounter": 3, "category": 8, "status": 9}
_SET_RANKS: dict[type, int] = {
    OfTypeFilter: 0,
    CompositeFilter: 1,
    StringFilter: 4,
    QuantityFilter: 6,
}
_NO_DRIVER = 9


def compartment_driver(query: Query, conditions: Conditions, home: Home) -> Driver | None:
    """Return the filter whose index gives the rows of one compartment, if one is selective enough."""
    best: tuple[int, Driver] | None = None
    for item in query.filters:
        if isinstance(item, IdFilter):
            return None
        found = ordered_driver(item, conditions, home) or _set(item, conditions, home)
        if found is not None and (best is None or found[0] < best[0]):
            best = found
    return best[1] if best and best[0] < _NO_DRIVER else None


def ordered_driver(item: Filter, conditions: Conditions, home: Home) -> tuple[int, Driver] | None:
    """Return (rank, driver) over one run of an index: one coding, or one reference; None if neither."""
    if isinstance(item, TokenFilter) and len(item.values) == 1:
        code, system = conditions.token(item.values[0], is_bare=item.is_bare)
        if code is None or system is None:
            return None
        rank = _RANKS.get(item.name, 5)
        return rank, _run("tok", item, "d.code = ? and d.sys = ?", (code, system), home)
    if isinstance(item, ReferenceFilter) and len(item.references) == 1 and not item.is_patient:
        ref = conditions.reference(item.references[0])
        return _RANKS.get(item.name, 4), _run("ref", item, "d.ref = ?", (ref,), home)
    return None


def _run(
    table: str, item: TokenFilter | ReferenceFilter, equal: str, values: tuple[int, ...], home: Home
) -> Driver:
    source, condition = Statement(), Statement()
    if home.cid is None:
        source.add(f"p_{table}")
        condition.add(f"d.p = ? and {equal}", item.parameter, *values)
    else:
        source.add(f"i_{table}")
        condition.add(f"d.cid = ? and d.p = ? and {equal}", home.cid, item.parameter, *values)
    return Driver(item, source, condition, in_order=True)


def _set(item: Filter, conditions: Conditions, home: Home) -> tuple[int, Driver] | None:
    """Return a driver over the set of rows that pass a filter, each once."""
    rank = _SET_RANKS.get(type(item))
    if rank is None or (isinstance(item, StringFilter) and item.match is StringMatch.CONTAINS):
        return None
    probe = Statement()
    conditions.add(probe, item, Home("z", home.cid))
    source = Statement()
    source.add(f"(select z.rid from resource z where {probe.text})", *probe.values)  # noqa: S608 - constant names
    return rank, Driver(item, source, None, in_order=False)
