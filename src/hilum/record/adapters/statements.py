"""The statement of a search: which rows of one compartment, or of a crowd, in which order.

A filter whose index gives few rows, or gives them in the wanted order, drives; the others are
conditions on each row. Without a driver the rows of the type are walked newest first.
"""

from __future__ import annotations

from hilum.record.adapters.conditions import Conditions
from hilum.record.adapters.driving import Driver
from hilum.record.adapters.layout import COLUMNS
from hilum.record.adapters.ordering import (
    SortColumn,
    add_after,
    add_joins,
    add_order,
    sort_columns,
)
from hilum.record.adapters.sight import Home
from hilum.record.adapters.statement import Statement
from hilum.record.query_tree import Place, Query

__all__ = ["count_in", "search_in"]


def search_in(
    query: Query,
    conditions: Conditions,
    home: Home,
    driver: Driver | None,
    *,
    after: Place | None,
    limit: int,
) -> Statement:
    """Return the statement that finds the visible rows of a query in one home.

    Args:
        query: what is searched; its `sort` has columns only.
        conditions: with the sight of the reader.
        home: of alias ``x``.
        driver: the filter that gives the rows, or None.
        after: values of the sort keys, instant and row number of the last row already given.
        limit: at most so many.
    """
    statement = Statement()
    keys = sort_columns(query.sort, home)
    _start(statement, COLUMNS + "".join(f", {key.column}" for key in keys), driver, home, keys)
    _where(statement, query, conditions, home, driver)
    time = (
        ("d.ts", "d.rid")
        if driver is not None and driver.in_order and not keys
        else ("x.ts", "x.rid")
    )
    if after is not None:
        add_after(statement, keys, time, after)
    add_order(statement, keys, time)
    statement.add("limit ?", limit)
    return conditions.whole(statement)


def count_in(
    query: Query, conditions: Conditions, home: Home, driver: Driver | None, *, most: int | None
) -> Statement:
    """Return the statement that counts the visible rows of a query in one home.

    Args:
        query: what is searched.
        conditions: with the sight of the reader.
        home: of alias ``x``.
        driver: the filter that gives the rows, or None.
        most: stop counting there; None = count all.
    """
    statement = Statement()
    statement.add("select count(*) from (")
    _start(statement, "1", driver, home, ())
    _where(statement, query, conditions, home, driver)
    if most is not None:
        statement.add("limit ?", most)
    statement.add(") n")
    return conditions.whole(statement)


def _start(
    statement: Statement,
    columns: str,
    driver: Driver | None,
    home: Home,
    keys: tuple[SortColumn, ...],
) -> None:
    if driver is None:
        statement.add(f"select {columns} from resource x")  # noqa: S608 - constant names
    else:
        # cross join: the driver's rows come in the wanted order, and the planner must keep it
        statement.add(f"select {columns} from {driver.source.text} d", *driver.source.values)  # noqa: S608 - constant names
        statement.add("cross join resource x on x.rid = d.rid")
    add_joins(statement, keys, home)


def _where(
    statement: Statement,
    query: Query,
    conditions: Conditions,
    home: Home,
    driver: Driver | None,
) -> None:
    statement.add("where")
    if driver is not None and driver.condition is not None:
        statement.add(f"{driver.condition.text} and", *driver.condition.values)
    statement.add("x.type = ? and x.body is not null and", query.type_number)
    conditions.sight.admit(statement, query.type_number, home)
    skipped = driver.filter if driver is not None and driver.is_exact else None
    conditions.all_of(statement, [f for f in query.filters if f is not skipped], home)
