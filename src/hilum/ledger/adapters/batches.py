"""The rows of sealed batches and of the heads they left behind; no state in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hilum.ledger.batch import Batch, encode_record
from hilum.ledger.cell import parse_cell
from hilum.ledger.model import Status, StoredBatch, Witness

if TYPE_CHECKING:
    from hilum.base.sql import Connection

__all__ = ["BatchRows"]

COLUMNS: Final = "number, record, data, operations, sealed_at, status, txid, height"


class BatchRows:
    """Batches in SQLite; any thread may read through its own connection."""

    def mark_anchored(self, conn: Connection, number: int, *, txid: bytes, height: int) -> None:
        """Note where a batch is anchored.

        Args:
            conn: the writer's connection, inside a transaction.
            number: of the batch.
            txid: of its anchor, 32 bytes.
            height: of the anchor's block.
        """
        conn.execute(
            "update batch set status = ?, txid = ?, height = ? where number = ?",
            (Status.ANCHORED, txid, height, number),
        )

    def mark_final(self, conn: Connection, height: int) -> int:
        """Mark anchored batches up to a height as final; return how many."""
        return conn.execute(
            "update batch set status = ? where status = ? and height <= ?",
            (Status.FINAL, Status.ANCHORED, height),
        ).rowcount

    def unmark_anchored(self, conn: Connection, height: int) -> int:
        """Take back anchors from a height on, after a reorganisation; return how many."""
        return conn.execute(
            "update batch set status = ?, txid = null, height = null where height >= ?",
            (Status.SEALED, height),
        ).rowcount

    def batch(self, conn: Connection, number: int) -> StoredBatch | None:
        """Return a batch by its number."""
        row = conn.execute(f"select {COLUMNS} from batch where number = ?", (number,))  # noqa: S608  # constant columns
        return _stored(row.fetchone())

    def batches(self, conn: Connection, *, after: int = 0, limit: int = 1000) -> list[StoredBatch]:
        """Return batches in order, those numbered above `after`."""
        rows = conn.execute(
            f"select {COLUMNS} from batch where number > ? order by number limit ?",  # noqa: S608  # constant columns
            (after, limit),
        )
        return [found for row in rows if (found := _stored(row)) is not None]

    def unanchored(self, conn: Connection) -> list[StoredBatch]:
        """Return sealed batches without an anchor, oldest first: anchor them in this order."""
        rows = conn.execute(
            f"select {COLUMNS} from batch where status = ? order by number",  # noqa: S608  # constant columns
            (Status.SEALED,),
        )
        return [found for row in rows if (found := _stored(row)) is not None]

    def last_batch(self, conn: Connection) -> int:
        """Return the number of the last sealed batch; 0 when there is none."""
        return int(conn.execute("select coalesce(max(number), 0) from batch").fetchone()[0])

    def batch_of(self, conn: Connection, index: int) -> int | None:
        """Return the batch of a cell's last operation; None while that one waits."""
        row = conn.execute(
            "select batch from operation where cell = ? order by n desc limit 1", (index,)
        ).fetchone()
        return None if row is None else row[0]

    def head_witness(self, conn: Connection, index: int, *, above: int) -> Witness | None:
        """Return the earliest anchored state of an append-only cell that covers a leaf.

        Args:
            conn: any connection.
            index: the cell.
            above: number of the leaf; the cell's size must be greater.
        """
        row = conn.execute(
            "select w.batch, w.leaf, w.path from witness w join batch b on b.number = w.batch"
            " where w.cell = ? and w.size > ? and b.status >= ? order by w.batch limit 1",
            (index, above, Status.ANCHORED),
        ).fetchone()
        if row is None:
            return None
        path = tuple(row[2][at : at + 32] for at in range(0, len(row[2]), 32))
        return Witness(row[0], parse_cell(row[1]), path)

    def add_batch(
        self, conn: Connection, batch: Batch, *, operations: int, at_unix_ms: int
    ) -> StoredBatch:
        """Keep a batch that was just sealed.

        Args:
            conn: the writer's connection, inside a transaction.
            batch: what was sealed.
            operations: how many it holds.
            at_unix_ms: now.
        """
        number = batch.record.number
        record = encode_record(batch.record)
        conn.execute(
            "insert into batch(number,record,data,operations,sealed_at,status) values(?,?,?,?,?,?)",
            (number, record, batch.data, operations, at_unix_ms, Status.SEALED),
        )
        return StoredBatch(
            number, record, batch.data, operations, at_unix_ms, Status.SEALED, None, None
        )


def _stored(row: tuple[Any, ...] | None) -> StoredBatch | None:
    if row is None:
        return None
    number, record, data, operations, sealed_at, status, txid, height = row
    return StoredBatch(number, record, data, operations, sealed_at, Status(status), txid, height)
