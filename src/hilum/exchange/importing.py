"""Import by the custodian: files of hospitals, sensors and phones into one subject's record.

Each file: open → keep the original sealed → read → place. Importing again adds nothing: resources are
compared with what is stored under their id, readings are placed by (series, start, duration). One
bad entry never loses the others: it is refused with its place and its reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hilum.base.ids import CompartmentId, SubjectId
from hilum.errors import MalformedInputError
from hilum.exchange.clinical import import_bundle
from hilum.exchange.moving import restore
from hilum.exchange.node import DIRECTORY
from hilum.exchange.payloads import Kind, Payload, open_payloads
from hilum.exchange.people import add_subject, compartment_of
from hilum.exchange.report import Report
from hilum.signals.model import Source
from hilum.signals.pipeline import read_payload
from hilum.vault.payload import Original

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hilum.exchange.node import Node
    from hilum.signals.model import Batch

__all__ = ["import_files"]

_NEW = "new"
_ORIGINAL_SEGMENT = 8
"""Originals hold everything, so the strictest segment's key (HIV in the key order) seals them."""


@dataclass(slots=True)
class _Import:
    """Where the files go."""

    node: Node
    subject: SubjectId | None
    is_new: bool
    zone: str | None
    readings: bool
    report: Report = field(default_factory=Report)
    tick: Callable[[float], None] = field(default=lambda _part: None)


def import_files(  # noqa: PLR0913 - the options of one command
    node: Node,
    *,
    files: list[str],
    subject: str | None,
    directory: bool,
    zone: str | None,
    progress: Callable[[int, int], None],
    readings: bool = False,
) -> dict[str, Any]:
    """Import files; returns ``{"subject", "accepted", "duplicate", "refused", "notes"}``.

    Args:
        node: where.
        files: absolute paths.
        subject: an id, ``new``, or None for directories and exports.
        directory: True when the files hold organisations and practitioners.
        zone: IANA zone for exports with local times only.
        progress: called with (done, total) in bytes.
        readings: True when FHIR files hold Observations of devices, to be placed as readings.

    Raises:
        MalformedInputError: the options do not fit, or the only file cannot be read at all.
        UnavailableError: the disk refuses; what was reported so far is kept.
    """
    if directory == (subject is not None) and directory:
        raise MalformedInputError("bad-options", "--directory takes no --subject", where="subject")
    job = _Import(node, None, is_new=subject == _NEW, zone=zone, readings=readings)
    if subject not in {None, _NEW}:
        compartment_of(node, node.conn, str(subject))
        job.subject = SubjectId(str(subject))
    paths = [Path(name) for name in files]
    total = sum(path.stat().st_size for path in paths if path.exists())
    done = 0
    for path in paths:
        job.tick = partial(_tick, progress, done, total, path)
        try:
            with open_payloads(path) as payloads:
                for payload in payloads:
                    _import_payload(job, payload, to_directory=directory, given=subject)
        except MalformedInputError as error:
            if len(paths) == 1 and not job.report.accepted and not job.report.duplicate:
                raise
            job.report.refuse(error.where or path.name, error.why)
        done += path.stat().st_size if path.exists() else 0
        progress(done, total)
    return job.report.as_json(job.subject)


def _tick(
    progress: Callable[[int, int], None], done: int, total: int, path: Path, part: float
) -> None:
    """Tell how far a file is, as bytes of the file as it lies on the disk."""
    progress(done + int(part * path.stat().st_size), total)


def _import_payload(
    job: _Import, payload: Payload, *, to_directory: bool, given: str | None
) -> None:
    node = job.node
    if payload.kind is Kind.EXPORT:
        job.subject = restore(node, payload, job.report, expected=job.subject)
        return
    if to_directory:
        if payload.kind is not Kind.FHIR:
            raise MalformedInputError("not-fhir", "a directory is FHIR JSON", where=payload.name)
        import_bundle(node, payload, job.report, cid=DIRECTORY, subject=None)
        return
    if given is None:
        raise MalformedInputError(
            "no-subject", "whose record is this?", where=payload.name, hint="--subject ID or new"
        )
    if payload.kind is Kind.FHIR and not job.readings:
        _import_clinical(job, payload)
    else:
        _import_device(job, payload)


def _import_clinical(job: _Import, payload: Payload) -> None:
    node = job.node
    if job.subject is not None:
        cid = compartment_of(node, node.conn, job.subject)
        import_bundle(node, payload, job.report, cid=cid, subject=job.subject)
        _keep_original(node, cid, payload)
        return
    job.subject = import_bundle(node, payload, job.report, cid=None, subject=None)
    _keep_original(node, compartment_of(node, node.conn, job.subject), payload)


def _import_device(job: _Import, payload: Payload) -> None:
    node = job.node
    zone = job.zone
    if zone is None and payload.source is Source.CLARITY:
        zone = "UTC"
        job.report.note(payload.name, "local times without a zone, taken as UTC (--zone names one)")
    batches = _begin(node, payload, zone)
    first = next(batches, None)
    if first is None:
        return
    if job.subject is None:
        made = add_subject(node, name=None, gender=None, birth_date=None)
        job.subject = SubjectId(made["id"])
    cid = compartment_of(node, node.conn, job.subject)
    _keep_original(node, cid, payload)
    for batch in chain([first], batches):
        place = partial(node.series.place, cid=cid, batch=batch.series, at=node.clock())
        placed = node.writer.write(place)
        job.tick(min(payload.stream.tell() / max(payload.size, 1), 1.0))
        job.report.accepted += placed.accepted
        job.report.duplicate += placed.duplicate
        for refusal in [*batch.refused, *placed.refused]:
            job.report.refuse(f"{payload.name} {refusal.where}".strip(), refusal.why)
        job.report.unnamed += batch.refused_count - len(batch.refused)
        for vendor_type, count in batch.not_mapped.items():
            why = batch.reasons.get(vendor_type, "no mapping")
            job.report.note(payload.name, f"{count} × {vendor_type} not mapped: {why}")
        if batch.broken:
            job.report.refuse(
                f"{payload.name} {batch.broken}", "the rest of the file is unreadable"
            )


def _begin(node: Node, payload: Payload, zone: str | None) -> Iterator[Batch]:
    """Return the batches of a device export; what is wrong as a whole is found before anything is kept.

    Raises:
        MalformedInputError: not what it seems, or nothing of it can be read.
    """
    source = payload.source or Source.FHIR
    try:
        batches = read_payload(payload.stream, source, now_ms=node.clock(), zone=zone)
        first = next(batches, None)
    except MalformedInputError as error:
        place = error.where.removeprefix("export.xml").strip()
        raise MalformedInputError(
            error.code, error.why, where=f"{payload.name} {place}".strip(), hint=error.hint
        ) from None
    if first is None:
        return iter(())
    if first.broken and not first.seen:
        raise MalformedInputError(
            "damaged", "nothing of the file can be read", where=f"{payload.name} {first.broken}"
        )
    return chain([first], batches)


def _keep_original(node: Node, cid: CompartmentId, payload: Payload) -> None:
    """Keep the payload sealed, so that a mended mapping can be run again over it."""
    place = payload.stream.tell()
    payload.stream.seek(0)
    name, size = node.originals.keep(cid, payload.stream, seg=_ORIGINAL_SEGMENT)
    payload.stream.seek(place)
    kind = payload.kind.value if payload.source is None else payload.source.value
    note = Original(cid, name, kind, size, node.clock())
    node.writer.write(partial(node.originals.note, original=note))
