"""Does the store still say what its bodies say?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hilum.base.sql import Connection
from hilum.errors import HilumError
from hilum.record.adapters.bodies import Bodies
from hilum.record.adapters.layout import COLUMNS, INDEXES, POPULATION, Raw
from hilum.record.index import Indexer, clinical_instant
from hilum.record.population import population_of, population_strings
from hilum.record.resource import Tree, parse_json
from hilum.record.rows import index_tuples
from hilum.record.types import type_name, type_names

__all__ = ["list_problems"]

_RESOURCES = (
    f"select {COLUMNS}, x.inst, x.codes, x.parts, x.authors, x.encs from resource x where x.cid = ?"  # noqa: S608 - constant
)
_HISTORY = _RESOURCES.replace("from resource", "from history")


def list_problems(conn: Connection, bodies: Bodies, indexer: Indexer) -> Iterator[str]:
    """Yield every row that does not follow from the opened bodies: its place, not its content."""
    known = {0} | {row[0] for row in conn.execute("select cid from compartment")}
    for table in ("resource", "history", *INDEXES):
        for (cid,) in conn.execute(f"select distinct cid from {table}"):  # noqa: S608 - constant names
            if cid not in known:
                yield f"{table}: rows of compartment {cid}, which does not exist"
    for cid in sorted(known):
        yield from _compartment(conn, cid, bodies, indexer)
    yield from _population(conn)


def _population(conn: Connection) -> Iterator[str]:
    # The rows for searches across records are copies: compared with the rows that were just checked.
    shared = sorted(number for name in type_names() for number in population_of(name))
    for table, columns in POPULATION.items():
        names = ", ".join(columns)
        numbers = sorted(population_strings()) if table == "p_str" else shared
        marks = ", ".join(map(str, numbers))
        copies = f"select {names} from {table}"  # noqa: S608 - constant names
        origins = f"select {names} from i_{table[2:]} where cid > 0 and p in ({marks})"  # noqa: S608 - numbers
        differences = {
            "missing": f"{origins} except {copies}",
            "stray": f"{copies} except {origins}",
        }
        for kind, rows in differences.items():
            found = conn.execute(f"select count(*), min(rid) from ({rows}) x")  # noqa: S608 - constants
            count, first = found.fetchone()
            if count:
                yield f"{table}: {count} {kind} rows, first of row {first}"


def _compartment(conn: Connection, cid: int, bodies: Bodies, indexer: Indexer) -> Iterator[str]:
    expected: dict[str, set[tuple[Any, ...]]] = {table: set() for table in INDEXES}
    for row in conn.execute(_RESOURCES, (cid,)):
        tree, problems = _version(row[:10], row[10:], bodies, indexer)
        yield from problems
        if tree is not None:
            made = index_tuples(indexer.rows(tree, cid), cid, row[6], row[1])
            for table in INDEXES:
                expected[table].update(made.get(table, ()))
    for row in conn.execute(_HISTORY, (cid,)):
        yield from _version(row[:10], row[10:], bodies, indexer)[1]
    for table, columns in INDEXES.items():
        sql = f"select {', '.join(columns)} from {table} where cid = ?"  # noqa: S608 - constant names
        actual = set(conn.execute(sql, (cid,)))
        for kind, rows in (
            ("missing", expected[table] - actual),
            ("stray", actual - expected[table]),
        ):
            if rows:
                first = min(row[-1] for row in rows)
                yield f"{table}: {len(rows)} {kind} rows in compartment {cid}, first of row {first}"


def _version(
    raw: Raw, facts: tuple[object, ...], bodies: Bodies, indexer: Indexer
) -> tuple[Tree | None, list[str]]:
    name = type_name(raw[2])
    place = f"{name}/{raw[3]}/_history/{raw[4]}"
    if raw[9] is None:
        return None, []
    try:
        body, author = bodies.open(raw)
        tree = parse_json(body, max_bytes=len(body))
    except HilumError as error:
        return None, [f"{place}: {error}"]
    meta = tree.get("meta", {})
    said = (tree.get("resourceType"), tree.get("id"), meta.get("versionId"))
    problems = []
    if said != (name, raw[3], str(raw[4])):
        problems.append(f"{place}: the body says another type, id or version")
    instant = clinical_instant(tree)
    if raw[6] != (raw[7] if instant is None else instant):
        problems.append(f"{place}: the clinical instant does not follow from the body")
    rows = indexer.rows(tree, raw[0])
    made = indexer.facts(tree, rows, author)
    inst = indexer.keyed.reference(f"{name}/{raw[3]}")
    if facts != (inst, made.codes, made.parts, made.authors, made.encounters):
        problems.append(f"{place}: the facts beside the body do not follow from it")
    return tree, problems
