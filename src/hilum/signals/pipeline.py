"""One way in: detect what a payload is and read it as batches of readings."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from hilum.errors import MalformedInputError
from hilum.signals.model import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hilum.signals.model import Batch

__all__ = ["BATCH_SIZE", "DETECT_BYTES", "detect", "read_payload"]

BATCH_SIZE = 20_000
"""Readings per batch: one transaction each; keeps memory low and chunk rewrites rare."""
DETECT_BYTES = 64 * 1024
"""How much of the beginning `detect` wants to see."""
_MAX_HELD = 256 * 1024 * 1024


def detect(head: bytes) -> Source | None:
    """Tell what a payload is from its first bytes; None when it is no device payload.

    FHIR JSON is not claimed here: a Bundle is clinical unless the caller says `Source.FHIR`.

    Args:
        head: the first DETECT_BYTES bytes, or all of a shorter payload.
    """
    from hilum.signals.clarity import looks_like_clarity  # noqa: PLC0415  keeps `hilum --help` light

    if head.startswith(b"PK\x03\x04"):
        names = head[:DETECT_BYTES].lower()
        return (
            Source.APPLE_ZIP if b"apple_health_export/" in names or b"export.xml" in names else None
        )
    if b"<HealthData" in head and head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return Source.APPLE_XML
    if looks_like_clarity(head.decode("utf-8-sig", errors="replace")):
        return Source.CLARITY
    return None


def read_payload(
    stream: IO[bytes],
    source: Source,
    *,
    now_ms: int,
    zone: str | None = None,
    batch_size: int = BATCH_SIZE,
) -> Iterator[Batch]:
    """Yield the payload as batches of mapped readings, in the order of the payload.

    Args:
        stream: the payload from its beginning; a zip must be seekable.
        source: what it is, from `detect` or from the caller.
        now_ms: the caller's clock, UTC ms.
        zone: IANA zone for payloads with local times only (Clarity).
        batch_size: readings per batch.

    Raises:
        MalformedInputError: when the payload is not what `source` says, passes a size limit, or
            needs a zone.
    """
    from hilum.signals.template import load_template  # noqa: PLC0415  PyYAML only when device data is read

    if source is Source.CLARITY:
        from hilum.signals.clarity import read_clarity  # noqa: PLC0415

        body = stream.read(_MAX_HELD + 1)
        if len(body) > _MAX_HELD:
            raise MalformedInputError(
                "too-large", "the file is larger than the limit", where="file"
            )
        template = load_template("dexcom-clarity")
        return read_clarity(body, template, zone=zone, now_ms=now_ms, batch_size=batch_size)
    if source is Source.FHIR:
        from hilum.signals.observations import read_observations  # noqa: PLC0415

        return read_observations(
            stream,
            load_template("fhir-device"),
            now_ms=now_ms,
            batch_size=batch_size,
            limit=_MAX_HELD,
        )
    from hilum.signals.apple import MAX_XML_BYTES, open_zip_member, read_apple  # noqa: PLC0415

    xml = open_zip_member(stream) if source is Source.APPLE_ZIP else stream
    return read_apple(
        xml,
        load_template("apple-health"),
        now_ms=now_ms,
        batch_size=batch_size,
        limit=MAX_XML_BYTES,
    )
