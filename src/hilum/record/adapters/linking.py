"""Chains and reverse chains as SQL: conditions on rows that a row points to, or that point to it.

Rows on the way live in the same compartment or in the shared directory, and must be visible as well:
what is hidden cannot be inferred from what points there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from hilum.record.adapters.sight import Home, Sight
from hilum.record.adapters.statement import Statement
from hilum.record.query_tree import Branch, ChainFilter, Filter, HasFilter
from hilum.record.types import is_directory_type

__all__ = ["DIRECTORY", "add_chain", "add_has"]

DIRECTORY = 0
"""The compartment of what all records of a node share."""


class _Conditions(Protocol):
    @property
    def sight(self) -> Sight: ...

    def all_of(self, statement: Statement, filters: Iterable[Filter], home: Home) -> None: ...

    def set_of(self, statement: Statement) -> str: ...


def add_chain(conditions: _Conditions, statement: Statement, item: ChainFilter, home: Home) -> None:
    """Append that the row points to a visible row of one of the branches."""
    places = [(branch, there) for branch in item.branches for there in _pointed_to(branch, home)]
    for index, (branch, there) in enumerate(places):
        statement.add("or" if index else "")
        if home.cid is not None:
            pointed = _set(conditions, branch, there, "inst")
            found = Statement()
            found.add(
                "select t.rid from i_ref t where t.cid = ? and t.p = ? and t.ref in"  # noqa: S608 - constant names
                f" (select inst from {pointed})",
                home.cid, item.parameter,
            )  # fmt: skip
            statement.add(f"{home.alias}.rid in (select rid from {conditions.set_of(found)})")  # noqa: S608 - constant names
            continue
        # each candidate of the row's own compartment, then its exact index row
        statement.add("exists (select 1 from")
        _branch(conditions, statement, branch, there)
        if there.cid is None:
            statement.add(f"and {there.alias}.cid = {home.alias}.cid")
        statement.add(
            f"and exists (select 1 from i_ref t where t.cid = {home.alias}.cid and t.p = ?"  # noqa: S608 - constant names
            f" and t.ref = {there.alias}.inst and t.ts = {home.alias}.ts"
            f" and t.rid = {home.alias}.rid))",
            item.parameter,
        )


def add_has(conditions: _Conditions, statement: Statement, item: HasFilter, home: Home) -> None:
    """Append that a visible row of the branch points to the row."""
    for index, there in enumerate(_pointing(conditions.sight, home)):
        statement.add("or" if index else "")
        if there.cid is not None and home.cid is not None:
            pointing = _set(conditions, item.branch, there, "rid")
            found = Statement()
            found.add(
                "select t.ref from i_ref t where t.cid = ? and t.p = ? and t.rid in"  # noqa: S608 - constant names
                f" (select rid from {pointing})",
                there.cid, item.parameter,
            )  # fmt: skip
            statement.add(f"{home.alias}.inst in (select ref from {conditions.set_of(found)})")  # noqa: S608 - constant names
            continue
        table, same = "p_ref t where", ""
        if home.cid is None:
            table = f"i_ref t where t.cid = {home.alias}.cid and"
            same = f"and {there.alias}.cid = {home.alias}.cid"
        statement.add("exists (select 1 from")
        _branch(conditions, statement, item.branch, there)
        statement.add(
            f"{same} and exists (select 1 from {table} t.p = ? and t.ref = {home.alias}.inst"  # noqa: S608 - constant names
            f" and t.ts = {there.alias}.ts and t.rid = {there.alias}.rid))",
            item.parameter,
        )


def _set(conditions: _Conditions, branch: Branch, there: Home, column: str) -> str:
    """Return the name of the set of a branch's rows."""
    found = Statement()
    found.add(f"select {there.alias}.{column} from")
    _branch(conditions, found, branch, there)
    return conditions.set_of(found)


def _pointed_to(branch: Branch, home: Home) -> Iterator[Home]:
    alias = home.alias + "y"
    yield Home(alias, home.cid)
    if is_directory_type(branch.type) and home.cid != DIRECTORY:
        yield Home(alias, DIRECTORY)


def _pointing(sight: Sight, home: Home) -> Iterator[Home]:
    alias = home.alias + "y"
    if home.cid != DIRECTORY:
        yield Home(alias, home.cid)
    elif sight.crowd is not None:
        # the directory is pointed to from every record
        yield Home(alias, None)
        yield Home(alias, DIRECTORY)
    else:
        for cid in {*(access.compartment for access in sight.accesses), DIRECTORY}:
            yield Home(alias, cid)


def _branch(conditions: _Conditions, statement: Statement, branch: Branch, there: Home) -> None:
    """Append ``resource y where …``: the visible rows of a branch; the caller closes."""
    alias = there.alias
    statement.add(
        f"resource {alias} where {alias}.type = ? and {alias}.body is not null and",
        branch.type_number,
    )
    conditions.sight.admit(statement, branch.type_number, there)
    conditions.all_of(statement, branch.filters, there)
