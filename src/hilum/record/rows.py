"""The index rows of one resource, and the tuples of the tables that they become."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hilum.record.resource import Tree

__all__ = ["INDEX_VERSION", "IndexRows", "Rows", "index_tuples"]

INDEX_VERSION = 2
"""Rules by which rows are made; a store with rows of other rules is indexed anew when it opens."""

Rows = dict[str, list[tuple[Any, ...]]]
"""Tuples of columns by table."""


@dataclass(slots=True)
class IndexRows:
    """Index rows of one resource, without compartment, instant and row number.

    Attributes:
        cid: the compartment that the hashes of string parts are made for.
        tree: the resource.
        population: numbers of the parameters that are searched across records as well.
        tokens: (parameter, code, system).
        references: (parameter, reference).
        dates: (parameter, lo, hi, wall lo, wall hi).
        strings: (parameter, starts, exact, grams).
        texts: the same of words beside codes.
        quantities: (parameter, system, code, lo, hi); numbers have no system and no code.
        composites: (parameter, first code, first system, second code, second system, lo, hi, wall
            lo, wall hi, low, high, third low, third high, starts).
        positions: (parameter, latitude, longitude) in degrees.
        codes: hashes of what the resource is about.
        parts: hashes of what parts of it are about.
    """

    cid: int
    tree: Tree
    population: frozenset[int]
    tokens: set[tuple[int, int, int]] = field(default_factory=set)
    references: set[tuple[int, int]] = field(default_factory=set)
    dates: set[tuple[int, int, int, int, int]] = field(default_factory=set)
    strings: set[tuple[int, bytes, int, bytes]] = field(default_factory=set)
    texts: set[tuple[int, bytes, int, bytes]] = field(default_factory=set)
    quantities: set[tuple[int, int, int, float, float]] = field(default_factory=set)
    composites: set[tuple[Any, ...]] = field(default_factory=set)
    positions: set[tuple[int, float, float]] = field(default_factory=set)
    codes: set[int] = field(default_factory=set)
    parts: set[int] = field(default_factory=set)


def index_tuples(rows: IndexRows, cid: int, ts: int, rid: int) -> Rows:
    """Return the rows of the index tables for one resource; tables without any are left out.

    Args:
        rows: what `Indexer.rows` made.
        cid: its compartment; rows of the directory (0) are not copied for searches across records.
        ts: its clinical instant.
        rid: its row number.
    """
    made: Rows = {
        "i_tok": [(cid, p, code, system, ts, rid) for p, code, system in rows.tokens],
        "i_ref": [(cid, p, ref, ts, rid) for p, ref in rows.references],
        "i_dat": [(cid, *row, rid) for row in rows.dates],
    }
    if rows.strings or rows.texts:
        made["i_str"] = [(cid, *row, rid) for row in (*rows.strings, *rows.texts)]
    if rows.quantities:
        made["i_qty"] = [(cid, *row, rid) for row in rows.quantities]
    if rows.composites:
        made["i_comp"] = [(cid, *row, rid) for row in rows.composites]
    if rows.positions:
        made["i_near"] = [(cid, *row, rid) for row in rows.positions]
    shared = rows.population
    if cid and shared:
        made["p_tok"] = [
            (p, code, system, ts, rid, cid) for p, code, system in rows.tokens if p in shared
        ]
        made["p_ref"] = [(p, ref, ts, rid, cid) for p, ref in rows.references if p in shared]
        made["p_dat"] = list(
            {(p, lo, hi, rid, cid) for p, lo, hi, _, _ in rows.dates if p in shared}
        )
        made["p_str"] = list(
            {(p, starts, rid, cid) for p, starts, _, _ in rows.strings if p in shared}
        )
    return made
