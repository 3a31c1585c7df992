"""Canonical JSON: one value, one byte string."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.base import canonical
from hilum.errors import MalformedInputError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
KEYS = st.text(st.characters(min_codepoint=0, max_codepoint=127), max_size=6)
VALUES = st.recursive(
    TEXT | st.booleans() | st.integers(-canonical.MAX_INTEGER, canonical.MAX_INTEGER),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_what_was_encoded_is_read_back_and_is_json(value: canonical.Value) -> None:
    data = canonical.encode(value)
    assert canonical.parse(data) == value
    assert json.loads(data) == value


@given(VALUES, st.data())
def test_no_other_bytes_parse_to_the_same_value(
    value: canonical.Value, data: st.DataObject
) -> None:
    good = canonical.encode(value)
    at = data.draw(st.integers(0, len(good) - 1))
    bad = good[:at] + bytes([data.draw(st.integers(0, 255))]) + good[at + 1 :]
    try:
        other = canonical.parse(bad)
    except MalformedInputError:
        return
    assert canonical.encode(other) == bad


@pytest.mark.parametrize(
    "text",
    [
        "",
        " {}",
        "{} ",
        "{}\n",
        '{"b":1,"a":2}',
        '{"a":1,"a":1}',
        '{"a": 1}',
        "[1,2,]",
        "1.0",
        "1e3",
        "-0",
        "01",
        "null",
        "[null]",
        "NaN",
        "Infinity",
        '"\\u0041"',
        '"\\/"',
        '"\\u000A"',
        '"\\ud800"',
        '{"é":1}',
        "9007199254740992",
        "-9007199254740992",
        "9" * 5000,
        "[" * 100_000,
        "[" * 5000 + "]" * 5000,
        "\ufeff{}",
        "{'a':1}",
    ],
)
def test_every_other_spelling_is_refused(text: str) -> None:
    with pytest.raises(MalformedInputError):
        canonical.parse(text.encode("utf-8", "surrogatepass"))


def test_invalid_utf8_and_unfit_values_are_refused() -> None:
    with pytest.raises(MalformedInputError):
        canonical.parse(b'"\xff"')
    for value in (1.5, None, b"x", {1: 2}, {"a": {"b": 2**60}}, "\ud800", {"é": 1}):
        with pytest.raises(MalformedInputError):
            canonical.encode(value)  # type: ignore[arg-type]  # the point of the test
