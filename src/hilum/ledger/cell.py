"""Cells: what the ledger's state is made of.

```
leaf = index u32 | rule u8 | owner 32 | seq u32 | until u32 | size u64 | value 32      (85 bytes)
```

All integers big-endian; owner is a BIP340 x-only key. A closed cell has the top bit of its rule set
and keeps everything else, so that one can still show what was closed.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final

import msgspec

from hilum.errors import MalformedInputError

__all__ = ["CLOSED", "LEAF_BYTES", "Cell", "Rule", "encode_cell", "parse_cell"]

CLOSED: Final = 0x80
_LEAF = struct.Struct(">IB32sIIQ32s")
LEAF_BYTES: Final = _LEAF.size


class Rule(IntEnum):
    """What may happen to a cell's value."""

    REPLACEABLE = 0
    ONE_WAY = 1
    APPEND_ONLY = 2


class Cell(msgspec.Struct, frozen=True):
    """One entry of the ledger.

    Attributes:
        index: its number, in the order of opening.
        rule: a `Rule`, with bit `CLOSED` once it is closed.
        owner: x-only key, 32 bytes.
        seq: how many operations came after the opening.
        until: Bitcoin height up to which it is meant to hold; 0 = no end.
        size: of an append-only cell, how much it commits to.
        value: hiding commitment, 32 bytes.
    """

    index: int
    rule: int
    owner: bytes
    seq: int
    until: int
    size: int
    value: bytes

    @property
    def is_closed(self) -> bool:
        """Whether the cell is closed for ever."""
        return self.rule & CLOSED != 0


def encode_cell(cell: Cell) -> bytes:
    """Return the 85 bytes that the state tree hashes as the cell's leaf.

    Raises:
        MalformedInputError: when a field does not fit.
    """
    if len(cell.owner) != 32 or len(cell.value) != 32:
        raise MalformedInputError("bad-cell", "owner and value are 32 bytes")
    try:
        return _LEAF.pack(
            cell.index, cell.rule, cell.owner, cell.seq, cell.until, cell.size, cell.value
        )
    except struct.error as error:
        raise MalformedInputError("bad-cell", "a number is out of range") from error


def parse_cell(data: bytes) -> Cell:
    """Return the cell that has these bytes.

    Raises:
        MalformedInputError: when the bytes are not a cell's.
    """
    if len(data) != LEAF_BYTES:
        raise MalformedInputError("bad-cell", f"a cell has {LEAF_BYTES} bytes")
    cell = Cell(*_LEAF.unpack(data))
    if cell.rule & ~CLOSED > Rule.APPEND_ONLY:
        raise MalformedInputError("bad-cell", "unknown rule")
    return cell
