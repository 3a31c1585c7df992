"""Several processes on one database: who writes now, and how long remembered decisions may be trusted.

Writers take turns: the first statement of each of their transactions counts one row up and holds it
until the commit, so groups of different processes never overlap, and a writer that finds the count not
its own last plus one knows that another wrote and forgets what it remembers of the rows.

Decisions and sessions remembered in a process rest on directives, tokens and readers. Every change of
those counts the generation up in its own transaction (a trigger of the database). What is remembered is
trusted for `TRUST_S` after the last look at the generation and not an instant longer: when the server
cannot be asked, nothing is decided from memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hilum.base.ids import CompartmentId

if TYPE_CHECKING:
    from hilum.base.sql import Connection

__all__ = ["TRUST_S", "Memory"]

_GENERATION = "select v from generation"
_CHANGED = "select distinct cid, gone from changed where v > ?"
_MOST_CHANGES = 1000
"""After more than so many it is quicker to forget everything; the table keeps ten times as many."""
_ALL = -1
_NOBODYS = CompartmentId(-1)
_TURN = "update writer_turn set turn = turn + 1 returning turn, (select v from generation)"
TRUST_S = 0.5
"""Longest time that a change made by another process goes unnoticed, seconds."""


Forget = Callable[[], None]


class Memory:
    """What one process remembers, and when it has to forget it.

    Args:
        reader: returns the calling thread's connection.
        clock: monotonic seconds.

    Attributes:
        rows: forget what is remembered of rows; owned by the writer's thread.
        decisions: forget every decision and opened key.
        sessions: forget every session.
        changed: forget what was decided about a compartment.
        gone: forget the keys of a compartment that was erased.
    """

    def __init__(self, reader: Callable[[], Connection], clock: Callable[[], float]) -> None:
        self._reader = reader
        self._clock = clock
        self.rows: Sequence[Forget] = ()
        self.decisions: Sequence[Forget] = ()
        self.sessions: Forget = _nothing
        self.changed: Callable[[CompartmentId], None] = _nothing
        self.gone: Callable[[CompartmentId], None] = _nothing
        self._last: int | None = None  # owned by the writer's thread
        self._until = float("-inf")
        self._generation: int | None = None

    def forget(self) -> None:
        """Forget everything: a transaction of ours was rolled back."""
        self._last = None
        for forget in (*self.rows, *self.decisions, self.sessions):
            forget()

    def take_turn(self, conn: Connection) -> None:
        """Take a turn; waits while another process has it. Call first in each transaction."""
        turn, generation = conn.execute(_TURN).fetchone()
        if self._last is None or turn != self._last + 1:
            for forget in self.rows:
                forget()
        self._last = turn
        self._note(conn, generation)

    def renew(self) -> None:
        """Ask for the generation when the last answer is too old; forget what changed since.

        Raises:
            DatabaseError: it cannot be asked; nothing may be decided.
        """
        now = self._clock()
        if now >= self._until:
            conn = self._reader()
            self._note(conn, conn.execute(_GENERATION).fetchone()[0])
            self._until = now + TRUST_S

    def _note(self, conn: Connection, generation: int) -> None:
        seen = self._generation
        if generation == seen:
            return
        self.sessions()
        rows = None
        if seen is not None and generation - seen < _MOST_CHANGES:
            rows = conn.execute(_CHANGED, (seen,)).fetchall()
        if rows is None or any(cid == _ALL for cid, _ in rows):
            for forget in self.decisions:
                forget()
        for cid, is_gone in rows or ():
            self.changed(CompartmentId(cid))
            if is_gone:
                self.gone(CompartmentId(cid))
        self._generation = generation


def _nothing(_cid: CompartmentId = _NOBODYS) -> None:
    """Forget nothing: what is not wired yet remembers nothing."""
