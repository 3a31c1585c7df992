"""What is sealed for one version: the contributor's reference and the compressed body.

Layout, version 1: ``01`` | length of the author's reference (2 bytes, big-endian) | reference
(UTF-8) | one zstd frame made with the dictionary `definitions/dictionary.bin` (its id stands in the
frame).
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import zstandard

from hilum.errors import VerificationError
from hilum.record.resource import MAX_BYTES

__all__ = ["Packer"]

_VERSION = 1
_LEVEL = 3
# A stamped body may be a little longer than the largest that was taken.
_MOST = MAX_BYTES + (1 << 20)


@cache
def _dictionary() -> zstandard.ZstdCompressionDict:
    data = files("hilum.record").joinpath("definitions/dictionary.bin").read_bytes()
    return zstandard.ZstdCompressionDict(data)


class Packer:
    """Packs and unpacks bodies. One thread may use an instance at a time."""

    def __init__(self) -> None:
        self._press = zstandard.ZstdCompressor(
            level=_LEVEL, dict_data=_dictionary(), write_checksum=False
        )
        self._expand = zstandard.ZstdDecompressor(dict_data=_dictionary())

    def pack(self, body: bytes, author: str | None) -> bytes:
        """Return the payload of a body."""
        name = (author or "").encode()
        head = bytes((_VERSION,)) + len(name).to_bytes(2, "big") + name
        return head + self._press.compress(body)

    def unpack(self, payload: bytes) -> tuple[bytes, str | None]:
        """Return the body and the contributor's reference.

        Raises:
            VerificationError: when the payload is not one that `pack` made.
        """
        if len(payload) < 3 or payload[0] != _VERSION:
            raise VerificationError("payload", "unknown version of a stored body")
        start = 3 + int.from_bytes(payload[1:3], "big")
        try:
            body = self._expand.decompress(payload[start:], max_output_size=_MOST)
            author = payload[3:start].decode() or None
        except (zstandard.ZstdError, UnicodeDecodeError):
            raise VerificationError("payload", "a stored body does not unpack") from None
        return body, author
