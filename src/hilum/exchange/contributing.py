"""Writes through the gate: create, update, patch and delete, each with and without a condition.

bytes → validate → label → decision → one commit with the resource, its index rows and the receipt. A
change that depends on what was found is looked at again inside the writer's transaction, and when that
moved on meanwhile the whole is done anew: of a thousand equal conditional creates, one creates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hilum.base.ids import FhirId
from hilum.consent.asking import CONTRIBUTE
from hilum.errors import ConflictError, MalformedInputError
from hilum.exchange.applying import apply
from hilum.exchange.conditions import MOVED, demand, look_for, one_of
from hilum.exchange.disclosing import draft_receipt
from hilum.exchange.enrolling import Arrival, enrol, enrols
from hilum.exchange.examining import Contents, examine
from hilum.exchange.people import new_uuid
from hilum.exchange.preparing import (
    ANY,
    CONSENT,
    Existence,
    Expected,
    Prepared,
    prepare_create,
    prepare_delete,
    prepare_patch,
    prepare_update,
)
from hilum.exchange.reading import deliver
from hilum.record.change import Change, Create, Delete, Version

if TYPE_CHECKING:
    from hilum.base.sql import Connection
    from hilum.exchange.answering import Shown
    from hilum.exchange.node import Node
    from hilum.identity.session import Session

__all__ = [
    "ATTEMPTS",
    "Done",
    "Pairs",
    "create",
    "create_unless",
    "delete",
    "delete_where",
    "done_of",
    "found_of",
    "patch",
    "patch_where",
    "prepare_where",
    "settle",
    "update",
    "update_where",
    "write",
]

_BUSY = ("busy", "others change this at the same time")
ATTEMPTS = 12
"""So often a change is tried again when others were quicker."""

Pairs = Sequence[tuple[str, str]]
"""Name-value pairs of a condition."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a write.

    Attributes:
        body: the version's bytes; empty for a deletion.
        updated: when the version was stored, ms.
        is_new: True when there was nothing under this id, or it was deleted.
        changed: False when nothing had to be done.
    """

    type: str
    id: str
    ver: int
    body: bytes
    updated: int
    is_new: bool
    changed: bool = True


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

    Raises:
        MalformedInputError: the condition is none.
        AccessDeniedError: it finds none, or something that the session may not change.
        ConflictError: it finds more than may be deleted at once, or another version is current.
        UnavailableError: the disk refuses.
    """
    most = node.settings.delete_matching

    def attempt() -> list[Prepared]:
        condition, answer = look_for(node, session, type, pairs, most=most)
        deliver(node, answer)
        if len(condition.ids) > most:
            one_of(condition)
        names = condition.ids or ("",)
        prepared = [
            prepare_delete(node, session, type, id=name, if_match=if_match) for name in names
        ]
        return [replace(prepared[0], condition=condition), *prepared[1:]]

    return settle_all(node, session, attempt)


def settle(node: Node, session: Session, attempt: Callable[[], Prepared | Done]) -> Done:
    """Prepare and write one change; prepare it anew when others were quicker.

    Raises:
        ConflictError: others are quicker all the time.
        MalformedInputError: as `write`.
        UnavailableError: the disk refuses.
    """
    for _ in range(ATTEMPTS):
        prepared = attempt()
        if isinstance(prepared, Done):
            return prepared
        try:
            return write(node, session, [prepared])[0]
        except ConflictError as error:
            if error.code not in prepared.again | {MOVED}:
                raise
    raise ConflictError(*_BUSY, hint="try again")


def settle_all(node: Node, session: Session, attempt: Callable[[], list[Prepared]]) -> list[Done]:
    """Prepare and write changes together; prepare them anew when others were quicker.

    Raises:
        ConflictError: others are quicker all the time.
        MalformedInputError: as `write`.
        UnavailableError: the disk refuses.
    """
    for _ in range(ATTEMPTS):
        prepared = attempt()
        again = frozenset({MOVED}).union(*(each.again for each in prepared))
        try:
            return write(node, session, prepared)
        except ConflictError as error:
            if error.code not in again:
                raise
    raise ConflictError(*_BUSY, hint="try again")


def write(node: Node, session: Session, prepared: Sequence[Prepared]) -> list[Done]:
    """Write prepared changes and their receipts in one commit: all or none.

    Raises:
        ConflictError: a version does not match, an id is taken, or a condition no longer holds
            (code ``"moved"``).
        MalformedInputError: a Consent says what terms cannot.
        UnavailableError: the disk refuses.
    """
    at = node.clock()

    def job(conn: Connection) -> list[Version]:
        demand(node, conn, (each.condition for each in prepared if each.condition is not None))
        versions = [apply(node, conn, each, at) for each in prepared]
        drafts = [
            draft_receipt(
                node,
                conn,
                session,
                cid=each.change.cid,
                action=CONTRIBUTE,
                decision=each.decision,
                disclosed=[(version.body, version.seg)],
                now=at,
            )
            for each, version in zip(prepared, versions, strict=True)
        ]
        node.journal.append(conn, drafts, entropy=node.entropy)
        return versions

    versions = node.writer.write(job)
    for cid in {each.change.cid for each in prepared if _speaks_of_consent(each.change)}:
        node.gatekeeper.forget(cid)
    return [
        done_of(version, is_new=isinstance(each.change, Create))
        for each, version in zip(prepared, versions, strict=True)
    ]


def found_of(row: Shown) -> Done:
    """Return what a conditional create found instead of making it."""
    return Done(row.type, row.id, row.ver, row.body, row.updated, is_new=False, changed=False)


def done_of(version: Version, *, is_new: bool) -> Done:
    """Return what a written version came to."""
    return Done(
        version.type, version.id, version.ver, version.body, version.updated,
        is_new=is_new, changed=version.changed,
    )  # fmt: skip


def _speaks_of_consent(change: Change) -> bool:
    return (change.type if isinstance(change, Delete) else change.resource.type) == CONSENT
