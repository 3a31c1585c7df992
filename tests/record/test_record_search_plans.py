"""No shape of search looks through a table: every step of every plan uses a prefix of an index."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from hilum.record.access import Access, Action, Window
from hilum.record.compartments import within_compartment
from hilum.record.crowd import Crowd, Scope
from hilum.record.query import Query, parse_query

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = {
    "patient": "pat", "encounter": "e1", "observation": "o1", "practitioner": "d1", "organization": "h1",
    "code": "http://loinc.org|8480-6", "condition_code": "http://snomed.info/sct|1", "family": "smith",
    "given": "Ada", "birthdate": "1980-02-01", "identifier": "urn:x|7", "date": "2020", "value": "120",
    "unit": "mm[Hg]", "city": "boston",
}  # fmt: skip
# what is made for the statement itself: sets of a chain, values of a sort key, sub-selects
OWN = re.compile(r"s\d+|k\d+|d|n|s|\(subquery-\d+\)|\d+")


def _shapes() -> Any:
    spec = importlib.util.spec_from_file_location("shapes", ROOT / "benchmarks" / "shapes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["shapes"] = module
    spec.loader.exec_module(module)
    return module


SHAPES = _shapes()


def query_of(url: str) -> Query:
    path, _, rest = url.format(**SAMPLES).partition("?")
    pairs = parse_qsl(rest, keep_blank_values=True)
    parts = path.split("/")
    query = parse_query(parts[-1], pairs, strict=True)
    return within_compartment(query, parts[0], parts[1]) if len(parts) == 3 else query


class Watching:
    """A connection that notes the plan of everything it runs."""

    def __init__(self, conn: Any) -> None:
        self.conn = conn
        self.plans: list[str] = []

    def execute(self, sql: str, parameters: Any = ()) -> Any:
        for row in self.conn.execute(f"explain query plan {sql}", parameters):
            self.plans.append(row[3])
        return self.conn.execute(sql, parameters)


def test_there_are_thirty_shapes_of_every_kind() -> None:
    assert len(SHAPES.SHAPES) == len({shape.name for shape in SHAPES.SHAPES}) == 30
    assert set(SAMPLES) == set(SHAPES.PARAMETERS)
    assert sum(shape.across for shape in SHAPES.SHAPES) >= 10


@pytest.mark.parametrize("shape", SHAPES.SHAPES, ids=lambda shape: shape.name)
def test_no_shape_scans_a_table(shape: Any, shelf: Any) -> None:
    permits = (Window(segments=1),)
    one = Access(shelf.cid, Action.SEARCH, permits)
    directory = Access(0, Action.SEARCH, permits)  # type: ignore[arg-type] # the shared directory
    scopes = [Scope((one,), directory=directory)]
    if shape.across:
        crowd = Crowd([Access(n, Action.SEARCH, permits) for n in range(1, 40)])  # type: ignore[arg-type] # made up
        scopes.append(Scope((directory,), crowd, directory))
    query = query_of(shape.url)
    for scope in scopes:
        watching = Watching(shelf.conn)
        # the functions of a crowd belong to the connection itself
        shelf.record.find(shelf.conn, query, scope, after=None, limit=21)
        shelf.record.find(watching, query, scope, after=None, limit=21)
        shelf.record.count(watching, query, scope)
        assert watching.plans
        scans = [line for line in watching.plans if line.startswith("SCAN")]
        assert [line for line in scans if not OWN.fullmatch(line.split(" ")[1])] == [], (
            watching.plans
        )
        assert not [
            line for line in watching.plans if re.search(r"SEARCH \w+ USING .*\(cid=\?\)$", line)
        ]
