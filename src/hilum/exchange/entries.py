"""Entries of batches and transactions on their way to the writer: conditions, references, permission."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from hilum.errors import ConflictError, HilumError, MalformedInputError
from hilum.exchange.applying import place
from hilum.exchange.conditions import Condition, look_for, one_of, pairs_of
from hilum.exchange.examining import examine
from hilum.exchange.patches import fhirpath_patch, json_patch
from hilum.exchange.preparing import (
    Existence,
    Expected,
    Prepared,
    prepare_create,
    prepare_delete,
    prepare_patch,
    prepare_update,
)
from hilum.exchange.reading import deliver
from hilum.exchange.settling import Done, found_of
from hilum.record.bundle import Entry, Operation, conditional_references
from hilum.record.change import Delete

if TYPE_CHECKING:
    from hilum.exchange.auditing import Shown
    from hilum.exchange.node import Node
    from hilum.identity.session import Session

__all__ = ["Resolved", "prepare", "refuse_overlaps", "resolve"]

_JSON_PATCH = "application/json-patch+json"


class _Binary(msgspec.Struct, rename="camel"):
    resource_type: str
    content_type: str = ""
    data: str = ""


_BINARY = msgspec.json.Decoder(_Binary)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What an entry depends on, as it was found.

    Attributes:
        condition: its search, or None.
        row: the one resource that the search found, or None.
        references: conditional references in it, and what each points to.
    """

    condition: Condition | None = None
    row: Shown | None = None
    references: tuple[tuple[str, str], ...] = ()

    @property
    def id(self) -> str | None:
        """The id of what was found, or None."""
        return None if self.row is None else self.row.id


def resolve(node: Node, session: Session, entries: Sequence[Entry]) -> dict[int, Resolved]:
    """Run the searches that entries depend on, under the session's access.

    Returns:
        Index of the entry → what was found, for every entry that depends on a search.

    Raises:
        ConflictError: a condition matches several, or two entries have the same one.
        HilumError: a search is not understood, or a reference matches none or several.
    """
    found: dict[int, Resolved] = {}
    known: dict[tuple[str, str], str] = {}
    asked: set[tuple[str, str, str]] = set()
    for entry in entries:
        try:
            references = _resolve_references(node, session, entry, known)
            text = entry.condition
            if text is None:
                if references:
                    found[entry.index] = Resolved(references=references)
                continue
            if (entry.method or "", entry.type, text) in asked:
                raise ConflictError("same-condition", "another entry has the same condition")
            asked.add((entry.method or "", entry.type, text))
            condition, answer = look_for(node, session, entry.type, pairs_of(text))
            deliver(node, answer)
            row = None if one_of(condition) is None else answer.rows[0]
            found[entry.index] = Resolved(condition, row, references)
        except HilumError as error:
            place(error, f"{entry.place}.request")
            raise
    return found


def _resolve_references(
    node: Node, session: Session, entry: Entry, known: dict[tuple[str, str], str]
) -> tuple[tuple[str, str], ...]:
    targets = []
    for type_name, text in sorted(conditional_references([entry])):
        if (type_name, text) not in known:
            condition, answer = look_for(node, session, type_name, pairs_of(text))
            deliver(node, answer)
            if len(condition.ids) != 1:
                raise MalformedInputError(
                    "no-match", "a conditional reference matches none or several",
                    where=f"{type_name}?…",
                )  # fmt: skip
            known[type_name, text] = f"{type_name}/{condition.ids[0]}"
        targets.append((f"{type_name}?{text}", known[type_name, text]))
    return tuple(targets)


def prepare(
    node: Node, session: Session, operation: Operation, resolved: Resolved | None
) -> Prepared | Done | None:
    """Ask the gate about an entry that writes.

    Args:
        node: where.
        session: who asks.
        operation: the entry as it was planned.
        resolved: what it depends on, or None.

    Returns:
        What to write; or what was found instead of creating it; or None, where there is nothing to
        delete.

    Raises:
        HilumError: the entry is wrong, is refused, or does not fit what is stored; names its place.
    """
    entry = operation.entry
    found = resolved or Resolved()
    if entry.condition is not None and found.row is None and entry.method == "DELETE":
        return None
    if entry.method == "POST" and found.row is not None:
        return found_of(found.row)
    try:
        prepared = _PREPARE[entry.method or "POST"](node, session, operation, found)
    except HilumError as error:
        place(error, entry.place)
        raise
    return replace(prepared, condition=found.condition, place=entry.place)


def _create(node: Node, session: Session, operation: Operation, _found: Resolved) -> Prepared:
    contents = examine(operation.body or b"", type=operation.entry.type)
    return prepare_create(node, session, contents, id=operation.id)


def _update(node: Node, session: Session, operation: Operation, found: Resolved) -> Prepared:
    entry = operation.entry
    contents = examine(operation.body or b"", type=entry.type)
    own_id = contents[0].id
    if entry.condition is None:
        if operation.id is None or own_id != operation.id:
            raise MalformedInputError(
                "structure", "the body must have the id of the URL", where=f"{entry.type}.id"
            )
        existence = Existence.NEW if entry.if_none_match == "*" else Existence.ANY
    elif found.id is None:
        if own_id is None:
            return prepare_create(node, session, contents, id=operation.id)
        existence = Existence.NEW
    else:
        if own_id not in {None, found.id}:
            raise MalformedInputError(
                "other-id", "the condition finds another resource than the body names",
                where=f"{entry.type}.id",
            )  # fmt: skip
        existence = Existence.KNOWN
    expected = Expected(entry.if_match, existence)
    named = found.id or own_id or operation.id or ""
    return prepare_update(node, session, contents, id=named, expected=expected)


def _patch(node: Node, session: Session, operation: Operation, found: Resolved) -> Prepared:
    entry = operation.entry
    named = operation.id if entry.condition is None else found.id
    change = _change_of(operation.body or b"")
    return prepare_patch(
        node, session, (entry.type, named or ""), change=change, if_match=entry.if_match
    )


def _change_of(body: bytes) -> Callable[[bytes], bytes]:
    """Return what the patch in an entry makes of a resource: JSON Patch in a Binary, or Parameters.

    Raises:
        MalformedInputError: neither of them.
    """
    try:
        binary = _BINARY.decode(body)
        if binary.resource_type != "Binary":
            return fhirpath_patch(body)
        if binary.content_type.partition(";")[0].strip() != _JSON_PATCH:
            raise MalformedInputError(
                "value", "not a patch that is understood", where="Binary.contentType",
                hint=_JSON_PATCH,
            )  # fmt: skip
        patch = base64.b64decode(binary.data, validate=True)
    except (msgspec.ValidationError, binascii.Error):
        raise MalformedInputError("structure", "not a patch", where="Binary.data") from None
    return json_patch(patch)


def _delete(node: Node, session: Session, operation: Operation, found: Resolved) -> Prepared:
    entry = operation.entry
    named = (operation.id if entry.condition is None else found.id) or ""
    return prepare_delete(node, session, entry.type, id=named, if_match=entry.if_match)


_PREPARE: dict[str, Callable[[Node, Session, Operation, Resolved], Prepared]] = {
    "POST": _create, "PUT": _update, "PATCH": _patch, "DELETE": _delete,
}  # fmt: skip


def refuse_overlaps(prepared: Sequence[Prepared]) -> None:
    """Refuse a transaction in which two entries change one resource.

    Raises:
        MalformedInputError: names the second of them.
    """
    seen: set[tuple[str, str]] = set()
    for each in prepared:
        change = each.change
        kind = change.type if isinstance(change, Delete) else change.resource.type
        if (kind, change.id) in seen:
            raise MalformedInputError(
                "duplicate", "another entry changes the same resource", where=each.place
            )
        seen.add((kind, change.id))
