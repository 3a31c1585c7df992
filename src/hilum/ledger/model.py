"""What a node knows of its ledger beside the state: batches kept, cells of its own, witnesses."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from hilum.ledger.cell import Cell, Rule

__all__ = [
    "EVERY_BATCH",
    "Change",
    "KnownCell",
    "Opening",
    "Status",
    "StoredBatch",
    "Submitted",
    "Witness",
]


EVERY_BATCH = 1 << 62
"""A limit that limits nothing."""


class Status(IntEnum):
    """How final a batch is."""

    SEALED = 1
    ANCHORED = 2
    FINAL = 3


class Submitted(msgspec.Struct, frozen=True):
    """An operation that was taken in: its number, and its cell with the seq it will have."""

    n: int
    cell: int
    seq: int


class KnownCell(msgspec.Struct, frozen=True):
    """A cell whose key this node derives.

    Attributes:
        index: its number.
        ref: what it stands for, a name unique in the node, e.g. ``directive/…`` or ``journal``.
        key: number of its owner key.
        salt: salt of its present value, or None once forgotten.
    """

    index: int
    ref: str
    key: int
    salt: bytes | None


class Opening(msgspec.Struct, frozen=True):
    """A cell to open.

    Attributes:
        ref: name unique in the node.
        rule: what may happen to its value.
        payload: 32-byte hash of what it commits to.
        salt: 32 random bytes.
        until: Bitcoin height up to which it is meant to hold; 0 = no end.
    """

    ref: str
    rule: Rule
    payload: bytes
    salt: bytes
    until: int = 0


class Change(msgspec.Struct, frozen=True):
    """A new value for a cell.

    Attributes:
        ref: the cell's name.
        payload: 32-byte hash of what it commits to from now on.
        salt: 32 fresh random bytes.
        size: of an append-only cell: its new size; 0 for a replaceable one.
    """

    ref: str
    payload: bytes
    salt: bytes
    size: int = 0


class StoredBatch(msgspec.Struct, frozen=True):
    """A sealed batch as kept.

    Attributes:
        number: 1, 2, …
        record: 78 bytes.
        data: what the anchor carries.
        operations: how many.
        sealed_at_unix_ms: when it was sealed.
        status: how final it is.
        txid: of its anchor, 32 bytes in internal byte order, or None.
        height: of its anchor's block, or None.
    """

    number: int
    record: bytes
    data: bytes
    operations: int
    sealed_at_unix_ms: int
    status: Status
    txid: bytes | None
    height: int | None


class Witness(msgspec.Struct, frozen=True):
    """A cell as a batch left it, with its path to that batch's state root.

    Attributes:
        batch: number of the batch.
        cell: the cell.
        path: 32 siblings, deepest first.
    """

    batch: int
    cell: Cell
    path: tuple[bytes, ...]
