"""What many requests write in one go: receipts, and new resources with the receipts that tell of them.

A deposit is finished before the writer sees it: validated, permitted, labelled, indexed and sealed. The
writer gives row numbers and places in the journal, and writes those of a whole group together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from hilum.journal.model import Draft

if TYPE_CHECKING:
    from hilum.base.sql import Connection
    from hilum.journal.adapters.sqlite import SqliteJournal
    from hilum.record.adapters.sqlite import SqliteRecord
    from hilum.record.adapters.writing import Ready

__all__ = ["Deposit", "Entry", "write_entries"]


class Deposit(msgspec.Struct, frozen=True):
    """New resources and the receipts of their being written; all or none is kept.

    Attributes:
        resources: what `record.adapters.writing.Writer` made.
        drafts: at least one receipt.
    """

    resources: tuple[Ready, ...]
    drafts: tuple[Draft, ...]


Entry = Draft | Deposit
"""What is handed to the writer to be written beside others."""


def write_entries(
    parts: tuple[SqliteRecord, SqliteJournal],
    conn: Connection,
    entries: Sequence[Entry],
    *,
    entropy: Callable[[int], bytes],
) -> list[tuple[int, str]]:
    """Write entries in their order, inside the caller's transaction: all or none.

    Args:
        parts: the record and the journal.
        conn: the writer's connection.
        entries: receipts and deposits.
        entropy: returns that many random bytes.

    Returns:
        Number and id of the (first) receipt of each entry.

    Raises:
        ConflictError: an id is taken, or a compartment is gone.
    """
    record, journal = parts
    ready: list[Ready] = []
    drafts: list[Draft] = []
    firsts: list[int] = []
    for entry in entries:
        firsts.append(len(drafts))
        if isinstance(entry, Draft):
            drafts.append(entry)
        else:
            ready += entry.resources
            drafts += entry.drafts
    if ready:
        record.rows.insert(conn, ready)
    placed = journal.append(conn, drafts, entropy=entropy)
    return [placed[first] for first in firsts]
