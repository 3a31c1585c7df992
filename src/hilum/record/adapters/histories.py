"""Versions of resources as SQL: those of one resource, and those of a compartment by when they were stored.

A version is shown when its own labels and the current ones both let it be seen: what was labelled anew
since is hidden under its old numbers too.
"""

from __future__ import annotations

from hilum.base.sql import Connection
from hilum.record.access import Access, Action
from hilum.record.adapters.layout import COLUMNS, Raw
from hilum.record.adapters.sight import access_filter
from hilum.record.adapters.statement import Statement
from hilum.record.past import Change, Past

__all__ = ["list_changes", "list_versions"]

_OF_ONE = (
    f"select {COLUMNS} from (select * from resource where type = ? and id = ? union all"  # noqa: S608 - constant
    " select h.* from resource c join history h on h.cid = c.cid and h.rid = c.rid"
    " where c.type = ? and c.id = ?) x join resource r on r.rid = x.rid where"
)
_OF_TYPE = (
    f"select {COLUMNS} from (select * from resource where cid = ? and type = ? union all"  # noqa: S608 - constant
    " select * from history where cid = ? and type = ?) x join resource r on r.rid = x.rid where"
)
_UNTIL = (
    "coalesce((select n.updated from history n where n.cid = x.cid and n.rid = x.rid"
    " and n.ver > x.ver order by n.ver limit 1), case when r.ver > x.ver then r.updated end)"
)
"""When a version was followed by the next; null for the current one."""


def list_versions(
    conn: Connection, access: Access, name: tuple[int, str], past: Past, *,
    below: int | None, limit: int,
) -> list[Raw]:  # fmt: skip
    """Return visible versions of one resource, newest first.

    Args:
        conn: a connection.
        access: with the action `HISTORY`.
        name: type number and id.
        past: which of them.
        below: only versions under this number.
        limit: at most so many.
    """
    statement = Statement()
    statement.add(_OF_ONE, *name, *name)
    statement.add("x.ver < ? and", 1 << 62 if below is None else below)
    _see(statement, access, name[0])
    _within(statement, past)
    statement.add("order by x.ver desc limit ?", limit)
    return list(conn.execute(statement.text, statement.values).fetchall())


def list_changes(
    conn: Connection, access: Access, type_number: int, past: Past, *,
    after: Change | None, limit: int,
) -> list[Raw]:  # fmt: skip
    """Return visible versions of a compartment's resources of one type, last stored first.

    Args:
        conn: a connection.
        access: with the action `HISTORY`.
        type_number: the type.
        past: which of them.
        after: (updated, rid, ver) of the last one already given, or None.
        limit: at most so many.
    """
    statement = Statement()
    place = (access.compartment, type_number)
    statement.add(_OF_TYPE, *place, *place)
    _see(statement, access, type_number)
    _within(statement, past)
    if after is not None:
        statement.add("and (x.updated, x.rid, x.ver) < (?, ?, ?)", *after)
    statement.add("order by x.updated desc, x.rid desc, x.ver desc limit ?", limit)
    return list(conn.execute(statement.text, statement.values).fetchall())


def _see(statement: Statement, access: Access, type_number: int) -> None:
    then, then_values = access_filter(access, Action.HISTORY, type_number, "x")
    now, now_values = access_filter(access, Action.HISTORY, type_number, "r")
    statement.add(then, *then_values)
    statement.add("and")
    statement.add(now, *now_values)


def _within(statement: Statement, past: Past) -> None:
    if past.since is not None:
        statement.add("and x.updated >= ?", past.since)
    if past.at is not None:
        first, last = past.at
        statement.add("and x.updated <= ?", last)
        statement.add(f"and ({_UNTIL} is null or {_UNTIL} > ?)", first)
