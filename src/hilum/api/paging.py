"""Page tokens: sealed, so that nothing of a record can be read from a URL; bound to token and query.

A token is a place in the order of a search, under AES-SIV: the same place of the same search always
has the same token, and a token of another session or query does not open.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import lru_cache
from hashlib import blake2b

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from hilum.errors import MalformedInputError
from hilum.record.query_tree import Place

__all__ = ["PAGE", "read_page", "write_page"]

PAGE = "_page"
"""The query parameter that carries a page token."""
_VERSION = 2
_MOST = 8192
_PERSON = b"hilum/page/v2"


@lru_cache(maxsize=8)
def _cipher(key: bytes) -> AESSIV:
    return AESSIV(blake2b(key, digest_size=64, person=_PERSON).digest())


def write_page(key: bytes, place: Place, *, context: bytes) -> str:
    """Return the token of the page after a place.

    Args:
        key: the node's paging key.
        place: of the last row given.
        context: bytes of the session and the query; another one does not open it.
    """
    body = bytes((_VERSION,)) + msgspec.msgpack.encode(place)
    sealed = _cipher(key).encrypt(body, [context or b"-"])
    return urlsafe_b64encode(sealed).rstrip(b"=").decode()


def read_page(key: bytes, text: str, *, context: bytes) -> Place:
    """Return the place of a page token.

    Raises:
        MalformedInputError: not a token of this node, this session and this query.
    """
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4)) if len(text) <= _MOST else b""
        body = _cipher(key).decrypt(data, [context or b"-"]) if len(data) > 16 else b""
    except (ValueError, InvalidTag):
        body = b""
    if not body or body[0] != _VERSION or urlsafe_b64encode(data).rstrip(b"=").decode() != text:
        raise MalformedInputError(
            "bad-page", "not a page of this search", where=PAGE, hint="follow the link as it is"
        )
    found: Place = msgspec.msgpack.decode(body[1:], type=tuple[int | float | str | None, ...])
    return found
