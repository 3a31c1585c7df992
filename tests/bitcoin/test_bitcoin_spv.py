"""Inclusion proofs and header chains: public vectors of bitcoin-spv, tampering, our own chain."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.base.units import Sat
from hilum.bitcoin.block import (
    Block,
    Header,
    build_block,
    expand_target,
    fold_path,
    merkle_root,
    parse_header,
)
from hilum.bitcoin.spv import (
    REGTEST_GENESIS,
    InclusionProof,
    prove_inclusion,
    verify_headers,
    verify_inclusion,
    verify_links,
)
from hilum.bitcoin.transaction import OutPoint, Transaction, TxIn, TxOut
from hilum.bitcoin.wire import hash256
from hilum.errors import InsufficientDataError, VerificationError

Found = Callable[[str], Path]


def raw(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


@pytest.fixture(scope="module")
def vectors(material: Found) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(material("bitcoin-spv/testVectors.json").read_text())
    return found


@pytest.fixture(scope="module")
def proofs(material: Found) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(material("bitcoin-spv/testProofs.json").read_text())
    return found


def proof_of(case: dict[str, Any]) -> InclusionProof:
    nodes = raw(case["intermediate_nodes"])
    return InclusionProof(
        b"".join(raw(case[part]) for part in ("version", "vin", "vout", "locktime")),
        case["index"],
        tuple(nodes[at : at + 32] for at in range(0, len(nodes), 32)),
        raw(case["confirming_header"]["raw"]),
        case["confirming_header"]["height"],
    )


def test_hashes_and_targets_are_those_of_the_vectors(vectors: dict[str, Any]) -> None:
    for case in vectors["hash256"]:
        assert hash256(raw(case["input"])) == raw(case["output"])
    for case in vectors["hash256MerkleStep"]:
        assert hash256(b"".join(map(raw, case["input"]))) == raw(case["output"])
    for case in vectors["extractTarget"]:
        target = expand_target(parse_header(raw(case["input"])).bits)
        assert target.to_bytes(32, "big") == raw(case["output"])
    for case in vectors["workHash"]:
        assert parse_header(raw(case["input"])).hash == raw(case["output"])


def test_merkle_paths_judge_as_the_vectors_do(vectors: dict[str, Any]) -> None:
    cases = [case for case in vectors["verifyHash256Merkle"] if len(case["input"]["proof"]) > 66]
    assert len(cases) == 7 - 1
    for case in cases:
        proof, index = raw(case["input"]["proof"]), case["input"]["index"]
        nodes = [proof[at : at + 32] for at in range(0, len(proof), 32)]
        holds = fold_path(nodes[0], index, nodes[1:-1]) == nodes[-1]
        assert holds is case["output"]
    for case in vectors["prove"]:
        given_ = case["input"]
        path = raw(given_["proof"])
        nodes = [path[at : at + 32] for at in range(0, len(path), 32)]
        found = fold_path(raw(given_["txIdLE"]), given_["index"], nodes)
        assert (found == raw(given_["merkleRootLE"])) is case["output"]


def test_a_real_proof_is_accepted_and_its_bad_copies_are_not(proofs: dict[str, Any]) -> None:
    good = json.loads(proofs["valid"][0])
    header = verify_inclusion(proof_of(good))
    assert header.hash == raw(good["confirming_header"]["hash"])
    assert proof_of(good).txid == raw(good["tx_id"])
    assert len(proofs["badSPVProofs"]) == 4
    for case in proofs["badSPVProofs"]:
        with pytest.raises(VerificationError) as caught:
            verify_inclusion(proof_of(case["proof"]))
        assert caught.value.step == "inclusion"


def test_real_headers_are_linked_and_bad_ones_are_not(vectors: dict[str, Any]) -> None:
    for case in vectors["validateHeaderChain"]:
        # the vector counts in difficulty (4,295,032,833 hashes), rounded down at each header
        found = verify_links(raw(case["input"]))
        assert 0 <= found // 4_295_032_833 - case["output"] < len(case["input"]) // 160
    assert len(vectors["validateHeaderChainError"]) == 3
    for case in vectors["validateHeaderChainError"]:
        with pytest.raises(VerificationError):
            verify_links(raw(case["input"]))


# -- our own blocks --------------------------------------------------------------------------------


def payment(number: int) -> Transaction:
    spend = TxIn(OutPoint(bytes([number + 1]) * 32, number), witness=(bytes(64),))
    return Transaction((spend,), (TxOut(Sat(number), b"\x51"),))


def block_of(count: int) -> Block:
    return build_block(
        bytes(32),
        height=7,
        time=9,
        reward=TxOut(Sat(0), b"\x51"),
        transactions=[payment(number) for number in range(count)],
    )


BLOCK = block_of(6)


@given(st.integers(0, 12), st.data())
def test_every_transaction_of_a_block_is_proven(count: int, draw: st.DataObject) -> None:
    block = block_of(count)
    which = draw.draw(st.sampled_from(block.transactions))
    proof = prove_inclusion(block, which.txid, height=7)
    assert proof.txid == which.txid
    assert verify_inclusion(proof) == block.header


def test_an_absent_transaction_is_not_proven() -> None:
    with pytest.raises(InsufficientDataError):
        prove_inclusion(BLOCK, bytes(32), height=7)


@given(st.data())
def test_a_proof_with_one_changed_byte_is_refused(draw: st.DataObject) -> None:
    at = draw.draw(st.integers(0, 6))
    good = prove_inclusion(BLOCK, BLOCK.transactions[at].txid, height=7)
    change = draw.draw(st.integers(1, 255))

    def spoil(data: bytes, low: int = 0, high: int | None = None) -> bytes:
        place = draw.draw(st.integers(low, (high or len(data)) - 1))
        return data[:place] + bytes([data[place] ^ change]) + data[place + 1 :]

    level = draw.draw(st.integers(0, 2))
    path = list(good.path)
    path[level] = spoil(path[level])
    bad = draw.draw(
        st.sampled_from(
            [
                replace(good, stripped=spoil(good.stripped)),
                replace(good, path=tuple(path)),
                replace(good, header=spoil(good.header, 36, 68)),
                replace(good, index=good.index ^ 1 << draw.draw(st.integers(0, 2))),
            ]
        )
    )
    with pytest.raises(VerificationError):
        verify_inclusion(bad)


GOOD = prove_inclusion(BLOCK, BLOCK.transactions[6].txid, height=7)


@pytest.mark.parametrize(
    "bad",
    [
        replace(GOOD, index=-1),
        replace(GOOD, index=8),
        replace(GOOD, index=7),
        replace(GOOD, index=6 + 8),
        replace(GOOD, path=GOOD.path[:-1]),
        replace(GOOD, path=()),
        replace(GOOD, path=(*GOOD.path, bytes(32))),
        replace(GOOD, path=(GOOD.path[0][:31], *GOOD.path[1:])),
        replace(GOOD, path=(bytes(32),) * 40),
        replace(GOOD, header=GOOD.header[:79]),
        replace(GOOD, header=GOOD.header + b"\x00"),
    ],
)
def test_a_proof_of_a_wrong_shape_is_refused(bad: InclusionProof) -> None:
    verify_inclusion(GOOD)
    with pytest.raises(VerificationError):
        verify_inclusion(bad)


def test_an_inner_node_cannot_pose_as_a_transaction() -> None:
    left, right = (each.txid for each in BLOCK.transactions[:2])
    upper = merkle_root([each.txid for each in BLOCK.transactions[2:4]])
    rest = GOOD.path[-1]
    header = BLOCK.header.serialize()
    forged = InclusionProof(left + right, 0, (upper,), header, 7)
    assert fold_path(forged.txid, 0, (upper,)) == rest
    last = [each.txid for each in BLOCK.transactions[4:]]
    last_pair = merkle_root([*last, last[-1]])
    forged = replace(forged, path=(upper, last_pair))
    assert fold_path(forged.txid, 0, forged.path) == BLOCK.header.merkle_root
    with pytest.raises(VerificationError, match="64 bytes"):
        verify_inclusion(forged)


# -- header chains ---------------------------------------------------------------------------------

GENESIS = Header(
    bytes(32),
    bytes.fromhex("3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a"),
    1_296_688_602,
    0x207FFFFF,
    2,
    version=1,
)


def chain_of(times: list[int]) -> list[Header]:
    found = [GENESIS]
    for height, time in enumerate(times, start=1):
        reward = TxOut(Sat(0), b"\x51")
        found.append(
            build_block(
                found[-1].hash, height=height, time=time, reward=reward, transactions=[]
            ).header
        )
    return found


HEADERS = chain_of([GENESIS.time + step for step in range(1, 30)])
RAW = b"".join(each.serialize() for each in HEADERS)


def test_the_known_genesis_block_is_regtests() -> None:
    assert GENESIS.hash == REGTEST_GENESIS


def test_a_whole_chain_is_accepted_and_gives_its_headers() -> None:
    chain = verify_headers(RAW)
    assert (chain.height, chain.work) == (29, 60)
    assert chain.header(29) == HEADERS[29].serialize()
    for height in (-1, 30):
        with pytest.raises(InsufficientDataError):
            chain.header(height)


def spoiled(at: int, header: Header) -> bytes:
    return RAW[: at * 80] + header.serialize() + RAW[(at + 1) * 80 :]


def without_work(header: Header) -> Header:
    nonce = 0
    while int.from_bytes(replace(header, nonce=nonce).hash, "little") <= expand_target(0x207FFFFF):
        nonce += 1
    return replace(header, nonce=nonce)


@pytest.mark.parametrize(
    ("headers", "step"),
    [
        (b"", "header-genesis"),
        (RAW[80:], "header-genesis"),
        (RAW[:-1], "header"),
        (RAW[:80] + RAW[160:], "header-link"),
        (RAW[:80] + bytes(80) + RAW[160:], "header-link"),
        (RAW[:-80] + without_work(HEADERS[29]).serialize(), "header-work"),
        (RAW[:-80] + replace(HEADERS[29], bits=0).serialize(), "header-work"),
        (RAW[:-80] + replace(HEADERS[29], bits=0x1D00FFFF).serialize(), "header-work"),
        (RAW + b"".join(h.serialize() for h in chain_of([5])[1:]), "header-link"),
    ],
)
def test_a_chain_that_does_not_fit_is_refused_naming_the_step(headers: bytes, step: str) -> None:
    with pytest.raises(VerificationError) as caught:
        verify_headers(headers)
    assert caught.value.step == step


def test_an_easier_target_than_the_networks_is_refused() -> None:
    easy = replace(HEADERS[29], bits=0x2100FFFF)
    with pytest.raises(VerificationError, match="not this network's target"):
        verify_headers(RAW[:-80] + easy.serialize())


def test_time_may_fall_back_but_not_to_the_median() -> None:
    begin = GENESIS.time
    verify_headers(b"".join(h.serialize() for h in chain_of([begin + 50, begin + 60, begin + 51])))
    with pytest.raises(VerificationError) as caught:
        verify_headers(
            b"".join(h.serialize() for h in chain_of([begin + 50, begin + 60, begin + 50]))
        )
    assert caught.value.step == "header-time"


@given(st.integers(0, len(RAW) - 1), st.integers(1, 255))
def test_one_changed_byte_in_a_chain_is_refused_or_changes_its_end(at: int, change: int) -> None:
    bad = RAW[:at] + bytes([RAW[at] ^ change]) + RAW[at + 1 :]
    if at < len(RAW) - 80:
        with pytest.raises(VerificationError):
            verify_headers(bad)
        return
    try:
        chain = verify_headers(bad)
    except VerificationError:
        return
    assert chain.header(29) != HEADERS[29].serialize()
