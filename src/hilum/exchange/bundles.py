"""Batches and transactions: what they depend on is found, planned, written, and done anew when it moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hilum.base.ids import FhirId
from hilum.errors import ConflictError, HilumError, MalformedInputError
from hilum.exchange.applying import place
from hilum.exchange.conditions import MOVED
from hilum.exchange.enrolling import Arrival, enrol, enrols
from hilum.exchange.entries import Resolved, prepare, refuse_overlaps, resolve
from hilum.exchange.examining import examine
from hilum.exchange.people import new_uuid
from hilum.exchange.settling import ATTEMPTS, Done, done_of, found_of, settle, settle_all
from hilum.record.bundle import Bundle, Entry, Operation, plan

if TYPE_CHECKING:
    from hilum.exchange.node import Node
    from hilum.exchange.preparing import Prepared
    from hilum.identity.session import Session

__all__ = ["Outcomes", "list_writes", "write_all", "write_entry"]

Outcomes = dict[int, Done | None]
"""Index of an entry → what came of it; None where there was nothing to delete."""
_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


def write_all(node: Node, session: Session, bundle: Bundle) -> Outcomes:
    """Write the entries of a transaction in one commit: all or none; those that read are left out.

    Raises:
        MalformedInputError: an entry is wrong; names it.
        AccessDeniedError: the gate refused an entry; names it.
        ConflictError: an entry does not fit what is stored, or others change that all the time.
        UnavailableError: the disk refuses.
    """
    verbs = [(each.method or "", each.type) for each in bundle.entries if each.method in _WRITES]
    if enrols(session, verbs):
        return _enrol_all(node, session, bundle)
    told: Outcomes = {}
    writing: list[int] = []

    def attempt() -> list[Prepared]:
        told.clear()
        writing.clear()
        resolved = resolve(node, session, bundle.entries)
        prepared: list[Prepared] = []
        for operation in _plan(node, bundle, resolved):
            index = operation.entry.index
            if operation.entry.method not in _WRITES:
                continue
            made = prepare(node, session, operation, resolved.get(index))
            if made is None or isinstance(made, Done):
                told[index] = made
            else:
                prepared.append(made)
                writing.append(index)
        refuse_overlaps(prepared)
        return prepared

    done = settle_all(node, session, attempt)
    return told | dict(zip(writing, done, strict=True))


def list_writes(
    node: Node, session: Session, entries: Sequence[Entry]
) -> tuple[list[tuple[Operation, Mapping[int, Resolved]]], dict[int, HilumError]]:
    """Plan the entries of a batch, each on its own; return them in order, and those that cannot be.

    Returns:
        What to do, with what was found; and index → why an entry cannot be done.
    """
    wrong: dict[int, HilumError] = {}
    ready: list[Entry] = []
    resolved: dict[int, Resolved] = {}
    for entry in entries:
        try:
            resolved |= resolve(node, session, [entry])
            ready.append(entry)
        except HilumError as error:
            wrong[entry.index] = error
    operations = _plan(node, Bundle("batch", tuple(ready)), resolved)
    return [(each, resolved) for each in operations], wrong


def write_entry(
    node: Node, session: Session, operation: Operation, resolved: Mapping[int, Resolved]
) -> Done | None:
    """Write one entry of a batch; None where there was nothing to delete.

    Raises:
        MalformedInputError: the entry is wrong; names it.
        AccessDeniedError: the gate refused it.
        ConflictError: it does not fit what is stored, or others change that all the time.
        UnavailableError: the disk refuses.
    """
    entry = operation.entry
    if enrols(session, [(entry.method or "", entry.type)]):
        return _enrol_all(node, session, Bundle("batch", (entry,)))[entry.index]
    nothing = Done(entry.type, "", 0, b"", 0, is_new=False, changed=False)
    first = [resolved]

    def attempt() -> Prepared | Done:
        looked = first.pop() if first else resolve(node, session, [entry])
        made = prepare(node, session, operation, looked.get(entry.index))
        return nothing if made is None else made

    done = settle(node, session, attempt)
    return None if done is nothing else done


def _enrol_all(node: Node, session: Session, bundle: Bundle) -> Outcomes:
    """Enrol a new person with all that comes along; what conditions find is not made again.

    Raises:
        ConflictError: others change what the conditions find all the time.
    """
    for _ in range(ATTEMPTS):
        resolved = resolve(node, session, bundle.entries)
        told: Outcomes = {
            index: found_of(each.row) for index, each in resolved.items() if each.row is not None
        }
        operations = [
            each
            for each in _plan(node, bundle, resolved)
            if each.entry.method in _WRITES and each.entry.index not in told
        ]
        arrivals = [_arrival(each) for each in operations]
        conditions = [each.condition for each in resolved.values() if each.condition is not None]
        try:
            versions = enrol(node, session, arrivals, conditions=conditions)
        except ConflictError as error:
            if error.code != MOVED:
                raise
            continue
        made = {
            each.entry.index: done_of(version, is_new=True)
            for each, version in zip(operations, versions, strict=True)
        }
        return told | made
    raise ConflictError("busy", "others change this at the same time", hint="try again")


def _arrival(operation: Operation) -> Arrival:
    entry = operation.entry
    try:
        contents = examine(operation.body or b"", type=entry.type)
    except MalformedInputError as error:
        place(error, entry.place)
        raise
    return Arrival(*contents, operation.id or FhirId(""), entry.place)


def _plan(node: Node, bundle: Bundle, resolved: Mapping[int, Resolved]) -> list[Operation]:
    targets = {text: target for each in resolved.values() for text, target in each.references}
    settled = {index: FhirId(each.id) for index, each in resolved.items() if each.id is not None}
    for entry in bundle.entries:
        if entry.method == "PUT" and entry.condition is not None and entry.index not in settled:
            settled[entry.index] = FhirId(entry.id or new_uuid(node))
    return plan(bundle, lambda _entry: FhirId(new_uuid(node)), targets, settled=settled)
