"""What happens to the active chain, for those who follow it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["ChainEvent", "EventKind"]


class EventKind(Enum):
    """A block joined or left the active chain."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"


@dataclass(frozen=True, slots=True)
class ChainEvent:
    """One block joined or left.

    Attributes:
        number: rises by one with each event of a process; starts at 1.
        kind: which.
        height: of the block.
        block_hash: 32 bytes, internal order.
    """

    number: int
    kind: EventKind
    height: int
    block_hash: bytes
