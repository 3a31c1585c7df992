"""Proof files and headers files, as `hilum.verifier` reads them."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import msgspec

from hilum.base import canonical
from hilum.base.statetree import ZERO
from hilum.errors import MalformedInputError
from hilum.ledger.cell import Cell

__all__ = ["AnchorParts", "JournalParts", "encode_headers", "encode_proof"]

HEADER_BYTES = 80


class JournalParts(msgspec.Struct, frozen=True):
    """The journal's side of a proof.

    Attributes:
        receipt: the receipt's bytes.
        salt: of its leaf, 32 bytes.
        path: from its leaf to the checkpoint's root, deepest sibling first.
        note: the signed checkpoint.
    """

    receipt: bytes
    salt: bytes
    path: Sequence[bytes]
    note: bytes


class AnchorParts(msgspec.Struct, frozen=True):
    """Bitcoin's side of a proof.

    Attributes:
        record: the batch's 78 bytes.
        transaction: the anchor without its witness.
        height: of its block.
        index: its position in the block.
        path: from its id to the block's Merkle root, deepest sibling first, internal byte order.
    """

    record: bytes
    transaction: bytes
    height: int
    index: int
    path: Sequence[bytes]


def encode_proof(
    journal: JournalParts, anchor: AnchorParts, *, cell: Cell, salt: bytes, path: Sequence[bytes]
) -> bytes:
    """Return a proof file; nothing is verified here.

    Args:
        journal: receipt to checkpoint.
        anchor: batch record to block.
        cell: the journal's cell as the batch left it.
        salt: of the cell's value, 32 bytes.
        path: the cell's 32 siblings, deepest first.

    Raises:
        MalformedInputError: when the note is not text or a number is too great.
    """
    try:
        note = journal.note.decode()
    except UnicodeDecodeError as error:
        raise MalformedInputError("bad-note", "a note is UTF-8") from error
    filled = [level for level, sibling in enumerate(path) if sibling != ZERO[level]]
    return canonical.encode(
        {
            "format": "hilum-proof-1",
            "receipt": journal.receipt.hex(),
            "salt": journal.salt.hex(),
            "path": [sibling.hex() for sibling in journal.path],
            "checkpoint": note,
            "cell": {
                "index": cell.index,
                "rule": cell.rule,
                "owner": cell.owner.hex(),
                "seq": cell.seq,
                "until": cell.until,
                "size": cell.size,
                "salt": salt.hex(),
                "levels": sum(1 << level for level in filled),
                "path": [path[level].hex() for level in filled],
            },
            "batch": anchor.record.hex(),
            "anchor": {
                "transaction": anchor.transaction.hex(),
                "height": anchor.height,
                "index": anchor.index,
                "path": [sibling.hex() for sibling in anchor.path],
            },
        }
    )


def encode_headers(headers: bytes, *, network: str) -> bytes:
    """Return a headers file; nothing is verified here.

    Args:
        headers: 80 bytes each, from the genesis block on.
        network: ``mainnet``, ``testnet4``, ``signet`` or ``regtest``.

    Raises:
        MalformedInputError: when there is none or the last one is cut short.
    """
    if not headers or len(headers) % HEADER_BYTES:
        raise MalformedInputError("bad-headers", "headers are 80 bytes each")
    tip = sha256(sha256(headers[-HEADER_BYTES:]).digest()).digest()
    return canonical.encode(
        {
            "format": "hilum-headers-1",
            "headers": headers.hex(),
            "network": network,
            "tip": tip.hex(),
        }
    )
