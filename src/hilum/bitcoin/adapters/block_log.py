"""The blocks on disk: an append-only file that is synced before the kernel sees a block.

The kernel has no flush: after a kill its tip may be the genesis block. This file is the truth.

```
file  = "HLMB" | version u8 | frame…
frame = length u32 | crc32 of the length u32 | crc32 of the payload u32 | payload
payload = count u16 | (size u32 | block)…
```
A frame is what is synced at once. A frame cut off at the end of the file was never acknowledged and
is cut away on opening; damage anywhere else is an error and nothing is touched.
"""

from __future__ import annotations

import fcntl
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from hilum.bitcoin.block import HEADER_SIZE
from hilum.errors import ConflictError, UnavailableError, VerificationError

__all__ = ["BlockLog", "Place"]

_MAGIC = b"HLMB\x01"
_FRAME_HEAD = 12
_MAX_FRAME = 1 << 30
_MOST_BLOCKS = 0xFFFF


@dataclass(frozen=True, slots=True)
class Place:
    """Where a block is in the file.

    Attributes:
        offset: of its first byte.
        size: in bytes.
        header: its 80 bytes.
    """

    offset: int
    size: int
    header: bytes


def _frame(blocks: Sequence[bytes]) -> bytes:
    parts = [len(blocks).to_bytes(2, "little")]
    for raw in blocks:
        parts += [len(raw).to_bytes(4, "little"), raw]
    payload = b"".join(parts)
    length = len(payload).to_bytes(4, "little")
    checks = zlib.crc32(length).to_bytes(4, "little") + zlib.crc32(payload).to_bytes(4, "little")
    return length + checks + payload


def _refuse_damage(offset: int) -> NoReturn:
    raise VerificationError(
        "block-log",
        "the stored blocks are damaged before their end",
        where=f"byte {offset}",
        hint="restore the chain folder from a copy",
    )


class BlockLog:
    """The file of blocks; one process at a time.

    Args:
        path: of the file; made when absent.

    Raises:
        ConflictError: when another process has it open.
        VerificationError: when it is damaged before its end, or of another format.
        UnavailableError: when it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UnavailableError(
                "block-log-closed", "the stored blocks cannot be opened"
            ) from error
        try:
            self._lock()
            self._end = self._begin()
            self._places = list(self._recover())
        except BaseException:
            os.close(self._fd)
            raise
        self._broken = False

    def _lock(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConflictError(
                "chain-in-use", "another process has this chain open", hint="stop it first"
            ) from error

    def _begin(self) -> int:
        size = os.fstat(self._fd).st_size
        found = os.pread(self._fd, len(_MAGIC), 0)
        if size >= len(_MAGIC) and found != _MAGIC:
            raise VerificationError("block-log", "not a file of blocks, or of another version")
        if size < len(_MAGIC):
            if not _MAGIC.startswith(found):
                raise VerificationError("block-log", "not a file of blocks")
            self._write(_MAGIC, 0)
            self._sync_folder()
        return len(_MAGIC)

    def _sync_folder(self) -> None:
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _recover(self) -> Iterator[Place]:
        """Walk all frames; cut away what a crash left half written."""
        size = os.fstat(self._fd).st_size
        while self._end < size:
            payload = self._read_frame(self._end, size)
            if payload is None:
                os.ftruncate(self._fd, self._end)
                os.fsync(self._fd)
                return
            start = self._end + _FRAME_HEAD
            yield from _split(payload, start)
            self._end = start + len(payload)

    def _read_frame(self, at: int, size: int) -> bytes | None:
        """Return the payload, or None where the frame was cut off by the end of the file."""
        head = os.pread(self._fd, _FRAME_HEAD, at)
        if len(head) < _FRAME_HEAD:
            return None
        length = int.from_bytes(head[:4], "little")
        if zlib.crc32(head[:4]) != int.from_bytes(head[4:8], "little") or length > _MAX_FRAME:
            # some file systems lengthen a file before its bytes arrive: a torn frame of zeros
            if self._is_zero_from(at, size):
                return None
            _refuse_damage(at)
        end = at + _FRAME_HEAD + length
        payload = os.pread(self._fd, length, at + _FRAME_HEAD)
        if len(payload) < length:
            return None
        if zlib.crc32(payload) != int.from_bytes(head[8:], "little"):
            if end == size:
                return None
            _refuse_damage(at)
        return payload

    def _is_zero_from(self, at: int, size: int) -> bool:
        while at < size:
            part = os.pread(self._fd, 1 << 16, at)
            if part.strip(b"\x00"):
                return False
            at += len(part)
        return True

    @property
    def places(self) -> tuple[Place, ...]:
        """The blocks in the order of their arrival."""
        return tuple(self._places)

    def read(self, place: Place) -> bytes:
        """Return a block.

        Raises:
            UnavailableError: when the disk does not give it.
        """
        try:
            raw = os.pread(self._fd, place.size, place.offset)
        except OSError as error:
            raise UnavailableError(
                "block-log-unreadable", "a stored block cannot be read"
            ) from error
        if len(raw) != place.size:
            raise UnavailableError("block-log-unreadable", "a stored block is cut off")
        return raw

    def append(self, blocks: Sequence[bytes]) -> list[Place]:
        """Write blocks and sync them; all or none of them are there afterwards.

        Args:
            blocks: 1 to 65,535.

        Raises:
            UnavailableError: when the disk refuses; the file is as before.
        """
        if self._broken:
            raise UnavailableError(
                "block-log-broken", "the stored blocks need to be opened again", retryable=False
            )
        frame = _frame(blocks[:_MOST_BLOCKS])
        self._write(frame, self._end)
        places = list(_split(frame[_FRAME_HEAD:], self._end + _FRAME_HEAD))
        self._end += len(frame)
        self._places += places
        return places

    def drop_last(self, count: int) -> None:
        """Take back the last frame, whose blocks the kernel refused.

        Args:
            count: number of blocks in that frame.

        Raises:
            UnavailableError: when the disk refuses; the log must then be opened again.
        """
        first = self._places[-count]
        start = first.offset - 6 - _FRAME_HEAD
        self._cut(start)
        self._end = start
        del self._places[-count:]

    def _cut(self, end: int) -> None:
        try:
            os.ftruncate(self._fd, end)
            os.fsync(self._fd)
        except OSError as error:
            self._broken = True
            raise UnavailableError(
                "block-log-broken", "the disk does not take back a write", retryable=False
            ) from error

    def _write(self, data: bytes, at: int) -> None:
        done = 0
        try:
            while done < len(data):
                done += os.pwrite(self._fd, data[done:], at + done)
            os.fsync(self._fd)
        except OSError as error:
            self._cut(at)
            raise UnavailableError(
                "block-log-full", "the disk does not take the block", hint="free some space"
            ) from error

    def close(self) -> None:
        """Close the file and give up the lock."""
        os.close(self._fd)


def _split(payload: bytes, offset: int) -> Iterator[Place]:
    count = int.from_bytes(payload[:2], "little")
    at = 2
    for _ in range(count):
        size = int.from_bytes(payload[at : at + 4], "little")
        at += 4
        yield Place(offset + at, size, payload[at : at + HEADER_SIZE])
        at += size
