"""Changes applied inside the writer's transaction; a Consent is a directive."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from hilum.base.ids import FhirId, SubjectId, UnixMs
from hilum.consent.directive import make_directive
from hilum.consent.fhir import parse_consent
from hilum.errors import ConflictError, HilumError, MalformedInputError
from hilum.exchange.preparing import CONSENT, Prepared
from hilum.exchange.sharing import adopt, end_directive
from hilum.record.change import Change, Create, Delete, Update, Version

if TYPE_CHECKING:
    from hilum.base.sql import Connection
    from hilum.exchange.node import Node

__all__ = ["apply", "place"]

_PATH = re.compile(r"[A-Z]\w*(?:[.\[]|\Z)")


def apply(node: Node, conn: Connection, prepared: Prepared, at: UnixMs) -> Version:
    """Apply a change; what is wrong with it says which entry of a bundle it came from.

    Raises:
        ConflictError: it does not fit what is stored.
        MalformedInputError: a Consent says what terms cannot.
    """
    try:
        return _apply(node, conn, prepared.change, at)
    except (ConflictError, MalformedInputError) as error:
        place(error, prepared.place)
        raise


def _apply(node: Node, conn: Connection, change: Change, at: UnixMs) -> Version:
    if isinstance(change, Delete):
        if change.type == CONSENT:
            end_directive(node, conn, change.id, at=at)
    elif change.resource.type == CONSENT:
        return _apply_consent(node, conn, change, at)
    return node.record.apply(conn, [change], at)[0]


def _apply_consent(node: Node, conn: Connection, change: Create | Update, at: UnixMs) -> Version:
    """A Consent is a directive: posting one makes it, ending one revokes it; terms never change.

    Raises:
        ConflictError: the terms would change, or it is revoked already.
        MalformedInputError: not active, or it says what terms cannot.
    """
    parsed = parse_consent(change.resource.tree)
    if isinstance(change, Update):
        if parsed.is_in_force:
            raise ConflictError(
                "terms-fixed", "the terms of a directive do not change",
                hint="revoke this one (status inactive) and post a new one",
            )  # fmt: skip
        end_directive(node, conn, change.id, at=at)
        return node.record.apply(conn, [change], at)[0]
    if not parsed.is_in_force:
        raise MalformedInputError(
            "structure", "a new consent must be active", where="Consent.status"
        )
    directive = make_directive(
        SubjectId(parsed.subject), parsed.terms, names=parsed.names, salt=node.entropy(32), now=at,
        frame=parsed.frame,
    )  # fmt: skip
    consent = replace(change, id=FhirId(directive.id))
    return adopt(node, conn, directive, consent=consent, at=at)


def place(error: HilumError, entry: str) -> None:
    """Say where inside an entry of a bundle an error is, e.g. ``Bundle.entry[2].resource.status``.

    Args:
        error: its own place may begin with a resource type.
        entry: the entry's place, or ``""``.
    """
    if entry:
        head, dot, rest = error.where.partition(".")
        if _PATH.match(error.where):
            error.where = f"{entry}.resource{dot}{rest}" if dot else f"{entry}.resource"
        else:
            error.why = f"{error.where}: {error.why}" if head else error.why
            error.where = entry
