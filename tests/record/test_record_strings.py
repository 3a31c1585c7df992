"""How strings are normalised and hashed so that beginnings and parts are found and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.record.phonetics import phonetic_key
from hilum.record.strings import MOST_PREFIXES, KeyedStrings, normalise, prefix_end
from hilum.record.uris import MOST_ANCESTORS, uri_ancestors

STRINGS = KeyedStrings(b"k" * 32)
WORDS = st.text(max_size=40)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Müller-Lüdenscheidt", "muller ludenscheidt"),
        ("  O'Brien,\tPat ", "o brien pat"),
        ("Straße", "strasse"),
        ("ﬁne ﬀ", "fine ff"),
        ("İstanbul", "istanbul"),
        ("ΣΊΣΥΦΟΣ", "σισυφοσ"),
        ("東京 太郎", "東京 太郎"),
        ("हिन्दी", "हिनदी"),
        ("---", ""),
        ("x_y", "x y"),
    ],
)
def test_strings_are_compared_without_case_accents_and_punctuation(text: str, plain: str) -> None:
    assert normalise(text) == plain


@given(WORDS)
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@given(WORDS, WORDS)
def test_hashes_begin_alike_exactly_when_texts_do(text: str, needle: str) -> None:
    for sought in (needle, text[: len(needle)]):
        begins = normalise(text)[:MOST_PREFIXES].startswith(normalise(sought)[:MOST_PREFIXES])
        assert STRINGS.starts(text).startswith(STRINGS.starts(sought)) == begins


@given(WORDS, WORDS, st.integers(0, 9))
def test_hashes_contain_each_other_exactly_when_texts_do(text: str, needle: str, cut: int) -> None:
    for sought in (needle, text[cut : cut + 5]):
        plain = normalise(sought)
        if len(plain) >= 3:
            found = STRINGS.grams(sought, 1) in STRINGS.grams(text, 1)
            assert found == (plain in normalise(text))


@given(WORDS, WORDS)
def test_a_range_holds_all_that_begin_so_and_nothing_else(text: str, needle: str) -> None:
    low, value = STRINGS.starts(needle), STRINGS.starts(text)
    high = prefix_end(low)
    inside = low <= value and (high is None or value < high)
    assert inside == value.startswith(low)
    assert prefix_end(b"\x01\xff") == b"\x02"
    assert prefix_end(b"\xff") is None


def test_string_hashes_are_as_stored_since_schema_3() -> None:
    assert STRINGS.starts("Abc").hex() == STARTS
    assert STRINGS.exact("Abc") == EXACT
    assert STRINGS.grams("Abcd", 7).hex() == GRAMS
    assert STRINGS.words("Abc") == (STRINGS.starts("Abc"), EXACT, b"")
    assert STRINGS.exact("abc") != EXACT
    assert STRINGS.grams("Abcd", 8).hex() != GRAMS
    assert STRINGS.grams("Ab", 7) == b""


STARTS = "82ec849a2a5d80cee732bc0602113e"
EXACT = -7813876294502203972
GRAMS = "08c490c41ef431753e31"


@pytest.mark.parametrize(
    ("word", "key"),
    [
        ("Robert", "R163"), ("Rupert", "R163"), ("Rubin", "R150"), ("Ashcraft", "A261"),
        ("Ashcroft", "A261"), ("Tymczak", "T522"), ("Pfister", "P236"), ("Honeyman", "H555"),
        ("Jackson", "J250"), ("Washington", "W252"), ("Lee", "L000"), ("Gutierrez", "G362"),
        ("VanDeusen", "V532"), ("Peter James", "P360 J520"), ("東京", "東京"), ("", ""),
    ],
)  # fmt: skip
def test_names_that_sound_alike_have_one_key(word: str, key: str) -> None:
    assert phonetic_key(word) == key


@pytest.mark.parametrize(
    ("uri", "chain"),
    [
        ("http://a.org/b/c/", ("http://a.org", "http://a.org/b", "http://a.org/b/c")),
        ("urn:oid:1.2", ("urn:oid", "urn:oid:1", "urn:oid:1.2")),
        ("urn:uuid:9f-8.1", ("urn:uuid", "urn:uuid:9f-8", "urn:uuid:9f-8.1")),
        ("a/b", ("a", "a/b")),
        ("http://a.org", ("http://a.org",)),
        ("", ()),
        ("/", ()),
    ],
)
def test_a_uri_lies_below_its_paths(uri: str, chain: tuple[str, ...]) -> None:
    assert uri_ancestors(uri) == chain


@given(st.text(alphabet="a/:.", max_size=60) | st.just("http://" + "a/" * 99))
def test_a_uri_lies_below_few_and_below_itself(uri: str) -> None:
    chain = uri_ancestors(uri)
    assert len(chain) <= MOST_ANCESTORS
    assert len(set(chain)) == len(chain)
    assert not chain or chain[-1] == uri.rstrip("/")
