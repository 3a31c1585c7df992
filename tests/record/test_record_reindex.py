"""A store of the first release gets this release's index rows; steps may be interrupted anywhere."""

from __future__ import annotations

import hashlib
import sqlite3
from typing import Any

import pytest

from hilum.record.adapters.layout import INDEXES, POPULATION, SCHEMA_1, SCHEMA_2
from hilum.record.change import Delete

FIRST_SCHEMA = "998766c965cba2e17b1142d020858887c989ec4b212159eb0b6827f406071d1c"
TREES: list[dict[str, Any]] = [
    {
        "resourceType": "Patient", "id": "pat", "name": [{"family": "Chalmers", "given": ["Peter"]}],
        "birthDate": "1974-12-25", "identifier": [{"system": "urn:mrn", "value": "7"}],
        "generalPractitioner": [{"reference": "Practitioner/1"}],
    },
    {
        "resourceType": "Observation", "id": "weight", "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7", "display": "Weight"}]},
        "subject": {"reference": "Patient/pat"}, "effectiveDateTime": "2020-01-01",
        "valueQuantity": {"value": 70, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
    },
    {"resourceType": "Observation", "id": "gone", "status": "final", "code": {"text": "x"}},
    {"resourceType": "Condition", "id": "c", "code": {"text": "Asthma"}},
]  # fmt: skip


def rows_of(conn: sqlite3.Connection) -> dict[str, set[tuple[Any, ...]]]:
    return {table: set(conn.execute(f"select * from {table}")) for table in (*INDEXES, *POPULATION)}


@pytest.fixture
def filled(shelf: Any) -> Any:
    shelf.add(*TREES)
    shelf.record.apply(shelf.conn, [Delete(shelf.cid, "Observation", "gone")], 2_000_000)
    return shelf


@pytest.fixture
def first_release(filled: Any) -> sqlite3.Connection:
    """The same resources in a store of schema 1, with the index rows of then."""
    conn = sqlite3.connect(":memory:", isolation_level=None)
    conn.executescript(SCHEMA_1)
    for table in ("compartment", "resource", "history", "i_ref", "i_dat"):
        rows = filled.conn.execute(f"select * from {table}").fetchall()
        marks = ", ".join("?" * len(rows[0])) if rows else ""
        conn.executemany(f"insert into {table} values({marks})", rows)
    # a row that no rule of today makes
    conn.execute("insert into i_tok values(1, 2, 3, 4, 5, 6)")
    return conn


def test_the_first_schema_never_changes() -> None:
    assert hashlib.sha256(SCHEMA_1.encode()).hexdigest() == FIRST_SCHEMA


def test_a_new_store_has_nothing_to_make_anew(shelf: Any) -> None:
    assert shelf.record.indexes.is_current(shelf.conn)


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 100])
def test_a_store_of_the_first_release_is_indexed_from_its_bodies(
    filled: Any, first_release: sqlite3.Connection, limit: int
) -> None:
    conn, indexes = first_release, filled.record.indexes
    conn.executescript(SCHEMA_2)
    assert not indexes.is_current(conn)
    steps = 0
    while not indexes.renew(conn, limit=limit):
        steps += 1
    assert steps == len(TREES) // limit
    assert indexes.is_current(conn)
    assert rows_of(conn) == rows_of(filled.conn)
    assert filled.record.check(conn) == []
    assert indexes.renew(conn, limit=limit)
    conn.close()


def test_a_step_that_was_taken_back_is_done_again(
    filled: Any, first_release: sqlite3.Connection
) -> None:
    conn, indexes = first_release, filled.record.indexes
    conn.executescript(SCHEMA_2)
    done = False
    while not done:
        for ending in ("rollback", "commit"):
            conn.execute("begin")
            done = indexes.renew(conn, limit=1)
            conn.execute(ending)
    assert rows_of(conn) == rows_of(filled.conn)
    conn.close()


def test_rules_of_another_release_make_all_rows_anew(filled: Any) -> None:
    wanted = rows_of(filled.conn)
    filled.conn.execute("update index_state set version = 1")
    filled.conn.execute("insert into p_ref values(1, 2, 3, 4, 5)")
    while not filled.record.indexes.renew(filled.conn, limit=2):
        pass
    assert rows_of(filled.conn) == wanted


def test_a_body_that_does_not_open_is_left_out_and_named_by_the_check(filled: Any) -> None:
    from cryptography.exceptions import InvalidTag

    from hilum.errors import VerificationError

    def strict(sealed: bytes, **facts: Any) -> bytes:
        try:
            return bytes(filled.open(sealed, **facts))
        except InvalidTag:
            raise VerificationError("seal", "does not open") from None

    record = type(filled.record)(filled.seal, strict, b"k" * 32)
    filled.conn.execute("update resource set body = zeroblob(60) where id = 'weight'")
    filled.conn.execute("delete from index_state")
    while not record.indexes.renew(filled.conn, limit=2):
        pass
    [problem] = record.check(filled.conn)
    assert "Observation/weight" in problem


def test_an_erased_record_leaves_no_row_in_any_table(filled: Any) -> None:
    assert all(rows_of(filled.conn)[table] for table in POPULATION)
    other = filled.record.create_compartment(filled.conn, "other", 1)
    filled.cid, first = other, filled.cid
    filled.add({**TREES[0], "id": "other"})
    kept = {table: {row for row in rows if first not in (row[0], row[-1])}
            for table, rows in rows_of(filled.conn).items()}  # fmt: skip
    filled.record.erase(filled.conn, first)
    left = rows_of(filled.conn)
    for table in POPULATION:
        assert {row[-1] for row in left[table]} == {other}
    for table in INDEXES:
        assert {row[0] for row in left[table]} <= {other}
    assert sum(map(len, left.values())) >= sum(map(len, kept.values())) > 0
    assert filled.record.check(filled.conn) == []


DAMAGE = [f"delete from {table}" for table in ("i_str", "i_qty", "i_comp", *POPULATION)] + [
    "insert into i_near values(1, 2, 3.0, 4.0, 5)",
    "insert into p_tok values(1, 2, 3, 4, 5, 1)",
    "insert into p_str values(1, x'00', 3, 99)",
    "update i_qty set lo = lo - 1",
    "update i_str set grams = x'00'",
]


@pytest.mark.parametrize("sql", DAMAGE)
def test_damage_to_any_index_table_is_named(filled: Any, sql: str) -> None:
    assert filled.record.check(filled.conn) == []
    filled.conn.execute(sql)
    table = next(t for t in (*INDEXES, *POPULATION) if f" {t}" in sql)
    assert any(problem.startswith(f"{table}:") for problem in filled.record.check(filled.conn))
