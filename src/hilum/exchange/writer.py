"""One writer thread owns the write connection and commits in groups.

Theory of operation: callers hand over jobs and receipt drafts; the thread takes everything that is
waiting (at most `GROUP`), runs it inside one `BEGIN IMMEDIATE … COMMIT` and only then tells the
callers. While one group is being flushed to disk the next one gathers, so full durability
(`synchronous=FULL`) costs one fsync per group, not per request. Each job and each run of drafts is
inside its own savepoint: one that fails takes back its own rows and nothing else. When the commit
itself fails, every caller of the group hears `UnavailableError` and in-memory state that the group
touched is forgotten. Nothing ends the thread but `close`, and nobody waits for a thread that ended.

Source: design/architecture.md §4 (one writer, group commit ≤ 64 requests).
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Generic, TypeVar

from hilum.base.sql import Connection, DatabaseError
from hilum.errors import UnavailableError
from hilum.exchange.events import report

__all__ = ["GROUP", "Writer"]

GROUP = 256
"""Most items in one commit. Trials: 64 to 256 are equal in throughput; one bundle is one item."""

_CLOSED = ("writer-closed", "the node is shutting down")

T = TypeVar("T")
D = TypeVar("D")
R = TypeVar("R")

Job = Callable[[Connection], T]


class _Item(Generic[D, R]):
    """A job or a draft, and who waits for it."""

    __slots__ = ("draft", "error", "future", "job", "loop", "value", "waiter")

    def __init__(self) -> None:
        self.job: Job[object] | None = None
        self.draft: D | None = None
        self.future: Future[object] | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.waiter: asyncio.Future[R] | None = None
        self.value: object = None
        self.error: BaseException | None = None


def _settle(items: Sequence[_Item[D, R]]) -> None:
    """Resolve the event loop's waiters of one group (runs in that loop)."""
    for item in items:
        waiter = item.waiter
        if waiter is None or waiter.done():
            continue
        if item.error is not None:
            waiter.set_exception(item.error)
        else:
            waiter.set_result(item.value)  # type: ignore[arg-type]  # the draft's result by construction


class Writer(Generic[D, R]):
    """The only thread that writes.

    Args:
        connect: opens the write connection (``isolation_level=None``) in the writer's thread.
        append: writes a run of receipt drafts and returns one result per draft.
        forget: drops in-memory state that a rolled-back transaction would make wrong.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        append: Callable[[Connection, Sequence[D]], Sequence[R]],
        forget: Callable[[], None],
    ) -> None:
        self._connect = connect
        self._append = append
        self._forget = forget
        self._queue: deque[_Item[D, R]] = deque()  # filled by anyone, emptied by the thread
        self._gathered: list[_Item[D, R]] = []  # owned by the event loop's thread
        self._wake = threading.Event()
        self._closing = False
        self._stopped = threading.Event()  # set by the thread, last of all
        self._thread = threading.Thread(target=self._run, name="hilum-writer", daemon=True)
        self._thread.start()

    @property
    def depth(self) -> int:
        """How many items wait."""
        return len(self._queue)

    def submit(self, job: Job[T]) -> Future[T]:
        """Queue a job; the future resolves after its group is on disk.

        Args:
            job: called in the writer's thread with the write connection, inside a savepoint.
        """
        item: _Item[D, R] = _Item()
        item.job = job
        future: Future[T] = Future()
        item.future = future  # type: ignore[assignment]  # one queue for all result types
        self._push(item)
        return future

    def write(self, job: Job[T]) -> T:
        """Run a job and wait until it is on disk.

        Raises:
            HilumError: what the job raised; nothing of it was kept.
            UnavailableError: the group could not be committed.
        """
        return self.submit(job).result()

    def append(self, draft: D) -> asyncio.Future[R]:
        """Queue a receipt draft from an event loop; resolves once it is on disk.

        Raises:
            UnavailableError: the node is shutting down.
        """
        loop = asyncio.get_running_loop()
        item: _Item[D, R] = _Item()
        item.draft = draft
        item.loop = loop
        item.waiter = waiter = loop.create_future()
        if self._closing or self._stopped.is_set():
            raise UnavailableError(*_CLOSED)
        self._gathered.append(item)
        if len(self._gathered) == 1:
            loop.call_soon(self._hand_over)
        return waiter

    def _hand_over(self) -> None:
        """Pass what gathered in the event loop to the thread, in one go."""
        self._queue.extend(self._gathered)
        self._gathered.clear()
        self._wake.set()
        if self._stopped.is_set():
            self._refuse_rest()

    def append_now(self, draft: D) -> R:
        """Write a receipt draft and wait until it is on disk.

        Raises:
            UnavailableError: the receipt could not be written.
        """
        item: _Item[D, R] = _Item()
        item.draft = draft
        future: Future[R] = Future()
        item.future = future  # type: ignore[assignment]  # one queue for all result types
        self._push(item)
        return future.result()

    def close(self) -> None:
        """Finish what is queued, close the connection and stop. Idempotent."""
        self._closing = True
        self._wake.set()
        self._thread.join()

    def _push(self, item: _Item[D, R]) -> None:
        if self._closing or self._stopped.is_set():
            raise UnavailableError(*_CLOSED)
        self._queue.append(item)
        self._wake.set()
        if self._stopped.is_set():
            self._refuse_rest()

    def _run(self) -> None:
        try:
            conn = self._connect()
        except (sqlite3.Error, DatabaseError, OSError):
            self._stopped.set()
            self._refuse_rest()
            return
        try:
            self._serve(conn)
        finally:
            self._stopped.set()
            self._refuse_rest()
            conn.close()

    def _refuse_rest(self) -> None:
        """Tell whoever queued while the thread ended; a popped item is told by one thread only."""
        rest: list[_Item[D, R]] = []
        while self._queue:
            with suppress(IndexError):  # another thread was quicker
                rest.append(self._queue.popleft())
        for item in rest:
            item.error = UnavailableError(*_CLOSED)
        self._announce(rest)

    def _serve(self, conn: Connection) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            while self._queue:
                group = [self._queue.popleft() for _ in range(min(GROUP, len(self._queue)))]
                self._commit(conn, group)
            if self._closing:
                return

    def _commit(self, conn: Connection, group: Sequence[_Item[D, R]]) -> None:
        try:
            conn.execute("begin immediate")
            self._execute(conn, group)
            conn.execute("commit")
        except (sqlite3.Error, DatabaseError) as error:
            with suppress(sqlite3.Error, DatabaseError):
                if conn.in_transaction:
                    conn.execute("rollback")
            self._forget()
            report("not-durable", reason=getattr(error, "sqlite_errorname", type(error).__name__))
            for item in group:
                item.error = _not_durable()
        self._announce(group)

    def _execute(self, conn: Connection, group: Sequence[_Item[D, R]]) -> None:
        start = 0
        while start < len(group):
            end = start
            while end < len(group) and group[end].job is None:
                end += 1
            if end > start:
                self._run_drafts(conn, group[start:end])
                start = end
            else:
                self._run_job(conn, group[start])
                start += 1

    def _run_drafts(self, conn: Connection, items: Sequence[_Item[D, R]]) -> None:
        """Append a run of drafts; when that fails, each alone, so that one cannot refuse the others."""
        drafts = [item.draft for item in items if item.draft is not None]
        error = self._guard(conn, lambda: _give(items, self._append(conn, drafts)))
        if error is None:
            return
        if len(items) == 1:
            # one answer for whatever keeps a receipt from the disk: it must not tell whose it is
            items[0].error = _not_durable() if isinstance(error, UnavailableError) else error
            return
        for item in items:
            self._run_drafts(conn, [item])

    def _run_job(self, conn: Connection, item: _Item[D, R]) -> None:
        job = item.job
        if job is not None:
            item.error = self._guard(conn, lambda: _give([item], [job(conn)]))

    def _guard(self, conn: Connection, act: Callable[[], None]) -> Exception | None:
        """Act inside a savepoint; return why it was taken back, or None.

        Raises:
            OperationalError: the disk refuses, not the job: so is the whole group.
            DatabaseError: the same, said by a database server.
        """
        conn.execute("savepoint job")
        try:
            act()
        except (sqlite3.OperationalError, DatabaseError):
            raise
        except Exception as error:  # noqa: BLE001 - the edge of the writer: every error goes to its caller
            conn.execute("rollback to job")
            conn.execute("release job")
            self._forget()
            return error
        conn.execute("release job")
        return None

    def _announce(self, group: Sequence[_Item[D, R]]) -> None:
        loops: dict[asyncio.AbstractEventLoop, list[_Item[D, R]]] = {}
        for item in group:
            if item.loop is not None:
                loops.setdefault(item.loop, []).append(item)
            elif item.future is not None:
                if item.error is not None:
                    item.future.set_exception(item.error)
                else:
                    item.future.set_result(item.value)
        for loop, items in loops.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_settle, items)


def _give(items: Sequence[_Item[D, R]], values: Sequence[object]) -> None:
    for item, value in zip(items, values, strict=True):
        item.value = value


def _not_durable() -> UnavailableError:
    return UnavailableError(
        "not-durable",
        "the node cannot write to its disk, so it answers nothing that needs a receipt",
        hint="check free space and permissions of the data directory",
    )
