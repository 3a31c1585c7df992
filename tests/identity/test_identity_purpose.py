from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import MalformedInputError
from hilum.identity.purpose import (
    ALL_PURPOSES,
    EMERGENCY_PURPOSES,
    PURPOSE_SYSTEM,
    parse_purpose,
    purpose_codes,
    purpose_mask,
)

TOPS = ["HMARKT", "HOPERAT", "HPAYMT", "HRESCH", "PATRQT", "PUBHLTH", "TREAT"]


@pytest.mark.parametrize(
    ("above", "below"),
    [
        ("TREAT", "ETREAT"), ("TREAT", "BTG"), ("ETREAT", "BTG"), ("ETREAT", "ERTREAT"),
        ("TREAT", "COC"),
        ("HRESCH", "CLINTRCHPC"), ("HPAYMT", "ELIGVER"), ("HOPERAT", "METAMGT"),
        ("PATRQT", "FAMRQT"),
        ("PUBHLTH", "DISASTER"), ("HOPERAT", "HTEST"),
    ],
)  # fmt: skip
def test_a_purpose_covers_those_below_it_and_not_the_reverse(above: Any, below: Any) -> None:
    assert purpose_mask([above]) & parse_purpose(below).bit
    assert not purpose_mask([below]) & parse_purpose(above).bit


def test_bit_numbers_never_change() -> None:
    assert parse_purpose("HMARKT").bit == 1
    assert parse_purpose("HOPERAT").bit == 1 << 1
    assert parse_purpose("HPAYMT").bit == 1 << 27
    assert parse_purpose("POPHLTH").bit == 1 << 58
    assert ALL_PURPOSES == (1 << 59) - 1
    assert purpose_mask(["ETREAT"]) == EMERGENCY_PURPOSES


def test_the_tops_share_nothing_and_cover_everything() -> None:
    masks = [purpose_mask([top]) for top in TOPS]
    assert sum(masks) == ALL_PURPOSES == purpose_mask(TOPS)


@given(st.lists(st.sampled_from([*TOPS, "BTG", "ETREAT", "COC", "HTEST", "ENROLLM", "CLINTRCH"])))
def test_codes_and_masks_are_inverse(codes: Any) -> None:
    mask = purpose_mask(codes)
    assert purpose_mask(purpose_codes(mask)) == mask
    assert len(purpose_codes(mask)) <= len(set(codes))


def test_a_purpose_without_those_below_it_has_no_codes() -> None:
    with pytest.raises(MalformedInputError):
        purpose_codes(parse_purpose("TREAT").bit)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "treat",
        "TREAT ",
        "X",
        "|",
        "|TREAT",
        "a|",
        PURPOSE_SYSTEM + "|X",
        "a\n|b",
        "x" * 300 + "|y",
    ],
)
def test_what_is_not_a_purpose_is_refused(text: Any) -> None:
    with pytest.raises(MalformedInputError) as caught:
        parse_purpose(text, where="token.purpose")
    assert caught.value.where == "token.purpose"


def test_a_purpose_of_another_code_system_has_a_digest_and_no_bit() -> None:
    foo = parse_purpose("http://example.org/policies/purposeOfUse|FooBar")
    assert foo.bit == 0
    assert len(foo.digest) == 32
    assert parse_purpose(f"{PURPOSE_SYSTEM}|TREAT") == parse_purpose("TREAT")
