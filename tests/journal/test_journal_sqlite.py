"""The journal's rows: numbers, chains, erasure, foreign receipts."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from hilum.base.ids import CompartmentId
from hilum.errors import MalformedInputError, VerificationError
from hilum.journal.adapters.sqlite import RUN, SCHEMA, SCHEMA_NAMES, SqliteJournal
from hilum.journal.chain import find_gap, verify_chain
from hilum.journal.model import Draft, Emergency, Facts, Outcome, Party, ReceiptAction
from hilum.journal.receipt import draft_of, frame_of, receipt_leaf
from hilum.vault.adapters.keyfile import SqliteKeyStore
from hilum.vault.keyring import Keyring

ANN, BEN = CompartmentId(1), CompartmentId(2)
CUSTODIAN = b"\x0c" * 32


def facts(at: int = 1) -> Facts:
    return Facts(
        at_unix_ms=at,
        purpose="TREAT",
        action=ReceiptAction.SEARCH,
        outcome=Outcome.PERMIT,
        credential=bytes(32),
        client=Party(b"\2" * 32, "clinic app"),
        count=3,
    )


def draft(cid: CompartmentId, at: int = 1) -> Draft:
    return draft_of(cid, facts(at))


@pytest.fixture
def entropy() -> Callable[[int], bytes]:
    drawn = iter(range(10**6))
    return lambda size: b"".join(
        sha256(next(drawn).to_bytes(8, "big")).digest() for _ in range(size // 32)
    )


@pytest.fixture
def conn() -> Iterator[sqlite3.Connection]:
    conn = sqlite3.connect(":memory:", isolation_level=None)
    conn.executescript(SCHEMA + SCHEMA_NAMES)
    yield conn
    conn.close()


@pytest.fixture
def keyring(tmp_path: Path) -> Iterator[Keyring]:
    store = SqliteKeyStore(tmp_path / "keys.db")
    yield Keyring(b"\1" * 32, store, entropy=os.urandom)
    store.close()


@pytest.fixture
def journal(keyring: Keyring) -> SqliteJournal:
    return SqliteJournal(CUSTODIAN, keyring)


def test_receipts_are_numbered_chained_and_found_again(
    conn: sqlite3.Connection, journal: SqliteJournal, entropy: Callable[[int], bytes]
) -> None:
    placed = journal.append(conn, [draft(ANN), draft(BEN), draft(ANN)], entropy=entropy)
    placed += journal.append(conn, [draft(ANN)], entropy=entropy)
    assert [number for number, _ in placed] == [0, 1, 2, 3]
    anns = journal.of_compartment(conn, ANN)
    assert [stored.receipt.number for stored in anns] == [0, 2, 3]
    verify_chain([(stored.receipt, stored.leaf) for stored in anns], head=anns[-1].leaf)
    assert journal.leaves(conn, 0, 9)[2] == anns[1].leaf
    assert journal.leaves(conn, 1, 3) == [
        row.leaf for row in (*journal.of_compartment(conn, BEN), anns[1])
    ]
    for number, name in placed:
        stored = journal.get(conn, name)
        assert stored is not None
        assert stored.receipt.number == number
        assert stored.receipt.custodian == CUSTODIAN
        assert receipt_leaf(stored.salt, stored.data) == stored.leaf
        assert stored.receipt.facts == facts()
    assert len({stored.salt for stored in anns}) == 3
    assert journal.of_compartment(conn, ANN, after=0, limit=1) == [anns[1]]
    for unknown in ("", "zz", "0" * 32, placed[0][1].upper() + "x"):
        assert journal.get(conn, unknown) is None


def test_a_missing_receipt_shows_as_a_gap(
    conn: sqlite3.Connection, journal: SqliteJournal, entropy: Callable[[int], bytes]
) -> None:
    journal.append(conn, [draft(ANN, at) for at in range(5)], entropy=entropy)
    links = [(stored.receipt, stored.leaf) for stored in journal.of_compartment(conn, ANN)]
    assert find_gap(links) is None
    assert find_gap([]) is None
    for missing in range(4):
        assert find_gap(links[:missing] + links[missing + 1 :]) == missing
        with pytest.raises(VerificationError) as refused:
            verify_chain(links[:missing] + links[missing + 1 :])
        assert refused.value.where == f"receipt {missing + 1}"
    verify_chain(links[:4])
    with pytest.raises(VerificationError):
        verify_chain(links[:4], head=links[4][1])
    assert find_gap(links[2:], after=links[1][1]) is None
    assert find_gap([links[1], links[0]]) == 0


def test_a_rollback_gives_the_numbers_and_the_chain_back(
    conn: sqlite3.Connection,
    journal: SqliteJournal,
    keyring: Keyring,
    entropy: Callable[[int], bytes],
) -> None:
    journal.append(conn, [draft(ANN)], entropy=entropy)
    conn.execute("begin")
    journal.append(conn, [draft(ANN), draft(BEN)], entropy=entropy)
    conn.execute("rollback")
    journal.forget()
    assert journal.append(conn, [draft(ANN), draft(BEN)], entropy=entropy)[0][0] == 1
    for cid in (ANN, BEN):
        verify_chain([(s.receipt, s.leaf) for s in journal.of_compartment(conn, cid)])
    again = SqliteJournal(CUSTODIAN, keyring)
    assert again.append(conn, [draft(BEN)], entropy=entropy)[0][0] == 3
    verify_chain([(s.receipt, s.leaf) for s in again.of_compartment(conn, BEN)])


def test_erasure_takes_the_receipts_and_leaves_the_tree(
    conn: sqlite3.Connection, journal: SqliteJournal, entropy: Callable[[int], bytes]
) -> None:
    placed = journal.append(conn, [draft(ANN), draft(BEN), draft(ANN)], entropy=entropy)
    mine = journal.of_compartment(conn, ANN)
    journal.add_foreign(conn, ANN, [(mine[0].data, mine[0].salt)])
    leaves = journal.leaves(conn, 0, 3)
    assert journal.count(conn, ANN) == 2
    assert journal.erase(conn, ANN) == 3
    assert journal.erase(conn, ANN) == 0
    assert journal.leaves(conn, 0, 3) == leaves
    assert journal.get(conn, placed[0][1]) is None
    assert journal.of_compartment(conn, ANN) == []
    assert journal.foreign(conn, ANN) == []
    assert journal.count(conn, ANN) == 0
    assert journal.get(conn, placed[1][1]) is not None
    assert journal.append(conn, [draft(BEN)], entropy=entropy)[0][0] == 3


def test_a_receipt_moved_to_another_row_does_not_open(
    conn: sqlite3.Connection, journal: SqliteJournal, entropy: Callable[[int], bytes]
) -> None:
    journal.append(conn, [draft(ANN), draft(ANN)], entropy=entropy)
    conn.execute("update receipt set sealed = (select sealed from receipt where number = 0)")
    with pytest.raises(VerificationError):
        journal.of_compartment(conn, ANN)


def test_foreign_receipts_keep_their_bytes_and_are_kept_once(
    conn: sqlite3.Connection, journal: SqliteJournal, entropy: Callable[[int], bytes]
) -> None:
    journal.append(conn, [draft(ANN, at) for at in range(4)], entropy=entropy)
    pairs = [(stored.data, stored.salt) for stored in journal.of_compartment(conn, ANN)]
    assert journal.add_foreign(conn, BEN, pairs[:3]) == 3
    assert journal.add_foreign(conn, BEN, pairs) == 1
    assert [(row.data, row.salt) for row in journal.foreign(conn, BEN)] == pairs
    assert [row.position for row in journal.foreign(conn, BEN)] == [0, 1, 2, 3]
    for data, salt in ((b"noise", bytes(32)), (pairs[0][0], bytes(31))):
        with pytest.raises(MalformedInputError):
            journal.add_foreign(conn, BEN, [(data, salt)])


def test_facts_that_do_not_fit_make_no_draft() -> None:
    for wrong in ({"purpose": ""}, {"digest": b""}, {"credential": b""}, {"at_unix_ms": -1}):
        with pytest.raises(MalformedInputError):
            draft_of(ANN, msgspec.structs.replace(facts(), **wrong))
    with pytest.raises(MalformedInputError):
        frame_of(ANN, facts()).draft(1, 0, bytes(32), (1 << 32, 0))


def test_a_draft_from_a_frame_is_the_draft_of_the_facts() -> None:
    whole = msgspec.structs.replace(facts(7), batch=3, digest=b"\5" * 32, segments=9, duties=1)
    frame = frame_of(ANN, msgspec.structs.replace(facts(), duties=1))
    assert frame.draft(7, 3, b"\5" * 32, (3, 9)) == draft_of(ANN, whole)
    emergency = Emergency("unconscious", "accident", "ER")
    told = msgspec.structs.replace(facts(), outcome=Outcome.EMERGENCY, emergency=emergency)
    with pytest.raises(MalformedInputError):
        frame_of(ANN, told)


def test_receipts_are_found_by_name_in_every_run_and_behind_the_last_one(
    conn: sqlite3.Connection, journal: SqliteJournal, entropy: Callable[[int], bytes]
) -> None:
    placed = []
    for size in (RUN - 1, 1, 5, 2 * RUN, 3):
        placed += journal.append(conn, [draft(ANN)] * size, entropy=entropy)
    runs = conn.execute(
        "select run, count(*) from receipt_name group by run order by run"
    ).fetchall()
    assert runs == [(0, RUN), (1, RUN), (2, RUN)]
    for number, name in (placed[n] for n in (0, RUN - 1, RUN, 2 * RUN + 7, 3 * RUN - 1, -8, -1)):
        found = journal.get(conn, name)
        assert found is not None
        assert found.receipt.number == number
    assert journal.get(conn, placed[0][1][:16] + "0" * 16) is None


def test_names_of_an_older_store_are_sorted_into_runs(
    conn: sqlite3.Connection, journal: SqliteJournal, entropy: Callable[[int], bytes]
) -> None:
    placed = journal.append(conn, [draft(ANN)] * (RUN + 2), entropy=entropy)
    conn.execute("drop table receipt_name")
    conn.executescript(SCHEMA + SCHEMA_NAMES)
    assert conn.execute("select count(*) from receipt_name").fetchone() == (RUN,)
    assert all(journal.get(conn, name) is not None for _, name in (placed[0], placed[-1]))


def test_kept_checkpoints_are_found_by_size(
    conn: sqlite3.Connection, journal: SqliteJournal
) -> None:
    assert journal.last_checkpoint(conn) is None
    for size in (3, 9):
        journal.add_checkpoint(conn, size, note=b"note %d" % size, salt=bytes([size]) * 32)
    assert journal.checkpoint(conn, 4) is None
    kept = journal.checkpoint(conn, 3)
    assert kept is not None
    assert (kept.note, kept.salt) == (b"note 3", b"\3" * 32)
    last = journal.last_checkpoint(conn)
    assert last is not None
    assert last.size == 9
