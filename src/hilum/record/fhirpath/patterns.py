"""Regular expressions without catastrophes.

Searching is done by an engine whose time is linear in the text. Replacing needs the places of the
matches, which only Python's backtracking engine tells: it is asked only when a bound on its steps,
made from the repetitions and choices of the pattern and the length of the text, is small.

Source: HL7 FHIRPath N1, "matches", "replaceMatches": single-line mode, partial matching.
"""

from __future__ import annotations

import re
from functools import lru_cache

import jsonschema_rs

from hilum.record.fhirpath.frame import refuse

__all__ = ["MAX_COST", "MAX_TEXT", "cost", "is_match", "limited", "replaced"]

MAX_PATTERN = 2048
MAX_TEXT = 1 << 20
"""Longest text searched or made, in characters."""
MAX_COST = 20_000_000
"""Most steps that one replacement may take."""
_REPEAT = re.compile(r"[*+]|\{\d+,\d*\}")
_OPTION = re.compile(r"(?<![*+?}(])\?")
_NESTED = re.compile(r"[*+}]\{|\?\{|[*+]\+")
_GROUP_HEAD = re.compile(r"\(\?(?::|P?<\w+>)")
_QUANTIFIERS = frozenset("*+?{")
_SKIPPED = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_GROUP_REFERENCE = re.compile(r"\$(?:\{(\w+)\}|(\d))")


def limited(text: str, offset: int) -> str:
    """Return a text that an expression made, when it is not too long.

    Args:
        text: any.
        offset: where it was made.

    Raises:
        MalformedInputError: when it has more than `MAX_TEXT` characters.
    """
    if len(text) > MAX_TEXT:
        refuse("the text grows too long", offset)
    return text


@lru_cache(maxsize=512)
def _searcher(pattern: str) -> jsonschema_rs.Validator | None:
    if len(pattern) > MAX_PATTERN:
        return None
    try:
        return jsonschema_rs.validator_for(
            {"pattern": "(?s)" + pattern},
            pattern_options=jsonschema_rs.RegexOptions(size_limit=1 << 22),
        )
    except (jsonschema_rs.ValidationError, ValueError):
        return None


def is_match(pattern: str, text: str, *, whole: bool = False) -> bool | None:
    """Tell whether a pattern is found in a text; None when the pattern cannot be used.

    Args:
        pattern: a regular expression without look-around and back references.
        text: at most `MAX_TEXT` characters.
        whole: True when the pattern must cover all of the text.
    """
    searcher = _searcher(f"^(?:{pattern})$" if whole else pattern)
    if searcher is None or len(text) > MAX_TEXT:
        return None
    return bool(searcher.is_valid(text))


def cost(pattern: str, length: int) -> int:
    """Return how many steps replacing takes at most, as a rough bound.

    Every repetition may try each length at each start, every choice doubles what is tried; a
    repetition of what repeats or chooses has no bound worth naming.

    Args:
        pattern: a regular expression.
        length: of the text, in characters.
    """
    bare = _GROUP_HEAD.sub("(", _SKIPPED.sub("x", pattern))
    if _NESTED.search(bare) or not _is_flat(bare):
        return MAX_COST + 1
    repeats = len(_REPEAT.findall(bare))
    choices = bare.count("|") + len(_OPTION.findall(bare))
    if repeats > 8 or choices > 24:
        return MAX_COST + 1
    return int((length + 1) ** (repeats + 1)) << choices


def replaced(pattern: str, text: str, substitution: str) -> str | None:
    """Return the text with every match replaced; None when that is not safe or grows too long.

    Args:
        pattern: a regular expression, of at most `MAX_COST` for the text.
        text: any.
        substitution: may refer to groups as ``$1`` or ``${name}``.
    """
    found = is_match(pattern, text)
    if not found:
        return text if found is False else None
    compiled = _replacer(pattern) if cost(pattern, len(text)) <= MAX_COST else None
    if compiled is None:
        return None
    parts: list[str] = []
    end = size = 0
    for match in compiled.finditer(text):
        parts += (text[end : match.start()], _filled(substitution, match))
        end = match.end()
        size += len(parts[-1])
        if size > MAX_TEXT:
            return None
    return "".join((*parts, text[end:]))


def _filled(substitution: str, match: re.Match[str]) -> str:
    def group(reference: re.Match[str]) -> str:
        key = reference[1] or reference[2]
        number = int(key) if key.isdecimal() else match.re.groupindex.get(key, -1)
        return (match[number] or "") if 0 <= number <= match.re.groups else ""

    return _GROUP_REFERENCE.sub(group, substitution)


@lru_cache(maxsize=512)
def _replacer(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(re.sub(r"\(\?<(?=[A-Za-z])", "(?P<", pattern), re.DOTALL)
    except (re.error, OverflowError, RecursionError):
        return None


def _is_flat(bare: str) -> bool:
    """Tell whether no group that repeats or chooses is itself repeated."""
    busy = [False]
    for at, char in enumerate(bare):
        if char == "(":
            busy.append(False)
        elif char == ")" and len(busy) > 1:
            inner = busy.pop()
            is_repeated = bare[at + 1 : at + 2] in _QUANTIFIERS
            if inner and is_repeated:
                return False
            busy[-1] |= inner or is_repeated
        elif char in "*+?{|":
            busy[-1] = True
    return True
