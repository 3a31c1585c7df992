from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import MalformedInputError
from hilum.signals.numeral import numeral_text, parse_factor, parse_numeral

NUMERALS = st.from_regex(r"-?(0|[1-9][0-9]{0,8})(\.[0-9]{1,8})?", fullmatch=True)


@given(NUMERALS)
def test_every_digit_of_a_numeral_survives(text: Any) -> None:
    shown = numeral_text(*parse_numeral(text))
    assert shown == text or (Decimal(text) == 0 and shown == text.lstrip("-"))


def test_two_point_zero_zero_is_not_two() -> None:
    assert parse_numeral("2.00") != parse_numeral("2")
    assert numeral_text(*parse_numeral("2.00")) == "2.00"


@given(
    st.integers(-(10**17), 10**17),
    st.integers(-20, 20),
)
def test_text_of_any_value_is_exact(unscaled: Any, scale: Any) -> None:
    assert Fraction(numeral_text(unscaled, scale)) == Fraction(unscaled) / Fraction(10) ** scale


@pytest.mark.parametrize(("text", "value"), [("1e3", 1000), ("-1.50E-2", "-0.015"), ("+7", 7)])
def test_exponents_and_signs_are_read(text: Any, value: Any) -> None:
    assert Fraction(numeral_text(*parse_numeral(text))) == Fraction(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "x",
        "1,5",
        "1.",
        ".5",
        "NaN",
        "Infinity",
        "1e9999",
        "12345678901234567890",
        "٣",
        "1 2",
        "--1",
    ],
)
def test_what_is_no_decimal_of_64_bits_is_refused(text: Any) -> None:
    with pytest.raises(MalformedInputError):
        parse_numeral(text)


@given(NUMERALS, st.sampled_from(["100", "0.45359237", "1/8", "60", "14", "1000", "0.001"]))
def test_a_factor_is_applied_exactly(text: Any, factor: Any) -> None:
    result = numeral_text(*parse_factor(factor, where="test").apply(*parse_numeral(text)))
    assert Fraction(result) == Fraction(text) * Fraction(factor)


@pytest.mark.parametrize("factor", ["1/3", "5/9", "0", "-1", "x", "1/0"])
def test_a_factor_without_finite_decimals_is_refused(factor: Any) -> None:
    with pytest.raises(MalformedInputError):
        parse_factor(factor, where="test")
