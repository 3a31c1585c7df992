"""Marks: short values that go out in a URL and come back unread and unchanged.

They are sealed, for places in a record tell of its content; and bound to who asked and what for.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hilum.errors import MalformedInputError

__all__ = ["read_mark", "write_mark"]

_NONCE = 12
_DOMAIN = b"hilum/mark/v1|"


def write_mark(key: bytes, value: list[Any], *, context: bytes, nonce: bytes) -> str:
    """Return a value sealed as text of a URL.

    Args:
        key: the node's paging key.
        value: what JSON can hold.
        context: bytes of the session and of what is asked; another one does not open it.
        nonce: 12 bytes, never used before.
    """
    sealed = AESGCM(_key(key)).encrypt(nonce, msgspec.json.encode(value), _DOMAIN + context)
    return urlsafe_b64encode(nonce + sealed).rstrip(b"=").decode()


def read_mark(key: bytes, text: str, *, context: bytes) -> list[Any]:
    """Return the value of a mark.

    Raises:
        MalformedInputError: not a mark of this node, this session and this request.
    """
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        plain = AESGCM(_key(key)).decrypt(data[:_NONCE], data[_NONCE:], _DOMAIN + context)
    except (ValueError, InvalidTag):
        raise MalformedInputError(
            "bad-page", "not a page of this request", where="_page",
            hint="follow the link as it is",
        ) from None  # fmt: skip
    value: list[Any] = msgspec.json.decode(plain)
    return value


def _key(key: bytes) -> bytes:
    return sha256(_DOMAIN + key).digest()
