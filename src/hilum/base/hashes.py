"""Tagged SHA-256, as in BIP340: every hash says what it is a hash of.

Source: BIP340, "Tagged Hashes".
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import _Hash

__all__ = ["commitment", "tagged_hash"]

VALUE_TAG = "hilum/value/v1"


@lru_cache(maxsize=64)
def _midstate(tag: str) -> _Hash:
    digest = sha256(tag.encode()).digest()
    return sha256(digest + digest)


def tagged_hash(tag: str, *parts: bytes) -> bytes:
    """Return SHA-256(SHA-256(tag) ‖ SHA-256(tag) ‖ parts…), 32 bytes.

    Args:
        tag: the domain, e.g. ``"hilum/receipt/v1"``; a constant, never input.
        parts: byte strings hashed one after another; callers keep them unambiguous (fixed widths or lengths).
    """
    state = _midstate(tag).copy()
    for part in parts:
        state.update(part)
    return state.digest()


def commitment(salt: bytes, payload_hash: bytes) -> bytes:
    """Return the hiding commitment that a ledger cell carries, 32 bytes.

    Args:
        salt: 32 random bytes; deleting them makes the commitment unlinkable.
        payload_hash: 32 bytes.
    """
    return tagged_hash(VALUE_TAG, salt, payload_hash)
