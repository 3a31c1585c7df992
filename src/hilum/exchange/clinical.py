"""FHIR files into a record: bundles of any type, single resources and NDJSON.

Ids of the source stay where they are free; one that another record holds is derived anew, always to
the same value, and references follow. The bundle's Patient becomes the subject's Patient. Types about
organisations and staff go to the shared directory. A reference to something that is not there is
kept and noted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec

from hilum.base.ids import CompartmentId, FhirId, SubjectId, is_fhir_id
from hilum.consent.asking import READ
from hilum.consent.gate import directory_access
from hilum.errors import ConflictError, MalformedInputError
from hilum.exchange.examining import examine
from hilum.exchange.fhirfiles import MAX_FILE, bundle_of, patient_of, text_of
from hilum.exchange.node import DIRECTORY
from hilum.exchange.own import own_access
from hilum.exchange.people import new_uuid
from hilum.record.bundle import Bundle, Entry, Operation, conditional_references, plan
from hilum.record.change import Change, Create, Update
from hilum.record.query import parse_query
from hilum.record.references import list_references, subject_references
from hilum.record.resource import Resource, parse_resource
from hilum.record.types import is_directory_type, is_resource_type

if TYPE_CHECKING:
    from hilum.base.sql import Connection
    from hilum.exchange.node import Node
    from hilum.exchange.payloads import Payload
    from hilum.exchange.report import Report

__all__ = ["import_bundle"]

_SOMEBODY = parse_resource(b'{"resourceType":"Patient"}')
_NORMAL = 1
_GROUP = 256
"""Entries per commit: keeps readers' receipts from waiting long behind an import."""
_TOP = msgspec.json.Decoder(dict[str, msgspec.Raw])
_REFERENCE = re.compile(rb'"reference"\s*:\s*"([^"\\]+)"')
_RELATIVE = re.compile(r"([A-Z]\w+)/([A-Za-z0-9\-.]{1,64})(?:/_history/\d+)?\Z")


@dataclass(slots=True)
class _Target:
    """Where the entries of one file go."""

    node: Node
    cid: CompartmentId
    subject: SubjectId | None
    report: Report
    name: str
    known: set[bytes] = field(default_factory=set)


def import_bundle(
    node: Node,
    payload: Payload,
    report: Report,
    *,
    cid: CompartmentId | None,
    subject: SubjectId | None,
) -> SubjectId:
    """Import one FHIR file and count into the report; returns the subject.

    Args:
        node: where.
        payload: FHIR JSON (a Bundle or one resource) or NDJSON.
        report: counted up.
        cid: the compartment; None makes a subject from the file's Patient.
        subject: whose compartment it is; None for the directory or a new subject.

    Raises:
        MalformedInputError: the file as a whole is not FHIR, or about another person.
        UnavailableError: the disk refuses.
    """
    if payload.size > MAX_FILE:
        raise MalformedInputError("too-large", f"more than {MAX_FILE} bytes", where=payload.name)
    data = payload.stream.read().removeprefix(b"\xef\xbb\xbf")
    bundle = bundle_of(data, payload.name, report)
    patient = patient_of(bundle, payload.name)
    if cid is None:
        _refuse_if_nothing_holds(bundle, payload.name)
        subject, cid = _new_subject(node, patient)
    target = _Target(node, cid, subject, report, payload.name)
    if cid != DIRECTORY and patient is not None:
        _refuse_other_person(target, patient)
    ids = _assign(target, bundle)
    resolved = _resolve(target, bundle)
    if cid != DIRECTORY:
        resolved |= _patient_aliases(bundle, subject)
    operations = plan(bundle, lambda entry: ids[entry.index], resolved)
    for start in range(0, len(operations), _GROUP):
        _store(target, operations[start : start + _GROUP])
    return SubjectId(subject or "")


# -- whose record ------------------------------------------------------------------------------------


def _refuse_if_nothing_holds(bundle: Bundle, name: str) -> None:
    """Nobody is made of a file of which not one entry can be taken.

    Raises:
        MalformedInputError: what is wrong in the first entry.
    """
    first: MalformedInputError | None = None
    for entry in bundle.entries:
        try:
            examine(entry.resource or b"")
        except MalformedInputError as error:
            first = first or MalformedInputError(
                error.code, error.why, where=f"{name} {entry.place}.{error.where}", hint=error.hint
            )
        else:
            return
    raise first or MalformedInputError("empty", "not one entry in it", where=name)


def _holds(patient: Entry | None) -> bool:
    try:
        return patient is not None and bool(examine(patient.resource or b""))
    except MalformedInputError:
        return False


def _new_subject(node: Node, patient: Entry | None) -> tuple[SubjectId, CompartmentId]:
    wished = None if patient is None else patient.id
    free = (
        wished is not None
        and is_fhir_id(wished)
        and (node.record.locate(node.conn, "Patient", wished) is None)
    )
    known = None if wished is None else node.record.compartment_of(node.conn, wished)
    if wished is not None and known is not None:
        return SubjectId(wished), known  # the same person again
    subject = SubjectId(wished if free and wished is not None else new_uuid(node))
    at = node.clock()
    has_patient = _holds(patient)

    def create(conn: Connection) -> CompartmentId:
        cid = node.record.create_compartment(conn, subject, at)
        if not has_patient:  # a subject has a Patient resource, whatever the file holds
            node.record.apply(conn, [Create(cid, _SOMEBODY, FhirId(subject), _NORMAL)], at)
        return cid

    return subject, node.writer.write(create)


def _refuse_other_person(target: _Target, patient: Entry) -> None:
    """A file about somebody born on another day is not this subject's.

    Raises:
        MalformedInputError: the birth dates differ.
    """
    node = target.node
    stored = node.record.read(
        node.conn, own_access(node, target.cid, READ), "Patient", str(target.subject)
    )
    if stored is None or patient.resource is None:
        return
    here = text_of(_TOP.decode(stored.body).get("birthDate"))
    there = text_of(_TOP.decode(patient.resource).get("birthDate"))
    if here and there and here != there:
        raise MalformedInputError(
            "other-person", "the file's patient was born on another day than this subject",
            where=f"{target.name} {patient.place}", hint="is it the right subject?",
        )  # fmt: skip


def _patient_aliases(bundle: Bundle, subject: SubjectId | None) -> dict[str, str]:
    """References to the file's Patient by its own id, although the subject may have another."""
    return {
        f"Patient/{entry.id}": f"Patient/{subject}"
        for entry in bundle.entries
        if entry.type == "Patient" and entry.id and entry.id != subject
    }


# -- ids and references --------------------------------------------------------------------------------


def _assign(target: _Target, bundle: Bundle) -> dict[int, FhirId]:
    """Return the id of every entry: the source's where it is free or ours, else a derived one."""
    conn, node = target.node.conn, target.node
    ids: dict[int, FhirId] = {}
    taken: set[tuple[str, str]] = set()
    for entry in bundle.entries:
        if entry.type == "Patient" and target.cid != DIRECTORY:
            ids[entry.index] = FhirId(str(target.subject))
            continue
        wished = _wished_id(entry)
        home = _home(target, entry.type)
        if wished is not None:
            located = node.record.locate(conn, entry.type, wished)
            if (located is None or located.cid == home) and (entry.type, wished) not in taken:
                ids[entry.index] = FhirId(wished)
        if entry.index not in ids:
            ids[entry.index] = _derived_id(target, entry)
        taken.add((entry.type, ids[entry.index]))
    return ids


def _wished_id(entry: Entry) -> str | None:
    if entry.id is not None and is_fhir_id(entry.id):
        return entry.id
    url = entry.full_url or ""
    tail = url.removeprefix("urn:uuid:")
    return tail if tail != url and is_fhir_id(tail) else None


def _derived_id(target: _Target, entry: Entry) -> FhirId:
    """The same entry of the same source always gets the same id in the same record."""
    origin = entry.full_url or entry.id
    digest = blake2b(digest_size=16, person=b"hilum/import/v1")
    digest.update(f"{target.cid}|{entry.type}|".encode())
    digest.update(origin.encode() if origin else entry.resource or b"")
    return FhirId(digest.hexdigest())


def _home(target: _Target, type_name: str) -> CompartmentId:
    return DIRECTORY if is_directory_type(type_name) else target.cid


def _resolve(target: _Target, bundle: Bundle) -> dict[str, str]:
    """Return what conditional references to the directory point to."""
    found: dict[str, str] = {}
    for type_name, text in sorted(conditional_references(bundle.entries)):
        reference = f"{type_name}?{text}"
        where = _find_one(target, type_name, text)
        if where is None:
            target.report.note(
                target.name, f"a reference to one {type_name} by search finds none here"
            )
        else:
            found[reference] = where
    return found


def _find_one(target: _Target, type_name: str, text: str) -> str | None:
    from urllib.parse import parse_qsl  # noqa: PLC0415 - rare

    try:
        query = parse_query(type_name, parse_qsl(text), strict=True)
    except MalformedInputError:
        return None
    rows = target.node.record.run(
        target.node.conn, query, [directory_access()], after=None, limit=2
    )
    return f"{type_name}/{rows[0].id}" if len(rows) == 1 else None


# -- storing -----------------------------------------------------------------------------------------


def _store(target: _Target, operations: Sequence[Operation]) -> None:
    ready: list[tuple[Operation, Resource, int]] = []
    for operation in operations:
        place = f"{target.name} {operation.entry.place}"
        if operation.body is None or operation.id is None:
            target.report.refuse(place, "only resources are imported, not deletions or searches")
            continue
        try:
            resource, seg = examine(operation.body)
            _check_home(target, resource)
        except MalformedInputError as error:
            inner = f".{error.where}" if error.where else ""
            target.report.refuse(f"{place}{inner}", error.why)
            continue
        ready.append((operation, resource, seg))
    if not ready:
        return
    stored = target.node.writer.write(lambda conn: _write(target, conn, ready))
    for (operation, resource, _seg), outcome in zip(ready, stored, strict=True):
        if outcome == "refused":
            target.report.refuse(
                f"{target.name} {operation.entry.place}", "its id is taken elsewhere"
            )
        elif outcome in {"duplicate", "kept"}:
            target.report.duplicate += 1
            if outcome == "kept":
                target.report.note(
                    f"{target.name} {operation.entry.place}",
                    "differs from the shared directory's, which stands (import it with --directory)",
                )
        else:
            target.report.accepted += 1
        _note_dangling(target, operation, resource)


def _check_home(target: _Target, resource: Resource) -> None:
    if target.cid == DIRECTORY:
        if not is_directory_type(resource.type):
            raise MalformedInputError(
                "not-directory", "not an organisation, practitioner, location or the like",
                where="resourceType", hint="import it with --subject",
            )  # fmt: skip
        return
    if resource.type == "Patient":
        return
    others = subject_references(resource) - {str(target.subject)}
    if others:
        raise MalformedInputError(
            "other-subject", "speaks of another patient than the subject", where=resource.type
        )


def _write(
    target: _Target, conn: Connection, ready: Sequence[tuple[Operation, Resource, int]]
) -> list[str]:
    """Write a group in one commit; per entry ``accepted``, ``duplicate``, ``kept`` or ``refused``.

    Raises:
        MalformedInputError: the store changed under the import.
    """
    node, at = target.node, target.node.clock()
    outcomes: list[str] = []
    changes: list[Change] = []
    for operation, resource, seg in ready:
        home = _home(target, resource.type)
        name = FhirId(str(operation.id))
        located = node.record.locate(conn, resource.type, name)
        if located is None:
            changes.append(Create(home, resource, name, seg))
            outcomes.append("accepted")
        elif located.cid != home:
            outcomes.append("refused")
        elif _same(target, conn, home, resource, name):
            outcomes.append("duplicate")
        elif home == DIRECTORY != target.cid:
            outcomes.append("kept")  # one person's file does not rewrite what all records share
        else:
            changes.append(Update(home, resource, name, seg))
            outcomes.append("accepted")
    try:
        node.record.apply(conn, changes, at)
    except ConflictError as error:
        raise MalformedInputError(error.code, error.why, where=target.name) from error
    return outcomes


def _same(
    target: _Target, conn: Connection, home: CompartmentId, resource: Resource, name: FhirId
) -> bool:
    """Tell whether the stored version says what the file says, id and version stamps aside."""
    access = directory_access() if home == DIRECTORY else own_access(target.node, home, READ)
    stored = target.node.record.read(conn, access, resource.type, name)
    if stored is None:
        return False
    return _content(stored.body) == _content(resource.raw)


def _content(body: bytes) -> dict[str, Any]:
    members: dict[str, Any] = dict(_TOP.decode(msgspec.json.format(body, indent=-1)))
    members.pop("id", None)
    meta = members.pop("meta", None)
    if meta is not None:
        kept = msgspec.json.decode(meta, type=dict[str, msgspec.Raw])
        kept.pop("versionId", None)
        kept.pop("lastUpdated", None)
        if kept:
            members["meta"] = {name: bytes(value) for name, value in kept.items()}
    return {
        name: value if isinstance(value, dict) else bytes(value) for name, value in members.items()
    }


def _note_dangling(target: _Target, operation: Operation, resource: Resource) -> None:
    """Note references to what is not there; the tree is walked only when there is one."""
    found = set(_REFERENCE.findall(resource.raw)) - target.known
    missing = {text for text in found if _is_missing(target, text)}
    target.known |= found - missing
    if not missing:
        return
    for path, reference in list_references(resource.tree):
        if reference.encode() in missing:
            target.report.note(
                f"{target.name} {operation.entry.place}.{path}",
                "refers to something not there; kept",
            )


def _is_missing(target: _Target, text: bytes) -> bool:
    if text.startswith(b"urn:uuid:"):
        return True
    match = _RELATIVE.match(text.decode("utf-8", "replace"))
    if match is None:
        return False
    if not is_resource_type(match[1]):
        return True
    return target.node.record.locate(target.node.conn, match[1], match[2]) is None
