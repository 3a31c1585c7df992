"""Receipts as FHIR AuditEvents: read and searched by the subject whose record they speak of.

AuditEvents are not stored: each is rendered from its receipt. Their order is newest first, and
`key` of a row is the receipt's number, so that paging continues exactly where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from hilum.journal.balp import render_audit_event
from hilum.journal.receipt import receipt_id
from hilum.record.query import DateFilter, IdFilter, Query, ReferenceFilter, UpdatedFilter
from hilum.record.types import type_number
from hilum.signals.answers import Filter

if TYPE_CHECKING:
    from hilum.base.ids import CompartmentId
    from hilum.base.sql import Connection
    from hilum.exchange.node import Node
    from hilum.journal.model import StoredReceipt
    from hilum.record.access import Access

__all__ = ["AUDIT_PARAMETERS", "AUDIT_TYPE", "Shown", "find_audit", "read_audit"]

AUDIT_TYPE = "AuditEvent"
AUDIT_PARAMETERS = ("_id", "_lastUpdated", "date", "patient")
"""What AuditEvents can be searched by."""
_PAGE = 256


class Shown(msgspec.Struct, frozen=True):
    """One resource of an answer.

    Attributes:
        ts: clinical instant, ms: orders answers.
        key: orders rows of equal instant.
        ver: version number.
        updated: when the version was stored, ms.
        body: bytes ready to be sent; empty for a deletion in a history.
    """

    cid: CompartmentId
    type: str
    id: str
    ver: int
    seg: int
    ts: int
    key: int
    updated: int
    body: bytes


def read_audit(node: Node, conn: Connection, access: Access, id: str) -> Shown | None:
    """Return the AuditEvent of a receipt when the access admits it, else None."""
    stored = node.journal.get(conn, id)
    if stored is None or stored.cid != access.compartment or not _admits(access):
        return None
    return _show(node, conn, stored)


def find_audit(
    node: Node,
    conn: Connection,
    accesses: Sequence[Access],
    query: Query,
    *,
    after: tuple[int, int] | None,
    limit: int,
) -> list[Shown]:
    """Return AuditEvents that a query finds, newest first.

    Args:
        node: where.
        conn: a connection.
        accesses: one per compartment to look in.
        query: filters other than `AUDIT_PARAMETERS` match nothing.
        after: (ts, key) of the last row already given, or None.
        limit: at most so many.
    """
    found: list[Shown] = []
    for access in accesses:
        if not _admits(access):
            continue
        for stored in _walk(node, conn, access.compartment, None if after is None else after[1]):
            if _matches(query, stored):
                found.append(_show(node, conn, stored))
                if len(found) >= limit:
                    return found
    return found


def _admits(access: Access) -> bool:
    """AuditEvents show to whoever may see the whole type: the subject, or whom a directive names it to."""
    bit = 1 << type_number(AUDIT_TYPE)
    return any(
        window.types & bit and not (window.codes or window.authors or window.encounters)
        for window in access.permits
    )


def _walk(
    node: Node, conn: Connection, cid: CompartmentId, before: int | None
) -> Iterator[StoredReceipt]:
    while True:
        page = node.journal.newest(conn, cid, before=before, limit=_PAGE)
        yield from page
        if len(page) < _PAGE:
            return
        before = page[-1].receipt.number


def _matches(query: Query, stored: StoredReceipt) -> bool:
    at = stored.receipt.facts.at_unix_ms
    for each in query.filters:
        if isinstance(each, IdFilter):
            if receipt_id(stored.leaf) not in each.ids:
                return False
        elif isinstance(each, UpdatedFilter) or (
            isinstance(each, DateFilter) and each.name == "date"
        ):
            if not Filter(updated=(each.values,)).wants_update(at):
                return False
        elif not (isinstance(each, ReferenceFilter) and each.is_patient):
            return False
    return True


def _show(node: Node, conn: Connection, stored: StoredReceipt) -> Shown:
    name = receipt_id(stored.leaf)
    subject = node.record.subject_of(conn, stored.cid) or ""
    event = render_audit_event(stored.receipt, receipt_id=name, subject=subject)
    facts = stored.receipt.facts
    return Shown(
        stored.cid, AUDIT_TYPE, name, 1, 1, facts.at_unix_ms, stored.receipt.number,
        facts.at_unix_ms, msgspec.json.encode(event),
    )  # fmt: skip
