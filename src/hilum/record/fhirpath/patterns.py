"""Regular expressions without catastrophes.

Searching is done by an engine whose time is linear in the text. Replacing needs the places of the
matches, which only Python's backtracking engine tells: it is asked only for patterns in which no
repetition lies inside another and at most two are unbounded, over short texts.

Source: HL7 FHIRPath N1, "matches", "replaceMatches": single-line mode, partial matching.
"""

from __future__ import annotations

import re
from functools import lru_cache

import jsonschema_rs

from hilum.record.fhirpath.frame import refuse

__all__ = ["MAX_TEXT", "is_match", "limited", "replaced"]

MAX_PATTERN = 2048
MAX_TEXT = 1 << 20
"""Longest text searched or made, in characters."""
_MAX_REPLACED = 8192
_REPEAT = re.compile(r"[*+]|\{\d+,\d*\}")
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


def replaced(pattern: str, text: str, substitution: str) -> str | None:
    """Return the text with every match replaced; None when the pattern cannot be used safely.

    Args:
        pattern: a regular expression.
        text: at most 8,192 characters when the pattern repeats anything.
        substitution: may refer to groups as ``$1`` or ``${name}``.
    """
    found = is_match(pattern, text)
    if not found:
        return text if found is False else None
    compiled = _replacer(pattern)
    if compiled is None or len(text) > _MAX_REPLACED:
        return None
    names = compiled.groupindex

    def put(match: re.Match[str]) -> str:
        def group(reference: re.Match[str]) -> str:
            key = reference[1] or reference[2]
            number = int(key) if key.isdigit() else names.get(key, -1)
            return (match[number] or "") if 0 <= number <= compiled.groups else ""

        return _GROUP_REFERENCE.sub(group, substitution)

    return compiled.sub(put, text)


@lru_cache(maxsize=512)
def _replacer(pattern: str) -> re.Pattern[str] | None:
    if not _is_tame(pattern):
        return None
    try:
        return re.compile(re.sub(r"\(\?<(?=[A-Za-z])", "(?P<", pattern), re.DOTALL)
    except (re.error, OverflowError, RecursionError):
        return None


def _is_tame(pattern: str) -> bool:
    bare = _SKIPPED.sub("x", pattern)
    if len(_REPEAT.findall(bare)) > 2:
        return False
    depth_repeats = [False]
    at = 0
    while at < len(bare):
        char = bare[at]
        if char == "(":
            depth_repeats.append(False)
        elif char == ")" and len(depth_repeats) > 1:
            inner = depth_repeats.pop()
            repeated = _REPEAT.match(bare, at + 1) is not None or bare[at + 1 : at + 2] == "{"
            if inner and repeated:
                return False
            depth_repeats[-1] |= inner or repeated
        elif _REPEAT.match(bare, at) or char == "{":
            depth_repeats[-1] = True
        elif char == "|" and len(depth_repeats) > 1:
            depth_repeats[-1] = True  # alternatives under a repetition may overlap
        at += 1
    return True
