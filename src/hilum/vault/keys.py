"""Keys derived from the node key, and the wrap that carries a segment key.

```
node key ── HKDF-SHA256 ──> KEK · index · checkpoint · paging · custodial ledger root · pseudonym
KEK ── AES-256-GCM ──> wrapped segment key, one per (compartment, segment, epoch)
```
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import StrEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hilum.errors import MalformedInputError, VerificationError

__all__ = ["Entropy", "KeyPurpose", "derive", "unwrap", "wrap"]

Entropy = Callable[[int], bytes]
"""Returns that many random bytes; `os.urandom` outside tests."""

KEY_BYTES = 32
WRAP_VERSION = 1
_SALT = b"hilum/node-key/v1"
_CONTEXT = struct.Struct(">BQHI")
_NONCE = 12


class KeyPurpose(StrEnum):
    """What a key derived from the node key is for; the value goes into HKDF's info."""

    KEK = "hilum/kek/v1"
    INDEX = "hilum/index/v1"
    CHECKPOINT = "hilum/checkpoint/v1"
    PAGING = "hilum/paging/v1"
    LEDGER_ROOT = "hilum/ledger-root/v1"
    PSEUDONYM = "hilum/pseudonym/v1"


def derive(node_key: bytes, purpose: KeyPurpose) -> bytes:
    """Return the 32-byte key of that purpose.

    Args:
        node_key: 32 bytes.
        purpose: what it is for.

    Raises:
        MalformedInputError: when the node key is not 32 bytes.

    Source: RFC 5869 (HKDF) with SHA-256.
    """
    if len(node_key) != KEY_BYTES:
        raise MalformedInputError("bad-node-key", "a node key is 32 bytes", where="node key")
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=_SALT, info=purpose.encode()).derive(
        node_key
    )


def wrap(kek: AESGCM, key: bytes, *, context: tuple[int, int, int], nonce: bytes) -> bytes:
    """Return the key sealed under the KEK: version | nonce 12 | ciphertext and tag, 61 bytes.

    Args:
        kek: the key-encrypting key.
        key: 32 bytes.
        context: compartment, segment bit, epoch; authenticated, so that a wrap cannot be moved.
        nonce: 12 random bytes.
    """
    head = bytes([WRAP_VERSION]) + nonce
    return head + kek.encrypt(nonce, key, _CONTEXT.pack(WRAP_VERSION, *context))


def unwrap(kek: AESGCM, wrapped: bytes, *, context: tuple[int, int, int]) -> bytes:
    """Return the 32-byte key of a wrap.

    Raises:
        VerificationError: when it was altered, moved, or made under another node key
            (step ``wrap``).
    """
    if len(wrapped) != 1 + _NONCE + KEY_BYTES + 16 or wrapped[0] != WRAP_VERSION:
        raise VerificationError("wrap", "not a wrapped key of this version", where="keys")
    nonce = wrapped[1 : 1 + _NONCE]
    try:
        return kek.decrypt(nonce, wrapped[1 + _NONCE :], _CONTEXT.pack(WRAP_VERSION, *context))
    except InvalidTag:
        raise VerificationError(
            "wrap",
            "a wrapped key does not open",
            where="keys",
            hint="is this the node key that made the data directory?",
        ) from None
