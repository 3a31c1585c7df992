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

if TYPE_CHECKING:
    from hilum.base.sql import Connection

__all__ = ["TRUST_S", "Memory"]

_GENERATION = "select v from generation"
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
        decisions: forget every decision, session and opened key.
    """

    def __init__(self, reader: Callable[[], Connection], clock: Callable[[], float]) -> None:
        self._reader = reader
        self._clock = clock
        self.rows: Sequence[Forget] = ()
        self.decisions: Sequence[Forget] = ()
        self._last: int | None = None  # owned by the writer's thread
        self._until = float("-inf")
        self._generation: int | None = None

    def forget(self) -> None:
        """Forget everything: a transaction of ours was rolled back."""
        self._last = None
        for forget in (*self.rows, *self.decisions):
            forget()

    def take_turn(self, conn: Connection) -> None:
        """Take a turn; waits while another process has it. Call first in each transaction."""
        turn, generation = conn.execute(_TURN).fetchone()
        if self._last is None or turn != self._last + 1:
            for forget in self.rows:
                forget()
        self._last = turn
        self._note(generation)

    def renew(self) -> None:
        """Ask for the generation when the last answer is too old; forget decisions when it moved.

        Raises:
            DatabaseError: it cannot be asked; nothing may be decided.
        """
        now = self._clock()
        if now >= self._until:
            self._note(self._reader().execute(_GENERATION).fetchone()[0])
            self._until = now + TRUST_S

    def _note(self, generation: int) -> None:
        if generation != self._generation:
            for forget in self.decisions:
                forget()
            self._generation = generation
