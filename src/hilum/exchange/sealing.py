"""Seal what is waiting into batches and anchor them in Bitcoin.

(1) integrate new receipts into tiles, (2) sign the checkpoint, (3) append it to the journal's cell,
(4) seal every waiting operation into batches, all in one commit; (5) anchor each batch in order and
note where. A crash after any step leaves work that the next call takes up: tiles are derived anew,
a batch without an anchor is anchored, an anchor that is already in the chain is found again.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from hilum.journal.checkpoint import Checkpoint, checkpoint_digest, origin_of, sign_checkpoint
from hilum.ledger.cell import Rule
from hilum.ledger.model import Change, Opening

if TYPE_CHECKING:
    from hilum.base.sql import Connection
    from hilum.exchange.node import Node
    from hilum.ledger.model import StoredBatch

__all__ = ["FINAL_DEPTH", "JOURNAL_CELL", "is_due", "seal"]

JOURNAL_CELL = "journal"
FINAL_DEPTH = 6
"""Blocks on top of an anchor after which it is called final. Source: design/ledger.md §2 (k blocks)."""
_SALT_BYTES = 32


def is_due(node: Node) -> bool:
    """Tell whether anything waits: receipts outside the tree, operations, or an unanchored batch."""
    conn = node.conn
    kept = node.journal.last_checkpoint(conn)
    covered = 0 if kept is None else kept.size
    return (
        node.journal.size(conn) > covered
        or node.ledger.waiting(conn) > 0
        or bool(node.ledger.unanchored(conn))
    )


def seal(node: Node) -> dict[str, Any]:
    """Seal and anchor everything that waits.

    Returns:
        ``{"batch", "operations", "anchor", "height", "banner"}`` of the last batch; ``operations``
        counts what this call sealed, 0 when nothing was waiting.

    Raises:
        UnavailableError: the disk or the chain refuses; what was sealed is anchored by the next call.
    """
    from hilum.bitcoin import EMBEDDED_BANNER  # noqa: PLC0415 - the chain is opened only here

    chain = node.chain
    height, _hash = chain.tip()
    note, batches = node.writer.write(lambda conn: _seal(node, conn, height))
    if note is not None:
        node.tiles.publish(note)
    operations = sum(batch.operations for batch in batches)
    for batch in node.ledger.unanchored(node.conn):
        anchored = chain.anchor(batch.record, batch.data)
        mark = partial(
            node.ledger.mark_anchored,
            number=batch.number,
            txid=anchored.txid,
            height=anchored.height,
        )
        node.writer.write(mark)
    tip, _hash = chain.tip()
    node.writer.write(lambda conn: node.ledger.mark_final(conn, tip - FINAL_DEPTH))
    node.batch = node.ledger.last_batch(node.conn)
    last = node.ledger.batch(node.conn, node.batch)
    txid_text = None if last is None or last.txid is None else last.txid[::-1].hex()
    return {
        "batch": node.batch,
        "operations": operations,
        "anchor": txid_text,
        "height": None if last is None else last.height,
        "banner": EMBEDDED_BANNER,
    }


def _seal(node: Node, conn: Connection, height: int) -> tuple[bytes | None, list[StoredBatch]]:
    """Steps (1) to (4), inside the writer's transaction."""
    at = node.clock()
    note = _append_checkpoint(node, conn, at)
    batches: list[StoredBatch] = []
    while (batch := node.ledger.seal(conn, seen_height=height, at_unix_ms=at)) is not None:
        batches.append(batch)
    return note, batches


def _append_checkpoint(node: Node, conn: Connection, at: int) -> bytes | None:
    size = node.journal.size(conn)
    kept = node.journal.last_checkpoint(conn)
    covered = 0 if kept is None else kept.size
    if size == covered:
        return None if kept is None else kept.note
    begin = min(covered, node.tiles.size())
    root = node.tiles.integrate(node.journal.leaves(conn, begin, size), begin=begin)
    checkpoint = Checkpoint(origin_of(node.custodian.did), size, root)
    note = sign_checkpoint(checkpoint, public=node.custodian.public, sign=node.custodian.sign)
    salt = node.entropy(_SALT_BYTES)
    node.journal.add_checkpoint(conn, size, note=note, salt=salt)
    payload = checkpoint_digest(note)
    if node.ledger.known(conn, JOURNAL_CELL) is None:
        opening = Opening(JOURNAL_CELL, Rule.APPEND_ONLY, checkpoint_digest(b""), node.entropy(32))
        node.ledger.open_cell(conn, node.signer, opening, at_unix_ms=at)
    node.ledger.change_cell(
        conn, node.signer, Change(JOURNAL_CELL, payload, salt, size), at_unix_ms=at
    )
    return note
