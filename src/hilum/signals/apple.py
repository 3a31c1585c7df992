"""Apple Health export: `export.xml`, alone or in `export.zip`, streamed in bounded memory.

Real exports carry a DOCTYPE with ELEMENT and ATTLIST declarations, which are tolerated; entities
are not (there are none in real exports). Of a zip only the member ``export.xml`` is read, under a
cap on size and ratio.
"""

from __future__ import annotations

import re
import zipfile
from functools import lru_cache
from typing import IO, TYPE_CHECKING
from zoneinfo import ZoneInfo

from lxml import etree

from hilum.errors import MalformedInputError
from hilum.signals.clock import clock_flags, load_zone, offset_at, parse_instant
from hilum.signals.gathering import Gathering
from hilum.signals.model import MAX_DURATION_MS, Flag, Reading
from hilum.signals.numeral import parse_numeral

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hilum.signals.model import Batch
    from hilum.signals.template import Mapping, Template

__all__ = ["MAX_XML_BYTES", "guard_prolog", "open_zip_member", "read_apple"]

MAX_XML_BYTES = 64 * 1024**3
"""Largest XML read; the largest exports reported are near 5 GB."""
_MAX_RATIO = 400
"""Largest unpacked:packed ratio. Exports reach about 60; bombs are near 1,000."""
_RATIO_GRACE = 16 * 1024 * 1024
_MAX_MEMBERS = 200_000
_MAX_PROLOG = 256 * 1024
_MANUAL = Flag.MANUAL.value
_TAGS = (
    "Record",
    "Correlation",
    "Workout",
    "ActivitySummary",
    "ClinicalRecord",
    "Audiogram",
    "VisionPrescription",
)
_ZONE_KEYS = frozenset({"HKTimeZone", "HKMetadataKeyTimeZone"})
_DEVICE_PART = re.compile(r"(name|model|hardware):(.*?)(?=, \w+:|>|\Z)")


class _Guarded:
    """A stream that gives back the prolog that was inspected and stops at a size."""

    def __init__(self, stream: IO[bytes], head: bytes, limit: int) -> None:
        self._stream = stream
        self._head = head
        self._left = limit

    def read(self, size: int = -1) -> bytes:
        if self._head:
            piece, self._head = self._head, b""
        else:
            piece = self._stream.read(65536 if size < 0 else size)
        self._left -= len(piece)
        if self._left < 0:
            raise MalformedInputError(
                "too-large", "the export is larger than the limit", where="export.xml"
            )
        return piece


def guard_prolog(stream: IO[bytes], *, limit: int) -> _Guarded:
    """Return the stream, its prolog inspected: UTF-8, no entity declarations, root HealthData.

    Raises:
        MalformedInputError: when the prolog is not that of an Apple Health export.
    """
    head = b""
    while b"<HealthData" not in head.partition(b"]>")[2] and len(head) < _MAX_PROLOG:
        piece = stream.read(16384)
        if not piece:
            break
        head += piece
        if b"<!DOCTYPE" not in head and b"<HealthData" in head:
            break
    if b"<!ENTITY" in head or b"<!entity" in head.lower().partition(b"<healthdata ")[0]:
        raise MalformedInputError(
            "entities", "entity declarations are refused", where="export.xml prolog"
        )
    declaration = re.match(rb"(?:\xef\xbb\xbf)?\s*<\?xml[^>]*encoding=[\"']([A-Za-z0-9_-]+)", head)
    if declaration is not None and declaration[1].lower() not in {b"utf-8", b"us-ascii"}:
        raise MalformedInputError("encoding", "only UTF-8 is read", where="export.xml prolog")
    if re.search(rb"<HealthData[\s>]", head) is None:
        raise MalformedInputError(
            "not-apple-health", "no HealthData element", where="export.xml prolog"
        )
    return _Guarded(stream, head, limit)


def _export_member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = archive.infolist()
    if len(members) > _MAX_MEMBERS:
        raise MalformedInputError("zip-bomb", "too many members", where="zip")
    # The folder and the file are localised on some phones; the second XML is always the CDA
    # document.
    names = [m for m in members if m.filename.lower().endswith(".xml") and not m.is_dir()]
    exact = [m for m in names if m.filename.rpartition("/")[2].lower() == "export.xml"]
    shallow = [m for m in names if m.filename.count("/") <= 1 and "_cda" not in m.filename.lower()]
    chosen = exact or shallow
    if len(chosen) != 1:
        raise MalformedInputError("no-export", "the archive has no single export.xml", where="zip")
    return chosen[0]


def open_zip_member(stream: IO[bytes], *, limit: int = MAX_XML_BYTES) -> IO[bytes]:
    """Return the stream of ``export.xml`` inside a zip.

    Args:
        stream: the zip; must be seekable.
        limit: largest unpacked size, bytes.

    Raises:
        MalformedInputError: when it is no zip, holds no export, or looks like a bomb.
    """
    try:
        archive = zipfile.ZipFile(stream)
        member = _export_member(archive)
        if member.flag_bits & 1:
            raise MalformedInputError("zip-encrypted", "the archive is encrypted", where="zip")
        allowed = _RATIO_GRACE + _MAX_RATIO * member.compress_size
        if member.file_size > min(limit, allowed):
            raise MalformedInputError("zip-bomb", "unpacks to an implausible size", where="zip")
        return archive.open(member)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError) as error:
        raise MalformedInputError("bad-zip", "not a readable zip archive", where="zip") from error


@lru_cache(maxsize=8192)
def _device_name(source: str, device: str) -> str:
    """Name the device by source, name and hardware; the rest changes by itself."""
    source = source.replace("\u00a0", " ").strip()
    parts = dict(_DEVICE_PART.findall(device.replace("\u00a0", " ")))
    hardware = parts.get("hardware") or parts.get("model") or ""
    more = dict.fromkeys(part.strip() for part in (parts.get("name", ""), hardware))
    known = " ".join(part for part in more if part and part != source)
    return f"{source} ({known})" if known else source


def _metadata(element: etree._Element) -> tuple[int, ZoneInfo | None]:
    flags, zone = 0, None
    for child in element:
        if child.tag != "MetadataEntry":
            continue
        key = child.get("key")
        if key == "HKWasUserEntered":
            flags = _MANUAL if child.get("value") == "1" else 0
        elif key in _ZONE_KEYS:
            try:
                zone = load_zone(child.get("value") or "")
            except MalformedInputError:
                zone = None  # an unknown name leaves the offset that the export wrote
    return flags, zone


class _Intake:
    """Turn Record elements into readings. Caches live as long as one payload."""

    def __init__(self, template: Template, gathering: Gathering, now_ms: int) -> None:
        self.mappings = template.mappings
        self.gathering = gathering
        self.now_ms = now_ms
        self._hours: dict[str, tuple[int, int]] = {}
        self._known: dict[tuple[str, ...], tuple[Mapping, list[Reading]] | None] = {}

    def instant(self, text: str) -> tuple[int, int]:
        """Return (UTC ms, offset minutes) of ``2018-09-10 02:28:55 -0700``.

        The hour is looked up, minutes and seconds are added.

        Raises:
            MalformedInputError: when it is none.
        """
        try:
            hour = text[:13] + text[19:]
            base = self._hours.get(hour)
            if base is None:
                if len(text) != 25 or len(self._hours) > 20_000:
                    self._hours.clear()
                zone = text[20:23] + ":" + text[23:]
                base = parse_instant(f"{text[:10]}T{text[11:13]}:00:00{zone}")
                self._hours[hour] = base
            if text[13] != ":" or text[16] != ":":
                raise MalformedInputError("bad-time", "not a date-time")
            minute, second = int(text[14:16]), int(text[17:19])
        except (ValueError, IndexError) as error:
            raise MalformedInputError("bad-time", "not a date-time") from error
        if not (0 <= minute < 60 and 0 <= second < 60):
            raise MalformedInputError("bad-time", "not a date-time")
        return base[0] + (minute * 60 + second) * 1000, base[1]

    def find(self, element: etree._Element) -> tuple[Mapping, list[Reading]] | None:
        get = element.get
        kind = get("type") or ""
        unit = get("unit") or ""
        source, device = get("sourceName") or "", get("device") or ""
        key = (kind, unit, source, device)
        known = self._known
        if key in known:
            return known[key]
        if len(known) > 20_000:
            known.clear()
        mapping = self.mappings.get((kind, unit))
        found = None
        if mapping is not None:
            found = (mapping, self.gathering.readings_of(mapping, _device_name(source, device)))
        known[key] = found
        return found

    def take(self, element: etree._Element) -> None:
        gathering = self.gathering
        gathering.origin += 1
        found = self.find(element)
        if found is None:
            gathering.leave_out(element.get("type") or "record without type")
            return
        try:
            found[1].append(self.reading(element, found[0]))
            gathering.pending += 1
        except MalformedInputError as error:
            gathering.refuse(f"record {gathering.origin}", error.why)

    def reading(self, element: etree._Element, mapping: Mapping) -> Reading:
        get = element.get
        start, end = get("startDate") or "", get("endDate")
        t_unix_ms, offset = self.instant(start)
        duration = 0 if end is None or end == start else self.instant(end)[0] - t_unix_ms
        if not 0 <= duration <= MAX_DURATION_MS:
            raise MalformedInputError("bad-period", "ends before it starts or after 24 days")
        value = get("value") or ""
        if mapping.stages:
            number = mapping.stages.get(value)
            if number is None:
                raise MalformedInputError("unknown-stage", "a word unknown to this type")
            unscaled, scale = number, 0
        else:
            unscaled, scale = parse_numeral(value)
            unscaled, scale = mapping.factor.apply(unscaled, scale)
        flags = clock_flags(t_unix_ms, self.now_ms)
        if len(element):
            more, zone = _metadata(element)
            flags |= more
            offset = offset if zone is None else offset_at(zone, t_unix_ms)
        origin = self.gathering.origin
        return Reading(t_unix_ms, offset, unscaled, scale, 0, duration, flags, 100, origin)


def _release(element: etree._Element) -> None:
    """Free what was read: the element's inside and all finished siblings before it."""
    element.clear()
    parent = element.getparent()
    if parent is not None:
        while element.getprevious() is not None:
            del parent[0]


def read_apple(
    stream: IO[bytes], template: Template, *, now_ms: int, batch_size: int, limit: int
) -> Iterator[Batch]:
    """Yield batches of readings of an export.

    A broken tail ends the last batch with `broken`; what came before it is kept.

    Args:
        stream: `export.xml`.
        template: the Apple template.
        now_ms: the caller's clock, for readings from the future.
        batch_size: readings per batch.
        limit: largest size read, bytes.

    Raises:
        MalformedInputError: when the prolog is not that of an export, or the size limit is passed.
    """
    gathering = Gathering(template)
    intake = _Intake(template, gathering, now_ms)
    guarded = guard_prolog(stream, limit=limit)
    events = etree.iterparse(
        guarded, events=("end",), tag=_TAGS, resolve_entities=False, no_network=True, load_dtd=False
    )
    broken = ""
    try:
        for _, element in events:
            if element.tag == "Record":
                intake.take(element)
            else:
                gathering.leave_out(element.tag)
            _release(element)
            if gathering.pending >= batch_size:
                yield gathering.flush()
    except etree.XMLSyntaxError as error:
        # The parser's own words can quote the document, so only the place is kept.
        broken = f"line {error.lineno or 0}: not well-formed XML"
    except (zipfile.BadZipFile, EOFError, OSError):
        broken = f"after record {gathering.origin}: the archive is damaged"
    yield gathering.flush(broken=broken)
