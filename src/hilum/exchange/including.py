"""What comes with the matches of a search: rows that they point to, and rows that point to them.

An included row lives in a compartment of the search or in the shared directory, is read under the access
to that compartment, and counts in its receipt. What is hidden is not included, as if it were not there.

Source: HL7 FHIR R4, search, "including other resources in result".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from hilum.exchange.answering import Shown, shown_of
from hilum.record.expressions import collector
from hilum.record.index import reference_of
from hilum.record.parameters import Kind, Parameter, parameters_of
from hilum.record.query_tree import Include, Query
from hilum.record.resource import parse_json
from hilum.record.types import is_resource_type, type_names

if TYPE_CHECKING:
    from hilum.base.sql import Connection
    from hilum.exchange.node import Node
    from hilum.exchange.scoping import Asked
    from hilum.record.access import Access

__all__ = ["MOST_INCLUDED", "include"]

MOST_INCLUDED = 1000
"""Most included rows of one answer."""
_CUT = f"not all that was to be included is here: there are more than {MOST_INCLUDED}"


def include(
    node: Node, conn: Connection, asked: Asked, query: Query, shown: Sequence[Shown]
) -> tuple[tuple[Shown, ...], tuple[str, ...]]:
    """Return the included rows of a page, and what the reader should know about them.

    Args:
        node: where.
        conn: a connection.
        asked: what the gate said.
        query: with `includes`.
        shown: the matches of the page.
    """
    known = {(row.type, row.id) for row in shown}
    found: list[Shown] = []
    fresh: Sequence[Shown] = shown
    rules = query.includes
    while fresh and rules:
        step: list[Shown] = []
        for rule in rules:
            look = _pointing if rule.is_reverse else _pointed_to
            for row in look(node, conn, asked, rule, fresh):
                if (row.type, row.id) in known:
                    continue
                if len(found) + len(step) >= MOST_INCLUDED:
                    return (*found, *step), (_CUT,)
                known.add((row.type, row.id))
                step.append(row)
        found += step
        fresh = step
        rules = tuple(rule for rule in query.includes if rule.is_iterated)
    return tuple(found), ()


def _accesses(asked: Asked, cids: Iterable[int]) -> Iterator[Access]:
    """Yield the access to each compartment, then that to the directory."""
    directory = asked.scope.directory
    for cid in dict.fromkeys(cids):
        access = asked.access_to(cid)
        if access is not None and (directory is None or cid != directory.compartment):
            yield access
    if directory is not None:
        yield directory


def _pointed_to(
    node: Node, conn: Connection, asked: Asked, rule: Include, rows: Sequence[Shown]
) -> Iterator[Shown]:
    named: dict[int, dict[str, None]] = {}
    for row in rows:
        if rule.source not in {"*", row.type}:
            continue
        tree = parse_json(row.body, max_bytes=len(row.body))
        for parameter in _references(row.type, rule.name):
            for name in _names(tree, parameter):
                head = name.partition("/")[0]
                if (rule.target or head) == head and is_resource_type(head):
                    named.setdefault(row.cid, {})[name] = None
    for cid, names in named.items():
        types = sorted({name.partition("/")[0] for name in names})
        for access in _accesses(asked, [cid]):
            yield from map(shown_of, node.record.named(conn, access, list(names), types))


def _names(tree: dict[str, object], parameter: Parameter) -> Iterator[str]:
    for path in parameter.paths:
        member = tree.get(path.steps[0].key)
        for item in collector(path)(member) if member is not None else ():
            name = reference_of(item)
            if name is not None and name.count("/") == 1:
                yield name


def _references(type: str, name: str) -> list[Parameter]:
    known = parameters_of(type)
    if name != "*":
        found = known.get(name)
        return [] if found is None else [found]
    return [each for each in known.values() if each.kind is Kind.REFERENCE]


def _pointing(
    node: Node, conn: Connection, asked: Asked, rule: Include, rows: Sequence[Shown]
) -> Iterator[Shown]:
    """Yield rows that point to the rows: from their own compartment, or from every one of the scope."""
    if rule.target:
        rows = [row for row in rows if row.type == rule.target]
    of_compartment: dict[int, list[str]] = {}
    for row in rows:
        of_compartment.setdefault(row.cid, []).append(f"{row.type}/{row.id}")
    directory = asked.scope.directory
    shared = -1 if directory is None else int(directory.compartment)
    for cid, names in of_compartment.items():
        cids = [cid] if cid != shared else [access.compartment for access in asked.scope.accesses]
        for access in _accesses(asked, cids):
            for source in [rule.source] if rule.source != "*" else _types(access):
                for parameter in _references(source, rule.name):
                    yield from map(
                        shown_of,
                        node.record.pointing(
                            conn, access, (source, parameter.number), names, limit=MOST_INCLUDED + 1
                        ),
                    )


def _types(access: Access) -> list[str]:
    mask = 0
    for window in access.permits:
        mask |= window.types
    return [name for number, name in enumerate(type_names()) if mask >> number & 1]
