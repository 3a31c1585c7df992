from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hilum.errors import ConflictError, MalformedInputError
from hilum.record.access import Access, Action, Segment, Window
from hilum.record.change import Create, Delete, Gone, Method, Row, StoredVersion, Update
from hilum.record.resource import parse_resource


def tree(own_id: str = "o1", **members: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": own_id,
        "status": "final",
        "code": {"text": "x"},
        **members,
    }


def parsed(own_id: str = "o1", **members: Any) -> Any:
    return parse_resource(json.dumps(tree(own_id, **members)).encode())


def test_what_was_created_is_read_back(shelf: Any) -> None:
    [version] = shelf.record.apply(
        shelf.conn, [Create(shelf.cid, parsed(issued="2020-01-01T00:00:00Z"), "o1", 1)], 5_000
    )
    row = shelf.record.read(shelf.conn, shelf.access, "Observation", "o1")
    assert row == Row(
        shelf.cid,
        version.rid,
        "Observation",
        "o1",
        1,
        1,
        1_577_836_800_000,
        5_000,
        version.body,
        Method.CREATE,
    )
    assert json.loads(row.body)["meta"] == {
        "versionId": "1",
        "lastUpdated": "1970-01-01T00:00:05.000Z",
    }


def test_nothing_readable_lies_in_the_file(shelf: Any) -> None:
    shelf.add(tree(subject={"reference": "Patient/zz-secret"}, note=[{"text": "zz-secret"}],
                   identifier=[{"system": "zz-secret", "value": "zz-secret"}]))  # fmt: skip
    dump = b"".join(
        repr(row).encode()
        for table in ("resource", "i_tok", "i_ref", "i_dat")
        for row in shelf.conn.execute(f"select * from {table}")
    )
    assert b"zz-secret" not in dump
    assert b"final" not in dump


def test_an_update_makes_a_version_and_keeps_the_old_one(shelf: Any) -> None:
    shelf.add(tree(valueString="old"))
    change = Update(shelf.cid, parsed(valueString="new"), "o1", 1, if_match=1)
    [version] = shelf.record.apply(shelf.conn, [change], 2_000_000)
    assert version.ver == 2
    read = shelf.record.read(shelf.conn, shelf.access, "Observation", "o1")
    assert json.loads(read.body)["valueString"] == "new"
    old = shelf.record.vread(shelf.conn, shelf.access, "Observation", "o1", ver=1)
    assert json.loads(old.body)["valueString"] == "old"
    assert shelf.record.vread(shelf.conn, shelf.access, "Observation", "o1", ver=3) is None
    versions = shelf.record.history(shelf.conn, shelf.access, ("Observation", "o1"), limit=10)
    assert [(v.ver, v.method) for v in versions] == [(2, Method.UPDATE), (1, Method.CREATE)]
    page = shelf.record.history(shelf.conn, shelf.access, ("Observation", "o1"), limit=10, below=2)
    assert [v.ver for v in page] == [1]
    assert shelf.record.check(shelf.conn) == []


def test_a_deleted_resource_is_absent_but_its_versions_stay(shelf: Any) -> None:
    shelf.add(tree())
    [version] = shelf.record.apply(shelf.conn, [Delete(shelf.cid, "Observation", "o1")], 9)
    assert (version.ver, version.changed) == (2, True)
    assert shelf.record.read(shelf.conn, shelf.access, "Observation", "o1") is None
    assert shelf.record.gone(shelf.conn, shelf.access, "Observation", "o1") == Gone(2, 9)
    assert shelf.record.vread(shelf.conn, shelf.access, "Observation", "o1", ver=2) == Gone(2, 9)
    assert shelf.record.vread(shelf.conn, shelf.access, "Observation", "o1", ver=1).ver == 1
    assert shelf.find("Observation") == []
    assert shelf.record.locate(shelf.conn, "Observation", "o1").deleted
    versions = shelf.record.history(shelf.conn, shelf.access, ("Observation", "o1"), limit=9)
    assert [(v.ver, v.method, v.body == b"") for v in versions] == [
        (2, Method.DELETE, True),
        (1, Method.CREATE, False),
    ]
    [again] = shelf.record.apply(shelf.conn, [Delete(shelf.cid, "Observation", "o1")], 10)
    assert (again.ver, again.changed) == (2, False)


def test_a_deleted_resource_can_come_back_with_the_next_version(shelf: Any) -> None:
    shelf.add(tree())
    shelf.record.apply(shelf.conn, [Delete(shelf.cid, "Observation", "o1")], 9)
    [version] = shelf.record.apply(shelf.conn, [Update(shelf.cid, parsed(), "o1", 1)], 10)
    assert version.ver == 3
    assert shelf.find("Observation") == ["o1"]
    versions = shelf.record.history(shelf.conn, shelf.access, ("Observation", "o1"), limit=9)
    assert [v.ver for v in versions] == [3, 2, 1]
    assert shelf.record.check(shelf.conn) == []


def test_conflicts_are_refused(shelf: Any) -> None:
    shelf.add(tree())
    other = shelf.record.create_compartment(shelf.conn, "other", 1)
    cases: list[tuple[Any, str]] = [
        (Create(shelf.cid, parsed(), "o1", 1), "id-taken"),
        (Create(other, parsed(), "o1", 1), "id-taken"),
        (Update(shelf.cid, parsed(), "o1", 1, if_match=2), "version-mismatch"),
        (Update(shelf.cid, parsed(), "o2", 1), "not-found"),
        (Update(other, parsed(), "o1", 1), "not-found"),
        (Delete(other, "Observation", "o1"), "not-found"),
        (Delete(shelf.cid, "Observation", "o1", if_match=7), "version-mismatch"),
    ]
    for change, code in cases:
        shelf.conn.execute("begin")
        with pytest.raises(ConflictError) as caught:
            shelf.record.apply(shelf.conn, [Create(shelf.cid, parsed("new"), "new", 1), change], 9)
        shelf.conn.execute("rollback")
        assert caught.value.code == code
    assert shelf.find("Observation") == ["o1"]
    with pytest.raises(ConflictError):
        shelf.record.create_compartment(shelf.conn, "pat", 1)
    with pytest.raises(MalformedInputError):
        shelf.record.apply(shelf.conn, [Create(shelf.cid, parsed("n"), "n", 0)], 9)


def test_a_batch_sees_its_own_earlier_changes(shelf: Any) -> None:
    versions = shelf.record.apply(
        shelf.conn,
        [
            Create(shelf.cid, parsed("a"), "a", 1),
            Update(shelf.cid, parsed("a", valueString="v"), "a", 1, if_match=1),
            Create(shelf.cid, parsed("b"), "b", 1),
            Delete(shelf.cid, "Observation", "a", if_match=2),
        ],
        7,
    )
    assert [(v.id, v.ver) for v in versions] == [("a", 1), ("a", 2), ("b", 1), ("a", 3)]
    assert shelf.find("Observation") == ["b"]
    assert shelf.record.check(shelf.conn) == []


def test_a_version_under_a_stricter_label_hides_with_it(shelf: Any) -> None:
    plain = Access(shelf.cid, Action(127), (Window(segments=Segment.NORMAL),))
    shelf.add(tree("up"), tree("down"), seg=Segment.NORMAL)
    shelf.record.apply(shelf.conn, [Update(shelf.cid, parsed("up"), "up", Segment.HIV)], 9)
    shelf.record.apply(shelf.conn, [Update(shelf.cid, parsed("down"), "down", Segment.HIV)], 9)
    shelf.record.apply(shelf.conn, [Update(shelf.cid, parsed("down"), "down", Segment.NORMAL)], 9)
    record, conn = shelf.record, shelf.conn
    assert record.vread(conn, plain, "Observation", "up", ver=1) is None
    assert record.history(conn, plain, ("Observation", "up"), limit=9) == []
    assert record.vread(conn, plain, "Observation", "down", ver=2) is None
    assert [r.ver for r in record.history(conn, plain, ("Observation", "down"), limit=9)] == [3, 1]


def test_an_action_that_is_not_permitted_finds_nothing(shelf: Any) -> None:
    shelf.add(tree())
    record, conn = shelf.record, shelf.conn
    window = (Window(segments=0xFFFF),)
    reads = Access(shelf.cid, Action.READ, window)
    assert record.read(conn, reads, "Observation", "o1") is not None
    assert record.vread(conn, reads, "Observation", "o1", ver=1) is not None
    assert record.history(conn, reads, ("Observation", "o1"), limit=9) == []
    assert shelf.find("Observation", access=reads) == []
    searches = Access(shelf.cid, Action.SEARCH, window)
    assert record.read(conn, searches, "Observation", "o1") is None
    assert shelf.find("Observation", access=searches) == ["o1"]
    assert shelf.find("Observation", access=Access(shelf.cid, Action(127), ())) == []
    assert shelf.find("Observation", access=Access(shelf.cid + 1, Action(127), window)) == []


def test_locating_shows_no_content(shelf: Any) -> None:
    shelf.add(tree(), seg=4)
    found = shelf.record.locate(shelf.conn, "Observation", "o1")
    assert (found.cid, found.seg, found.ver, found.deleted) == (shelf.cid, 4, 1, False)
    assert not hasattr(found, "body")
    assert shelf.record.locate(shelf.conn, "Observation", "o2") is None
    assert shelf.record.locate(shelf.conn, "Patient", "o1") is None


def test_a_compartment_is_found_by_its_subject(shelf: Any) -> None:
    assert shelf.record.compartment_of(shelf.conn, "pat") == shelf.cid
    assert shelf.record.compartment_of(shelf.conn, "nobody") is None
    assert shelf.record.subject_of(shelf.conn, shelf.cid) == "pat"
    assert shelf.record.subject_of(shelf.conn, 0) is None
    assert shelf.record.subjects(shelf.conn) == [("pat", shelf.cid, 1)]


def test_erasing_leaves_no_row_of_the_compartment_and_every_row_of_others(shelf: Any) -> None:
    other = shelf.record.create_compartment(shelf.conn, "other", 1)
    shelf.record.apply(shelf.conn, [Create(other, parsed("kept"), "kept", 1)], 5)
    kept = shelf.record.count_rows(shelf.conn)
    shelf.add(
        tree("a", subject={"reference": "Patient/pat"}, issued="2020-01-01T00:00:00Z"), tree("b")
    )
    shelf.record.apply(shelf.conn, [Update(shelf.cid, parsed("b"), "b", 1)], 6)
    assert shelf.record.erase(shelf.conn, shelf.cid) == 2
    assert shelf.record.count_rows(shelf.conn) == {**kept, "compartment": 1}
    assert shelf.record.locate(shelf.conn, "Observation", "a") is None
    assert shelf.record.locate(shelf.conn, "Observation", "kept") is not None


def test_the_number_of_an_erased_compartment_is_never_given_again(shelf: Any) -> None:
    last = shelf.record.create_compartment(shelf.conn, "last", 1)
    shelf.record.erase(shelf.conn, last)
    assert shelf.record.create_compartment(shelf.conn, "next", 2) > last


def test_export_and_restore_lose_nothing(shelf: Any, shelf_class: Any) -> None:
    shelf.record.apply(
        shelf.conn, [Create(shelf.cid, parsed("a"), "a", 1, author="Practitioner/p")], 5
    )
    shelf.record.apply(shelf.conn, [Update(shelf.cid, parsed("a", valueString="2"), "a", 4)], 6)
    shelf.add(tree("b"), at=6)
    shelf.record.apply(shelf.conn, [Delete(shelf.cid, "Observation", "b")], 7)
    shelf.record.apply(shelf.conn, [Update(shelf.cid, parsed("b"), "b", 1)], 8)
    shelf.add(tree("c"), at=8)
    shelf.record.apply(shelf.conn, [Delete(shelf.cid, "Observation", "c")], 9)
    exported = list(shelf.record.export_versions(shelf.conn, shelf.cid))
    assert [v.at for v in exported] == sorted(v.at for v in exported)
    assert exported[0].author == "Practitioner/p"
    assert len(exported) == 7

    target = shelf_class()
    for version in exported:
        target.record.restore_version(target.conn, target.cid, version)
    assert list(target.record.export_versions(target.conn, target.cid)) == exported
    assert target.record.check(target.conn) == []
    assert target.find("Observation") == shelf.find("Observation")
    for version in exported[-1:]:
        with pytest.raises(ConflictError):
            target.record.restore_version(target.conn, target.cid, version)
    target.conn.close()


def test_restoring_a_lone_deletion_keeps_it(shelf: Any) -> None:
    gone = StoredVersion("Observation", "x", 4, Method.DELETE, 7, 1, b"")
    shelf.record.restore_version(shelf.conn, shelf.cid, gone)
    assert shelf.record.gone(shelf.conn, shelf.access, "Observation", "x") == Gone(4, 7)
    assert list(shelf.record.export_versions(shelf.conn, shelf.cid)) == [gone]
    assert replace(gone, ver=5) != gone


DAMAGE = [
    ("update resource set ts = ts + 1", "clinical instant"),
    ("update resource set codes = x'0102030405060708'", "facts"),
    ("update resource set seg = 2", "Observation/a/_history/1"),
    ("update resource set body = zeroblob(99)", "Observation/a/_history/1"),
    ("update resource set inst = 7", "facts"),
    ("delete from i_tok where rowid_hack", "i_tok"),
    ("delete from i_dat", "i_dat: 1 missing"),
    ("insert into i_ref values(1, 2, 3, 4, 5)", "i_ref: 1 stray"),
    ("insert into i_ref values(9, 2, 3, 4, 5)", "compartment 9"),
]


@pytest.mark.parametrize(("sql", "said"), DAMAGE)
def test_damage_is_named(shelf: Any, sql: str, said: str) -> None:
    shelf.open = _strict(shelf.open)
    shelf.record = type(shelf.record)(shelf.seal, shelf.open, b"k" * 32)
    shelf.add(tree("a", issued="2020-01-01T00:00:00Z", effectiveDateTime="2020"))
    assert shelf.record.check(shelf.conn) == []
    shelf.conn.execute(
        sql.replace("where rowid_hack", "where code = (select min(code) from i_tok)")
    )
    problems = shelf.record.check(shelf.conn)
    assert problems
    assert any(said in problem for problem in problems)


def _strict(opened: Any) -> Any:
    from cryptography.exceptions import InvalidTag

    from hilum.errors import VerificationError

    def call(sealed: bytes, **facts: Any) -> bytes:
        try:
            return bytes(opened(sealed, **facts))
        except InvalidTag:
            raise VerificationError("seal", "does not open") from None

    return call


class StoreMachine(RuleBasedStateMachine):
    """The store against a dictionary of lists."""

    made: Any = None

    def __init__(self) -> None:
        super().__init__()
        self.shelf = self.made()
        self.model: dict[str, list[str | None]] = {}
        self.clock = 0

    ids = st.sampled_from(["a", "b", "c"])
    texts = st.sampled_from(["x", "y", "z"])

    def apply(self, change: Any) -> bool:
        self.clock += 1
        self.shelf.conn.execute("begin")
        try:
            self.shelf.record.apply(self.shelf.conn, [change], self.clock)
        except ConflictError:
            self.shelf.conn.execute("rollback")
            return False
        self.shelf.conn.execute("commit")
        return True

    @rule(own_id=ids, text=texts)
    def create(self, own_id: str, text: str) -> None:
        done = self.apply(Create(self.shelf.cid, parsed(own_id, valueString=text), own_id, 1))
        assert done == (own_id not in self.model)
        if done:
            self.model[own_id] = [text]

    @rule(own_id=ids, text=texts, if_match=st.none() | st.integers(1, 4))
    def update(self, own_id: str, text: str, if_match: int | None) -> None:
        resource = parsed(own_id, valueString=text)
        done = self.apply(Update(self.shelf.cid, resource, own_id, 1, if_match))
        versions = self.model.get(own_id, [])
        assert done == (bool(versions) and if_match in {None, len(versions)})
        if done:
            versions.append(text)

    @rule(own_id=ids)
    def delete(self, own_id: str) -> None:
        done = self.apply(Delete(self.shelf.cid, "Observation", own_id))
        versions = self.model.get(own_id, [])
        assert done == bool(versions)
        if done and versions[-1] is not None:
            versions.append(None)

    @invariant()
    def same_as_the_model(self) -> None:
        record, conn, access = self.shelf.record, self.shelf.conn, self.shelf.access
        assert sorted(self.shelf.find("Observation")) == sorted(
            own_id for own_id, versions in self.model.items() if versions[-1] is not None
        )
        for own_id, versions in self.model.items():
            rows = record.history(conn, access, ("Observation", own_id), limit=99)
            texts = [json.loads(r.body)["valueString"] if r.body else None for r in rows]
            assert texts == versions[::-1]
        assert record.check(conn) == []

    def teardown(self) -> None:
        self.shelf.conn.close()


def test_the_store_behaves_like_lists_of_versions(shelf_class: Any) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    machine = type("Machine", (StoreMachine,), {"made": shelf_class})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=25, stateful_step_count=12, deadline=None)
    )


def test_the_schema_can_be_run_twice(shelf: Any) -> None:
    from hilum.record.adapters.layout import INDEXES, POPULATION
    from hilum.record.adapters.sqlite import SCHEMA

    shelf.conn.executescript(SCHEMA)
    names = shelf.conn.execute(
        "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'"
    ).fetchall()
    assert {n for (n,) in names} == {
        "compartment", "resource", "history", "index_state", *INDEXES, *POPULATION
    }  # fmt: skip
    assert isinstance(shelf.conn, sqlite3.Connection)
