"""One writer: a group is durable before anyone hears of it, and one bad item takes nothing else with it."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hilum.errors import ConflictError, UnavailableError
from hilum.exchange.writer import GROUP, Writer

Conn = sqlite3.Connection


class Shelf:
    """A database file with one table of drafts and one of jobs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.forgotten = 0
        self.groups: list[int] = []
        self.thread: set[int] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.full = False
        with sqlite3.connect(path) as conn:
            conn.execute("create table if not exists draft(n integer primary key, text)")
            conn.execute("create table if not exists job(text)")
        conn.close()

    def connect(self) -> Conn:
        conn = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        if self.full:
            conn.execute("pragma max_page_count=1")
        return conn

    def append(self, conn: Conn, drafts: Sequence[str]) -> list[int]:
        self.gate.wait(10)
        self.thread.add(threading.get_ident())
        self.groups.append(len(drafts))
        if any(draft == "bad" for draft in drafts):
            raise ConflictError("bad", "a bad draft")
        numbers = []
        for draft in drafts:
            cursor = conn.execute("insert into draft(text) values(?)", (draft,))
            numbers.append(int(cursor.lastrowid or 0))
        return numbers

    def forget(self) -> None:
        self.forgotten += 1

    def texts(self, table: str) -> list[str]:
        conn = sqlite3.connect(self.path)
        try:
            return [row[0] for row in conn.execute(f"select text from {table} order by rowid")]
        finally:
            conn.close()


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "w.db")


@pytest.fixture
def writer(shelf: Shelf) -> Iterator[Writer[str, int]]:
    made: Writer[str, int] = Writer(shelf.connect, shelf.append, shelf.forget)
    yield made
    shelf.gate.set()
    made.close()


def put(text: str) -> Callable[[Conn], str]:
    def job(conn: Conn) -> str:
        conn.execute("insert into job values(?)", (text,))
        return text

    return job


def fail(text: str, error: Exception) -> Callable[[Conn], None]:
    def job(conn: Conn) -> None:
        conn.execute("insert into job values(?)", (text,))
        raise error

    return job


def hold(shelf: Shelf, writer: Writer[str, int]) -> Any:
    """Keep the thread busy inside a first group, so that what comes next gathers."""
    shelf.gate.clear()
    started = threading.Event()

    def job(_conn: Conn) -> None:
        started.set()
        shelf.gate.wait(10)

    waiting = writer.submit(job)
    assert started.wait(10)
    return waiting


def test_what_is_answered_is_on_disk_for_everybody(shelf: Shelf, writer: Writer[str, int]) -> None:
    assert writer.write(put("a")) == "a"
    assert shelf.texts("job") == ["a"]
    assert writer.append_now("d") == 1
    assert shelf.texts("draft") == ["d"]


def test_what_waits_together_is_committed_together_in_its_order(
    shelf: Shelf, writer: Writer[str, int]
) -> None:
    first = hold(shelf, writer)
    commits = []
    waits = [writer.submit(put(str(n))) for n in range(20)]
    for wait in waits:
        wait.add_done_callback(lambda _done: commits.append(len(shelf.texts("job"))))
    assert writer.depth == 20
    assert shelf.texts("job") == []
    shelf.gate.set()
    first.result(10)
    assert [wait.result(10) for wait in waits] == [str(n) for n in range(20)]
    writer.write(put("last"))
    assert commits == [20] * 20
    assert shelf.texts("job")[:20] == [str(n) for n in range(20)]


def test_a_job_that_fails_takes_back_its_own_rows_only(
    shelf: Shelf, writer: Writer[str, int]
) -> None:
    first = hold(shelf, writer)
    waits = [
        writer.submit(put("a")),
        writer.submit(fail("b", ConflictError("taken", "taken"))),
        writer.submit(put("c")),
        writer.submit(fail("d", RuntimeError("bug"))),
        writer.submit(put("e")),
    ]
    shelf.gate.set()
    first.result(10)
    assert [waits[0].result(10), waits[2].result(10), waits[4].result(10)] == ["a", "c", "e"]
    with pytest.raises(ConflictError):
        waits[1].result(10)
    with pytest.raises(RuntimeError):
        waits[3].result(10)
    assert shelf.texts("job") == ["a", "c", "e"]
    assert shelf.forgotten >= 2


def test_a_refused_disk_refuses_the_whole_group_and_the_next_one_goes_on(
    shelf: Shelf, writer: Writer[str, int]
) -> None:
    first = hold(shelf, writer)
    waits = [
        writer.submit(put("a")),
        writer.submit(fail("b", sqlite3.OperationalError("disk I/O error"))),
        writer.submit(put("c")),
    ]
    shelf.gate.set()
    first.result(10)
    for wait in waits:
        with pytest.raises(UnavailableError) as caught:
            wait.result(10)
        assert caught.value.code == "not-durable"
        assert caught.value.retryable
    assert shelf.texts("job") == []
    assert shelf.forgotten == 1
    assert writer.write(put("after")) == "after"


def test_a_bad_draft_is_refused_alone(shelf: Shelf, writer: Writer[str, int]) -> None:
    async def run() -> list[Any]:
        waits = [writer.append(text) for text in ("a", "bad", "b", "bad", "c")]
        return await asyncio.gather(*waits, return_exceptions=True)

    found = asyncio.run(run())
    assert [type(each).__name__ for each in found] == [
        "int", "ConflictError", "int", "ConflictError", "int",
    ]  # fmt: skip
    assert shelf.texts("draft") == ["a", "b", "c"]
    assert len(set(found[::2])) == 3


def test_drafts_of_one_turn_of_the_loop_share_a_group(
    shelf: Shelf, writer: Writer[str, int]
) -> None:
    async def run() -> list[int]:
        return list(await asyncio.gather(*(writer.append(str(n)) for n in range(100))))

    assert sorted(asyncio.run(run())) == list(range(1, 101))
    assert shelf.groups == [100]
    assert len(shelf.thread) == 1


def test_more_than_a_group_takes_several_commits(shelf: Shelf, writer: Writer[str, int]) -> None:
    first = hold(shelf, writer)
    waits = [writer.submit(put("x")) for _ in range(GROUP + 10)]
    shelf.gate.set()
    first.result(10)
    for wait in waits:
        wait.result(10)
    assert len(shelf.texts("job")) == GROUP + 10


def test_closing_finishes_what_is_queued_and_refuses_what_comes_later(shelf: Shelf) -> None:
    writer: Writer[str, int] = Writer(shelf.connect, shelf.append, shelf.forget)
    first = hold(shelf, writer)
    waits = [writer.submit(put(str(n))) for n in range(5)]
    shelf.gate.set()
    writer.close()
    writer.close()
    first.result(0)
    assert [wait.result(0) for wait in waits] == list("01234")
    assert shelf.texts("job") == list("01234")
    with pytest.raises(UnavailableError, match="shutting down"):
        writer.submit(put("late"))
    with pytest.raises(UnavailableError):
        writer.append_now("late")


def test_a_database_that_does_not_open_refuses_everything(shelf: Shelf) -> None:
    def connect() -> Conn:
        raise sqlite3.OperationalError("unable to open database file")

    writer: Writer[str, int] = Writer(connect, shelf.append, shelf.forget)
    with pytest.raises(UnavailableError):
        writer.write(put("a"))
    writer.close()


def test_a_loop_that_is_gone_does_not_stop_the_others(
    shelf: Shelf, writer: Writer[str, int]
) -> None:
    first = hold(shelf, writer)

    async def leave() -> None:
        writer.append("orphan")
        await asyncio.sleep(0)

    asyncio.run(leave())
    wait = writer.submit(put("a"))
    shelf.gate.set()
    first.result(10)
    assert wait.result(10) == "a"
    assert shelf.texts("draft") == ["orphan"]


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.sampled_from(["put", "conflict", "draft", "bad"]), max_size=30))
def test_whatever_the_mixture_only_what_was_acknowledged_is_there(
    tmp_path: Path, items: list[str]
) -> None:
    path = tmp_path / "mixture.db"
    path.unlink(missing_ok=True)
    shelf = Shelf(path)
    writer: Writer[str, int] = Writer(shelf.connect, shelf.append, shelf.forget)
    waits: list[tuple[str, str, Any]] = []
    for number, kind in enumerate(items):
        text = f"{kind}-{number}"
        if kind == "put":
            waits.append(("job", text, writer.submit(put(text))))
        elif kind == "conflict":
            waits.append(("job", text, writer.submit(fail(text, ConflictError("x", "x")))))
        else:
            known = "bad" if kind == "bad" else text
            waits.append(("draft", known, threading.Thread(target=_quietly, args=(writer, known))))
            waits[-1][2].start()
    kept: dict[str, list[str]] = {"job": [], "draft": []}
    for table, text, wait in waits:
        if isinstance(wait, threading.Thread):
            wait.join(10)
            if text != "bad":
                kept[table].append(text)
        elif wait.exception(10) is None:
            kept[table].append(text)
    writer.close()
    assert shelf.texts("job") == kept["job"]
    assert sorted(shelf.texts("draft")) == sorted(kept["draft"])


def _quietly(writer: Writer[str, int], draft: str) -> None:
    try:
        writer.append_now(draft)
    except ConflictError:
        return
