"""Bitcoin's primitive encodings: little-endian integers, compact sizes, double SHA-256.

Source: Bitcoin Core `serialize.h`.
"""

from __future__ import annotations

from hashlib import sha256

from hilum.errors import MalformedInputError

__all__ = ["Reader", "display_hash", "encode_chunk", "encode_size", "hash256"]


def hash256(data: bytes) -> bytes:
    """Return SHA-256(SHA-256(data)), 32 bytes in internal order."""
    return sha256(sha256(data).digest()).digest()


def display_hash(internal: bytes) -> str:
    """Return a hash as explorers and people write it: hexadecimal, byte order reversed."""
    return internal[::-1].hex()


def encode_size(size: int) -> bytes:
    """Return a compact size.

    Args:
        size: 0 to 2⁶⁴-1.
    """
    if size < 0xFD:
        return size.to_bytes(1, "little")
    if size <= 0xFFFF:
        return b"\xfd" + size.to_bytes(2, "little")
    if size <= 0xFFFF_FFFF:
        return b"\xfe" + size.to_bytes(4, "little")
    return b"\xff" + size.to_bytes(8, "little")


def encode_chunk(data: bytes) -> bytes:
    """Return the bytes with their compact size before them."""
    return encode_size(len(data)) + data


_WIDTHS = {0xFD: (2, 0xFD), 0xFE: (4, 0x1_0000), 0xFF: (8, 0x1_0000_0000)}


class Reader:
    """Take fields from a byte string, front to back.

    Args:
        data: what is read.
        what: what it should be, for messages, e.g. ``"transaction"``.
    """

    __slots__ = ("_at", "_data", "_what")

    def __init__(self, data: bytes, *, what: str) -> None:
        self._data = data
        self._what = what
        self._at = 0

    @property
    def at(self) -> int:
        """Offset of the next byte."""
        return self._at

    def refuse(self, code: str, why: str) -> MalformedInputError:
        """Return the error that names this place."""
        return MalformedInputError(code, why, where=f"{self._what} byte {self._at}")

    def take(self, count: int) -> bytes:
        """Return the next bytes.

        Raises:
            MalformedInputError: when fewer are left.
        """
        end = self._at + count
        if end > len(self._data):
            raise self.refuse("truncated", "the bytes end too early")
        found = self._data[self._at : end]
        self._at = end
        return found

    def integer(self, width: int) -> int:
        """Return the next unsigned little-endian integer.

        Args:
            width: in bytes.

        Raises:
            MalformedInputError: when fewer bytes are left.
        """
        return int.from_bytes(self.take(width), "little")

    def size(self) -> int:
        """Return the next compact size.

        Raises:
            MalformedInputError: when it is cut off or longer than needed.
        """
        first = self.integer(1)
        if first < 0xFD:
            return first
        width, least = _WIDTHS[first]
        size = self.integer(width)
        if size < least:
            raise self.refuse("non-minimal", "a size is written longer than needed")
        return size

    def chunk(self) -> bytes:
        """Return the next byte string that has its compact size before it.

        Raises:
            MalformedInputError: when it is cut off.
        """
        return self.take(self.size())

    def count(self, least: int) -> int:
        """Return a number of items to come.

        Args:
            least: smallest size of one item in bytes, so that a false count cannot exhaust memory.

        Raises:
            MalformedInputError: when so many items cannot fit into what is left.
        """
        count = self.size()
        if count * least > len(self._data) - self._at:
            raise self.refuse("truncated", "more items announced than bytes left")
        return count

    def finish(self) -> None:
        """Check that nothing is left.

        Raises:
            MalformedInputError: when bytes follow.
        """
        if self._at != len(self._data):
            raise self.refuse("trailing-bytes", "bytes follow after the end")
