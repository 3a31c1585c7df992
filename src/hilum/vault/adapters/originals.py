"""Original payloads, kept sealed before they are parsed, named by a keyed hash of their content.

```
file  = magic "HLO1" | frames…        frame = length u32 | sealed(zstd(≤ 1 MiB of the payload))
name  = keyed hash of the whole payload; the frame's number is part of what is sealed
last  = a frame of zero payload bytes, so that a file cut between frames is noticed
```
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import IO, Final

import zstandard

from hilum.base.ids import CompartmentId
from hilum.base.sql import Connection
from hilum.errors import UnavailableError, VerificationError
from hilum.vault.payload import Original

__all__ = ["SCHEMA", "Originals"]

SCHEMA: Final = """
create table if not exists original(
  cid integer not null, name text not null, kind text not null, bytes integer not null,
  at integer not null, primary key(cid, name)
) without rowid;
"""
_MAGIC: Final = b"HLO1"
_FRAME: Final = 1 << 20
_LENGTH: Final = struct.Struct(">I")
_LONGEST: Final = 2 * _FRAME

Seal = Callable[..., bytes]


class Originals:
    """Sealed files in one folder per compartment.

    Args:
        folder: the folder; made when it is not there.
        seal: the vault's seal.
        open_: the vault's open.
        key: names the files, 16 to 64 secret bytes.
    """

    def __init__(self, folder: Path, *, seal: Seal, open_: Seal, key: bytes) -> None:
        self._folder = folder
        self._seal = seal
        self._open = open_
        self._key = key

    def keep(self, cid: CompartmentId, payload: IO[bytes], *, seg: int) -> tuple[str, int]:
        """Store a payload durably; storing it again changes nothing.

        Args:
            cid: whose it is.
            payload: read to its end from where it stands.
            seg: mask of segments whose key seals it.

        Returns:
            Its name and its size in bytes.

        Raises:
            UnavailableError: the disk refuses; nothing was kept.
        """
        start = payload.tell()
        digest = blake2b(key=self._key, digest_size=20, person=b"hilum/original")
        size = 0
        while part := payload.read(_FRAME):
            digest.update(part)
            size += len(part)
        name = digest.hexdigest()
        place = self._path(cid, name)
        if place.exists():
            return name, size
        payload.seek(start)
        try:
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._write(place, self._frames(payload, cid=cid, name=name, seg=seg))
        except OSError as error:
            place.with_suffix(".new").unlink(missing_ok=True)
            raise UnavailableError(
                "not-durable", "the original payload cannot be kept", hint="check free space"
            ) from error
        return name, size

    def read(self, cid: CompartmentId, name: str, *, seg: int) -> Iterator[bytes]:
        """Yield the payload in parts.

        Raises:
            VerificationError: the file is missing, cut off or altered (step ``original``).
        """
        try:
            file = self._path(cid, name).open("rb")
        except OSError as error:
            raise VerificationError("original", "an original payload is missing") from error
        with file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise VerificationError("original", "not an original payload of this version")
            number = 0
            while True:
                part = self._frame(file, cid=cid, id=f"original-{name}-{number}", seg=seg)
                if not part:
                    return
                yield part
                number += 1

    def note(self, conn: Connection, *, original: Original) -> None:
        """Note a payload that `keep` stored; a second note changes nothing."""
        conn.execute(
            "insert into original(cid,name,kind,bytes,at) values(?,?,?,?,?) on conflict do nothing",
            (original.cid, original.name, original.kind, original.size, original.at_unix_ms),
        )

    def of_compartment(self, conn: Connection, cid: CompartmentId) -> list[Original]:
        """Return the payloads of a compartment, oldest first."""
        rows = conn.execute(
            "select cid, name, kind, bytes, at from original where cid = ? order by at, name",
            (cid,),
        )
        return [Original(CompartmentId(row[0]), *row[1:]) for row in rows]

    def unnote(self, conn: Connection, cid: CompartmentId) -> int:
        """Delete the notes of a compartment's payloads; return how many there were."""
        return conn.execute("delete from original where cid = ?", (cid,)).rowcount

    def erase(self, cid: CompartmentId) -> int:
        """Delete every original of a compartment; return how many."""
        folder = self._path(cid, "x").parent
        files = list(folder.glob("*")) if folder.exists() else []
        for file in files:
            file.unlink(missing_ok=True)
        if folder.exists():
            folder.rmdir()
        return len(files)

    def _path(self, cid: CompartmentId, name: str) -> Path:
        return self._folder / str(cid) / name

    def _frames(
        self, payload: IO[bytes], *, cid: CompartmentId, name: str, seg: int
    ) -> Iterator[bytes]:
        squeeze = zstandard.ZstdCompressor(level=3)
        number = 0
        while True:
            part = payload.read(_FRAME)
            yield self._seal(
                squeeze.compress(part), cid=cid, type_number=0,
                id=f"original-{name}-{number}", ver=1, seg=seg,
            )  # fmt: skip
            if not part:
                return
            number += 1

    def _frame(self, file: IO[bytes], *, cid: CompartmentId, id: str, seg: int) -> bytes:
        head = file.read(_LENGTH.size)
        if len(head) != _LENGTH.size or (length := _LENGTH.unpack(head)[0]) > _LONGEST:
            raise VerificationError("original", "an original payload is cut off")
        sealed = file.read(length)
        body = self._open(sealed, cid=cid, type_number=0, id=id, ver=1, seg=seg)
        return zstandard.ZstdDecompressor().decompress(body, max_output_size=_FRAME)

    @staticmethod
    def _write(place: Path, frames: Iterator[bytes]) -> None:
        temporary = place.with_suffix(".new")
        with temporary.open("wb") as file:
            file.write(_MAGIC)
            for frame in frames:
                file.write(_LENGTH.pack(len(frame)))
                file.write(frame)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(place)
        folder = os.open(place.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
