"""Page tokens open one page of one search for one token, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.api.paging import read_page, write_page
from hilum.api.routes import FHIR_ROUTES, Interaction, find_interaction
from hilum.errors import MalformedInputError

KEY = bytes(range(32))
INTEGER = st.integers(min_value=-(1 << 63), max_value=(1 << 63) - 1)


@given(INTEGER, INTEGER, st.binary())
def test_a_page_token_says_its_place_again(ts: int, key: int, context: bytes) -> None:
    token = write_page(KEY, (ts, key), context=context)
    assert read_page(KEY, token, context=context) == (ts, key)


@given(st.binary(), st.binary())
def test_a_page_token_opens_only_where_it_was_made(context: bytes, other: bytes) -> None:
    token = write_page(KEY, (5, 7), context=context)
    if other != context:
        with pytest.raises(MalformedInputError):
            read_page(KEY, token, context=other)
    with pytest.raises(MalformedInputError):
        read_page(bytes(32), token, context=context)


@given(st.integers(min_value=0), st.characters())
def test_a_page_token_with_another_letter_opens_nothing(place: int, letter: str) -> None:
    token = write_page(KEY, (5, 7), context=b"c")
    place %= len(token) - 1  # the last letter carries unused bits
    if token[place] != letter:
        with pytest.raises(MalformedInputError):
            read_page(KEY, token[:place] + letter + token[place + 1 :], context=b"c")


@given(st.text())
def test_any_text_is_a_token_or_refused(text: str) -> None:
    with pytest.raises(MalformedInputError) as caught:
        read_page(KEY, text, context=b"c")
    assert caught.value.code == "bad-page"


WORDS = ["Patient", "a", "_history", "_search", "metadata", "1"]


@given(
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"]),
    st.lists(st.sampled_from(WORDS), max_size=6),
)
def test_a_path_asks_one_thing_of_the_table_or_nothing(method: str, path: list[str]) -> None:
    found = find_interaction(method, path)
    assert found is None or (found in FHIR_ROUTES.values() and len(path) <= 4)
    if len(path) > 4:
        assert found is None
    if path == ["Patient", "a", "_history", "1"]:
        assert found is (Interaction.VREAD if method == "GET" else None)
