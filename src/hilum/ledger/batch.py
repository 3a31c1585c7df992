"""Batches: operations sealed together, the record that anchors them, the data that carries them.

```
record = "HLM1" | mode u8 | flags u8 | number u32 | seen_height u32 | state_root 32 | data_root 32
data   = version u8 = 1 | operations
chunk  = version u8 = 1 | state root after it 32 | up to 16 operations
```

``data_root`` is the RFC 6962 root over the chunks. The record is 78 bytes and fits an OP_RETURN
output that every node relays.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Final

import msgspec

from hilum.base import merkle
from hilum.errors import ConflictError, MalformedInputError
from hilum.ledger.apply import SignatureCheck, apply
from hilum.ledger.operation import parse_operation, split_operations, verify_signature
from hilum.ledger.state import State

__all__ = [
    "CHUNK",
    "DATA_LIMIT",
    "RECORD_BYTES",
    "Batch",
    "Mode",
    "Record",
    "encode_chunk",
    "encode_data",
    "encode_record",
    "execute",
    "parse_data",
    "parse_record",
    "seal",
    "take_fitting",
]

MAGIC: Final = b"HLM1"
DATA_VERSION: Final = b"\x01"
CHUNK: Final = 16
DATA_LIMIT: Final = 380_000
"""Bytes of data that fit one standard reveal transaction. Source: measured, 0.252 vB per byte."""
_RECORD = struct.Struct(">4sBBII32s32s")
RECORD_BYTES: Final = _RECORD.size


class Mode(IntEnum):
    """Where the operations are; never to be mislabelled."""

    ROLLUP = 1
    VALIDIUM = 2
    STAMP = 3


class Record(msgspec.Struct, frozen=True):
    """What an anchor says about a batch.

    Attributes:
        mode: where the operations are.
        number: 1 for the first batch of a ledger, without gaps among valid ones.
        seen_height: Bitcoin height the sequencer had seen.
        state_root: root of the state after the batch, 32 bytes.
        data_root: root over the chunks, 32 bytes.
    """

    mode: Mode
    number: int
    seen_height: int
    state_root: bytes
    data_root: bytes


class Batch(msgspec.Struct, frozen=True):
    """A sealed batch.

    Attributes:
        record: what its anchor will say.
        data: what its anchor will carry.
        previous_root: root of the state before it, 32 bytes.
        chunks: the chunks that `record.data_root` commits to.
    """

    record: Record
    data: bytes
    previous_root: bytes
    chunks: tuple[bytes, ...]


def encode_record(record: Record) -> bytes:
    """Return the 78 bytes of a record.

    Raises:
        MalformedInputError: when a field does not fit.
    """
    if len(record.state_root) != 32 or len(record.data_root) != 32:
        raise MalformedInputError("bad-record", "roots are 32 bytes")
    try:
        return _RECORD.pack(
            MAGIC,
            record.mode,
            0,
            record.number,
            record.seen_height,
            record.state_root,
            record.data_root,
        )
    except struct.error as error:
        raise MalformedInputError("bad-record", "a number is out of range") from error


def parse_record(data: bytes) -> Record:
    """Return the record that has these bytes.

    Raises:
        MalformedInputError: when the bytes are not a record this node understands.
    """
    if len(data) != RECORD_BYTES or not data.startswith(MAGIC):
        raise MalformedInputError("bad-record", f"a record is {RECORD_BYTES} bytes after its magic")
    _, mode, flags, number, seen_height, state_root, data_root = _RECORD.unpack(data)
    if flags or mode not in {int(known) for known in Mode}:
        raise MalformedInputError("bad-record", "unknown mode or flags")
    return Record(Mode(mode), number, seen_height, state_root, data_root)


def encode_data(operations: Sequence[bytes]) -> bytes:
    """Return what the anchor carries: a version byte and the operations one after another.

    Raises:
        MalformedInputError: when it would not fit one anchor.
    """
    data = DATA_VERSION + b"".join(operations)
    if len(data) > DATA_LIMIT:
        raise MalformedInputError("batch-too-big", f"a batch holds at most {DATA_LIMIT} bytes")
    return data


def parse_data(data: bytes) -> list[bytes]:
    """Return the bytes of each operation of a batch.

    Raises:
        MalformedInputError: when the bytes are not a batch's data.
    """
    if not data.startswith(DATA_VERSION) or len(data) > DATA_LIMIT:
        raise MalformedInputError("bad-data", "unknown version or longer than a batch may be")
    return list(split_operations(data[1:]))


def take_fitting(operations: Sequence[bytes]) -> int:
    """Return how many of the first operations fit one batch."""
    room = DATA_LIMIT - len(DATA_VERSION)
    for count, operation in enumerate(operations):
        room -= len(operation)
        if room < 0:
            return count
    return len(operations)


def encode_chunk(operations: Sequence[bytes], state_root: bytes) -> bytes:
    """Return the leaf data of one chunk.

    Args:
        operations: up to 16.
        state_root: root of the state after them, 32 bytes.
    """
    return DATA_VERSION + state_root + b"".join(operations)


def execute(
    state: State, operations: Sequence[bytes], *, verify: SignatureCheck = verify_signature
) -> list[bytes]:
    """Apply operations in chunks of 16.

    Args:
        state: changed in place; after an error it holds part of the operations (`rollback`).
        operations: their bytes, in order.
        verify: checks signatures.

    Returns:
        The chunks, each committing to the state root after it.

    Raises:
        MalformedInputError: when bytes are not an operation.
        ConflictError: when an operation does not fit the state.
        VerificationError: when a signature does not hold.
    """
    chunks = []
    for at in range(0, len(operations), CHUNK):
        part = operations[at : at + CHUNK]
        for data in part:
            apply(state, parse_operation(data), verify=verify)
        chunks.append(encode_chunk(part, state.root()))
    return chunks


def seal(
    state: State,
    operations: Sequence[bytes],
    *,
    seen_height: int,
    mode: Mode = Mode.ROLLUP,
    verify: SignatureCheck = verify_signature,
) -> Batch:
    """Seal operations into the next batch; the state moves on, or stays as it was on an error.

    Args:
        state: the state after the last batch; marked anew here.
        operations: their bytes, in order.
        seen_height: Bitcoin height the sequencer has seen.
        mode: where the operations will be.
        verify: checks signatures.

    Returns:
        The batch, numbered ``state.batches + 1``.

    Raises:
        MalformedInputError: when bytes are not an operation, or too many.
        ConflictError: when an operation does not fit the state, or the height went back.
        VerificationError: when a signature does not hold.
    """
    if seen_height < state.seen_height:
        raise ConflictError("height-went-back", "an earlier batch has seen a greater height")
    data = encode_data(operations)
    previous_root = state.root()
    state.mark()
    done = False
    try:
        chunks = execute(state, operations, verify=verify)
        done = True
    finally:
        if not done:
            state.rollback()
    state.batches += 1
    state.seen_height = seen_height
    record = Record(mode, state.batches, seen_height, state.root(), merkle.root(chunks))
    return Batch(record, data, previous_root, tuple(chunks))
