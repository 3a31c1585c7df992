"""Strings in indexes: normalised, then hashed so that prefixes and parts can still be found.

What is stored of a string tells, without the key, only which strings share how long a beginning
within a parameter, and which share parts within one compartment.

Source: HL7 FHIR R4, search, "string": comparison ignores case, accents, punctuation and extra white
space; ``:exact`` compares every character.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from hashlib import blake2b

__all__ = ["GRAM", "MOST_GRAMS", "MOST_PREFIXES", "KeyedStrings", "normalise", "prefix_end"]

GRAM = 3
"""Characters of a part that can be looked for; shorter needles cannot."""
MOST_PREFIXES = 64
"""Characters of the beginning that count; longer needles are compared by their first 64."""
MOST_GRAMS = 4096
"""Characters of a string in which parts are found."""

# 40 bits: one false beginning in 10^12 comparisons, at 5/8 of the room of a 64-bit hash
_WIDTH = 5
_CACHE = 1 << 14
_NOT_WORD = re.compile(r"[^a-z0-9]+")
_SEPARATING = frozenset("PSZC")


def normalise(text: str) -> str:
    """Return the form in which strings are compared.

    NFKD without combining marks, case folded, punctuation and symbols as spaces, runs of spaces as
    one. Marks that carry a vowel (Devanagari and others) are kept.
    """
    if text.isascii():
        return _NOT_WORD.sub(" ", text.lower()).strip()
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    letters = (c for c in folded if not unicodedata.combining(c))
    return " ".join("".join(" " if _separates(c) else c for c in letters).split())


def _separates(letter: str) -> bool:
    return unicodedata.category(letter)[0] in _SEPARATING


def prefix_end(starts: bytes) -> bytes | None:
    """Return the smallest bytes above all that begin so; None when there are none."""
    trimmed = starts.rstrip(b"\xff")
    return trimmed[:-1] + bytes((trimmed[-1] + 1,)) if trimmed else None


class KeyedStrings:
    """The string hashes of one node's indexes; version 1.

    Args:
        key: 16 to 64 secret bytes, the same for the life of the store.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._prefix = blake2b(digest_size=_WIDTH, key=key, person=b"hilum/prefix/v1")
        self._exact = blake2b(digest_size=8, key=key, person=b"hilum/exact/v1")
        self.starts = lru_cache(maxsize=_CACHE)(self._starts)
        """Hashes of every beginning of a text once normalised, longest last: a text begins with
        another if its hashes do."""
        self.exact = lru_cache(maxsize=_CACHE)(self._exactly)
        """Hash of a text as written."""
        self.grams = lru_cache(maxsize=_CACHE)(self._grams)
        """Hashes of every three characters of a normalised text, in order, for one compartment: a
        text contains another if its hashes do; empty below three characters."""
        self.words = lru_cache(maxsize=_CACHE)(self._words)
        """(starts, exact, no grams) of the words beside a code."""
        self._gram_states = lru_cache(maxsize=256)(self._gram_state)

    def _starts(self, text: str) -> bytes:
        state = self._prefix.copy()
        found = []
        for letter in normalise(text)[:MOST_PREFIXES]:
            state.update(letter.encode("utf-8", "surrogatepass"))
            found.append(state.digest())
        return b"".join(found)

    def _exactly(self, text: str) -> int:
        state = self._exact.copy()
        state.update(text.encode("utf-8", "surrogatepass"))
        return int.from_bytes(state.digest(), "little", signed=True)

    def _words(self, text: str) -> tuple[bytes, int, bytes]:
        return self._starts(text), self._exactly(text), b""

    def _grams(self, text: str, cid: int) -> bytes:
        plain = normalise(text)[:MOST_GRAMS]
        first = self._gram_states(cid)
        found = []
        for start in range(len(plain) - GRAM + 1):
            state = first.copy()
            state.update(plain[start : start + GRAM].encode("utf-8", "surrogatepass"))
            found.append(state.digest())
        return b"".join(found)

    def _gram_state(self, cid: int) -> blake2b:
        # the compartment in the salt: equal names in two records look different
        return blake2b(
            digest_size=_WIDTH, key=self._key, person=b"hilum/gram/v1",
            salt=cid.to_bytes(8, "little", signed=True),
        )  # fmt: skip
