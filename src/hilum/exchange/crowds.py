"""A reader's accesses to very many records, kept up to date piece by piece."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hilum.record.crowd import Crowd

if TYPE_CHECKING:
    from hilum.base.ids import CompartmentId, UnixMs
    from hilum.consent.decision import Decision

__all__ = ["FEW_RECORDS", "KnownCrowd"]

FEW_RECORDS = 32
"""So many records are asked one by one."""


class KnownCrowd:
    """A crowd, and when which part of it must be decided anew.

    Args:
        everywhere: the gatekeeper's count of changes that touch all.
        read: how many single changes were taken in.
        now: the present.
    """

    def __init__(self, everywhere: int, read: int, now: UnixMs) -> None:
        self.crowd = Crowd()
        self.everywhere = everywhere
        self.seen = now
        self._read = read
        self._until: list[tuple[int, CompartmentId]] = []

    def due(self, forgotten: Sequence[CompartmentId], now: UnixMs) -> list[CompartmentId]:
        """Return the compartments whose decision does not hold any more.

        Args:
            forgotten: all single changes, oldest first.
            now: the present.
        """
        changed = dict.fromkeys(forgotten[self._read :])
        self._read = len(forgotten)
        self.seen = now
        while self._until and self._until[0][0] <= now:
            changed[heapq.heappop(self._until)[1]] = None
        return list(changed)

    def put(self, cid: CompartmentId, decision: Decision) -> None:
        """Take in what the gate says about a compartment."""
        if decision.until_unix_ms is not None:
            heapq.heappush(self._until, (decision.until_unix_ms, cid))
        if decision.access is None:
            self.crowd.drop(cid)
        else:
            self.crowd.put(decision.access)
