"""The ten steps from a receipt to Bitcoin's headers, in order; each fails under its own name.

A proof file is canonical JSON and holds only bytes that some step checks:

```
format      "hilum-proof-1"
receipt     hex          salt  hex 32
path        hashes: the receipt's way up the journal's tree (its number is its position)
checkpoint  the signed note; size and root come from it
cell        index rule owner seq until size salt levels path: the journal's cell in the ledger
            (path lists the siblings that are not empty subtrees, levels is the mask of their heights)
batch       hex 78: the record that was anchored
anchor      transaction (without witness), height, index, path: where Bitcoin has it
```
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hilum.base import canonical, merkle, statetree
from hilum.base.hashes import commitment, tagged_hash
from hilum.errors import MalformedInputError
from hilum.verifier.chain import (
    NETWORKS,
    read_anchor,
    read_headers,
    root_of_branch,
    verify_headers,
)
from hilum.verifier.note import Head, read_note, verify_note
from hilum.verifier.reading import (
    fail,
    take_hashes,
    take_hex,
    take_int,
    take_object,
    take_text,
)
from hilum.verifier.receipt import ReceiptFacts, read_receipt

__all__ = ["STEPS", "Report", "verify_proof"]

STEPS: Final = (
    "format",
    "payload",
    "journal-path",
    "checkpoint",
    "cell-value",
    "cell-path",
    "batch-record",
    "anchor",
    "inclusion",
    "headers",
)
FORMAT: Final = "hilum-proof-1"
MAX_BYTES: Final = 1 << 20
U32: Final = 0xFFFFFFFF
APPEND_ONLY: Final = 2
CLOSED: Final = 0x80
MODES: Final = {1: "rollup", 2: "validium", 3: "stamp"}
_KEYS: Final = frozenset(
    {"anchor", "batch", "cell", "checkpoint", "format", "path", "receipt", "salt"}
)
_ANCHOR_KEYS: Final = frozenset({"height", "index", "path", "transaction"})
_CELL_KEYS: Final = frozenset(
    {"index", "levels", "owner", "path", "rule", "salt", "seq", "size", "until"}
)
_LEAF: Final = struct.Struct(">IB32sIIQ32s")
_RECORD: Final = struct.Struct(">4sBBII32s32s")


@dataclass(frozen=True, slots=True)
class Report:
    """What a valid proof establishes.

    Attributes:
        receipt_id: hex, 32 digits.
        receipt: what the receipt says.
        origin: name of the custodian's journal.
        journal_size: receipts in it when it was anchored.
        batch: number of the ledger batch.
        mode: where the batch's operations are: rollup, validium or stamp.
        txid: of the anchor, as people write it.
        height: of the anchor's block.
        block_time_unix_s: what the block's header says.
        confirmations: blocks from the anchor's on, as far as the headers go.
        network: which Bitcoin network.
        label: what that is worth.
    """

    receipt_id: str
    receipt: ReceiptFacts
    origin: str
    journal_size: int
    batch: int
    mode: str
    txid: str
    height: int
    block_time_unix_s: int
    confirmations: int
    network: str
    label: str


@dataclass(frozen=True, slots=True)
class _Cell:
    index: int
    rule: int
    owner: bytes
    seq: int
    until: int
    size: int
    salt: bytes
    levels: int
    path: list[bytes]


@dataclass(frozen=True, slots=True)
class _Proof:
    receipt: bytes
    salt: bytes
    path: list[bytes]
    checkpoint: str
    cell: _Cell
    batch: bytes
    transaction: bytes
    height: int
    index: int
    branch: list[bytes]


@dataclass(frozen=True, slots=True)
class _Record:
    mode: str
    number: int
    state_root: bytes


def verify_proof(proof: bytes, headers: bytes) -> Report:
    """Check a proof file against a headers file.

    Args:
        proof: the file's bytes.
        headers: bytes of a headers file (`hilum.verifier.chain`).

    Returns:
        What the proof establishes.

    Raises:
        VerificationError: naming the first of `STEPS` that does not hold.
    """
    parts = _read_proof(proof)
    receipt = read_receipt(parts.receipt)
    head, leaf = _verify_journal(parts, receipt)
    verify_note(head, receipt.custodian)
    value = _verify_cell_value(parts, head)
    state_root = _verify_cell_path(parts.cell, value)
    record = _verify_record(parts.batch, state_root)
    anchor = read_anchor(parts.transaction)
    if anchor.record != parts.batch:
        fail("anchor", "the transaction carries another record")
    chain = read_headers(headers)
    header = chain.header(parts.height)
    if root_of_branch(anchor.txid, parts.branch, index=parts.index) != header[36:68]:
        fail("inclusion", "the path does not lead to the block's Merkle root")
    verify_headers(chain)
    return Report(
        receipt_id=leaf[:16].hex(),
        receipt=receipt,
        origin=head.origin,
        journal_size=head.size,
        batch=record.number,
        mode=record.mode,
        txid=anchor.txid[::-1].hex(),
        height=parts.height,
        block_time_unix_s=int.from_bytes(header[68:72], "little"),
        confirmations=len(chain) - parts.height,
        network=chain.network,
        label=NETWORKS[chain.network].label,
    )


def _read_proof(data: bytes) -> _Proof:
    step = "format"
    if len(data) > MAX_BYTES:
        fail(step, "larger than a proof is")
    try:
        value = canonical.parse(data)
    except MalformedInputError as error:
        fail(step, error.why)
    fields = take_object(value, _KEYS, step=step)
    if fields["format"] != FORMAT:
        fail(step, "unknown format")
    anchor = take_object(fields["anchor"], _ANCHOR_KEYS, step=step)
    return _Proof(
        receipt=take_hex(fields["receipt"], step=step),
        salt=take_hex(fields["salt"], 32, step=step),
        path=take_hashes(fields["path"], 64, step=step),
        checkpoint=take_text(fields["checkpoint"], 1000, step=step),
        cell=_read_cell(take_object(fields["cell"], _CELL_KEYS, step=step)),
        batch=take_hex(fields["batch"], 78, step=step),
        transaction=take_hex(anchor["transaction"], step=step),
        height=take_int(anchor["height"], U32, step=step),
        index=take_int(anchor["index"], U32, step=step),
        branch=take_hashes(anchor["path"], 32, step=step),
    )


def _read_cell(fields: Mapping[str, object]) -> _Cell:
    step = "format"
    return _Cell(
        index=take_int(fields["index"], U32, step=step),
        rule=take_int(fields["rule"], 0xFF, step=step),
        owner=take_hex(fields["owner"], 32, step=step),
        seq=take_int(fields["seq"], U32, step=step),
        until=take_int(fields["until"], U32, step=step),
        size=take_int(fields["size"], canonical.MAX_INTEGER, step=step),
        salt=take_hex(fields["salt"], 32, step=step),
        levels=take_int(fields["levels"], U32, step=step),
        path=take_hashes(fields["path"], statetree.DEPTH, step=step),
    )


def _verify_journal(parts: _Proof, receipt: ReceiptFacts) -> tuple[Head, bytes]:
    head = read_note(parts.checkpoint)
    leaf = tagged_hash("hilum/receipt/v1", parts.salt, parts.receipt)
    merkle.verify_inclusion(
        merkle.leaf_hash(leaf),
        parts.path,
        index=receipt.number,
        size=head.size,
        root=head.root,
        step="journal-path",
    )
    return head, leaf


def _verify_cell_value(parts: _Proof, head: Head) -> bytes:
    cell = parts.cell
    if cell.rule & ~CLOSED != APPEND_ONLY:
        fail("cell-value", "not the cell of a journal")
    if cell.size != head.size:
        fail("cell-value", "the cell commits to a journal of another size")
    payload = tagged_hash("hilum/checkpoint/v1", parts.checkpoint.encode())
    return commitment(cell.salt, payload)


def _verify_cell_path(cell: _Cell, value: bytes) -> bytes:
    step = "cell-path"
    if cell.levels.bit_count() != len(cell.path):
        fail(step, "as many siblings as levels")
    given = iter(cell.path)
    siblings = [
        next(given) if cell.levels >> level & 1 else statetree.ZERO[level]
        for level in range(statetree.DEPTH)
    ]
    if any(
        cell.levels >> level & 1 and siblings[level] == statetree.ZERO[level]
        for level in range(statetree.DEPTH)
    ):
        fail(step, "an empty subtree is left out, not listed")
    leaf = _LEAF.pack(cell.index, cell.rule, cell.owner, cell.seq, cell.until, cell.size, value)
    return statetree.root_from_path(merkle.leaf_hash(leaf), siblings, index=cell.index)


def _verify_record(record: bytes, state_root: bytes) -> _Record:
    magic, mode, flags, number, _, root, _ = _RECORD.unpack(record)
    if magic != b"HLM1" or flags or mode not in MODES:
        fail("batch-record", "not a record of this format")
    if root != state_root:
        fail("cell-path", "the path does not lead to the batch's state root")
    return _Record(MODES[mode], number, root)
