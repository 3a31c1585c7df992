"""What a process remembers is trusted for half a second after it asked, and never when it cannot ask."""

from __future__ import annotations

from typing import Any

import pytest
from databases import Databases

from hilum.base.sql import DatabaseError
from hilum.exchange.turns import TRUST_S, Memory


class Process:
    """A process of a node, as far as it remembers and forgets."""

    def __init__(self, reader: Any) -> None:
        self.now = 0.0
        self.forgotten: list[object] = []
        self.memory = Memory(lambda: reader, lambda: self.now)
        self.memory.rows = (lambda: self.forgotten.append("rows"),)
        self.memory.decisions = (lambda: self.forgotten.append("decisions"),)
        self.memory.sessions = lambda: self.forgotten.append("sessions")
        self.memory.changed = lambda cid: self.forgotten.append(cid)  # noqa: PLW0108 - the list is replaced
        self.memory.gone = lambda cid: self.forgotten.append(("gone", cid))

    def told(self) -> list[object]:
        """Return what was forgotten since the last call."""
        found, self.forgotten = self.forgotten, []
        return found

    def write(self, conn: Any, *statements: str, commit: bool = True) -> None:
        conn.execute("begin immediate")
        self.memory.take_turn(conn)
        for sql in statements:
            conn.execute(sql)
        conn.execute("commit" if commit else "rollback")
        if not commit:
            self.memory.forget()


@pytest.fixture
def process(conn: Any) -> Process:
    made = Process(conn)
    made.memory.renew()
    made.told()
    return made


GRANT = "insert into directive_version values (7, 1) on conflict (cid) do update set v = 2"


def test_a_change_is_noticed_when_trust_ends_and_only_of_what_changed(
    conn: Any, process: Process
) -> None:
    conn.execute(GRANT)
    process.now = TRUST_S - 0.001
    process.memory.renew()
    assert process.told() == []
    process.now = TRUST_S
    process.memory.renew()
    assert process.told() == ["sessions", 7]
    conn.execute(GRANT)
    process.now += TRUST_S
    process.memory.renew()
    assert process.told() == ["sessions", 7]
    process.now += TRUST_S
    process.memory.renew()
    assert process.told() == []


def test_a_token_makes_sessions_worthless_and_decisions_not(conn: Any, process: Process) -> None:
    conn.execute("insert into reader values ('r', 'R', 'person', null, null, 1)")
    process.now = TRUST_S
    process.memory.renew()
    assert process.told() == ["sessions"]


def test_keys_of_an_erased_compartment_are_forgotten(conn: Any, process: Process) -> None:
    conn.execute("insert into compartment(cid, subject, created) values (9, 's', 1)")
    conn.execute("delete from compartment where cid = 9")
    process.now = TRUST_S
    process.memory.renew()
    assert process.told() == ["sessions", 9, ("gone", 9)]


def test_very_many_changes_forget_everything(conn: Any, process: Process) -> None:
    for _ in range(1000):
        conn.execute(GRANT)
    process.now = TRUST_S
    process.memory.renew()
    assert process.told() == ["sessions", "decisions"]


def test_without_an_answer_nothing_is_trusted(process: Process) -> None:
    class Lost:
        def execute(self, *_: object) -> None:
            raise DatabaseError("database", "gone")

    made = Process(Lost())
    for _ in range(2):
        with pytest.raises(DatabaseError):
            made.memory.renew()


def test_a_writer_forgets_its_rows_when_another_wrote_between(
    conn: Any, process: Process, databases: Databases
) -> None:
    other_conn = databases.storage_of(conn).writer()
    other = Process(other_conn)
    process.write(conn)
    assert "rows" in process.told()
    process.write(conn)
    assert "rows" not in process.told()
    other.write(other_conn, GRANT)
    process.write(conn)
    assert process.told() == ["rows", "sessions", 7]
    process.write(conn, commit=False)
    other.write(other_conn)
    process.told()
    process.write(conn)  # the other took the number that ours gave back
    assert "rows" in process.told()
    other_conn.close()


def test_two_writers_never_overlap(conn: Any, process: Process, databases: Databases) -> None:
    import threading

    other_conn = databases.storage_of(conn).writer()
    other = Process(other_conn)
    conn.execute("begin immediate")
    process.memory.take_turn(conn)
    began = threading.Event()
    done = threading.Event()

    def write() -> None:
        began.set()
        other.write(other_conn, "insert into node values ('other', 'x') on conflict do nothing")
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    began.wait()
    assert not done.wait(0.2)
    conn.execute("insert into node values ('mine', 'x') on conflict do nothing")
    conn.execute("commit")
    assert done.wait(20)
    thread.join()
    other_conn.close()
