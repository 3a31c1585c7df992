"""Batch and transaction bundles through the gate."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qsl

import msgspec

from hilum.api.bundles import search_bundle, url_of
from hilum.api.outcomes import refusal, status_of
from hilum.api.searching import counted, left_out
from hilum.api.wire import Response
from hilum.base.ids import FhirId
from hilum.consent.gate import directory_access
from hilum.errors import AccessDeniedError, HilumError, MalformedInputError
from hilum.exchange.contributing import (
    Prepared,
    examine,
    prepare_create,
    prepare_delete,
    prepare_update,
    write,
)
from hilum.exchange.enrolling import Arrival, enrol, enrols
from hilum.exchange.people import new_uuid
from hilum.exchange.reading import deliver, find, look_up
from hilum.record.bundle import Bundle, Operation, conditional_references, parse_bundle, plan
from hilum.record.outcome import outcome_of
from hilum.record.query import parse_query

if TYPE_CHECKING:
    from hilum.exchange.node import Node
    from hilum.identity.session import Session
    from hilum.record.change import Version

__all__ = ["run_bundle"]

T = TypeVar("T")

_WRITES = frozenset({"POST", "PUT", "DELETE"})


def run_bundle(node: Node, session: Session, body: bytes, base: str) -> Response:
    """Run a batch (entries on their own) or a transaction (all or nothing).

    Raises:
        MalformedInputError: not a batch or transaction, or (transaction) an entry is wrong.
        AccessDeniedError: (transaction) the gate refused an entry; nothing was kept.
        ConflictError: (transaction) an entry does not fit what is stored; nothing was kept.
        UnavailableError: the disk refuses.
    """
    bundle = parse_bundle(body)
    if bundle.type not in {"batch", "transaction"}:
        raise MalformedInputError("value", "neither a batch nor a transaction", where="Bundle.type")
    operations = _plan(node, bundle)
    answers: dict[int, bytes] = {}
    if bundle.type == "transaction":
        _run_transaction(node, session, operations, base, answers)
    else:
        for operation in operations:
            try:
                answers[operation.entry.index] = _run_one(node, session, operation, base)
            except HilumError as error:
                answers[operation.entry.index] = _refused(error)
    entries = b",".join(answers[entry.index] for entry in bundle.entries)
    head = b'{"resourceType":"Bundle","type":"' + f"{bundle.type}-response".encode() + b'"'
    return Response(200, head + (b',"entry":[' + entries + b"]}" if entries else b"}"))


def _plan(node: Node, bundle: Bundle) -> list[Operation]:
    conn = node.conn
    resolved: dict[str, str] = {}
    for type_name, text in sorted(conditional_references(bundle.entries)):
        query = parse_query(type_name, parse_qsl(text), strict=True)
        rows = node.record.run(conn, query, [directory_access()], after=None, limit=2)
        if len(rows) != 1:
            raise MalformedInputError(
                "no-match", "a conditional reference matches none or several",
                where=f"Bundle ({type_name})",
            )  # fmt: skip
        resolved[f"{type_name}?{text}"] = f"{type_name}/{rows[0].id}"
    for entry in bundle.entries:
        if entry.if_none_exist is not None or entry.if_none_match is not None:
            raise MalformedInputError(
                "not-supported",
                "conditional entries are not supported",
                where=f"{entry.place}.request",
            )
    return plan(bundle, lambda _entry: FhirId(new_uuid(node)), resolved)


def _run_transaction(
    node: Node, session: Session, operations: list[Operation], base: str, answers: dict[int, bytes]
) -> None:
    writes = [each for each in operations if each.entry.method in _WRITES]
    if enrols(session, [(each.entry.method or "", each.entry.type) for each in writes]):
        versions = enrol(node, session, [_at(each, partial(_arrival, each)) for each in writes])
    else:
        prepared = [_at(each, partial(_prepare, node, session, each)) for each in writes]
        versions = write(node, session, prepared) if prepared else []
    for operation, version in zip(writes, versions, strict=True):
        answers[operation.entry.index] = _written(operation, version)
    for operation in operations:
        if operation.entry.index not in answers:
            try:
                answers[operation.entry.index] = _run_read(node, session, operation, base)
            except AccessDeniedError as error:
                answers[operation.entry.index] = _refused(error)


def _at(operation: Operation, act: Callable[[], T]) -> T:
    """Run a preparation so that its errors name the entry.

    Raises:
        MalformedInputError: what the preparation raised, with the entry's place.
    """
    try:
        return act()
    except MalformedInputError as error:
        inner = f".resource ({error.where})" if error.where else ""
        raise MalformedInputError(
            error.code, error.why, where=f"{operation.entry.place}{inner}", hint=error.hint
        ) from None


def _arrival(operation: Operation) -> Arrival:
    resource, seg = examine(operation.body or b"", type=operation.entry.type)
    if operation.id is None:
        raise MalformedInputError("not-supported", "conditional entries are not supported")
    return Arrival(resource, seg, operation.id, operation.entry.place)


def _run_one(node: Node, session: Session, operation: Operation, base: str) -> bytes:
    if operation.entry.method in _WRITES:
        return _written(operation, write(node, session, [_prepare(node, session, operation)])[0])
    return _run_read(node, session, operation, base)


def _prepare(node: Node, session: Session, operation: Operation) -> Prepared:
    entry = operation.entry
    if operation.id is None:
        raise MalformedInputError(
            "not-supported", "conditional entries are not supported", where=f"{entry.place}.request"
        )
    if entry.method == "DELETE":
        return prepare_delete(node, session, entry.type, id=operation.id, if_match=entry.if_match)
    resource, seg = examine(operation.body or b"", type=entry.type)
    if entry.method == "POST":
        return prepare_create(node, session, resource, seg, id=operation.id)
    return prepare_update(node, session, resource, seg, id=operation.id, if_match=entry.if_match)


def _run_read(node: Node, session: Session, operation: Operation, base: str) -> bytes:
    entry = operation.entry
    if entry.method not in {"GET", "HEAD"}:
        raise MalformedInputError("not-supported", "this verb is not supported", where=entry.place)
    if operation.id is not None:
        if entry.url.count("/") > 1:
            raise MalformedInputError(
                "not-supported", "only reads and searches inside bundles", where=entry.place
            )
        answer = deliver(node, look_up(node, session, entry.type, operation.id))
        if not answer.rows:
            raise AccessDeniedError("absent", "not found")
        row = answer.rows[0]
        return (
            b'{"resource":'
            + row.body
            + b',"response":{"status":"200","etag":"W/\\"%d\\""}}' % row.ver
        )
    query = parse_query(entry.type, parse_qsl(operation.query or ""), strict=False, base=base)
    found = counted(deliver(node, find(node, session, query, after=None)))
    body = search_bundle(
        base, found, self_url=url_of(base, entry.type, list(query.applied)), next_url=None,
        notes=left_out(query),
    )  # fmt: skip
    return b'{"resource":' + body + b',"response":{"status":"200"}}'


def _written(operation: Operation, version: Version) -> bytes:
    status = {"POST": "201", "PUT": "200", "DELETE": "204"}[operation.entry.method or "POST"]
    response = {
        "status": status,
        "location": f"{version.type}/{version.id}/_history/{version.ver}",
        "etag": f'W/"{version.ver}"',
    }
    if status == "204":
        del response["location"]
    return msgspec.json.encode({"response": response})


def _refused(error: HilumError) -> bytes:
    body = refusal(error).body if isinstance(error, AccessDeniedError) else outcome_of(error)
    status = str(status_of(error, body_was_read=True)).encode()
    return b'{"response":{"status":"' + status + b'","outcome":' + body + b"}}"
