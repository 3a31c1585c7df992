"""Characters → tokens of an expression.

Source: HL7 FHIRPath N1, grammar (fhirpath.g4), with the escapes and comments of its section 3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hilum.record.fhirpath.frame import refuse

__all__ = ["MAX_LENGTH", "Token", "tokenize"]

MAX_LENGTH = 16_384
"""Longest expression taken, in characters."""

_TOKEN = re.compile(
    r"""(?P<space>(?:\s|//[^\r\n]*|/\*[\s\S]*?\*/)+)
    |(?P<datetime>@\d{4}(?:-\d\d(?:-\d\d)?)?T(?:\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?(?:Z|[+-]\d\d:\d\d)?)?)
    |(?P<date>@\d{4}(?:-\d\d(?:-\d\d)?)?)
    |(?P<time>@T\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?)
    |(?P<number>\d+(?:\.\d+)?)
    |(?P<string>'(?:[^'\\]|\\.)*')
    |(?P<quoted>`(?:[^`\\]|\\.)*`|"(?:[^"\\]|\\.)*")
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<special>\$(?:this|index|total)\b)
    |(?P<mark><=|>=|!=|!~|[.\[\](){},%+\-*/&|<>=~])
    """,
    re.VERBOSE | re.ASCII | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_LITERAL = frozenset("'`\"\\/")


@dataclass(frozen=True, slots=True)
class Token:
    """One token.

    Attributes:
        sort: ``name``, ``quoted``, ``string``, ``number``, ``date``, ``datetime``, ``time``,
            ``special``, ``mark`` or ``end``.
        text: its characters; strings and quoted names without quotes and escapes.
        offset: where it begins, in characters.
    """

    sort: str
    text: str
    offset: int


def tokenize(text: str) -> list[Token]:
    """Return the tokens of an expression, an ``end`` token last.

    Raises:
        MalformedInputError: too long, or a character that begins no token.
    """
    if len(text) > MAX_LENGTH:
        refuse(f"longer than {MAX_LENGTH} characters")
    tokens: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            refuse("no token of FHIRPath begins here", at)
        sort = str(match.lastgroup)
        if sort in {"string", "quoted"}:
            tokens.append(Token(sort, _unescape(match[0][1:-1], at), at))
        elif sort != "space":
            tokens.append(Token(sort, match[0], at))
        at = match.end()
    tokens.append(Token("end", "", at))
    return tokens


def _unescape(text: str, offset: int) -> str:
    if "\\" not in text:
        return text

    def replace(match: re.Match[str]) -> str:
        mark = match[1]
        if len(mark) == 5:
            return chr(int(mark[1:], 16))
        if mark in _ESCAPES:
            return _ESCAPES[mark]
        if mark not in _LITERAL:
            # R4's own invariants write "\." and "\d" in patterns: kept as they are
            return mark if mark == "u" else "\\" + mark
        return mark

    found = _ESCAPE.sub(replace, text)
    if any(0xD800 <= ord(char) < 0xE000 for char in found):
        # two halves of one character, as JSON writes them
        try:
            return found.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            refuse("half of a surrogate pair", offset)
    return found
