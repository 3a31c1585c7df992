"""The ledger's rows: what survives rollbacks and restarts, and what is refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from hashlib import sha256

import pytest

from hilum.base.hashes import commitment
from hilum.base.merkle import leaf_hash
from hilum.base.statetree import verify_path
from hilum.errors import ConflictError, MalformedInputError, VerificationError
from hilum.ledger.adapters.sqlite import SCHEMA, SqliteLedger
from hilum.ledger.batch import parse_record
from hilum.ledger.cell import Rule, encode_cell
from hilum.ledger.derive import Anchor, derive
from hilum.ledger.genesis import Genesis, ledger_id
from hilum.ledger.keys import Signer
from hilum.ledger.model import Change, Opening, Status

GENESIS = Genesis(1_800_000_000_000, b"\5" * 32, b"\6" * 32)
SIGNER = Signer(b"\7" * 32, ledger_id(GENESIS))


def digest(text: str) -> bytes:
    return sha256(text.encode()).digest()


def opening(ref: str, rule: Rule = Rule.ONE_WAY) -> Opening:
    return Opening(ref, rule, digest(ref), digest(ref + " salt"))


def head(size: int) -> Change:
    return Change("journal", digest(f"note {size}"), digest(f"salt {size}"), size)


@pytest.fixture
def conn() -> Iterator[sqlite3.Connection]:
    conn = sqlite3.connect(":memory:", isolation_level=None)
    conn.executescript(SCHEMA)
    yield conn
    conn.close()


@pytest.fixture
def ledger() -> SqliteLedger:
    return SqliteLedger(GENESIS)


def open_many(ledger: SqliteLedger, conn: sqlite3.Connection, names: list[str]) -> None:
    for name in names:
        ledger.open_cell(conn, SIGNER, opening(name), at_unix_ms=1)


def anchors_of(ledger: SqliteLedger, conn: sqlite3.Connection) -> list[Anchor]:
    return [
        Anchor(parse_record(batch.record).seen_height + 1, batch.record, batch.data)
        for batch in ledger.batches(conn)
    ]


def test_sealed_batches_derive_to_the_same_state(
    conn: sqlite3.Connection, ledger: SqliteLedger
) -> None:
    ledger.open_cell(conn, SIGNER, opening("journal", Rule.APPEND_ONLY), at_unix_ms=1)
    open_many(ledger, conn, [f"directive/{n}" for n in range(40)])
    ledger.change_cell(conn, SIGNER, head(7), at_unix_ms=2)
    first = ledger.seal(conn, seen_height=101, at_unix_ms=3)
    ledger.close_cell(conn, SIGNER, "directive/5", at_unix_ms=4)
    ledger.change_cell(conn, SIGNER, head(9), at_unix_ms=5)
    second = ledger.seal(conn, seen_height=102, at_unix_ms=6)
    assert first is not None
    assert second is not None
    assert (first.operations, second.operations) == (42, 2)
    assert ledger.seal(conn, seen_height=103, at_unix_ms=7) is None
    derivation = derive(GENESIS, anchors_of(ledger, conn))
    assert not derivation.skipped
    assert derivation.state.root() == parse_record(second.record).state_root
    known = ledger.known(conn, "directive/5")
    assert known is not None
    assert derivation.state.cell(known.index).is_closed
    assert derivation.state.cell(0).size == 9
    assert ledger.check(conn) == []


def test_values_are_commitments_under_the_remembered_salt(
    conn: sqlite3.Connection, ledger: SqliteLedger
) -> None:
    ledger.open_cell(conn, SIGNER, opening("journal", Rule.APPEND_ONLY), at_unix_ms=1)
    done = ledger.change_cell(conn, SIGNER, head(3), at_unix_ms=1)
    known = ledger.known(conn, "journal")
    assert known is not None
    assert known.salt == digest("salt 3")
    assert ledger.cell(conn, done.cell).value == commitment(digest("salt 3"), digest("note 3"))
    assert ledger.forget_salts(conn, ["journal", "unknown"]) == 1
    again = ledger.known(conn, "journal")
    assert again is not None
    assert again.salt is None


def test_head_witness_is_the_earliest_anchored_one_that_covers_the_leaf(
    conn: sqlite3.Connection, ledger: SqliteLedger
) -> None:
    open_many(ledger, conn, ["a", "b", "c"])
    index = ledger.open_cell(conn, SIGNER, opening("journal", Rule.APPEND_ONLY), at_unix_ms=1).cell
    for number, size in enumerate((4, 8, 12), start=1):
        ledger.change_cell(conn, SIGNER, head(size), at_unix_ms=1)
        ledger.seal(conn, seen_height=100 + number, at_unix_ms=1)
    assert ledger.head_witness(conn, index, above=0) is None
    for number in (1, 2):
        ledger.mark_anchored(conn, number, txid=bytes([number]) * 32, height=101 + number)
    for above, batch, size in ((0, 1, 4), (3, 1, 4), (4, 2, 8), (7, 2, 8)):
        witness = ledger.head_witness(conn, index, above=above)
        assert witness is not None
        assert (witness.batch, witness.cell.size) == (batch, size)
        stored = ledger.batch(conn, batch)
        assert stored is not None
        root = parse_record(stored.record).state_root
        leaf = leaf_hash(encode_cell(witness.cell))
        verify_path(leaf, witness.path, index=index, root=root)
    assert ledger.head_witness(conn, index, above=8) is None
    assert [batch.number for batch in ledger.unanchored(conn)] == [3]
    assert ledger.mark_final(conn, 102) == 1
    assert ledger.unmark_anchored(conn, 103) == 1
    statuses = [batch.status for batch in ledger.batches(conn)]
    assert statuses == [Status.FINAL, Status.SEALED, Status.SEALED]


def test_a_rolled_back_transaction_leaves_no_trace_in_memory(
    conn: sqlite3.Connection, ledger: SqliteLedger
) -> None:
    open_many(ledger, conn, ["one", "two"])
    ledger.seal(conn, seen_height=1, at_unix_ms=1)
    open_many(ledger, conn, ["three"])
    for sealings in (0, 1, 2):
        conn.execute("begin")
        open_many(ledger, conn, ["four", "five"])
        for n in range(sealings):
            ledger.seal(conn, seen_height=2 + n, at_unix_ms=2)
            open_many(ledger, conn, [f"six {n}"])
        conn.execute("rollback")
        ledger.forget()
        assert ledger.waiting(conn) == 1
    open_many(ledger, conn, ["four"])
    ledger.seal(conn, seen_height=3, at_unix_ms=3)
    assert derive(GENESIS, anchors_of(ledger, conn)).skipped == ()
    assert ledger.check(conn) == []


def test_a_new_process_goes_on_where_the_old_one_stopped(
    conn: sqlite3.Connection, ledger: SqliteLedger
) -> None:
    open_many(ledger, conn, [str(n) for n in range(20)])
    ledger.seal(conn, seen_height=1, at_unix_ms=1)
    open_many(ledger, conn, ["waiting"])
    again = SqliteLedger(GENESIS)
    done = again.open_cell(conn, SIGNER, opening("next"), at_unix_ms=2)
    assert (done.n, done.cell, done.seq) == (22, 21, 0)
    again.close_cell(conn, SIGNER, "3", at_unix_ms=2)
    with pytest.raises(ConflictError):
        again.close_cell(conn, SIGNER, "3", at_unix_ms=2)
    sealed = again.seal(conn, seen_height=2, at_unix_ms=2)
    assert sealed is not None
    assert sealed.operations == 3
    assert again.prove_cell(conn, 3).cell.is_closed
    assert again.batch_of(conn, 3) == 2
    assert again.check(conn) == []


def test_unfit_operations_are_refused_and_nothing_is_kept(
    conn: sqlite3.Connection, ledger: SqliteLedger
) -> None:
    open_many(ledger, conn, ["a"])
    good = SIGNER.close(0, index=0, seq=0)
    stranger = Signer(b"\x09" * 32, ledger.ledger)
    cases: list[tuple[bytes, type[Exception]]] = [
        (b"", MalformedInputError),
        (good[:-1], MalformedInputError),
        (good[:-1] + bytes([good[-1] ^ 1]), VerificationError),
        (stranger.close(0, index=0, seq=0), VerificationError),
        (SIGNER.close(0, index=0, seq=1), VerificationError),
        (SIGNER.close(0, index=1, seq=0), ConflictError),
        (SIGNER.set(0, index=0, seq=0, value=bytes(32)), ConflictError),
        (SIGNER.open(0, rule=Rule.ONE_WAY, value=bytes(32)), ConflictError),
    ]
    for operation, kind in cases:
        with pytest.raises(kind):
            ledger.submit(conn, operation, at_unix_ms=1)
    with pytest.raises(ConflictError):
        ledger.open_cell(conn, SIGNER, opening("a"), at_unix_ms=1)
    with pytest.raises(ConflictError):
        ledger.close_cell(conn, SIGNER, "unknown", at_unix_ms=1)
    assert ledger.waiting(conn) == 1
    ledger.submit(conn, good, at_unix_ms=1)


def test_more_than_one_batch_of_operations_is_sealed_in_turns(
    conn: sqlite3.Connection, ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hilum.ledger.batch.DATA_LIMIT", 1 + 134 * 5)
    open_many(ledger, conn, [str(n) for n in range(12)])
    sizes = []
    while (batch := ledger.seal(conn, seen_height=1, at_unix_ms=1)) is not None:
        sizes.append(batch.operations)
    assert sizes == [5, 5, 2]
    assert derive(GENESIS, anchors_of(ledger, conn)).skipped == ()


def test_check_names_a_batch_that_was_changed_on_disk(
    conn: sqlite3.Connection, ledger: SqliteLedger
) -> None:
    open_many(ledger, conn, ["a", "b"])
    ledger.seal(conn, seen_height=1, at_unix_ms=1)
    open_many(ledger, conn, ["c"])
    conn.execute("update operation set bytes = ? where n = 3", (bytes(134),))
    assert [line.split(":")[0] for line in ledger.check(conn)] == ["ledger operation 3"]
    conn.execute("delete from operation where n > 1")
    assert [line.split(":")[0] for line in ledger.check(conn)] == ["ledger batch 1"]
    data = conn.execute("select data from batch").fetchone()[0]
    conn.execute("update batch set data = ?", (data[:-1] + bytes([data[-1] ^ 1]),))
    assert ledger.check(conn) == ["ledger batch 1: operation-signature"]
    fresh = SqliteLedger(GENESIS)
    conn.execute("update batch set data = ?", (data[:-134],))
    with pytest.raises(VerificationError):
        fresh.cell(conn, 0)
