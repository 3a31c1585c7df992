"""Prepared changes written: all or none in one commit, and done anew when others were quicker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hilum.consent.asking import CONTRIBUTE
from hilum.errors import ConflictError
from hilum.exchange.applying import apply
from hilum.exchange.committing import deposit_of, is_plain
from hilum.exchange.conditions import MOVED, demand
from hilum.exchange.disclosing import draft_receipt
from hilum.exchange.preparing import CONSENT, Prepared
from hilum.record.change import Change, Create, Delete, Version

if TYPE_CHECKING:
    from hilum.base.sql import Connection
    from hilum.exchange.answering import Shown
    from hilum.exchange.node import Node
    from hilum.identity.session import Session

__all__ = ["ATTEMPTS", "Done", "done_of", "found_of", "settle", "settle_all", "write"]

_LATE = threading.Lock()
"""Held by whoever was too late and tries again; nothing is stored under it."""
ATTEMPTS = 40
"""So often a change is tried again when others were quicker."""


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


def settle(node: Node, session: Session, attempt: Callable[[], Prepared | Done]) -> Done:
    """Prepare and write one change; prepare it anew when others were quicker.

    Raises:
        ConflictError: others are quicker all the time.
        MalformedInputError: as `write`.
        UnavailableError: the disk refuses.
    """
    known: list[Done] = []

    def prepare() -> list[Prepared]:
        prepared = attempt()
        known[:] = [prepared] if isinstance(prepared, Done) else []
        return [] if isinstance(prepared, Done) else [prepared]

    return (settle_all(node, session, prepare) or known)[0]


def settle_all(node: Node, session: Session, attempt: Callable[[], list[Prepared]]) -> list[Done]:
    """Prepare and write changes together; prepare them anew when others were quicker.

    Who was too late tries again in turn, so that among many at once each gets through.

    Raises:
        ConflictError: others are quicker all the time.
        MalformedInputError: as `write`.
        UnavailableError: the disk refuses.
    """
    done = _try_once(node, session, attempt)
    if done is not None:
        return done
    with _LATE:
        for _ in range(ATTEMPTS):
            done = _try_once(node, session, attempt)
            if done is not None:
                return done
    raise ConflictError("busy", "others change this at the same time", hint="try again")


def _try_once(
    node: Node, session: Session, attempt: Callable[[], list[Prepared]]
) -> list[Done] | None:
    """Prepare and write; None when others were quicker.

    Raises:
        ConflictError: as `write`, but for what is worth another try.
    """
    prepared = attempt()
    again = frozenset({MOVED}).union(*(each.again for each in prepared))
    try:
        return write(node, session, prepared) if prepared else []
    except ConflictError as error:
        if error.code not in again:
            raise
    return None


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

    if prepared and all(is_plain(each) for each in prepared):
        deposit = deposit_of(node, session, prepared, at)
        node.writer.append_now(deposit)
        return [done_of(ready.version, is_new=True) for ready in deposit.resources]
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
