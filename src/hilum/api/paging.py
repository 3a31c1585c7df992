"""Page tokens: opaque, signed, bound to the token and the query they were made for."""

from __future__ import annotations

import hmac
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

from hilum.errors import MalformedInputError

__all__ = ["PAGE", "read_page", "write_page"]

PAGE = "_page"
"""The query parameter that carries a page token."""
_PLACE = struct.Struct(">Bqq")
_VERSION = 1
_TAG_BYTES = 16


def write_page(key: bytes, place: tuple[int, int], *, context: bytes) -> str:
    """Return the token of the page after a place.

    Args:
        key: the node's paging key.
        place: (ts, key) of the last row given.
        context: bytes of the session and the query; another one does not open it.
    """
    body = _PLACE.pack(_VERSION, *place)
    tag = hmac.digest(key, body + context, sha256)[:_TAG_BYTES]
    return urlsafe_b64encode(body + tag).rstrip(b"=").decode()


def read_page(key: bytes, text: str, *, context: bytes) -> tuple[int, int]:
    """Return the place of a page token.

    Raises:
        MalformedInputError: not a token of this node, this session and this query.
    """
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        data = b""
    body, tag = data[: _PLACE.size], data[_PLACE.size :]
    wanted = hmac.digest(key, body + context, sha256)[:_TAG_BYTES]
    if len(body) != _PLACE.size or not hmac.compare_digest(tag, wanted) or body[0] != _VERSION:
        raise MalformedInputError(
            "bad-page", "not a page of this search", where=PAGE, hint="follow the link as it is"
        )
    _version, ts, key_of_row = _PLACE.unpack(body)
    return ts, key_of_row
