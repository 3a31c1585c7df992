"""What makes a ledger this ledger and no other.

```
version u8 = 1 | tree name (u8 length, ASCII) | created_unix_ms u64 | sequencer 32 | nonce 32
```

The ledger's id is ``tagged("hilum/ledger/v1", those bytes)``. The tree's hash function is named
here, so that a ledger with another one is another genesis and not another code path.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from hilum.base.hashes import tagged_hash
from hilum.errors import MalformedInputError

__all__ = ["TREE", "Genesis", "encode_genesis", "ledger_id", "parse_genesis"]

VERSION: Final = 1
LEDGER_TAG: Final = "hilum/ledger/v1"
TREE: Final = "sha256"
_TAIL = struct.Struct(">Q32s32s")


@dataclass(frozen=True, slots=True)
class Genesis:
    """The constants of a ledger.

    Attributes:
        created_unix_ms: when it was made.
        sequencer: x-only key of who orders operations, 32 bytes.
        nonce: 32 random bytes.
        tree: name of the tree's hash function; this node knows ``sha256``.
    """

    created_unix_ms: int
    sequencer: bytes
    nonce: bytes
    tree: str = TREE


def encode_genesis(genesis: Genesis) -> bytes:
    """Return the bytes of a genesis.

    Raises:
        MalformedInputError: when a field does not fit.
    """
    if genesis.tree != TREE:
        raise MalformedInputError("unknown-tree", "the tree's hash function is not known here")
    if len(genesis.sequencer) != 32 or len(genesis.nonce) != 32:
        raise MalformedInputError("bad-genesis", "sequencer and nonce are 32 bytes")
    name = genesis.tree.encode("ascii")
    try:
        tail = _TAIL.pack(genesis.created_unix_ms, genesis.sequencer, genesis.nonce)
    except struct.error as error:
        raise MalformedInputError("bad-genesis", "created is a 64-bit instant") from error
    return bytes((VERSION, len(name))) + name + tail


def parse_genesis(data: bytes) -> Genesis:
    """Return the genesis that has these bytes.

    Raises:
        MalformedInputError: when the bytes are not a genesis this node understands.
    """
    head = bytes((VERSION, len(TREE))) + TREE.encode("ascii")
    if not data.startswith(head) or len(data) != len(head) + _TAIL.size:
        raise MalformedInputError("bad-genesis", "not a genesis of a sha256 ledger, version 1")
    created, sequencer, nonce = _TAIL.unpack_from(data, len(head))
    return Genesis(created, sequencer, nonce)


def ledger_id(genesis: Genesis) -> bytes:
    """Return the ledger's id, 32 bytes.

    Raises:
        MalformedInputError: when the genesis does not fit its format.
    """
    return tagged_hash(LEDGER_TAG, encode_genesis(genesis))
