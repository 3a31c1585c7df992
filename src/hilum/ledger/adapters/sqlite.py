"""The ledger's rows: operations waiting and sealed, batches, and what the node knows of its cells.

The caller owns the transaction. In memory are the state after the last sealed batch and a trial of
the waiting operations on top; both can be rebuilt from the rows, and `forget` makes the next call
compare and rebuild what a rollback has made wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hilum.base.hashes import commitment
from hilum.errors import ConflictError, HilumError, VerificationError
from hilum.ledger.adapters.batches import BatchRows
from hilum.ledger.apply import apply, trust_signature
from hilum.ledger.batch import (
    Mode,
    parse_data,
    parse_record,
    seal,
    take_fitting,
)
from hilum.ledger.cell import Cell
from hilum.ledger.derive import Anchor, Skipped, follow
from hilum.ledger.genesis import Genesis, ledger_id
from hilum.ledger.model import (
    EVERY_BATCH,
    Change,
    KnownCell,
    Opening,
    StoredBatch,
    Submitted,
    Witness,
)
from hilum.ledger.operation import Kind, parse_operation
from hilum.ledger.state import State, Trial

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hilum.base.sql import Connection
    from hilum.ledger.keys import Signer

__all__ = ["SCHEMA", "SqliteLedger"]

SCHEMA: Final = """
create table if not exists operation(
  n integer primary key,
  batch integer,
  cell integer not null,
  at integer not null,
  bytes blob not null
);
create index if not exists operation_waiting on operation(n) where batch is null;
create index if not exists operation_of_batch on operation(batch, n) where batch is not null;
create index if not exists operation_of_cell on operation(cell, n);
create table if not exists cell(
  idx integer primary key,
  ref text not null unique,
  key integer not null unique,
  salt blob
);
create table if not exists batch(
  number integer primary key,
  record blob not null,
  data blob not null,
  operations integer not null,
  sealed_at integer not null,
  status integer not null,
  txid blob,
  height integer
);
create index if not exists batch_status on batch(status, number);
create table if not exists witness(
  cell integer not null,
  batch integer not null,
  size integer not null,
  leaf blob not null,
  path blob not null,
  primary key(cell, batch)
) without rowid;
"""


class SqliteLedger(BatchRows):
    """The ledger of one node in SQLite.

    Args:
        genesis: which ledger.

    Attributes:
        ledger: the ledger's id, 32 bytes.
    """

    def __init__(self, genesis: Genesis) -> None:
        self.ledger = ledger_id(genesis)
        # Owned by the writer thread.
        self._sealed = State(self.ledger)
        self._trial: Trial | None = None
        self._last = 0

    def forget(self) -> None:
        """Distrust what is remembered between calls; call it after a rollback."""
        self._trial = None

    def submit(self, conn: Connection, operation: bytes, *, at_unix_ms: int) -> Submitted:
        """Take in an operation that holds on top of everything waiting.

        Args:
            conn: the writer's connection, inside a transaction.
            operation: its bytes.
            at_unix_ms: when it came.

        Raises:
            MalformedInputError: when the bytes are not an operation.
            ConflictError: when it does not fit the state.
            VerificationError: when its signature does not hold.
        """
        trial = self._load(conn)
        cell = apply(trial, parse_operation(operation))
        self._last += 1
        conn.execute(
            "insert into operation(n,batch,cell,at,bytes) values(?,null,?,?,?)",
            (self._last, cell.index, at_unix_ms, operation),
        )
        return Submitted(self._last, cell.index, cell.seq)

    def open_cell(
        self, conn: Connection, signer: Signer, opening: Opening, *, at_unix_ms: int
    ) -> Submitted:
        """Open a cell under this node's next owner key and remember what it stands for.

        Args:
            conn: the writer's connection, inside a transaction.
            signer: holds the root of the keys.
            opening: the cell.
            at_unix_ms: now.

        Raises:
            ConflictError: when the name is taken.
        """
        if self.known(conn, opening.ref) is not None:
            raise ConflictError("ref-taken", "a cell of this name exists")
        key = conn.execute("select coalesce(max(key), -1) + 1 from cell").fetchone()[0]
        operation = signer.open(
            key,
            rule=opening.rule,
            value=commitment(opening.salt, opening.payload),
            until=opening.until,
        )
        done = self.submit(conn, operation, at_unix_ms=at_unix_ms)
        conn.execute(
            "insert into cell(idx,ref,key,salt) values(?,?,?,?)",
            (done.cell, opening.ref, key, opening.salt),
        )
        return done

    def change_cell(
        self, conn: Connection, signer: Signer, change: Change, *, at_unix_ms: int
    ) -> Submitted:
        """Set a replaceable cell, or append to an append-only one, and remember the new salt.

        Args:
            conn: the writer's connection, inside a transaction.
            signer: holds the root of the keys.
            change: which cell, and what it commits to from now on.
            at_unix_ms: now.

        Raises:
            ConflictError: when the cell is unknown, closed, or its rule forbids the change.
        """
        known, cell = self._own(conn, change.ref)
        value = commitment(change.salt, change.payload)
        if change.size:
            operation = signer.append(
                known.key, index=cell.index, seq=cell.seq, size=change.size, value=value
            )
        else:
            operation = signer.set(known.key, index=cell.index, seq=cell.seq, value=value)
        done = self.submit(conn, operation, at_unix_ms=at_unix_ms)
        conn.execute("update cell set salt = ? where idx = ?", (change.salt, cell.index))
        return done

    def close_cell(
        self, conn: Connection, signer: Signer, ref: str, *, at_unix_ms: int
    ) -> Submitted:
        """Close a cell for ever.

        Args:
            conn: the writer's connection, inside a transaction.
            signer: holds the root of the keys.
            ref: the cell's name.
            at_unix_ms: now.

        Raises:
            ConflictError: when the cell is unknown or closed already.
        """
        known, cell = self._own(conn, ref)
        operation = signer.close(known.key, index=cell.index, seq=cell.seq)
        return self.submit(conn, operation, at_unix_ms=at_unix_ms)

    def known(self, conn: Connection, ref: str) -> KnownCell | None:
        """Return the cell of a name, or None."""
        row = conn.execute("select idx, ref, key, salt from cell where ref = ?", (ref,)).fetchone()
        return None if row is None else KnownCell(*row)

    def forget_salts(self, conn: Connection, refs: Sequence[str]) -> int:
        """Delete the salts of cells, so that nobody can link them to what they stood for.

        Returns:
            How many salts were deleted.
        """
        return sum(
            conn.execute(
                "update cell set salt = null where ref = ? and salt is not null", (ref,)
            ).rowcount
            for ref in refs
        )

    def cell(self, conn: Connection, index: int) -> Cell:
        """Return a cell as it stands with everything waiting.

        Raises:
            ConflictError: when there is none.
        """
        return self._load(conn).cell(index)

    def waiting(self, conn: Connection) -> int:
        """Return how many operations wait for a batch."""
        row = conn.execute("select count(*) from operation where batch is null").fetchone()
        return int(row[0])

    def seal(
        self, conn: Connection, *, seen_height: int, at_unix_ms: int, mode: Mode = Mode.ROLLUP
    ) -> StoredBatch | None:
        """Seal the oldest waiting operations that fit one batch; call again while it returns one.

        Args:
            conn: the writer's connection, inside a transaction.
            seen_height: present Bitcoin height.
            at_unix_ms: now.
            mode: where the operations will be.

        Returns:
            The batch, or None when nothing waits.

        Raises:
            ConflictError: when the height went back.
        """
        self._load(conn)
        rows = conn.execute(
            "select n, bytes from operation where batch is null order by n"
        ).fetchall()
        count = take_fitting([row[1] for row in rows])
        if not count:
            return None
        operations = [row[1] for row in rows[:count]]
        batch = seal(
            self._sealed, operations, seen_height=seen_height, mode=mode, verify=trust_signature
        )
        self._trial = None
        stored = self.add_batch(conn, batch, operations=count, at_unix_ms=at_unix_ms)
        self._keep_heads(conn, stored.number, operations)
        conn.execute(
            "update operation set batch = ? where batch is null and n <= ?",
            (stored.number, rows[count - 1][0]),
        )
        return stored

    def prove_cell(self, conn: Connection, index: int) -> Witness:
        """Return a cell as the last sealed batch left it, with its path.

        Args:
            conn: the writer's connection.
            index: the cell.

        Raises:
            ConflictError: when no sealed batch has it yet.
        """
        self._load(conn)
        cell = self._sealed.cell(index)
        return Witness(self._sealed.batches, cell, tuple(self._sealed.path(index)))

    def check(self, conn: Connection) -> list[str]:
        """Derive everything again from the batches, signatures included, and name what differs.

        Returns:
            One line per problem; none when all is well.
        """
        state, problems = State(self.ledger), []
        for batch in self.batches(conn, limit=EVERY_BATCH):
            height = batch.height or parse_record(batch.record).seen_height + 1
            outcome = follow(state, Anchor(height, batch.record, batch.data))
            if isinstance(outcome, Skipped):
                return [f"ledger batch {batch.number}: {outcome.reason}"]
            rows = conn.execute(
                "select bytes from operation where batch = ? order by n", (batch.number,)
            )
            if [row[0] for row in rows] != parse_data(batch.data):
                problems.append(f"ledger batch {batch.number}: its operations differ from its data")
        trial = Trial(state)
        for n, data in conn.execute(
            "select n, bytes from operation where batch is null order by n"
        ):
            try:
                apply(trial, parse_operation(data))
            except HilumError as error:
                problems.append(f"ledger operation {n}: {error.why}")
        return problems

    def _own(self, conn: Connection, ref: str) -> tuple[KnownCell, Cell]:
        known = self.known(conn, ref)
        if known is None:
            raise ConflictError("no-such-cell", "no cell of this name")
        return known, self.cell(conn, known.index)

    def _keep_heads(self, conn: Connection, number: int, operations: Sequence[bytes]) -> None:
        grown = {
            operation.index
            for operation in map(parse_operation, operations)
            if operation.kind is Kind.APPEND
        }
        for index in sorted(grown):
            path = b"".join(self._sealed.path(index))
            conn.execute(
                "insert into witness(cell,batch,size,leaf,path) values(?,?,?,?,?)",
                (index, number, self._sealed.cell(index).size, self._sealed.leaf(index), path),
            )

    def _load(self, conn: Connection) -> Trial:
        if self._trial is not None:
            return self._trial
        self._catch_up(conn)
        trial = Trial(self._sealed)
        for row in conn.execute("select bytes from operation where batch is null order by n"):
            apply(trial, parse_operation(row[0]), verify=trust_signature)
        self._last = conn.execute("select coalesce(max(n), 0) from operation").fetchone()[0]
        self._trial = trial
        return trial

    def _catch_up(self, conn: Connection) -> None:
        last = self.last_batch(conn)
        if self._sealed.batches == last:
            return
        if self._sealed.batches > last:  # a sealing was rolled back
            self._sealed = State(self.ledger)
        root = None
        for batch in self.batches(conn, after=self._sealed.batches, limit=EVERY_BATCH):
            for data in parse_data(batch.data):
                apply(self._sealed, parse_operation(data), verify=trust_signature)
            record = parse_record(batch.record)
            self._sealed.batches = record.number
            self._sealed.seen_height = record.seen_height
            root = record.state_root
        if root is not None and self._sealed.root() != root:
            raise VerificationError(
                "state-root", "the stored batches do not lead to their root", hint="hilum fsck"
            )
        self._sealed.mark()
