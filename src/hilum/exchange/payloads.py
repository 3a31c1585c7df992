"""Files as they come: plain, gzipped or zipped, opened in bounded memory and told apart by content."""

from __future__ import annotations

import gzip
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, cast

from hilum.errors import MalformedInputError
from hilum.signals.model import Source
from hilum.signals.pipeline import DETECT_BYTES, detect

__all__ = ["EXPORT_MANIFEST", "Kind", "Payload", "open_payloads"]

EXPORT_MANIFEST = "hilum-export.json"
"""The member that makes a zip an export of a record."""
MAX_UNPACKED = 4 << 30
"""Largest payload after decompression, in bytes."""
MAX_RATIO = 200
"""Most bytes that one compressed byte may become: real exports stay below 100."""
MAX_MEMBERS = 10_000
_SPOOL = 32 << 20
_COPY = 1 << 20


class Kind(StrEnum):
    """What a payload is."""

    FHIR = "fhir"
    DEVICE = "device"
    EXPORT = "export"


@dataclass(frozen=True, slots=True)
class Payload:
    """One payload, open at its beginning.

    Attributes:
        name: the file's name, with the member's after ``!`` inside a zip.
        kind: what it is.
        source: which device export, for `Kind.DEVICE`.
        stream: seekable.
        size: bytes, decompressed.
    """

    name: str
    kind: Kind
    source: Source | None
    stream: IO[bytes]
    size: int


@contextmanager
def open_payloads(path: Path) -> Iterator[list[Payload]]:
    """Open the payloads of a file: one, or those of a zip in the order of its members.

    Raises:
        MalformedInputError: unreadable, damaged, beyond a limit, or nothing Hilum understands.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb"))
        except OSError as error:
            raise MalformedInputError(
                "unreadable", "the file cannot be read", where=path.name
            ) from error
        yield _open(file, path.name, stack)


def _open(file: IO[bytes], name: str, stack: ExitStack) -> list[Payload]:
    head = file.read(DETECT_BYTES)
    file.seek(0)
    if not head.strip():
        raise MalformedInputError("empty", "the file is empty", where=name)
    if head.startswith(b"\x1f\x8b"):
        plain = stack.enter_context(tempfile.SpooledTemporaryFile(max_size=_SPOOL))  # noqa: SIM115 - the stack closes it
        _gunzip(file, cast("IO[bytes]", plain), name)
        return _open(cast("IO[bytes]", plain), name, stack)
    if head.startswith(b"PK\x03\x04") and detect(head) is None:
        return _unzip(file, name, stack)
    if head.startswith(b"PK\x03\x04") and _is_export(file):
        return [_payload(file, name, Kind.EXPORT, None)]
    source = detect(head)
    if source is not None:
        return [_payload(file, name, Kind.DEVICE, source)]
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return [_payload(file, name, Kind.FHIR, None)]
    raise MalformedInputError(
        "unknown-format", "neither FHIR JSON nor a device export Hilum knows", where=name,
        hint="FHIR R4 JSON or NDJSON, Apple Health export (xml, zip), Dexcom Clarity CSV",
    )  # fmt: skip


def _payload(file: IO[bytes], name: str, kind: Kind, source: Source | None) -> Payload:
    size = file.seek(0, 2)
    file.seek(0)
    return Payload(name, kind, source, file, size)


def _gunzip(file: IO[bytes], out: IO[bytes], name: str) -> None:
    packed = file.seek(0, 2)
    file.seek(0)
    limit = min(MAX_UNPACKED, max(packed, 1024) * MAX_RATIO)
    total = 0
    try:
        with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
            while part := unpacked.read(_COPY):
                total += len(part)
                if total > limit:
                    raise _bomb(name)
                out.write(part)
    except (OSError, EOFError, zlib.error) as error:
        raise MalformedInputError(
            "damaged", "the gzip stream is cut off or damaged", where=name
        ) from error
    out.seek(0)


def _is_export(file: IO[bytes]) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            return EXPORT_MANIFEST in archive.namelist()
    except zipfile.BadZipFile:
        return False
    finally:
        file.seek(0)


def _unzip(file: IO[bytes], name: str, stack: ExitStack) -> list[Payload]:
    if _is_export(file):
        return [_payload(file, name, Kind.EXPORT, None)]
    try:
        archive = stack.enter_context(zipfile.ZipFile(file))
        members = [each for each in archive.infolist() if not each.is_dir()]
        if len(members) > MAX_MEMBERS:
            raise _bomb(name)
        found: list[Payload] = []
        total = 0
        for member in members:
            total += member.file_size
            if (
                total > MAX_UNPACKED
                or member.file_size > max(member.compress_size, 1024) * MAX_RATIO
            ):
                raise _bomb(f"{name}!{member.filename}")
            plain = cast(
                "IO[bytes]",
                stack.enter_context(tempfile.SpooledTemporaryFile(max_size=_SPOOL)),  # noqa: SIM115 - the stack closes it
            )
            with archive.open(member) as packed:
                shutil.copyfileobj(packed, plain, _COPY)
            plain.seek(0)
            found += _open(plain, f"{name}!{member.filename}", stack)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise MalformedInputError(
            "damaged", "the zip is damaged or encrypted", where=name
        ) from error
    if not found:
        raise MalformedInputError("empty", "the zip holds no file", where=name)
    return found


def _bomb(name: str) -> MalformedInputError:
    return MalformedInputError(
        "too-large", "unpacks to more than is taken", where=name,
        hint=f"at most {MAX_RATIO} times its size and {MAX_UNPACKED >> 30} GiB",
    )  # fmt: skip
