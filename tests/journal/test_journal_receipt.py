"""The receipt codec: one receipt, one byte string."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import MalformedInputError
from hilum.journal.model import (
    DirectiveRef,
    Emergency,
    Facts,
    Outcome,
    Party,
    Receipt,
    ReceiptAction,
)
from hilum.journal.receipt import encode_receipt, parse_receipt, receipt_id, receipt_leaf

HASH = st.binary(min_size=32, max_size=32)
U16 = st.integers(0, 2**16 - 1)
U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)


def text(limit: int) -> st.SearchStrategy[str]:
    chars = st.characters(exclude_categories=["Cs"])
    return st.text(chars, max_size=limit).filter(lambda t: len(t.encode()) <= limit)


PARTY = st.builds(Party, HASH, text(200))
REF = st.builds(
    DirectiveRef,
    st.binary(min_size=16, max_size=16),
    st.none() | st.integers(0, 2**32 - 2),
    U32,
)


@st.composite
def facts(draw: st.DrawFn) -> Facts:
    outcome = draw(st.sampled_from(Outcome))
    parties = draw(
        st.tuples(*[st.none() | PARTY] * 3).filter(any),
    )
    words = st.builds(Emergency, text(500), text(500), text(500))
    return Facts(
        at_unix_ms=draw(U64),
        purpose=draw(
            st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1).map(
                lambda t: t[:16]
            )
        ),
        action=draw(st.sampled_from(ReceiptAction)),
        outcome=outcome,
        credential=draw(HASH),
        person=parties[0],
        client=parties[1],
        organisation=parties[2],
        directives=tuple(draw(st.lists(REF, max_size=8))),
        batch=draw(U32),
        digest=draw(HASH),
        count=draw(U32),
        segments=draw(U16),
        duties=draw(U16),
        emergency=draw(words) if outcome is Outcome.EMERGENCY else None,
    )


RECEIPTS = st.builds(Receipt, HASH, U64, HASH, facts())
PLAIN = Facts(
    at_unix_ms=1_800_000_000_000,
    purpose="TREAT",
    action=ReceiptAction.READ,
    outcome=Outcome.PERMIT,
    credential=bytes(32),
    person=Party(b"\1" * 32, "Dr. A"),
)


@given(RECEIPTS)
def test_a_receipt_is_read_back_as_it_was(receipt: Receipt) -> None:
    assert parse_receipt(encode_receipt(receipt)) == receipt


@given(RECEIPTS, st.data())
def test_every_other_byte_string_is_refused_or_is_another_receipt(
    receipt: Receipt, data: st.DataObject
) -> None:
    good = encode_receipt(receipt)
    at = data.draw(st.integers(0, len(good)))
    size = data.draw(st.integers(0, 3))
    bad = good[:at] + data.draw(st.binary(max_size=3)) + good[at + size :]
    try:
        other = parse_receipt(bad)
    except MalformedInputError:
        return
    assert encode_receipt(other) == bad


@given(RECEIPTS)
def test_truncated_and_extended_receipts_are_refused(receipt: Receipt) -> None:
    good = encode_receipt(receipt)
    for bad in (good[:-1], good + b"\0", good[: len(good) // 2], b"", b"\2" + good[1:]):
        with pytest.raises(MalformedInputError):
            parse_receipt(bad)


@given(st.binary(max_size=400))
def test_noise_never_raises_anything_but_malformed(noise: bytes) -> None:
    for data in (noise, b"\1" + noise):
        try:
            receipt = parse_receipt(data)
        except MalformedInputError:
            continue
        assert encode_receipt(receipt) == data


@pytest.mark.parametrize(
    "change",
    [
        {"person": None},
        {"purpose": ""},
        {"purpose": "X" * 17},
        {"purpose": "TR\u00c9AT"},
        {"purpose": "TR\nEAT"},
        {"credential": bytes(31)},
        {"digest": bytes(33)},
        {"person": Party(bytes(32), "é" * 101)},
        {"person": Party(bytes(31), "")},
        {"person": Party(bytes(32), "\ud800")},
        {"directives": (DirectiveRef(bytes(16)),) * 9},
        {"directives": (DirectiveRef(bytes(15)),)},
        {"directives": (DirectiveRef(bytes(16), 2**32 - 1),)},
        {"directives": (DirectiveRef(bytes(16), -1),)},
        {"at_unix_ms": -1},
        {"at_unix_ms": 2**64},
        {"count": 2**32},
        {"segments": 2**16},
        {"duties": -1},
        {"action": 3},
        {"outcome": 0},
        {"outcome": Outcome.EMERGENCY},
        {"emergency": Emergency("a", "b", "c")},
        {"outcome": Outcome.EMERGENCY, "emergency": Emergency("a" * 501, "b", "c")},
    ],
)
def test_facts_that_do_not_fit_are_refused(change: dict[str, object]) -> None:
    bad = msgspec.structs.replace(PLAIN, **change)
    with pytest.raises(MalformedInputError):
        encode_receipt(Receipt(bytes(32), 0, bytes(32), bad))


def test_a_place_that_does_not_fit_is_refused() -> None:
    for custodian, number, previous in (
        (bytes(31), 0, bytes(32)),
        (bytes(32), -1, bytes(32)),
        (bytes(32), 2**64, bytes(32)),
        (bytes(32), 0, bytes(33)),
    ):
        with pytest.raises(MalformedInputError):
            encode_receipt(Receipt(custodian, number, previous, PLAIN))


def test_the_leaf_hides_the_receipt_behind_its_salt() -> None:
    data = encode_receipt(Receipt(bytes(32), 0, bytes(32), PLAIN))
    one, two = receipt_leaf(b"\1" * 32, data), receipt_leaf(b"\2" * 32, data)
    assert one != two
    assert receipt_id(one) == one.hex()[:32]


def test_actions_are_numbered_as_the_gate_numbers_them() -> None:
    from hilum.record.access import Action

    assert {action.name: action.value for action in ReceiptAction} == {
        action.name: action.value for action in Action
    }
