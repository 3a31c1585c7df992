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


def add_chain(conditions: _Conditions, statement: Statement, item: ChainFilter, home: Home) -> None:
    """Append that the row points to a visible row of one of the branches."""
    statement.add("false")
    for branch in item.branches:
        for there in _pointed_to(branch, home):
            statement.add("or")
            if home.cid is not None:
                statement.add(
                    f"{home.alias}.rid in (select t.rid from i_ref t where t.cid = ? and t.p = ?"  # noqa: S608 - constant names
                    f" and t.ref in (select {there.alias}.inst from",
                    home.cid, item.parameter,
                )  # fmt: skip
                _branch(conditions, statement, branch, there)
                statement.add("))")
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
    statement.add("false")
    for there in _pointing(conditions.sight, home):
        statement.add("or")
        if there.cid is not None and home.cid is not None:
            statement.add(
                f"{home.alias}.inst in (select t.ref from i_ref t where t.cid = ? and t.p = ?"  # noqa: S608 - constant names
                f" and t.rid in (select {there.alias}.rid from",
                there.cid, item.parameter,
            )  # fmt: skip
            _branch(conditions, statement, item.branch, there)
            statement.add("))")
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
