"""The files of a bulk export, read from the record while they are fetched.

Rows come compartment by compartment, a few hundred at a time. Each time the gate is asked anew, and each
time the receipts of what is about to leave come first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hilum.base.ids import CompartmentId
from hilum.consent.asking import EXPORT, SEARCH
from hilum.exchange.answering import ask, chain_of
from hilum.exchange.bulk import Export, ExportFile, is_of_level, queries_of
from hilum.exchange.disclosing import draft_receipt
from hilum.exchange.node import DIRECTORY
from hilum.exchange.searching import page
from hilum.record.types import is_directory_type

if TYPE_CHECKING:
    from hilum.base.sql import Connection
    from hilum.exchange.auditing import Shown
    from hilum.exchange.node import Node
    from hilum.identity.session import Session
    from hilum.journal.model import Draft
    from hilum.record.access import Access
    from hilum.record.query import Query

__all__ = ["Chunk", "ask_export", "rows_of", "scope_of", "walk_file"]

_ROWS = 500
_CHUNK_BYTES = 256 * 1024
_CHUNK_DRAFTS = 128


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some lines of a file.

    Attributes:
        lines: resources, one on each line.
        drafts: receipts that must be durable before the lines leave.
    """

    lines: bytes
    drafts: tuple[Draft, ...]


def scope_of(node: Node, conn: Connection, session: Session, export: Export) -> list[int]:
    """Return the compartments of an export's subjects, ascending; the gate still decides each."""
    if session.for_subject is not None:
        own = node.record.compartment_of(conn, session.for_subject)
        found = [] if own is None else [int(own)]
    else:
        found = node.directives.compartments_for(conn, session.grantees)
    if export.members is not None:
        found = sorted(set(found) & set(export.members))
    return sorted(cid for cid in found if cid > DIRECTORY)


def ask_export(node: Node, session: Session, cid: int) -> Access:
    """Return what a session may export of a compartment now: what it may find and take away."""
    return ask(node, node.conn, session, CompartmentId(cid), EXPORT | SEARCH, node.clock())[1]


def rows_of(
    node: Node,
    access: Access,
    queries: Sequence[Query],
    *,
    after: tuple[int, int] | None,
    limit: int,
) -> list[Shown]:
    """Return what any of the searches finds in a compartment, newest first, each once."""
    found: dict[tuple[int, int], Shown] = {}
    for query in queries:
        rows = page(node, node.conn, query, [access], after=after, limit=limit)
        found |= {(row.ts, row.key): row for row in rows}
    order = sorted(found, reverse=True)
    return [found[place] for place in order[:limit]]


def walk_file(node: Node, session: Session, export: Export, file: ExportFile) -> Iterator[Chunk]:
    """Yield a file chunk by chunk; whoever sends one waits for its receipts first.

    Raises:
        MalformedInputError: the export's searches are not understood by this version of the node.
    """
    wanted = export.wanted[file.wanted]
    queries = queries_of(export, wanted)
    lines: list[bytes] = []
    drafts: list[Draft] = []
    size = 0
    for rows, draft in _pages(node, session, (export, file), queries):
        lines += [row.body for row in rows]
        drafts.append(draft)
        size += sum(len(row.body) for row in rows)
        if size >= _CHUNK_BYTES or len(drafts) >= _CHUNK_DRAFTS:
            yield Chunk(b"\n".join(lines) + b"\n", tuple(drafts))
            lines, drafts, size = [], [], 0
    if lines:
        yield Chunk(b"\n".join(lines) + b"\n", tuple(drafts))


def _pages(
    node: Node, session: Session, what: tuple[Export, ExportFile], queries: Sequence[Query]
) -> Iterator[tuple[list[Shown], Draft]]:
    export, file = what
    for cid in _compartments(node, session, export, file):
        after = file.after
        while True:
            rows, following, draft = _page(node, session, (cid, export, file), queries, after=after)
            if draft is not None:
                yield rows, draft
            if following is None:
                break
            after = following


def _compartments(node: Node, session: Session, export: Export, file: ExportFile) -> list[int]:
    kind = export.wanted[file.wanted].type
    if not is_of_level(export, kind):
        return []
    if is_directory_type(kind):
        return [DIRECTORY]
    found = scope_of(node, node.conn, session, export)
    return [cid for cid in found if file.first <= cid <= file.last]


def _page(
    node: Node,
    session: Session,
    what: tuple[int, Export, ExportFile],
    queries: Sequence[Query],
    *,
    after: tuple[int, int] | None,
) -> tuple[list[Shown], tuple[int, int] | None, Draft | None]:
    """Return some rows of a compartment, where the next ones begin, and the receipt of these."""
    cid, export, file = what
    conn, now = node.conn, node.clock()
    decision, access = ask(node, conn, session, CompartmentId(cid), EXPORT | SEARCH, now)
    found = rows_of(node, access, queries, after=after, limit=_ROWS)
    following = (found[-1].ts, found[-1].key) if len(found) == _ROWS else None
    if file.until is not None:
        found = [row for row in found if (row.ts, row.key) >= file.until]
        if following is not None and following <= file.until:
            following = None
    # what was made after the instant that the export speaks of belongs to the next one
    rows = [row for row in found if row.ver > 1 or row.updated <= export.at]
    if not rows:
        return [], following, None
    draft = draft_receipt(
        node, conn, session, cid=chain_of(CompartmentId(cid)), action=EXPORT, decision=decision,
        disclosed=[(row.body, row.seg) for row in rows], now=now,
    )  # fmt: skip
    return rows, following, draft
