"""Proofs: real ones hold, and no byte of them can change unnoticed."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from hilum.base import canonical
from hilum.base.statetree import ZERO
from hilum.errors import MalformedInputError, VerificationError
from hilum.journal.model import Outcome
from hilum.ledger.proof import encode_headers, encode_proof
from hilum.verifier import STEPS, verify_proof
from hilum.verifier.chain import NETWORKS, hash256, read_headers, verify_headers

Make = Callable[..., Any]


def step_of(proof: bytes, headers: bytes) -> str:
    with pytest.raises(VerificationError) as refused:
        verify_proof(proof, headers)
    assert refused.value.step in STEPS
    return refused.value.step


def changed(proof: bytes, *path: str, to: object) -> bytes:
    value = json.loads(proof)
    inner = value
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = to(inner[path[-1]]) if callable(to) else to
    return canonical.encode(value)


def flip(text: str) -> str:
    return text[:-1] + ("0" if text[-1] != "0" else "1")


def test_a_real_proof_holds_and_reports_what_it_establishes(made: Any) -> None:
    report = verify_proof(made.proof, made.headers)
    assert report.receipt_id == made.receipt_id
    assert report.receipt.person == "Dr. Zhāng"
    assert report.receipt.organisation == "Seeblick"
    assert report.receipt.client == ""
    assert (report.receipt.purpose, report.receipt.action) == ("TREAT", "read")
    assert (report.receipt.number, report.journal_size, report.receipt.count) == (4, 7, 5)
    assert (report.batch, report.mode, report.height, report.confirmations) == (1, "rollup", 2, 2)
    assert report.txid == hash256(made.anchor.transaction)[::-1].hex()
    assert report.block_time_unix_s == 1_800_000_002
    assert report.network == "regtest"
    assert "proves nothing to outsiders" in report.label


@pytest.mark.parametrize("number", range(7))
@pytest.mark.parametrize("outcome", Outcome)
def test_every_receipt_of_every_outcome_can_be_proved(
    make_proof: Make, number: int, outcome: Outcome
) -> None:
    made = make_proof(number=number, outcome=outcome)
    report = verify_proof(made.proof, made.headers)
    assert report.receipt.number == number
    assert report.receipt.outcome == outcome.name.lower()


def test_no_byte_of_a_proof_can_change(made: Any) -> None:
    proof = bytearray(made.proof)
    steps = set()
    for at, byte in enumerate(made.proof):
        for other in {byte ^ 1, byte ^ 0x20, 0x20, 0x30, 0x39, 0x0A, 0xFF} - {byte}:
            proof[at] = other
            steps.add(step_of(bytes(proof), made.headers))
        proof[at] = byte
    assert steps == set(STEPS)


def test_no_byte_of_a_headers_file_can_change(made: Any) -> None:
    headers = bytearray(made.headers)
    for at, byte in enumerate(made.headers):
        for other in {byte ^ 1, byte ^ 0x20, 0x20, 0x30, 0xFF} - {byte}:
            headers[at] = other
            assert step_of(made.proof, bytes(headers)) in {"headers", "inclusion"}
        headers[at] = byte


def test_no_byte_can_be_added_or_left_out(made: Any) -> None:
    for at in range(0, len(made.proof) + 1, 7):
        for extra in (b" ", b"0", b"\n"):
            step_of(made.proof[:at] + extra + made.proof[at:], made.headers)
        if at < len(made.proof):
            step_of(made.proof[:at] + made.proof[at + 1 :], made.headers)
    for size in (0, 1, 100, len(made.proof) - 1):
        assert step_of(made.proof[:size], made.headers) == "format"


def test_each_step_fails_under_its_own_name(made: Any) -> None:
    note = made.journal.note.decode()
    bent = note[:-10] + ("A" if note[-10] != "A" else "B") + note[-9:]
    smaller = note.replace("\n7\n", "\n6\n")
    cases = {
        "format": [
            changed(made.proof, "extra", to=1),
            changed(made.proof, "format", to="hilum-proof-2"),
            changed(made.proof, "salt", to="00"),
            changed(made.proof, "cell", "seq", to=True),
            changed(made.proof, "cell", "index", to=2**32),
            changed(made.proof, "cell", "seq", to=-1),
            changed(made.proof, "path", to="x"),
            changed(made.proof, "checkpoint", to=["x"]),
            changed(made.proof, "receipt", to=str.upper),
            made.proof + b" " * (1 << 20),
            b"[]",
            b"[" * 200_000 + b"]" * 200_000,
        ],
        "payload": [
            changed(made.proof, "receipt", to=lambda text: "02" + text[2:]),
            changed(made.proof, "receipt", to=lambda text: text + "00"),
            changed(made.proof, "receipt", to=lambda text: text[:-2]),
        ],
        "journal-path": [
            changed(made.proof, "salt", to=flip),
            changed(made.proof, "path", to=lambda path: path[::-1]),
            changed(made.proof, "path", to=lambda path: path[:-1]),
            changed(made.proof, "path", to=lambda path: [*path, path[0]]),
            changed(made.proof, "checkpoint", to=smaller.replace("\n6\n", "\n4\n")),
        ],
        "checkpoint": [
            changed(made.proof, "checkpoint", to=bent),
            changed(made.proof, "checkpoint", to=note + note.split("\n\n")[1]),
            changed(made.proof, "checkpoint", to=note.replace("\n\n", "\nmore\n\n")),
            changed(made.proof, "checkpoint", to=note[:-1]),
            changed(made.proof, "checkpoint", to=note.replace("z6Mk", "z6Mj", 1)),
            changed(made.proof, "checkpoint", to=note.replace("z6Mk", "z6Mj")),
        ],
        "cell-value": [
            changed(made.proof, "cell", "size", to=8),
            changed(made.proof, "cell", "rule", to=1),
        ],
        "cell-path": [
            changed(made.proof, "cell", "salt", to=flip),
            changed(made.proof, "cell", "rule", to=0x82),
            changed(made.proof, "cell", "until", to=1),
            changed(made.proof, "cell", "seq", to=2),
            changed(made.proof, "cell", "index", to=4),
            changed(made.proof, "cell", "levels", to=lambda mask: mask | 1 << 31),
            changed(made.proof, "cell", "path", to=lambda path: path[1:]),
        ],
        "batch-record": [
            changed(made.proof, "batch", to=lambda text: "00" + text[2:]),
            changed(made.proof, "batch", to=lambda text: text[:8] + "04" + text[10:]),
            changed(made.proof, "batch", to=lambda text: text[:10] + "01" + text[12:]),
        ],
        "anchor": [
            changed(made.proof, "batch", to=flip),
            changed(made.proof, "anchor", "transaction", to=lambda text: text + "00"),
            changed(made.proof, "anchor", "transaction", to=lambda text: text[:-2]),
            changed(made.proof, "anchor", "transaction", to="00" * 10),
        ],
        "inclusion": [
            changed(made.proof, "anchor", "height", to=1),
            changed(made.proof, "anchor", "index", to=0),
            changed(made.proof, "anchor", "index", to=3),  # the odd last one, paired with itself
            changed(made.proof, "anchor", "index", to=6),
            changed(made.proof, "anchor", "path", to=lambda path: path[::-1]),
            changed(made.proof, "anchor", "transaction", to=flip),
        ],
        "headers": [changed(made.proof, "anchor", "height", to=4)],
    }
    assert tuple(cases) == STEPS
    for step, proofs in cases.items():
        for n, proof in enumerate(proofs):
            assert step_of(proof, made.headers) == step, (step, n)


def test_an_empty_subtree_listed_as_a_sibling_is_refused(made: Any) -> None:
    value = json.loads(made.proof)
    value["cell"]["levels"] |= 1 << 31
    value["cell"]["path"].append(ZERO[31].hex())
    assert step_of(canonical.encode(value), made.headers) == "cell-path"


def test_a_transaction_with_two_or_no_records_is_refused(made: Any) -> None:
    tx = made.anchor.transaction
    script = b"\x6a\x4c\x4e" + made.anchor.record
    output = struct.pack("<Q", 0) + bytes([len(script)]) + script
    at = tx.index(output)
    count = at - 1 - 43
    assert tx[count] == 3
    twice = tx[:count] + b"\x04" + tx[count + 1 : at] + output + tx[at:]
    none = tx[:count] + b"\x02" + tx[count + 1 : at] + tx[at + len(output) :]
    for bad in (twice, none):
        assert (
            step_of(changed(made.proof, "anchor", "transaction", to=bad.hex()), made.headers)
            == "anchor"
        )


def test_headers_that_do_not_hold_together_are_refused(made: Any) -> None:
    raw = made.raw_headers
    cases = [
        encode_headers(raw, network="mainnet"),
        encode_headers(raw[80:] + raw[-80:], network="regtest"),
        encode_headers(raw[:-80] + raw[-160:-80], network="regtest"),
        encode_headers(raw[:240] + raw[240:320][::-1], network="regtest"),
        changed(made.headers, "tip", to=flip),
        changed(made.headers, "network", to="simnet"),
        changed(made.headers, "format", to="x"),
        changed(made.headers, "headers", to=lambda text: text[:-2]),
        made.headers + b"\n",
        b"",
    ]
    for n, headers in enumerate(cases):
        assert step_of(made.proof, headers) in {"headers", "inclusion"}, n
    assert step_of(made.proof, encode_headers(raw[:160], network="regtest")) == "headers"


def test_a_header_without_its_work_or_with_an_easier_target_is_refused(made: Any) -> None:
    def with_tip(bits: int, *, good: bool) -> bytes:
        for nonce in range(1 << 16):
            tip = struct.pack(
                "<I32s32sIII",
                4,
                hash256(made.raw_headers[-80:]),
                bytes(32),
                1_800_000_009,
                bits,
                nonce,
            )
            if (hash256(tip)[31] < 0x7F) == good:
                return encode_headers(made.raw_headers + tip, network="regtest")
        raise AssertionError("no nonce")

    assert verify_proof(made.proof, with_tip(0x207FFFFF, good=True)).confirmations == 3
    assert step_of(made.proof, with_tip(0x207FFFFF, good=False)) == "headers"
    for bits in (0x2100FFFF, 0x20FFFFFF, 0x207FFFFF | 0x800000, 0, 0x01000000, 0x02000001):
        assert step_of(made.proof, with_tip(bits, good=True)) == "headers"


def test_first_blocks_of_the_networks_have_the_hashes_their_headers_give() -> None:
    # Source: Bitcoin Core kernel/chainparams.cpp; BIP94 for testnet4.
    usual = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"
    newer = "7aa0a7ae1e223414cb807e40cd57e667b718e42aaf9306db9102fe28912b7b4e"
    facts = {
        "mainnet": (usual, 1231006505, 0x1D00FFFF, 2083236893),
        "testnet4": (newer, 1714777860, 0x1D00FFFF, 393743547),
        "signet": (usual, 1598918400, 0x1E0377AE, 52613770),
        "regtest": (usual, 1296688602, 0x207FFFFF, 2),
    }
    for name, (root, time, bits, nonce) in facts.items():
        merkle_root = bytes.fromhex(root)[::-1]
        header = struct.pack("<I32s32sIII", 1, bytes(32), merkle_root, time, bits, nonce)
        assert hash256(header) == NETWORKS[name].genesis


def test_a_public_network_needs_the_work_it_is_known_to_have() -> None:
    # mainnet's real first block alone: right in everything but the work
    root = bytes.fromhex("4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b")[::-1]
    genesis = struct.pack("<I32s32sIII", 1, bytes(32), root, 1231006505, 0x1D00FFFF, 2083236893)
    headers = read_headers(encode_headers(genesis, network="mainnet"))
    with pytest.raises(VerificationError, match="less work"):
        verify_headers(headers)


def test_a_proof_by_another_custodian_than_the_receipt_names_is_refused(made: Any) -> None:
    other = hashlib.sha256(b"another key").digest()
    receipt = made.journal.receipt
    forged = msgspec.structs.replace(made.journal, receipt=receipt[:1] + other + receipt[33:])
    proof = encode_proof(
        forged, made.anchor, cell=made.cell, salt=made.cell_salt, path=made.cell_path
    )
    assert step_of(proof, made.headers) == "journal-path"


def test_unfit_parts_cannot_be_written(made: Any) -> None:
    bad = msgspec.structs.replace(made.journal, note=b"\xff")
    with pytest.raises(MalformedInputError):
        encode_proof(bad, made.anchor, cell=made.cell, salt=made.cell_salt, path=made.cell_path)
    for raw in (b"", bytes(79)):
        with pytest.raises(MalformedInputError):
            encode_headers(raw, network="regtest")


def test_the_verifier_needs_no_other_room_of_the_house() -> None:
    code = (
        "import sys, hilum.verifier;"
        "print(sorted(n for n in sys.modules if n.startswith('hilum.')));"
        "print(sorted({'sqlite3','msgspec','cryptography','coincurve','asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    rooms, heavy = done.stdout.splitlines()
    assert {name.split(".")[1] for name in json.loads(rooms.replace("'", '"'))} == {
        "base",
        "errors",
        "verifier",
    }
    assert heavy == "[]"
