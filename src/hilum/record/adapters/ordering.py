"""Order and place of a page, as SQL: keys of columns and of index rows, rows without a value last.

A row with several values is sorted by its least one, or its greatest when the greatest comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hilum.record.adapters.sight import Home
from hilum.record.adapters.statement import Statement
from hilum.record.keyed import UCUM_CANONICAL
from hilum.record.query_tree import Place, SortKey, SortSource

__all__ = ["SortColumn", "add_after", "add_joins", "add_order", "sort_columns"]


@dataclass(frozen=True, slots=True)
class SortColumn:
    """One key as SQL.

    Attributes:
        key: what is asked.
        column: its value in the statement.
        alias: of the joined values; ``""`` where nothing is joined.
    """

    key: SortKey
    column: str
    alias: str


def sort_columns(keys: Sequence[SortKey], home: Home) -> tuple[SortColumn, ...]:
    """Return the keys of a sort that needs no opened body.

    Args:
        keys: of the search.
        home: of alias ``x``.
    """
    columns = {SortSource.ID: "x.id", SortSource.UPDATED: "x.updated"}
    found = []
    for place, key in enumerate(keys):
        if key.source in columns:
            found.append(SortColumn(key, columns[key.source], ""))
        elif home.cid is not None:
            found.append(SortColumn(key, f"k{place}.v", f"k{place}"))
        else:
            table, value = _source(key)
            # a number of the registry, not of the request
            column = (
                f"(select {value} from {table} t where t.cid = x.cid and t.p = {key.parameter:d}"  # noqa: S608 - constant names
                " and t.rid = x.rid)"
            )
            found.append(SortColumn(key, column, ""))
    return tuple(found)


def _source(key: SortKey) -> tuple[str, str]:
    pick = "max" if key.is_descending else "min"
    if key.source is SortSource.DATE:
        return "i_dat", f"{pick}(t.lo)"
    # in canonical units where there are some
    canonical = f"{pick}(case when t.sys = {UCUM_CANONICAL} then t.lo end)"
    return "i_qty", f"coalesce({canonical}, {pick}(t.lo))"


def add_joins(statement: Statement, keys: Sequence[SortColumn], home: Home) -> None:
    """Append the values of keys that stand in index tables, one per row of a compartment."""
    for each in keys:
        if each.alias:
            table, value = _source(each.key)
            statement.add(
                f"left join (select t.rid, {value} v from {table} t where t.cid = ? and t.p = ?"  # noqa: S608 - constant names
                f" group by t.rid) {each.alias} on {each.alias}.rid = x.rid",
                home.cid, each.key.parameter,
            )  # fmt: skip


def add_order(statement: Statement, keys: Sequence[SortColumn], time: tuple[str, str]) -> None:
    """Append ``order by``: the keys, then newest clinical instant first, then row number."""
    terms = []
    for each in keys:
        if _may_miss(each):
            terms.append(f"{each.column} is null")
        terms.append(f"{each.column} {'desc' if each.key.is_descending else 'asc'}")
    statement.add("order by " + ", ".join([*terms, *(f"{column} desc" for column in time)]))


def add_after(
    statement: Statement, keys: Sequence[SortColumn], time: tuple[str, str], after: Place
) -> None:
    """Append that a row comes after a place in the order of `add_order`."""
    statement.add("and (")
    equal = Statement()
    for each, value in zip(keys, after, strict=False):
        if value is not None:
            sign = "<" if each.key.is_descending else ">"
            beyond = f"{each.column} {sign} ?" + (
                f" or {each.column} is null" if _may_miss(each) else ""
            )
            statement.add(f"({equal.text} ({beyond})) or", *equal.values, value)
            equal.add(f"{each.column} = ? and", value)
        else:
            equal.add(f"{each.column} is null and")
    statement.add(f"({equal.text} ({time[0]}, {time[1]}) < (?, ?))", *equal.values, *after[-2:])
    statement.add(")")


def _may_miss(column: SortColumn) -> bool:
    return column.key.source in {SortSource.DATE, SortSource.NUMBER}
