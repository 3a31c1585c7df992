"""Writes through the gate: create, update, patch and delete, each with and without a condition.

bytes → validate → label → decision → one commit with the resource, its index rows and the receipt. A
change that depends on what was found is looked at again inside the writer's transaction, and when that
moved on meanwhile the whole is done anew: of a thousand equal conditional creates, one creates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hilum.base.ids import FhirId
from hilum.errors import MalformedInputError
from hilum.exchange.conditions import look_for, one_of
from hilum.exchange.enrolling import Arrival, enrol, enrols
from hilum.exchange.examining import Contents, examine
from hilum.exchange.people import new_uuid
from hilum.exchange.preparing import (
    ANY,
    Existence,
    Expected,
    Prepared,
    prepare_create,
    prepare_delete,
    prepare_patch,
    prepare_update,
)
from hilum.exchange.reading import deliver
from hilum.exchange.settling import Done, done_of, found_of, settle, settle_all, write

if TYPE_CHECKING:
    from hilum.exchange.node import Node
    from hilum.identity.session import Session

__all__ = [
    "Pairs",
    "create",
    "create_unless",
    "delete",
    "delete_where",
    "patch",
    "patch_where",
    "prepare_where",
    "update",
    "update_where",
]


Pairs = Sequence[tuple[str, str]]
"""Name-value pairs of a condition."""


def create(node: Node, session: Session, type: str, body: bytes) -> Done:
    """Store a new resource through the gate.

    Raises:
        MalformedInputError: the body is not valid, or about nobody or several people.
        AccessDeniedError: the gate refused; a receipt was written.
        UnavailableError: the disk refuses.
    """
    contents = examine(body, type=type)
    if enrols(session, [("POST", type)]):
        arrival = Arrival(*contents, FhirId(new_uuid(node)), type)
        return done_of(enrol(node, session, [arrival])[0], is_new=True)
    return write(node, session, [prepare_create(node, session, contents)])[0]


def create_unless(node: Node, session: Session, type: str, body: bytes, *, pairs: Pairs) -> Done:
    """Store a new resource, unless the session can find one by a search (``If-None-Exist``).

    Returns:
        What was made, or the one that was found, unchanged.

    Raises:
        MalformedInputError: the body is not valid, or the condition is none.
        AccessDeniedError: the gate refused; a receipt was written.
        ConflictError: the search finds several, or others change what it finds all the time.
        UnavailableError: the disk refuses.
    """
    contents = examine(body, type=type)

    def attempt() -> Prepared | Done:
        condition, answer = look_for(node, session, type, pairs)
        if one_of(condition) is not None:
            return found_of(deliver(node, answer).rows[0])
        return replace(prepare_create(node, session, contents), condition=condition)

    return settle(node, session, attempt)


def update(
    node: Node,
    session: Session,
    type: str,
    id: str,
    body: bytes,
    *,
    expected: Expected = ANY,
) -> Done:  # fmt: skip
    """Store a new version of a resource that the session may see and change.

    Where the session sees nothing, a new resource is made if the id is the session's to choose.

    Raises:
        MalformedInputError: the body is not valid or has another id, or the id cannot be chosen.
        AccessDeniedError: nothing there for this session.
        ConflictError: another version is current, or the subject would change.
        UnavailableError: the disk refuses.
    """
    contents = examine(body, type=type)
    if contents[0].id != id:
        raise MalformedInputError(
            "structure", "the body must have the id of the URL", where=f"{type}.id"
        )
    return settle(
        node, session, lambda: prepare_update(node, session, contents, id=id, expected=expected)
    )


def update_where(
    node: Node, session: Session, type: str, body: bytes, *, pairs: Pairs, expected: Expected = ANY
) -> Done:
    """Store a new version of the one resource that a search finds; where it finds none, a new resource.

    Raises:
        MalformedInputError: the body is not valid or has the id of another, or the condition is none.
        AccessDeniedError: the gate refused; a receipt was written.
        ConflictError: the search finds several, or the body's id is taken.
        UnavailableError: the disk refuses.
    """
    contents = examine(body, type=type)
    return settle(
        node, session, lambda: prepare_where(node, session, contents, pairs, expected=expected)
    )


def prepare_where(
    node: Node, session: Session, contents: Contents, pairs: Pairs, *,
    expected: Expected = ANY, id: FhirId | None = None,
) -> Prepared:  # fmt: skip
    """Ask the gate about a conditional update.

    Args:
        node: where.
        session: who asks.
        contents: what `examine` gave.
        pairs: the condition.
        expected: version that the one found must have.
        id: the id of a new resource where none is found and the body has none; None makes one.

    Raises:
        MalformedInputError: the body has the id of another, or the condition is none.
        AccessDeniedError: the gate refused; a receipt was written.
        ConflictError: the search finds several, or the body's id is taken.
    """
    resource = contents[0]
    condition, answer = look_for(node, session, resource.type, pairs)
    deliver(node, answer)
    found = one_of(condition)
    if found is not None:
        if resource.id not in {None, found}:
            raise MalformedInputError(
                "other-id", "the condition finds another resource than the body names",
                where=f"{resource.type}.id",
            )  # fmt: skip
        known = replace(expected, existence=Existence.KNOWN)
        prepared = prepare_update(node, session, contents, id=found, expected=known)
    elif resource.id is None:
        prepared = prepare_create(node, session, contents, id=id)
    else:
        new = replace(expected, existence=Existence.NEW)
        prepared = prepare_update(node, session, contents, id=resource.id, expected=new)
    return replace(prepared, condition=condition)


def patch(
    node: Node, session: Session, name: tuple[str, str], *,
    change: Callable[[bytes], bytes], if_match: int | None = None,
) -> Done:  # fmt: skip
    """Change a resource that the session may see and change.

    Args:
        node: where.
        session: who asks.
        name: type and id.
        change: from the bytes of the current version to those of the next.
        if_match: the version that must be current; None patches whatever is current.

    Raises:
        MalformedInputError: the change does not apply, or what it makes is not valid.
        AccessDeniedError: nothing there for this session.
        ConflictError: another version is current, or others change it all the time.
        UnavailableError: the disk refuses.
    """
    return settle(
        node, session,
        lambda: prepare_patch(node, session, name, change=change, if_match=if_match),
    )  # fmt: skip


def patch_where(
    node: Node, session: Session, type: str, *,
    change: Callable[[bytes], bytes], pairs: Pairs, if_match: int | None = None,
) -> Done:  # fmt: skip
    """Change the one resource that a search finds.

    Raises:
        MalformedInputError: the change does not apply, or the condition is none.
        AccessDeniedError: it finds none.
        ConflictError: it finds several, or another version is current.
        UnavailableError: the disk refuses.
    """

    def attempt() -> Prepared:
        condition, answer = look_for(node, session, type, pairs)
        deliver(node, answer)
        name = (type, one_of(condition) or "")
        prepared = prepare_patch(node, session, name, change=change, if_match=if_match)
        return replace(prepared, condition=condition)

    return settle(node, session, attempt)


def delete(node: Node, session: Session, type: str, id: str, *, if_match: int | None) -> Done:
    """Delete a resource that the session may see and change; its history stays.

    Raises:
        AccessDeniedError: nothing there for this session.
        ConflictError: another version is current, or it is the subject's Patient.
        UnavailableError: the disk refuses.
    """
    prepared = prepare_delete(node, session, type, id=id, if_match=if_match)
    return write(node, session, [prepared])[0]


def delete_where(
    node: Node, session: Session, type: str, *, pairs: Pairs, if_match: int | None = None
) -> list[Done]:
    """Delete what a search finds: one resource, or as many as the node's settings let at once.

    Returns:
        What was deleted; nothing where the search finds nothing.

    Raises:
        MalformedInputError: the condition is none.
        AccessDeniedError: it finds something that the session may not change.
        ConflictError: it finds more than may be deleted at once, or another version is current.
        UnavailableError: the disk refuses.
    """
    most = node.settings.delete_matching

    def attempt() -> list[Prepared]:
        condition, answer = look_for(node, session, type, pairs, most=most)
        deliver(node, answer)
        if len(condition.ids) > most:
            one_of(condition)
        prepared = [
            prepare_delete(node, session, type, id=name, if_match=if_match)
            for name in condition.ids
        ]
        return [replace(each, condition=condition) for each in prepared[:1]] + prepared[1:]

    return settle_all(node, session, attempt)
