"""The envelope: batch data inside a taproot leaf, in branches that never run.

```
<key 32> OP_CHECKSIG OP_FALSE OP_IF "hilum" <version> <data in pushes of at most 520 bytes> OP_ENDIF
```
The signature in front stops others from spending the leaf with different outputs.
Source: BIP342 (a push is at most 520 bytes, also where it does not run); ledger design §2.
"""

from __future__ import annotations

from hilum.bitcoin.wire import Reader
from hilum.errors import MalformedInputError

__all__ = ["ENVELOPE_VERSION", "MAX_DATA_SIZE", "build_envelope", "parse_envelope"]

ENVELOPE_VERSION = 1
MAX_DATA_SIZE = 390_000
"""Bytes that fit with their pushes into one standard transaction of 400,000 weight units."""
_MAX_PUSH = 520
_CHECKSIG, _FALSE, _IF, _ENDIF = b"\xac", b"\x00", b"\x63", b"\x68"
_HEAD = _CHECKSIG + _FALSE + _IF + b"\x05hilum" + b"\x01" + bytes([ENVELOPE_VERSION])
_PUSHDATA1, _PUSHDATA2 = 0x4C, 0x4D


def _push(data: bytes) -> bytes:
    size = len(data)
    if size < _PUSHDATA1:
        return bytes([size]) + data
    if size <= 0xFF:
        return bytes([_PUSHDATA1, size]) + data
    return bytes([_PUSHDATA2]) + size.to_bytes(2, "little") + data


def build_envelope(key: bytes, data: bytes) -> bytes:
    """Return the leaf script.

    Args:
        key: x-only key that must sign, 32 bytes.
        data: 1 to `MAX_DATA_SIZE` bytes.

    Raises:
        MalformedInputError: when the data is empty or too long.
    """
    if not 0 < len(data) <= MAX_DATA_SIZE:
        raise MalformedInputError(
            "bad-envelope-size",
            "an envelope holds 1 to 390000 bytes",
            hint="split the batch",
        )
    pushes = b"".join(_push(data[at : at + _MAX_PUSH]) for at in range(0, len(data), _MAX_PUSH))
    return b"\x20" + key + _HEAD + pushes + _ENDIF


def _read_push(reader: Reader, opcode: int) -> bytes:
    if opcode == _PUSHDATA1:
        opcode = reader.integer(1)
        least = _PUSHDATA1
    elif opcode == _PUSHDATA2:
        opcode = reader.integer(2)
        least = 0x100
    else:
        least = 1
    if not least <= opcode <= _MAX_PUSH:
        raise reader.refuse("bad-push", "a push of a size that has another form")
    return reader.take(opcode)


def parse_envelope(script: bytes) -> bytes:
    """Return the data of an envelope; only the exact form that `build_envelope` writes is one.

    Raises:
        MalformedInputError: when the script is anything else.
    """
    reader = Reader(script, what="envelope")
    front = reader.take(33)
    if front[:1] != b"\x20" or reader.take(len(_HEAD)) != _HEAD:
        raise reader.refuse("no-envelope", "not an envelope of this version")
    chunks: list[bytes] = []
    while (opcode := reader.integer(1)) != _ENDIF[0]:
        if opcode > _PUSHDATA2:
            raise reader.refuse("bad-push", "an operation where data is expected")
        if chunks and len(chunks[-1]) != _MAX_PUSH:
            raise reader.refuse("bad-push", "only the last push may be short")
        chunks.append(_read_push(reader, opcode))
    reader.finish()
    if not chunks:
        raise reader.refuse("no-envelope", "an envelope without data")
    return b"".join(chunks)
