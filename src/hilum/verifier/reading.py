"""Reads bytes and proof fields strictly; whatever does not fit fails the step in progress."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NoReturn

from hilum.errors import VerificationError

__all__ = ["Cursor", "fail", "take_hashes", "take_hex", "take_int", "take_object", "take_text"]

_HEX = re.compile(r"(?:[0-9a-f]{2})+\Z")


def fail(step: str, why: str) -> NoReturn:
    """Raise the error of a step.

    Raises:
        VerificationError: always.
    """
    raise VerificationError(step, why)


class Cursor:
    """Reads big-endian fields from bytes, front to back.

    Args:
        data: what to read.
        step: the step that fails when the bytes do not suffice.
    """

    __slots__ = ("_at", "_data", "_step")

    def __init__(self, data: bytes, step: str) -> None:
        self._data = data
        self._at = 0
        self._step = step

    def take(self, size: int) -> bytes:
        """Return the next bytes.

        Raises:
            VerificationError: when there are fewer.
        """
        part = self._data[self._at : self._at + size]
        if len(part) != size:
            fail(self._step, "ends too early")
        self._at += size
        return part

    def number(self, size: int) -> int:
        """Return the next big-endian number of that many bytes."""
        return int.from_bytes(self.take(size), "big")

    def little(self, size: int) -> int:
        """Return the next little-endian number of that many bytes."""
        return int.from_bytes(self.take(size), "little")

    def text(self, width: int, limit: int) -> str:
        """Return the next UTF-8 text behind its length.

        Args:
            width: bytes of the length.
            limit: longest text in bytes.

        Raises:
            VerificationError: when it is longer or not UTF-8.
        """
        size = self.number(width)
        if size > limit:
            fail(self._step, "a text is too long")
        try:
            return self.take(size).decode()
        except UnicodeDecodeError:
            fail(self._step, "a text is not UTF-8")

    def end(self) -> None:
        """Check that nothing is left.

        Raises:
            VerificationError: when there is.
        """
        if self._at != len(self._data):
            fail(self._step, "bytes after the end")


def take_object(value: object, keys: frozenset[str], *, step: str) -> Mapping[str, object]:
    """Return a mapping that has exactly these keys, or fail the step."""
    if not isinstance(value, dict) or value.keys() != keys:
        fail(step, "other fields than the format has")
    return value


def take_hex(value: object, size: int | None = None, *, step: str) -> bytes:
    """Return the bytes of lower-case hex, of that many bytes where a size is given, or fail."""
    if not isinstance(value, str) or not _HEX.match(value):
        fail(step, "not lower-case hex")
    data = bytes.fromhex(value)
    if size is not None and len(data) != size:
        fail(step, "hex of another length")
    return data


def take_int(value: object, limit: int, *, step: str) -> int:
    """Return a whole number from 0 up to and including the limit, or fail."""
    if type(value) is not int or not 0 <= value <= limit:
        fail(step, "not a number in range")
    return value


def take_text(value: object, limit: int, *, step: str) -> str:
    """Return a text of at most that many characters, or fail."""
    if not isinstance(value, str) or len(value) > limit:
        fail(step, "not a text, or too long")
    return value


def take_hashes(value: object, limit: int, *, step: str) -> list[bytes]:
    """Return a list of at most that many 32-byte hashes, or fail."""
    if not isinstance(value, list) or len(value) > limit:
        fail(step, "not a list of hashes")
    return [take_hex(item, 32, step=step) for item in value]
