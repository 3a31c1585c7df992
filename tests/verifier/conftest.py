"""A real proof: receipts, tiles, a signed checkpoint, a sealed batch, and a mined regtest chain."""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hilum.base.ids import CompartmentId
from hilum.journal.adapters.sqlite import SCHEMA as JOURNAL_SCHEMA
from hilum.journal.adapters.sqlite import SCHEMA_NAMES as JOURNAL_NAMES
from hilum.journal.adapters.sqlite import SqliteJournal
from hilum.journal.adapters.tiles import TileStore
from hilum.journal.checkpoint import Checkpoint, checkpoint_digest, origin_of, sign_checkpoint
from hilum.journal.model import (
    DirectiveRef,
    Draft,
    Emergency,
    Facts,
    Outcome,
    Party,
    ReceiptAction,
)
from hilum.journal.receipt import draft_of
from hilum.ledger.adapters.sqlite import SCHEMA as LEDGER_SCHEMA
from hilum.ledger.adapters.sqlite import SqliteLedger
from hilum.ledger.cell import Rule
from hilum.ledger.genesis import Genesis, ledger_id
from hilum.ledger.keys import Signer
from hilum.ledger.model import Change, Opening, StoredBatch
from hilum.ledger.proof import AnchorParts, JournalParts, encode_headers, encode_proof
from hilum.vault.adapters.keyfile import SqliteKeyStore
from hilum.vault.keyring import Keyring

GENESIS = Genesis(1_800_000_000_000, b"\5" * 32, b"\6" * 32)

# Source: Bitcoin Core kernel/chainparams.cpp, CreateGenesisBlock of regtest.
GENESIS_HEADER = struct.pack(
    "<I32s32sIII",
    1,
    bytes(32),
    bytes.fromhex("4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b")[::-1],
    1296688602,
    0x207FFFFF,
    2,
)


@dataclass(frozen=True)
class Made:
    """What the builder made, with the parts a test may want to build wrongly."""

    proof: bytes
    headers: bytes
    journal: JournalParts
    anchor: AnchorParts
    cell: object
    cell_salt: bytes
    cell_path: tuple[bytes, ...]
    raw_headers: bytes
    receipt_id: str


def hash256(data: bytes) -> bytes:
    return sha256(sha256(data).digest()).digest()


def mine(previous: bytes, merkle_root: bytes, time: int) -> bytes:
    for nonce in range(1 << 20):
        header = struct.pack("<I32s32sIII", 4, previous, merkle_root, time, 0x207FFFFF, nonce)
        if hash256(header)[31] < 0x7F:
            return header
    raise AssertionError("no nonce")


def anchor_transaction(record: bytes) -> bytes:
    thread = b"\x51\x20" + b"\x21" * 32
    outputs = [(546, thread), (0, b"\x6a\x4c\x4e" + record), (90_000, thread)]
    body = struct.pack("<I", 2) + b"\x02"
    for n in range(2):
        body += bytes([n]) * 32 + struct.pack("<I", n) + b"\x00" + b"\xfd\xff\xff\xff"
    body += bytes([len(outputs)])
    for value, script in outputs:
        body += struct.pack("<Q", value) + bytes([len(script)]) + script
    return body + struct.pack("<I", 0)


def draft(n: int, outcome: Outcome) -> Draft:
    return draft_of(
        CompartmentId(n % 3 + 1),
        Facts(
            at_unix_ms=1_800_000_000_000 + n,
            purpose="TREAT",
            action=ReceiptAction.READ,
            outcome=outcome,
            credential=sha256(b"token").digest(),
            person=Party(sha256(b"person").digest(), "Dr. Zhāng"),
            organisation=Party(sha256(b"clinic").digest(), "Seeblick"),
            directives=(DirectiveRef(bytes(range(16)), 4, 1), DirectiveRef(b"\xff" * 16)),
            batch=3,
            digest=sha256(b"disclosed").digest(),
            count=5,
            segments=3,
            duties=1,
            emergency=Emergency("unconscious", "accident", "ER") if outcome == 2 else None,
        ),
    )


def anchor_by_hand(batch: StoredBatch) -> tuple[AnchorParts, bytes]:
    """Put the anchor third into the second of three small blocks."""
    transaction = anchor_transaction(batch.record)
    coinbase, commit = sha256(b"coinbase").digest(), sha256(b"commit").digest()
    txid = hash256(transaction)
    left = hash256(coinbase + commit)
    top = hash256(left + hash256(txid + txid))
    headers = [GENESIS_HEADER]
    for n, merkle_root in enumerate((sha256(b"1").digest(), top, sha256(b"3").digest()), start=1):
        headers.append(mine(hash256(headers[-1]), merkle_root, 1_800_000_000 + n))
    return AnchorParts(batch.record, transaction, 2, 2, [txid, left]), b"".join(headers)


def make(
    folder: Path,
    *,
    number: int = 4,
    outcome: Outcome = Outcome.PERMIT,
    anchor_with: Callable[[StoredBatch], tuple[AnchorParts, bytes]] = anchor_by_hand,
) -> Made:
    drawn = iter(range(10**6))

    def entropy(size: int) -> bytes:
        return b"".join(sha256(b"%d" % next(drawn)).digest() for _ in range(size // 32))

    key = Ed25519PrivateKey.from_private_bytes(b"\x31" * 32)
    public = key.public_key().public_bytes_raw()
    conn = sqlite3.connect(":memory:", isolation_level=None)
    conn.executescript(JOURNAL_SCHEMA + LEDGER_SCHEMA + JOURNAL_NAMES)
    keys = SqliteKeyStore(folder / "keys.db")
    journal = SqliteJournal(public, Keyring(b"\x41" * 32, keys, entropy=os.urandom))
    placed = journal.append(conn, [draft(n, outcome) for n in range(7)], entropy=entropy)
    tiles = TileStore(folder / "journal")
    root = tiles.integrate(journal.leaves(conn, 0, 7), begin=0)
    checkpoint = Checkpoint(origin_of("did:key:z6MkTest"), 7, root)
    note = sign_checkpoint(checkpoint, public=public, sign=key.sign)

    ledger = SqliteLedger(GENESIS)
    signer = Signer(b"\7" * 32, ledger_id(GENESIS))
    for n in range(5):
        opening = Opening(f"directive/{n}", Rule.ONE_WAY, bytes(32), entropy(32))
        ledger.open_cell(conn, signer, opening, at_unix_ms=1)
    opening = Opening("journal", Rule.APPEND_ONLY, bytes(32), entropy(32))
    ledger.open_cell(conn, signer, opening, at_unix_ms=1)
    change = Change("journal", checkpoint_digest(note), entropy(32), 7)
    cell = ledger.change_cell(conn, signer, change, at_unix_ms=2).cell
    batch = ledger.seal(conn, seen_height=1, at_unix_ms=3)
    assert batch is not None
    ledger.mark_anchored(conn, batch.number, txid=bytes(32), height=2)
    witness = ledger.head_witness(conn, cell, above=number)
    stored = journal.get(conn, placed[number][1])
    assert witness is not None
    assert stored is not None
    conn.close()
    keys.close()

    anchor, raw_headers = anchor_with(batch)
    parts = JournalParts(stored.data, stored.salt, tiles.inclusion(number, 7), note)
    proof = encode_proof(parts, anchor, cell=witness.cell, salt=change.salt, path=witness.path)
    return Made(
        proof,
        encode_headers(raw_headers, network="regtest"),
        parts,
        anchor,
        witness.cell,
        change.salt,
        witness.path,
        raw_headers,
        placed[number][1],
    )


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return a proof of receipt 4 of 7."""
    return make(tmp_path_factory.mktemp("log"))


@pytest.fixture(scope="session")
def make_proof(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Made]:
    """Return the builder."""
    return lambda **wanted: make(tmp_path_factory.mktemp("log"), **wanted)


@pytest.fixture(scope="session")
def node() -> str:
    """Return the path of Node.js; skip (fail under CI) where it is absent."""
    found = shutil.which("node")
    if found is None:
        absent = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        absent("node is not on this machine")
    return found or ""
