"""How a name sounds: R4 leaves the rule of ``phonetic`` to the server; ours is American Soundex.

Source: US National Archives, "The Soundex Indexing System" (letter groups; H and W do not part
letters of one group, vowels do).
"""

from __future__ import annotations

from hilum.record.strings import normalise

__all__ = ["phonetic_key"]

_GROUPS = {
    letter: digit
    for digit, letters in enumerate(("BFPV", "CGJKQSXZ", "DT", "L", "MN", "R"), start=1)
    for letter in letters
}
_TRANSPARENT = frozenset("HW")
_LENGTH = 4


def phonetic_key(text: str) -> str:
    """Return the Soundex of every word, joined by spaces; a word in other letters stays as it is."""
    return " ".join(_soundex(word) for word in normalise(text).split())


def _soundex(word: str) -> str:
    letters = word.upper()
    if not (letters.isascii() and letters.isalpha()):
        return word
    code = letters[0]
    last = _GROUPS.get(code)
    for letter in letters[1:]:
        group = _GROUPS.get(letter)
        if group is not None and group != last:
            code += str(group)
        if letter not in _TRANSPARENT:
            last = group
    return code[:_LENGTH].ljust(_LENGTH, "0")
