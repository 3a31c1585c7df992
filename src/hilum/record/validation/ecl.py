"""Is a SNOMED CT expression constraint well formed? Only what is surely wrong is said to be.

Source: SNOMED CT Expression Constraint Language 2.2, brief syntax.
"""

from __future__ import annotations

import re

__all__ = ["is_broken_constraint"]

_TOKEN = re.compile(
    r"\s+|/\*.*?\*/"
    r"|(?P<filter>\{\{[^{}]*\}\})"
    r"|(?P<operand>[0-9]{6,18}|\*|\$?[A-Za-z][\w-]*)"
    r"|(?P<term>\|[^|]*\|)"
    r"|(?P<value>#[+-]?[0-9.]+|\"(?:[^\"\\]|\\.)*\")"
    r"|(?P<compare><=|>=|!=|=)"
    r"|(?P<prefix><<!|<<|<!|>>!|>>|>!|!!<|!!>|\^|<|>)"
    r"|(?P<open>[(\[{])|(?P<close>[)\]}])"
    r"|(?P<join>[:,.]+|[0-9]+)",
    re.DOTALL,
)
_JOINS = frozenset({"and", "or", "minus", "r"})
_PAIRS = {")": "(", "]": "[", "}": "{"}
_AFTER_OPERAND = frozenset({"term", "filter", "compare", "close", "join", "open"})


def is_broken_constraint(text: str) -> bool:
    """Tell whether a text is surely no expression constraint.

    Args:
        text: e.g. ``<< 73211009 |Diabetes mellitus|``.
    """
    tokens = _tokens(text)
    if not tokens:
        return True
    return _is_unbalanced(tokens) or _has_two_operands(tokens)


def _tokens(text: str) -> list[tuple[str, str]]:
    """Return (kind, text) of each token; none when something is no token."""
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            return []
        at = match.end()
        kind = match.lastgroup
        if kind is not None:
            word = match[0]
            is_join = kind == "operand" and word.lower() in _JOINS
            found.append(("join" if is_join else kind, word))
    return found


def _is_unbalanced(tokens: list[tuple[str, str]]) -> bool:
    waiting: list[str] = []
    for kind, word in tokens:
        if kind == "open":
            waiting.append(word)
        elif kind == "close" and (not waiting or waiting.pop() != _PAIRS[word]):
            return True
    return bool(waiting) or tokens[-1][0] in {"prefix", "compare"}


def _has_two_operands(tokens: list[tuple[str, str]]) -> bool:
    """Tell whether a concept is followed by another one with nothing that joins them."""
    ends = [*tokens, ("", "")]
    for number, (kind, _word) in enumerate(tokens[:-1]):
        (following, word), after = ends[number + 1], ends[number + 2]
        if kind not in {"operand", "term"} or following in _AFTER_OPERAND:
            continue
        # "<" and ">" also compare an attribute with a number
        if following == "prefix" and word in {"<", ">"} and after[0] == "value":
            continue
        return True
    return False
