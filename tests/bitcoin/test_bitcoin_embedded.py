"""The embedded chain: real consensus, anchors, reorganisations, restarts."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from hilum.base.ids import UnixMs
from hilum.base.units import Sat
from hilum.bitcoin import EMBEDDED_BANNER
from hilum.bitcoin.adapters import active_chain
from hilum.bitcoin.adapters.embedded import EmbeddedChain
from hilum.bitcoin.anchor import derive_anchor_keys, scan
from hilum.bitcoin.block import Block, build_block, merkle_root, parse_block, parse_header, subsidy
from hilum.bitcoin.events import EventKind
from hilum.bitcoin.spv import verify_headers, verify_inclusion
from hilum.bitcoin.transaction import Transaction, TxOut, parse_transaction
from hilum.bitcoin.wire import hash256
from hilum.errors import (
    ConflictError,
    InsufficientDataError,
    MalformedInputError,
    UnavailableError,
    VerificationError,
)

Open = Callable[..., EmbeddedChain]
SEED = b"seed of a chain for tests only.."
PAYEE = TxOut(Sat(0), derive_anchor_keys(b"another seed for the other side.").wallet_script)


def record(number: int) -> bytes:
    return b"HLM1" + bytes([number]) * 74


def child(chain: EmbeddedChain, height: int, *held: Transaction, skew: int = 0) -> Block:
    """Build a block on the active one at this height, by another miner."""
    parent = chain.block_hash(height)
    time = parse_header(chain.header(height)).time + 1 + skew
    return build_block(parent, height=height + 1, time=time, reward=PAYEE, transactions=held)


def branch(chain: EmbeddedChain, fork: int, length: int) -> list[Block]:
    blocks = [child(chain, fork, skew=600)]
    while len(blocks) < length:
        last = blocks[-1].header
        height = fork + 1 + len(blocks)
        blocks.append(
            build_block(last.hash, height=height, time=last.time + 1, reward=PAYEE, transactions=[])
        )
    return blocks


def follow(chain: EmbeddedChain) -> list[tuple[bytes, bytes]]:
    """Read the anchors from nothing but the blocks, as a stranger would."""
    thread, found = chain.thread_start(), []
    for _, _, raw in chain.blocks_from(0):
        for anchor in scan(parse_block(raw).transactions, thread):
            found.append((anchor.record, anchor.data))
            thread = anchor.next
    return found


def test_a_fresh_chain_is_ready_and_honest(open_chain: Open) -> None:
    chain = open_chain()
    height, tip = chain.tip()
    assert height == 101
    assert hash256(chain.header(height)) == tip == chain.block_hash(height)
    verified = verify_headers(chain.headers())
    assert verified.height == height
    assert chain.anchors() == ()
    assert "proves nothing" in EMBEDDED_BANNER


def test_the_first_blocks_are_dated_back_at_bitcoins_pace(open_chain: Open) -> None:
    chain = open_chain()
    times = [parse_header(chain.header(height)).time for height in range(1, 102)]
    assert {late - early for early, late in pairwise(times)} == {600}


@pytest.mark.parametrize("size", [0, 1, 521, 380_000])
def test_an_anchor_is_mined_and_can_be_proven_and_read_back(open_chain: Open, size: int) -> None:
    chain = open_chain()
    data = os.urandom(size)
    result = chain.anchor(record(1), data)
    assert result.height == chain.tip()[0] == 102
    assert result.block_hash == chain.tip()[1]
    assert hash256(result.stripped) == result.txid
    assert parse_transaction(result.raw).strip() == result.stripped
    proof = chain.inclusion(result.txid)
    verify_inclusion(proof)
    assert proof.stripped == result.stripped
    assert verify_headers(chain.headers()).header(result.height) == proof.header
    assert follow(chain) == [(record(1), data)]


def test_anchors_form_one_thread_in_order(open_chain: Open) -> None:
    chain = open_chain()
    given = [(record(number), bytes([number]) * (number * 300)) for number in range(1, 6)]
    results = [chain.anchor(*each) for each in given]
    assert follow(chain) == given
    assert [each.record for each in chain.anchors()] == [each for each, _ in given]
    for earlier, later in pairwise(results):
        first = parse_transaction(later.raw).inputs[0].outpoint
        assert first == (earlier.txid, 0)


def test_a_record_is_anchored_once_however_often_it_is_asked_for(open_chain: Open) -> None:
    chain = open_chain()
    first = chain.anchor(record(1), b"data")
    height = chain.tip()[0]
    assert chain.anchor(record(1), b"data") == first == chain.find_anchor(record(1))
    assert chain.tip()[0] == height
    assert chain.find_anchor(record(2)) is None


@pytest.mark.parametrize(("size", "data"), [(77, b""), (79, b""), (78, bytes(390_001))])
def test_a_wrong_anchor_is_refused_and_nothing_mined(
    open_chain: Open, size: int, data: bytes
) -> None:
    chain = open_chain()
    with pytest.raises(MalformedInputError):
        chain.anchor(bytes(size), data)
    assert chain.tip()[0] == 101


# -- consensus -------------------------------------------------------------------------------------


def in_block(chain: EmbeddedChain, *held: Transaction) -> bytes:
    return child(chain, chain.tip()[0], *held).serialize()


def spoil_signature(transaction: Transaction, at: int) -> Transaction:
    witnesses = [list(each.witness) for each in transaction.inputs]
    signature = witnesses[at][0]
    witnesses[at][0] = signature[:-1] + bytes([signature[-1] ^ 1])
    return transaction.with_witnesses(tuple(tuple(each) for each in witnesses))


def spoil_envelope(transaction: Transaction) -> Transaction:
    signature, leaf, control = transaction.inputs[1].witness
    changed = (signature, leaf[:-2] + bytes([leaf[-2] ^ 1]) + leaf[-1:], control)
    return transaction.with_witnesses((transaction.inputs[0].witness, changed))


def spoil_record(transaction: Transaction) -> Transaction:
    kept, carrier, *rest = transaction.outputs
    script = carrier.script[:-1] + bytes([carrier.script[-1] ^ 1])
    return replace(transaction, outputs=(kept, replace(carrier, script=script), *rest))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda anchor: spoil_signature(anchor, 0),
        lambda anchor: spoil_signature(anchor, 1),
        spoil_envelope,
        spoil_record,
    ],
)
def test_consensus_takes_the_anchor_and_refuses_a_tampered_one(
    open_chain: Open, tmp_path: Path, spoil: Callable[[Transaction], Transaction]
) -> None:
    open_chain().close()
    shutil.copytree(tmp_path / "chain", tmp_path / "other")
    chain, other = open_chain(), open_chain(tmp_path / "other")
    result = chain.anchor(record(1), b"operations")
    held = parse_block(chain.block(result.height)).transactions[1:]
    size = (tmp_path / "other" / "blocks.log").stat().st_size
    with pytest.raises(VerificationError) as caught:
        other.submit_block(in_block(other, held[0], spoil(held[1])))
    assert caught.value.step == "block"
    assert other.tip()[0] == 101
    assert (tmp_path / "other" / "blocks.log").stat().st_size == size
    other.submit_block(in_block(other, *held))
    assert other.tip()[0] == 102
    assert follow(other) == [(record(1), b"operations")]
    sighted = other.find_anchor(record(1))
    assert sighted is not None
    assert sighted.txid == result.txid


def greedy(chain: EmbeddedChain) -> bytes:
    """Return a block that pays its miner one satoshi too much."""
    height = chain.tip()[0]
    time = parse_header(chain.header(height)).time + 1
    reward = replace(PAYEE, value=Sat(subsidy(height + 1) + 1))
    block = build_block(
        chain.tip()[1], height=height + 1, time=time, reward=reward, transactions=[]
    )
    return block.serialize()


def too_early(chain: EmbeddedChain) -> bytes:
    return child(chain, chain.tip()[0], skew=-5 * 600 - 2).serialize()


def too_late(chain: EmbeddedChain) -> bytes:
    return child(chain, chain.tip()[0], skew=3 * 3600).serialize()


def doubled(chain: EmbeddedChain) -> bytes:
    spent = parse_block(chain.block(101)).transactions[1]
    return in_block(chain, spent)


def wrong_root(chain: EmbeddedChain) -> bytes:
    raw = bytearray(in_block(chain))
    good = child(chain, chain.tip()[0])
    assert merkle_root([t.txid for t in good.transactions]) == good.header.merkle_root
    raw[90] ^= 1
    return bytes(raw)


@pytest.mark.parametrize("make", [greedy, too_early, too_late, doubled, wrong_root])
def test_an_invalid_block_is_refused_and_leaves_no_trace(
    open_chain: Open, tmp_path: Path, make: Callable[[EmbeddedChain], bytes]
) -> None:
    chain = open_chain()
    before = (tmp_path / "chain" / "blocks.log").read_bytes(), chain.tip(), chain.events()
    with pytest.raises(VerificationError):
        chain.submit_block(make(chain))
    assert ((tmp_path / "chain" / "blocks.log").read_bytes(), chain.tip(), chain.events()) == before
    chain.anchor(record(1), b"x")
    chain.close()
    assert open_chain().find_anchor(record(1)) is not None


@pytest.mark.parametrize("raw", [b"", bytes(80), b"\x00" * 200, os.urandom(300)])
def test_what_is_no_block_is_refused(open_chain: Open, raw: bytes) -> None:
    with pytest.raises(MalformedInputError):
        open_chain().submit_block(raw)


def test_a_block_without_its_parent_is_refused(open_chain: Open) -> None:
    stray = build_block(b"\x07" * 32, height=5, time=1, reward=PAYEE, transactions=[])
    with pytest.raises(ConflictError):
        open_chain().submit_block(stray.serialize())


def test_a_block_that_is_known_changes_nothing(open_chain: Open) -> None:
    chain = open_chain()
    raw = in_block(chain)
    assert chain.submit_block(raw) == chain.submit_block(raw) == chain.tip()[1]
    assert chain.tip()[0] == 102


# -- reorganisations -------------------------------------------------------------------------------


def test_a_longer_branch_takes_over_and_the_anchor_is_mined_again(open_chain: Open) -> None:
    chain = open_chain()
    old = chain.anchor(record(1), b"operations")
    seen = chain.events()[-1].number
    rivals = branch(chain, 101, 2)
    chain.submit_block(rivals[0].serialize())
    assert chain.tip() == (102, old.block_hash)
    assert chain.events(seen) == ()
    chain.submit_block(rivals[1].serialize())
    assert chain.tip() == (103, rivals[1].header.hash)
    assert [(each.kind, each.height, each.block_hash) for each in chain.events(seen)] == [
        (EventKind.DISCONNECTED, 102, old.block_hash),
        (EventKind.CONNECTED, 102, rivals[0].header.hash),
        (EventKind.CONNECTED, 103, rivals[1].header.hash),
    ]
    assert chain.find_anchor(record(1)) is None
    assert follow(chain) == []
    with pytest.raises(InsufficientDataError):
        chain.inclusion(old.txid)
    again = chain.anchor(record(1), b"operations")
    assert (again.txid, again.height) == (old.txid, 104)
    assert chain.anchor(record(2), b"").height == 105
    assert follow(chain) == [(record(1), b"operations"), (record(2), b"")]


def test_a_reorganised_chain_is_the_same_after_opening_again(open_chain: Open) -> None:
    chain = open_chain()
    chain.anchor(record(1), b"x")
    for block in branch(chain, 100, 3):
        chain.submit_block(block.serialize())
    chain.mine()
    expected = chain.tip(), chain.headers()
    chain.close()
    again = open_chain()
    assert (again.tip(), again.headers()) == expected


def test_a_thread_whose_start_left_with_its_block_starts_again(open_chain: Open) -> None:
    chain = open_chain()
    start = chain.thread_start()
    result = chain.anchor(record(1), b"x")
    for block in branch(chain, 100, 3):
        chain.submit_block(block.serialize())
    with pytest.raises(UnavailableError):
        chain.thread_start()
    chain.mine()
    assert chain.thread_start() == start
    found = chain.find_anchor(record(1))
    assert found is not None
    assert found.txid == result.txid


def test_a_reader_of_blocks_notices_a_reorganisation(open_chain: Open) -> None:
    chain = open_chain()
    chain.mine(2)
    reading = chain.blocks_from(101)
    next(reading)
    next(reading)
    for block in branch(chain, 101, 3):
        chain.submit_block(block.serialize())
    with pytest.raises(ConflictError):
        next(reading)


def test_events_that_are_no_longer_kept_are_not_passed_over(
    open_chain: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(active_chain, "_EVENTS_KEPT", 102)
    chain = open_chain()
    assert [each.number for each in chain.events()] == list(range(1, 102))
    chain.mine(2)
    assert [each.number for each in chain.events(1)] == list(range(2, 104))
    assert chain.events(103) == ()
    with pytest.raises(InsufficientDataError):
        chain.events(0)


# -- restarts --------------------------------------------------------------------------------------


def state(chain: EmbeddedChain) -> object:
    return chain.tip(), chain.headers(), chain.anchors(), chain.thread_start(), follow(chain)


def test_everything_is_there_after_opening_again(open_chain: Open) -> None:
    chain = open_chain()
    chain.anchor(record(1), b"one")
    chain.anchor(record(2), b"")
    expected = state(chain)
    chain.close()
    again = open_chain()
    assert state(again) == expected
    assert again.anchor(record(3), b"three").height == 104


@pytest.mark.parametrize("kept", ["none", "other"])
def test_the_log_alone_brings_the_chain_back(open_chain: Open, tmp_path: Path, kept: str) -> None:
    folder = tmp_path / "chain"
    chain = open_chain()
    chain.anchor(record(1), b"one")
    expected = state(chain)
    chain.close()
    shutil.rmtree(folder / "kernel")
    if kept == "other":
        open_chain(tmp_path / "stranger").close()
        shutil.copytree(tmp_path / "stranger" / "kernel", folder / "kernel")
    assert state(open_chain()) == expected


def test_without_the_log_the_chain_does_not_open(open_chain: Open, tmp_path: Path) -> None:
    open_chain().close()
    (tmp_path / "chain" / "blocks.log").unlink()
    with pytest.raises(VerificationError):
        open_chain()


def test_a_chain_is_open_once(open_chain: Open) -> None:
    chain = open_chain()
    with pytest.raises(ConflictError):
        open_chain()
    chain.close()
    open_chain()


def test_a_closed_chain_says_so(open_chain: Open) -> None:
    chain = open_chain()
    chain.close()
    chain.close()
    for ask in (chain.tip, chain.mine, chain.headers, chain.anchors, chain.thread_start):
        with pytest.raises(UnavailableError):
            ask()


def test_a_place_that_is_not_a_folder_is_named_as_unavailable(
    open_chain: Open, tmp_path: Path
) -> None:
    (tmp_path / "chain").write_text("a file")
    with pytest.raises(UnavailableError):
        open_chain()


# -- clock, money, threads -------------------------------------------------------------------------


@pytest.mark.parametrize("clock_ms", [0, 1_500_000_000_000])
def test_a_clock_that_stands_still_or_lags_does_not_stop_mining(
    tmp_path: Path, clock_ms: int
) -> None:
    with EmbeddedChain(
        tmp_path, seed=SEED, clock=lambda: UnixMs(clock_ms), entropy=os.urandom
    ) as chain:
        chain.mine(15)
        verify_headers(chain.headers())


def test_a_clock_far_ahead_is_an_error_and_changes_nothing(tmp_path: Path) -> None:
    times = [1_500_000_000_000]
    with EmbeddedChain(
        tmp_path, seed=SEED, clock=lambda: UnixMs(times[-1]), entropy=os.urandom
    ) as chain:
        before = chain.tip()
        times.append(4_000_000_000_000)
        with pytest.raises(UnavailableError, match="clock"):
            chain.anchor(record(1), b"x")
        assert chain.tip() == before
        times.append(1_500_000_100_000)
        assert chain.anchor(record(1), b"x").height == before[0] + 1


@pytest.mark.slow
def test_anchors_are_paid_for_when_blocks_bring_no_reward_any_more(open_chain: Open) -> None:
    chain = open_chain()
    chain.mine(4_900)
    assert subsidy(chain.tip()[0]) == 0
    assert chain.anchor(record(1), bytes(100_000)).height == chain.tip()[0]


def test_many_threads_make_one_thread_of_anchors(open_chain: Open) -> None:
    chain = open_chain()
    workers = [
        threading.Thread(target=chain.anchor, args=(record(number), bytes([number]) * 50))
        for number in range(12)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(follow(chain)) == [(record(n), bytes([n]) * 50) for n in range(12)]
    assert chain.tip()[0] == 101 + 12


def test_heights_that_are_not_there_are_refused(open_chain: Open) -> None:
    chain = open_chain()
    for height in (-1, 102):
        for ask in (chain.header, chain.block, chain.block_hash):
            with pytest.raises(InsufficientDataError):
                ask(height)
    assert parse_block(chain.block(0)).header.serialize() == chain.header(0)
    assert list(chain.blocks_from(102)) == []
