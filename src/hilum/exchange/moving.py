"""A whole record out as one zip, and back into an empty node, without loss.

```
hilum-export.json   what this is: version, subject, custodian, counts, SHA-256 of every member
resources.ndjson    every version, oldest first, bodies byte for byte
directory.ndjson    organisations and practitioners that the record refers to
series.ndjson       device readings        directives.ndjson   consents with salts
receipts.ndjson     receipts with salts    originals/NAME      payloads as they came
```
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from hilum.base import merkle
from hilum.base.ids import CompartmentId, FhirId, SubjectId, UnixMs
from hilum.consent.decision import Duty
from hilum.consent.directive import DirectiveStatus
from hilum.consent.terms import ALL_SEGMENTS
from hilum.errors import ConflictError, MalformedInputError, UnavailableError
from hilum.exchange.disclosing import DUTY_BITS, label_of
from hilum.exchange.node import DIRECTORY
from hilum.exchange.payloads import EXPORT_MANIFEST
from hilum.exchange.people import compartment_of
from hilum.identity.reader import grantee_of
from hilum.journal.model import Facts, Outcome, Party, ReceiptAction
from hilum.journal.receipt import draft_of, parse_receipt
from hilum.ledger.cell import Rule
from hilum.ledger.model import Opening
from hilum.record.change import Create, Method, StoredVersion
from hilum.record.references import list_references
from hilum.record.resource import parse_json, parse_resource
from hilum.record.types import is_directory_type
from hilum.vault.payload import Original

if TYPE_CHECKING:
    from hilum.base.sql import Connection
    from hilum.exchange.node import Node
    from hilum.exchange.payloads import Payload
    from hilum.exchange.report import Report

__all__ = ["export", "restore"]

FORMAT = "hilum-export-1"
_ORIGINAL_SEGMENT = 8
_MEMBERS = ("directory", "resources", "series", "directives", "receipts")
MAX_LINE = 64 << 20
_PAGE = 1000


class _Line(msgspec.Struct):
    type: str
    id: str
    ver: int
    method: int
    at: int
    seg: int
    author: str | None = None
    body: msgspec.Raw = msgspec.Raw(b"null")


# -- out -----------------------------------------------------------------------------------------


def export(node: Node, *, subject: str, output: str) -> dict[str, Any]:
    """Write a subject's whole record to a zip; returns ``{"file", "bytes", …counts}``.

    The receipt of it names the custodian and is on disk before the file is in its place; it is not
    part of the file.

    Raises:
        MalformedInputError: no such subject.
        UnavailableError: the file cannot be written.
    """
    conn = node.conn
    cid = compartment_of(node, conn, subject)
    path = Path(output)
    temporary = path.with_name(f".{path.name}.new")
    counts: dict[str, int] = {}
    digests: dict[str, str] = {}
    conn.execute("begin")  # one snapshot: the parts of an export agree with each other
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
            parts = {
                "directory": _directory_lines(node, conn, cid),
                "resources": _resource_lines(node, conn, cid),
                "series": map(_encode, node.series.export_lines(conn, cid)),
                "directives": map(_encode, node.directives.export(conn, cid)),
                "receipts": _receipt_lines(node, conn, cid),
            }
            for name in _MEMBERS:
                counts[name], digests[f"{name}.ndjson"] = _write(
                    archive, f"{name}.ndjson", parts[name]
                )
            counts["originals"] = _write_originals(node, conn, cid, archive, digests)
            manifest = {
                "format": FORMAT,
                "subject": subject,
                "custodian": node.custodian.did,
                "at_unix_ms": node.clock(),
                "counts": counts,
                "sha256": digests,
            }
            archive.writestr(EXPORT_MANIFEST, json.dumps(manifest, indent=1, sort_keys=True))
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        _write_receipt(node, cid, digests, sum(counts.values()))
        temporary.replace(path)
    except UnavailableError:
        temporary.unlink(missing_ok=True)
        raise
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UnavailableError(
            "cannot-write", "the file cannot be written", where=str(path), retryable=False
        ) from error
    finally:
        conn.execute("rollback")
    return {"file": str(path), "bytes": path.stat().st_size, **counts}


def _write_receipt(node: Node, cid: CompartmentId, digests: dict[str, str], count: int) -> None:
    """Tell the subject that the custodian took the record out; the digest is over the zip's members."""
    facts = Facts(
        at_unix_ms=node.clock(),
        purpose="PATRQT",
        action=ReceiptAction.EXPORT,
        outcome=Outcome.PERMIT,
        credential=bytes(32),
        organisation=Party(grantee_of(node.custodian.did), label_of(node.settings.custodian)),
        batch=node.batch,
        digest=merkle.root([bytes.fromhex(digests[name]) for name in sorted(digests)]),
        count=count,
        segments=ALL_SEGMENTS,
        duties=DUTY_BITS[Duty.RECEIPT],
    )
    node.writer.append_now(draft_of(cid, facts))


def _write(archive: zipfile.ZipFile, name: str, lines: Iterable[bytes]) -> tuple[int, str]:
    digest, count = sha256(), 0
    with archive.open(name, "w", force_zip64=True) as member:
        for line in lines:
            member.write(line + b"\n")
            digest.update(line + b"\n")
            count += 1
    return count, digest.hexdigest()


def _encode(value: object) -> bytes:
    return msgspec.json.encode(value)


def _resource_lines(node: Node, conn: Connection, cid: CompartmentId) -> Iterator[bytes]:
    for stored in node.record.export_versions(conn, cid):
        yield _line_of(stored)


def _line_of(stored: StoredVersion) -> bytes:
    body = msgspec.Raw(stored.body or b"null")
    return msgspec.json.encode(
        _Line(
            stored.type,
            stored.id,
            stored.ver,
            int(stored.method),
            stored.at,
            stored.seg,
            stored.author,
            body,
        )
    )


def _directory_lines(node: Node, conn: Connection, cid: CompartmentId) -> Iterator[bytes]:
    wanted: set[str] = set()
    for stored in node.record.export_versions(conn, cid):
        if stored.body:
            for _path, reference in list_references(parse_json(stored.body)):
                if is_directory_type(reference.partition("/")[0]):
                    wanted.add(reference)
    for stored in node.record.export_versions(conn, DIRECTORY):
        if f"{stored.type}/{stored.id}" in wanted:
            yield _line_of(stored)


def _receipt_lines(node: Node, conn: Connection, cid: CompartmentId) -> Iterator[bytes]:
    for foreign in node.journal.foreign(conn, cid):
        yield _receipt_line(foreign.data, foreign.salt)
    after = -1
    while page := node.journal.of_compartment(conn, cid, after=after, limit=_PAGE):
        for stored in page:
            yield _receipt_line(stored.data, stored.salt)
        after = page[-1].receipt.number


def _receipt_line(data: bytes, salt: bytes) -> bytes:
    return _encode({"receipt": b64encode(data).decode(), "salt": b64encode(salt).decode()})


def _write_originals(
    node: Node,
    conn: Connection,
    cid: CompartmentId,
    archive: zipfile.ZipFile,
    digests: dict[str, str],
) -> int:
    kept = node.originals.of_compartment(conn, cid)
    index = []
    for original in kept:
        name, digest = original.name, sha256()
        with archive.open(f"originals/{name}", "w", force_zip64=True) as member:
            for part in node.originals.read(cid, name, seg=_ORIGINAL_SEGMENT):
                member.write(part)
                digest.update(part)
        digests[f"originals/{name}"] = digest.hexdigest()
        index.append(_encode({"name": name, "kind": original.kind, "at": original.at_unix_ms}))
    _count, digests["originals.ndjson"] = _write(archive, "originals.ndjson", index)
    return len(kept)


# -- back ------------------------------------------------------------------------------------------


def restore(
    node: Node, payload: Payload, report: Report, *, expected: SubjectId | None
) -> SubjectId:
    """Put an exported record into this node, all or nothing; returns the subject.

    Args:
        node: where; must not hold the subject yet.
        payload: the zip.
        report: counted up.
        expected: the subject that the caller named, or None.

    Raises:
        MalformedInputError: not an export, damaged, or about another subject.
        ConflictError: the subject is here already.
        UnavailableError: the disk refuses.
    """
    try:
        with zipfile.ZipFile(payload.stream) as archive:
            manifest = _manifest(archive, payload.name)
            subject = SubjectId(str(manifest["subject"]))
            if expected is not None and expected != subject:
                raise MalformedInputError(
                    "other-subject", "the export is of another subject", where=payload.name
                )
            _verify_digests(archive, manifest, payload.name)
            cid, count = node.writer.write(lambda conn: _restore(node, conn, archive, subject))
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError) as error:
        raise MalformedInputError("damaged", "the export is damaged", where=payload.name) from error
    report.accepted += count
    node.gatekeeper.forget(cid)
    return subject


def _manifest(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    try:
        manifest = json.loads(archive.read(EXPORT_MANIFEST))
        if manifest["format"] != FORMAT or not isinstance(manifest["subject"], str):
            raise ValueError
    except (ValueError, TypeError, KeyError) as error:
        raise MalformedInputError(
            "bad-export", "not an export of this version", where=f"{name}!{EXPORT_MANIFEST}"
        ) from error
    return dict(manifest)


def _verify_digests(archive: zipfile.ZipFile, manifest: dict[str, Any], name: str) -> None:
    for member, wanted in manifest["sha256"].items():
        digest = sha256()
        with archive.open(member) as file:
            while part := file.read(1 << 20):
                digest.update(part)
        if digest.hexdigest() != wanted:
            raise MalformedInputError(
                "damaged", "its content was altered", where=f"{name}!{member}"
            )


def _lines(archive: zipfile.ZipFile, member: str) -> Iterator[tuple[str, bytes]]:
    with archive.open(member) as file:
        number = 0
        while line := file.readline(MAX_LINE):
            number += 1
            yield f"{member} line {number}", line


def _restore(
    node: Node, conn: Connection, archive: zipfile.ZipFile, subject: SubjectId
) -> tuple[CompartmentId, int]:
    """Write everything in the writer's transaction; return the compartment and how many entries.

    Raises:
        MalformedInputError: a line is not what an export holds; names it.
    """
    at, count = node.clock(), 0
    cid = node.record.create_compartment(conn, subject, at)
    for _place, stored in _versions(archive, "directory.ndjson"):
        if node.record.locate(conn, stored.type, stored.id) is None and stored.body:
            resource = parse_resource(stored.body)
            node.record.apply(
                conn, [Create(DIRECTORY, resource, FhirId(stored.id), stored.seg)], at
            )
    for place, stored in _versions(archive, "resources.ndjson"):
        try:
            node.record.restore_version(conn, cid, stored)
        except (MalformedInputError, ConflictError) as error:
            raise MalformedInputError(
                error.code, error.why, where=place, hint=error.hint
            ) from error
        count += 1
    for place, line in _lines(archive, "series.ndjson"):
        _guard(
            place, lambda text=line: node.series.restore_line(conn, cid, msgspec.json.decode(text))
        )
        count += 1
    for place, line in _lines(archive, "directives.ndjson"):
        _guard(place, lambda text=line: _restore_directive(node, conn, cid, text, at))
    receipts = [_receipt_of(place, line) for place, line in _lines(archive, "receipts.ndjson")]
    node.journal.add_foreign(conn, cid, receipts)
    _restore_originals(node, conn, archive, cid)
    return cid, count + len(receipts)


def _guard(place: str, act: Any) -> None:  # noqa: ANN401 - a thunk
    try:
        act()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedInputError("bad-export", "not a line of an export", where=place) from error


def _versions(archive: zipfile.ZipFile, member: str) -> Iterator[tuple[str, StoredVersion]]:
    for place, text in _lines(archive, member):
        try:
            line = msgspec.json.decode(text, type=_Line)
            method = Method(line.method)
        except (msgspec.DecodeError, ValueError) as error:
            raise MalformedInputError(
                "bad-export", "not a line of an export", where=place
            ) from error
        body = bytes(line.body)
        yield place, StoredVersion(
            line.type, FhirId(line.id), line.ver, method, UnixMs(line.at), line.seg,
            b"" if body == b"null" else body, line.author,
        )  # fmt: skip


def _restore_directive(
    node: Node, conn: Connection, cid: CompartmentId, text: bytes, at: UnixMs
) -> None:
    directive = node.directives.restore(conn, msgspec.json.decode(text), cid=cid)
    if directive.status is DirectiveStatus.ACTIVE:
        opening = Opening(
            f"directive/{directive.id}", Rule.ONE_WAY, directive.root, node.entropy(32)
        )
        opened = node.ledger.open_cell(conn, node.signer, opening, at_unix_ms=at)
        node.directives.set_cell(conn, directive.id, cell=opened.cell)


def _receipt_of(place: str, text: bytes) -> tuple[bytes, bytes]:
    try:
        line = msgspec.json.decode(text, type=dict[str, str])
        data, salt = (
            b64decode(line["receipt"], validate=True),
            b64decode(line["salt"], validate=True),
        )
        parse_receipt(data)
    except (msgspec.DecodeError, KeyError, ValueError) as error:
        raise MalformedInputError("bad-export", "not a receipt", where=place) from error
    return data, salt


def _restore_originals(
    node: Node, conn: Connection, archive: zipfile.ZipFile, cid: CompartmentId
) -> None:
    for _place, text in _lines(archive, "originals.ndjson"):
        line = msgspec.json.decode(text)
        with archive.open(f"originals/{line['name']}") as member:
            name, size = node.originals.keep(cid, member, seg=_ORIGINAL_SEGMENT)
        note = Original(cid, name, line["kind"], size, line["at"])
        node.originals.note(conn, original=note)
