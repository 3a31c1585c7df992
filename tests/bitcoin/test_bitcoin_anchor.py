"""Envelopes, anchors and the thread that they form."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.base.units import Sat
from hilum.bitcoin.anchor import (
    THREAD_VALUE,
    AnchorSigner,
    Coin,
    build_anchor,
    derive_anchor_keys,
    read_envelope,
    read_record,
    scan,
    start_thread,
)
from hilum.bitcoin.envelope import MAX_DATA_SIZE, build_envelope, parse_envelope
from hilum.bitcoin.standard import verify_standard
from hilum.bitcoin.transaction import OutPoint, Transaction, TxIn, TxOut, parse_transaction
from hilum.errors import InsufficientDataError, MalformedInputError, VerificationError

KEY = b"\x11" * 32
KEYS = derive_anchor_keys(b"seed" * 8)
SIGNER = AnchorSigner(KEYS, fee_rate=2, aux=bytes(32))
RECORD = b"HLM1" + bytes(range(74))
datas = st.binary(min_size=1, max_size=3000)


def coin(number: int, value: int) -> Coin:
    return Coin(OutPoint(bytes([number]) * 32, 0), TxOut(Sat(value), KEYS.wallet_script))


THREAD = Coin(OutPoint(b"\xaa" * 32, 0), TxOut(THREAD_VALUE, KEYS.thread_script))


def fee_of(transaction: Transaction, *spent: TxOut) -> int:
    return sum(o.value for o in spent) - sum(o.value for o in transaction.outputs)


# -- envelope --------------------------------------------------------------------------------------


@given(datas)
def test_an_envelope_gives_its_data_back(data: bytes) -> None:
    assert parse_envelope(build_envelope(KEY, data)) == data


@pytest.mark.parametrize("size", [1, 75, 76, 255, 256, 519, 520, 521, 1040, MAX_DATA_SIZE])
def test_an_envelope_of_every_push_form_gives_its_data_back(size: int) -> None:
    data = bytes(at * 7 & 0xFF for at in range(size))
    assert parse_envelope(build_envelope(KEY, data)) == data


@pytest.mark.parametrize("size", [0, MAX_DATA_SIZE + 1])
def test_an_envelope_refuses_a_wrong_size(size: int) -> None:
    with pytest.raises(MalformedInputError):
        build_envelope(KEY, bytes(size))


@given(datas, st.data())
def test_a_changed_envelope_is_other_data_or_none(data: bytes, draw: st.DataObject) -> None:
    script = bytearray(build_envelope(KEY, data))
    at = draw.draw(st.integers(33, len(script) - 1))
    script[at] ^= draw.draw(st.integers(1, 255))
    try:
        found = parse_envelope(bytes(script))
    except MalformedInputError:
        return
    assert found != data
    assert build_envelope(KEY, found) == bytes(script)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_envelope_in_its_one_form_or_refused(script: bytes) -> None:
    try:
        data = parse_envelope(script)
    except MalformedInputError:
        return
    assert build_envelope(script[1:33], data) == script


HEAD = build_envelope(KEY, b"x")[:-3]


@pytest.mark.parametrize(
    "script",
    [
        b"",
        HEAD,
        HEAD + b"\x68",
        HEAD + b"\x01x",
        HEAD + b"\x01x\x68\x00",
        HEAD + b"\x00\x68",
        HEAD + b"\x51\x68",
        HEAD + b"\x4c\x01x\x68",
        HEAD + b"\x4d\x01\x00x\x68",
        HEAD + b"\x4d\x09\x02" + bytes(521) + b"\x68",
        HEAD + b"\x01x\x01y\x68",
        HEAD[:40] + b"\x06" + HEAD[41:] + b"\x01x\x68",
        HEAD[:-1] + b"\x02" + b"\x01x\x68",
    ],
)
def test_what_is_not_exactly_an_envelope_is_refused(script: bytes) -> None:
    with pytest.raises(MalformedInputError):
        parse_envelope(script)


# -- anchors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [1, 7])
def test_an_anchor_without_data_spends_the_thread_and_pays_its_fee(rate: int) -> None:
    signer = replace(SIGNER, fee_rate=rate)
    paying = coin(1, 100_000)
    (anchor,) = build_anchor(signer, RECORD, data=b"", thread=THREAD, coins=[paying])
    assert [each.outpoint for each in anchor.inputs] == [THREAD.outpoint, paying.outpoint]
    assert [each.script for each in anchor.outputs[::2]] == [KEYS.thread_script, KEYS.wallet_script]
    assert anchor.outputs[0].value == THREAD_VALUE
    assert anchor.outputs[1] == TxOut(Sat(0), b"\x6a\x4c\x4e" + RECORD)
    spent = [THREAD.output, paying.output]
    assert fee_of(anchor, *spent) == anchor.virtual_size * rate
    verify_standard(anchor, spent=spent)
    assert read_record(anchor) == RECORD
    assert read_envelope(anchor) == b""


@given(datas)
def test_an_anchor_with_data_reveals_it_and_pays_its_fees(data: bytes) -> None:
    paying = coin(1, 100_000)
    commit, anchor = build_anchor(SIGNER, RECORD, data=data, thread=THREAD, coins=[paying])
    assert fee_of(commit, paying.output) == commit.virtual_size * 2
    spent = [THREAD.output, commit.outputs[0]]
    assert fee_of(anchor, *spent) == anchor.virtual_size * 2
    verify_standard(commit, spent=[paying.output])
    verify_standard(anchor, spent=spent)
    reread = parse_transaction(anchor.serialize())
    assert read_record(reread) == RECORD
    assert read_envelope(reread) == data


def test_the_largest_envelope_is_still_standard() -> None:
    paying = coin(1, 10_000_000)
    commit, anchor = build_anchor(
        SIGNER, RECORD, data=bytes(MAX_DATA_SIZE), thread=THREAD, coins=[paying]
    )
    verify_standard(anchor, spent=[THREAD.output, commit.outputs[0]])
    assert 390_000 < anchor.weight <= 400_000


@pytest.mark.parametrize("data", [b"", b"data"])
def test_as_many_coins_are_spent_as_are_needed(data: bytes) -> None:
    coins = [coin(number, 400) for number in range(1, 9)]
    built = build_anchor(replace(SIGNER, fee_rate=1), RECORD, data=data, thread=THREAD, coins=coins)
    used = [each.outpoint for each in built[0].inputs if each.outpoint != THREAD.outpoint]
    assert used == [each.outpoint for each in coins[: len(used)]]
    assert 1 < len(used) < 8
    verify_standard(
        built[0],
        spent=[*([] if data else [THREAD.output]), *(c.output for c in coins[: len(used)])],
    )


@pytest.mark.parametrize("data", [b"", b"data"])
@pytest.mark.parametrize("coins", [[], [coin(1, 330)], [coin(1, 100), coin(2, 100)]])
def test_too_little_money_is_an_error_of_its_own(data: bytes, coins: list[Coin]) -> None:
    with pytest.raises(InsufficientDataError) as caught:
        build_anchor(SIGNER, RECORD, data=data, thread=THREAD, coins=coins)
    assert caught.value.code == "no-funds"
    with pytest.raises(InsufficientDataError):
        start_thread(SIGNER, coins)


@pytest.mark.parametrize("size", [0, 77, 79])
def test_a_record_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(MalformedInputError):
        build_anchor(SIGNER, bytes(size), data=b"", thread=THREAD, coins=[coin(1, 10**6)])


# -- the thread ------------------------------------------------------------------------------------


def build_thread(datas: list[bytes]) -> tuple[OutPoint, list[Transaction]]:
    start = start_thread(SIGNER, [coin(1, 10**9)])
    thread = Coin(OutPoint(start.txid, 0), start.outputs[0])
    change = Coin(OutPoint(start.txid, 1), start.outputs[1])
    built = [start]
    for number, data in enumerate(datas):
        record = b"HLM1" + bytes([number]) * 74
        built += build_anchor(SIGNER, record, data=data, thread=thread, coins=[change])
        thread = Coin(OutPoint(built[-1].txid, 0), built[-1].outputs[0])
        change = Coin(OutPoint(built[-1].txid, 2), built[-1].outputs[2])
    return OutPoint(start.txid, 0), built


@given(st.lists(st.binary(max_size=600), max_size=5), st.data())
def test_the_thread_is_followed_however_the_blocks_are_cut(
    datas: list[bytes], draw: st.DataObject
) -> None:
    thread, built = build_thread(datas)
    cuts = sorted(draw.draw(st.sets(st.integers(0, len(built)), max_size=4)))
    found = []
    for begin, end in zip([0, *cuts], [*cuts, len(built)], strict=True):
        anchors = scan(built[begin:end], thread)
        thread = anchors[-1].next if anchors else thread
        found += anchors
    assert [each.data for each in found] == datas
    assert [each.record[4] for each in found] == list(range(len(datas)))


def test_a_thread_goes_on_past_a_spend_that_is_no_anchor() -> None:
    thread, built = build_thread([b"", b"x"])
    odd = Transaction((TxIn(thread),), (TxOut(THREAD_VALUE, KEYS.thread_script),))
    after = Coin(OutPoint(odd.txid, 0), odd.outputs[0])
    (anchor,) = build_anchor(SIGNER, RECORD, data=b"", thread=after, coins=[coin(1, 10**6)])
    first, second = scan([odd, anchor], thread)
    assert (first.record, first.data) == (b"", b"")
    assert second.record == RECORD
    assert scan(built[1:], OutPoint(thread.txid, 7)) == ()


# -- policy ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "outputs"),
    [
        ("datacarrier", [TxOut(Sat(0), b"\x6a\x4c\x51" + bytes(81))]),
        ("datacarrier", [TxOut(Sat(0), b"\x6a\x28" + bytes(40))] * 2),
        ("dust", [TxOut(Sat(329), KEYS.wallet_script)]),
        ("scriptpubkey", [TxOut(Sat(1000), b"\x51")]),
        ("too small", [TxOut(Sat(0), b"\x6a")]),
    ],
)
def test_what_others_would_not_relay_is_refused(rule: str, outputs: list[TxOut]) -> None:
    transaction = Transaction((TxIn(OutPoint(KEY, 0), witness=(bytes(64),)),), tuple(outputs))
    with pytest.raises(VerificationError, match=rule):
        verify_standard(transaction, spent=[TxOut(Sat(10**6), KEYS.wallet_script)])


def test_a_large_witness_item_is_refused() -> None:
    leaf = build_envelope(KEY, b"x")
    spend = TxIn(OutPoint(KEY, 0), witness=(bytes(81), leaf, b"\xc0" + bytes(32)))
    transaction = Transaction((spend,), (TxOut(Sat(1000), KEYS.wallet_script),))
    with pytest.raises(VerificationError, match="witness"):
        verify_standard(transaction, spent=[TxOut(Sat(10**6), KEYS.wallet_script)])


def test_a_transaction_whose_spent_outputs_are_not_given_is_refused() -> None:
    spend = TxIn(OutPoint(KEY, 0), witness=(bytes(64),))
    transaction = Transaction((spend,), (TxOut(Sat(1000), KEYS.wallet_script),))
    with pytest.raises(VerificationError):
        verify_standard(transaction, spent=[])


def test_a_transaction_beyond_the_weight_limit_is_refused() -> None:
    leaf = build_envelope(KEY, bytes(MAX_DATA_SIZE)) + bytes(10_000)
    spend = TxIn(OutPoint(KEY, 0), witness=(bytes(64), leaf, bytes(33)))
    transaction = Transaction((spend,), (TxOut(Sat(1000), KEYS.wallet_script),))
    with pytest.raises(VerificationError, match="tx-size"):
        verify_standard(transaction, spent=[TxOut(Sat(10**6), KEYS.wallet_script)])
