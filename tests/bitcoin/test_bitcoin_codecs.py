"""Transactions, blocks, headers and Merkle trees: laws, oracles, bad input."""

from __future__ import annotations

from dataclasses import replace

import pytest
from btclib.block import merkle_proof
from btclib.tx import Tx
from hypothesis import given
from hypothesis import strategies as st

from hilum.base.units import Sat
from hilum.bitcoin.block import (
    Header,
    build_block,
    expand_target,
    fold_path,
    median_time,
    merkle_path,
    merkle_root,
    parse_block,
    parse_header,
    subsidy,
)
from hilum.bitcoin.transaction import (
    MAX_MONEY,
    OutPoint,
    Transaction,
    TxIn,
    TxOut,
    parse_transaction,
)
from hilum.bitcoin.wire import Reader, display_hash, encode_size, hash256
from hilum.errors import InsufficientDataError, MalformedInputError

u32 = st.integers(0, 2**32 - 1)
hashes = st.binary(min_size=32, max_size=32)
scripts = st.binary(max_size=90)
outpoints = st.builds(OutPoint, hashes, u32)
inputs = st.builds(TxIn, outpoints, scripts, u32, st.lists(scripts, max_size=3).map(tuple))
outputs = st.builds(TxOut, st.integers(0, MAX_MONEY), scripts)
transactions = st.builds(
    Transaction,
    st.lists(inputs, min_size=1, max_size=4).map(tuple),
    st.lists(outputs, min_size=1, max_size=4).map(tuple),
    u32,
    u32,
)
headers = st.builds(Header, hashes, hashes, u32, u32, u32, u32)


@given(transactions)
def test_a_transaction_survives_its_bytes(transaction: Transaction) -> None:
    assert parse_transaction(transaction.serialize()) == transaction


@given(transactions)
def test_another_implementation_agrees_on_ids_and_sizes(transaction: Transaction) -> None:
    other = Tx.parse(transaction.serialize(), check_validity=False)
    assert display_hash(transaction.txid) == other.id.hex()
    assert display_hash(transaction.wtxid) == other.hash.hex()
    assert transaction.weight == other.weight
    assert transaction.virtual_size == other.vsize
    assert transaction.strip() == other.serialize(include_witness=False, check_validity=False)


@given(transactions, st.data())
def test_a_cut_transaction_is_refused(transaction: Transaction, data: st.DataObject) -> None:
    raw = transaction.serialize()
    cut = data.draw(st.integers(0, len(raw) - 1))
    with pytest.raises(MalformedInputError):
        parse_transaction(raw[:cut])


@given(st.binary(max_size=300))
def test_any_bytes_are_a_transaction_or_refused(raw: bytes) -> None:
    try:
        found = parse_transaction(raw)
    except MalformedInputError:
        return
    assert found.serialize() == raw


ONE = Transaction((TxIn(OutPoint(bytes(32), 0)),), (TxOut(Sat(1), b"\x51"),))
BARE = ONE.strip()
SEGWIT = ONE.with_witnesses(((b"x",),)).serialize()


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "truncated"),
        (BARE + b"\x00", "trailing-bytes"),
        (BARE[:4] + b"\xfd\x01\x00" + BARE[5:], "non-minimal"),
        (BARE[:4] + b"\xfe\xff\xff\xff\x7f", "truncated"),
        (BARE[:4] + b"\x00\x00" + bytes(4), "no-inputs"),
        (BARE[:4] + b"\x00\x02" + bytes(10), "no-inputs"),
        (BARE[:4] + b"\x00\x01\x00" + bytes(10), "no-inputs"),
        (BARE[:46] + b"\x00" + bytes(4), "no-outputs"),
        (BARE[:47] + b"\xff" * 8 + BARE[55:], "bad-amount"),
        (BARE[:47] + (MAX_MONEY + 1).to_bytes(8, "little") + BARE[55:], "bad-amount"),
        (SEGWIT[:-7] + b"\x00" + SEGWIT[-4:], "empty-witness"),
    ],
)
def test_a_malformed_transaction_is_refused_with_its_place(raw: bytes, code: str) -> None:
    with pytest.raises(MalformedInputError) as caught:
        parse_transaction(raw)
    assert caught.value.code == code
    assert caught.value.where.startswith("transaction byte ")


@given(headers)
def test_a_header_survives_its_bytes(header: Header) -> None:
    raw = header.serialize()
    assert len(raw) == 80
    assert parse_header(raw) == header
    assert header.hash == hash256(raw)


@given(headers, st.lists(transactions, min_size=1, max_size=3))
def test_a_block_survives_its_bytes(header: Header, held: list[Transaction]) -> None:
    raw = header.serialize() + encode_size(len(held)) + b"".join(t.serialize() for t in held)
    assert parse_block(raw).serialize() == raw
    with pytest.raises(MalformedInputError):
        parse_block(raw[:-1])
    with pytest.raises(MalformedInputError):
        parse_block(raw + b"\x00")


def test_a_block_without_transactions_is_refused() -> None:
    with pytest.raises(MalformedInputError, match="coinbase"):
        parse_block(bytes(80) + b"\x00")


@given(st.lists(hashes, min_size=1, max_size=40, unique=True), st.data())
def test_every_path_leads_to_the_root(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    path, root = merkle_path(leaves, index), merkle_root(leaves)
    assert fold_path(leaves[index], index, path) == root
    shown = [sibling[::-1] for sibling in path]
    assert merkle_proof.verify(leaves[index][::-1], shown, index, root[::-1])


def test_there_is_no_tree_of_nothing_and_no_path_beside_it() -> None:
    with pytest.raises(InsufficientDataError):
        merkle_root([])
    for index in (-1, 1):
        with pytest.raises(InsufficientDataError):
            merkle_path([bytes(32)], index)


@given(st.integers(0, 2**64 - 1))
def test_a_size_survives_its_bytes(size: int) -> None:
    assert Reader(encode_size(size), what="size").size() == size


@given(st.integers(1, 2**31 - 1))
def test_targets_agree_with_the_compact_form(bits: int) -> None:
    try:
        target = expand_target(bits)
    except MalformedInputError:
        return
    # independent reading of the format: mantissa × 256^(exponent − 3)
    exponent, mantissa = bits >> 24, bits & 0x7FFFFF
    assert target == mantissa * 256**exponent // 256**3


@pytest.mark.parametrize("bits", [0, 0x01003456, 0x04923456, 0x20800000, 0x23000100, 0xFF123456])
def test_what_is_no_target_is_refused(bits: int) -> None:
    with pytest.raises(MalformedInputError):
        expand_target(bits)


def test_the_subsidy_halves_until_nothing_is_left() -> None:
    assert [subsidy(h) for h in (0, 149, 150, 300)] == [5e9, 5e9, 25e8, 125e7]
    assert subsidy(150 * 33) == 0
    assert subsidy(10**6) == 0


def test_the_median_of_times_is_the_middle_one() -> None:
    assert median_time([5]) == 5
    assert median_time([9, 1, 5, 7, 3, 11, 2, 4, 6, 8, 10]) == 6


@given(st.integers(1, 70_000), st.lists(transactions, max_size=2))
def test_a_built_block_meets_its_target_and_commits_to_all(
    height: int, held: list[Transaction]
) -> None:
    reward = TxOut(Sat(0), b"\x51")
    block = build_block(bytes(32), height=height, time=1, reward=reward, transactions=held)
    assert int.from_bytes(block.header.hash, "little") <= expand_target(block.header.bits)
    assert block.transactions[0].is_coinbase
    assert block.transactions[1:] == tuple(held)
    assert block.header.merkle_root == merkle_root([each.txid for each in block.transactions])
    changed = replace(reward, value=Sat(1))
    other = build_block(bytes(32), height=height, time=1, reward=changed, transactions=held)
    assert other.header.merkle_root != block.header.merkle_root
