"""Operations: what changes cells, byte for byte.

```
open   1 | rule u8 | until u32 | owner 32 | value 32 | sig 64     134 bytes
set    2 | index u32 | value 32 | sig 64                          101
append 3 | index u32 | size u64 | value 32 | sig 64               109
close  4 | index u32 | sig 64                                      69
rotate 5 | index u32 | new owner 32 | sig 64                      101
```

The signature is BIP340, by the cell's owner (for `open`: the owner named in it), over
``tagged("hilum/op/v1", ledger id ‖ operation without signature ‖ seq u32)`` with the cell's present
`seq` (0 for `open`). So an operation holds once, for one cell, in one ledger; that an `open` holds
once follows from the rule that an owner key serves once (`hilum.ledger.apply`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from functools import lru_cache
from typing import Any, Final

import msgspec

from hilum.base.hashes import tagged_hash
from hilum.errors import MalformedInputError, VerificationError
from hilum.ledger.cell import Rule

__all__ = [
    "OPERATION_BYTES",
    "Kind",
    "Operation",
    "encode_operation",
    "operation_message",
    "parse_operation",
    "split_operations",
    "verify_signature",
]

OPERATION_TAG: Final = "hilum/op/v1"
SIGNATURE_BYTES: Final = 64
STEP: Final = "operation-signature"


class Kind(IntEnum):
    """What an operation does; the number is its first byte."""

    OPEN = 1
    SET = 2
    APPEND = 3
    CLOSE = 4
    ROTATE = 5


_LAYOUTS: Final = {
    Kind.OPEN: struct.Struct(">BBI32s32s"),
    Kind.SET: struct.Struct(">BI32s"),
    Kind.APPEND: struct.Struct(">BIQ32s"),
    Kind.CLOSE: struct.Struct(">BI"),
    Kind.ROTATE: struct.Struct(">BI32s"),
}
_FIELDS: Final = {
    Kind.OPEN: ("rule", "until", "owner", "value"),
    Kind.SET: ("index", "value"),
    Kind.APPEND: ("index", "size", "value"),
    Kind.CLOSE: ("index",),
    Kind.ROTATE: ("index", "owner"),
}
OPERATION_BYTES: Final = {kind: _LAYOUTS[kind].size + SIGNATURE_BYTES for kind in Kind}
_KINDS: Final = {int(kind): kind for kind in Kind}
_SIZES: Final = {int(kind): size for kind, size in OPERATION_BYTES.items()}


class Operation(msgspec.Struct, frozen=True):
    """One operation; fields that its kind does not have keep their defaults.

    Attributes:
        kind: what it does.
        index: the cell; 0 for `open`, which gets the next free one.
        rule: of the new cell.
        until: of the new cell.
        owner: x-only key of the new cell, or the new owner.
        size: of an append.
        value: 32 bytes.
        signature: 64 bytes.
    """

    kind: Kind
    index: int = 0
    rule: int = 0
    until: int = 0
    owner: bytes = bytes(32)
    size: int = 0
    value: bytes = bytes(32)
    signature: bytes = bytes(64)


def encode_operation(operation: Operation, *, signed: bool = True) -> bytes:
    """Return the operation's bytes.

    Args:
        operation: what to encode.
        signed: False leaves the signature off, as in the signed message.

    Raises:
        MalformedInputError: when a field does not fit.
    """
    if {len(operation.owner), len(operation.value)} != {32} or len(operation.signature) != 64:
        raise MalformedInputError("bad-operation", "keys and values 32 bytes, signatures 64")
    if not 0 <= operation.rule <= Rule.APPEND_ONLY:
        raise MalformedInputError("bad-operation", "unknown rule")
    fields = (getattr(operation, name) for name in _FIELDS[operation.kind])
    try:
        body = _LAYOUTS[operation.kind].pack(operation.kind, *fields)
    except struct.error as error:
        raise MalformedInputError("bad-operation", "a number is out of range") from error
    return body + operation.signature if signed else body


def parse_operation(data: bytes) -> Operation:
    """Return the operation that has these bytes.

    Raises:
        MalformedInputError: when the bytes are not exactly one operation.
    """
    if not data or _SIZES.get(data[0]) != len(data):
        raise MalformedInputError("bad-operation", "unknown kind or wrong length")
    kind, signature = _KINDS[data[0]], data[-SIGNATURE_BYTES:]
    _, first, *rest = _LAYOUTS[kind].unpack_from(data)
    if kind is Kind.OPEN:
        if first > Rule.APPEND_ONLY:
            raise MalformedInputError("bad-operation", "unknown rule")
        until, owner, value = rest
        return Operation(kind, 0, first, until, owner, 0, value, signature)
    if kind is Kind.CLOSE:
        return Operation(kind, first, signature=signature)
    if kind is Kind.ROTATE:
        return Operation(kind, first, owner=rest[0], signature=signature)
    size = rest[0] if kind is Kind.APPEND else 0
    return Operation(kind, first, size=size, value=rest[-1], signature=signature)


def split_operations(data: bytes) -> Iterator[bytes]:
    """Yield the bytes of each operation of a concatenation.

    Raises:
        MalformedInputError: where the bytes stop being operations.
    """
    at = 0
    while at < len(data):
        size = _SIZES.get(data[at], 0)
        if not size or at + size > len(data):
            raise MalformedInputError(
                "bad-operation", "unknown kind or ends too early", where=f"byte {at}"
            )
        yield data[at : at + size]
        at += size


def operation_message(ledger: bytes, unsigned: bytes, seq: int) -> bytes:
    """Return the 32 bytes that the owner signs.

    Args:
        ledger: the ledger's id, 32 bytes.
        unsigned: the operation without its signature.
        seq: the cell's present sequence number; 0 for `open`.
    """
    return tagged_hash(OPERATION_TAG, ledger, unsigned, seq.to_bytes(4, "big"))


def verify_signature(public: bytes, message: bytes, signature: bytes) -> None:
    """Check a BIP340 signature.

    Args:
        public: x-only key, 32 bytes.
        message: 32 bytes.
        signature: 64 bytes.

    Raises:
        VerificationError: when it does not hold.

    Source: BIP340; computed by libsecp256k1.
    """
    try:
        held = _key(public).verify(signature, message)
    except ValueError as error:
        raise VerificationError(STEP, "not a key or not a signature") from error
    if not held:
        raise VerificationError(STEP, "the signature does not hold")


@lru_cache(maxsize=256)  # parsing a key costs as much as a quarter of a verification
def _key(public: bytes) -> Any:  # noqa: ANN401  # coincurve is untyped
    from coincurve import PublicKeyXOnly  # noqa: PLC0415  # heavy: only where signatures are checked

    return PublicKeyXOnly(public)
