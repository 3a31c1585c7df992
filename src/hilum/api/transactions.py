"""Batch and transaction bundles through the gate.

Entries run in the order of R4 (DELETE, POST, PUT and PATCH, GET). A transaction is written in one commit,
or not at all; what it depends on is looked at again inside that commit. Entries that read go the way of
any request.

Source: HL7 FHIR R4, http "batch/transaction".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from hilum.api.negotiation import Returns
from hilum.api.outcomes import refusal, status_of
from hilum.api.wire import Request, Response, parse_query_string
from hilum.errors import HilumError, MalformedInputError
from hilum.exchange.bundles import list_writes, write_all, write_entry
from hilum.exchange.settling import Done
from hilum.record.bundle import Bundle, Entry, parse_bundle
from hilum.record.outcome import Issue, Severity, outcome, outcome_of
from hilum.record.resource import format_instant

if TYPE_CHECKING:
    from hilum.exchange.node import Node
    from hilum.identity.session import Session

__all__ = ["Ask", "Asking", "run_bundle"]

Ask = Callable[[Request], Response]
"""Answers a request that reads, from a thread."""
_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True)
class Asking:
    """Who sent a bundle, and how its answer is wanted.

    Attributes:
        base: ``http://host/fhir``.
        returns: what each entry that writes gives back.
        read: answers entries that read.
    """

    session: Session
    base: str
    returns: Returns
    read: Ask


def run_bundle(node: Node, body: bytes, asking: Asking) -> Response:
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
    run = _run_transaction if bundle.type == "transaction" else _run_batch
    answers = run(node, bundle, asking)
    entries = b",".join(answers[entry.index] for entry in bundle.entries)
    head = b'{"resourceType":"Bundle","type":"' + f"{bundle.type}-response".encode() + b'"'
    return Response(200, head + (b',"entry":[' + entries + b"]}" if entries else b"}"))


def _run_transaction(node: Node, bundle: Bundle, asking: Asking) -> dict[int, bytes]:
    done = write_all(node, asking.session, bundle)
    return {
        entry.index: _written(entry, done[entry.index], asking.returns)
        if entry.index in done
        else _read(entry, asking)
        for entry in bundle.entries
    }


def _run_batch(node: Node, bundle: Bundle, asking: Asking) -> dict[int, bytes]:
    operations, wrong = list_writes(node, asking.session, bundle.entries)
    answers = {index: _refused(error) for index, error in wrong.items()}
    for operation, resolved in operations:
        entry = operation.entry
        try:
            if entry.method in _WRITES:
                done = write_entry(node, asking.session, operation, resolved)
                answers[entry.index] = _written(entry, done, asking.returns)
            else:
                answers[entry.index] = _read(entry, asking)
        except HilumError as error:
            answers[entry.index] = _refused(error)
    return answers


# -- answers -----------------------------------------------------------------------------------------


def _written(entry: Entry, done: Done | None, returns: Returns) -> bytes:
    if done is None:
        return b'{"response":{"status":"204"}}'
    if entry.method == "DELETE":
        return msgspec.json.encode({"response": {"status": "204", "etag": f'W/"{done.ver}"'}})
    response: dict[str, object] = {
        "status": "201" if done.is_new else "200",
        "location": f"{done.type}/{done.id}/_history/{done.ver}",
        "etag": f'W/"{done.ver}"',
        "lastModified": format_instant(done.updated),
    }
    told: dict[str, object] = {}
    if returns is Returns.REPRESENTATION:
        told["resource"] = msgspec.Raw(done.body)
    elif returns is Returns.OUTCOME:
        response["outcome"] = msgspec.Raw(
            outcome([Issue(Severity.INFORMATION, "informational", "stored")])
        )
    return msgspec.json.encode({**told, "response": response})


def _read(entry: Entry, asking: Asking) -> bytes:
    headers = {
        name: value.encode()
        for name, value in (
            (b"if-none-match", entry.if_none_match), (b"if-modified-since", entry.if_modified_since)
        )
        if value is not None
    }  # fmt: skip
    path, _question, query = entry.url.partition("?")
    try:
        response = asking.read(
            Request(
                method=entry.method or "GET",
                path=tuple(part for part in path.split("/") if part),
                query=parse_query_string(query.encode("ascii", "replace")),
                headers=headers,
                base=asking.base,
            )
        )
    except HilumError as error:
        return _refused(error)
    told: dict[str, object] = {"status": str(response.status)}
    for name, value in response.headers:
        if name == b"etag":
            told["etag"] = value.decode()
    if response.status >= 400:
        told["outcome"] = msgspec.Raw(response.body)
    shown = {"resource": msgspec.Raw(response.body)} if response.status == 200 else {}
    if entry.method == "HEAD":
        shown = {}
    return msgspec.json.encode({**shown, "response": told})


def _refused(error: HilumError) -> bytes:
    body = refusal(error).body or outcome_of(error)
    status = str(status_of(error, body_was_read=True)).encode()
    return b'{"response":{"status":"' + status + b'","outcome":' + body + b"}}"
