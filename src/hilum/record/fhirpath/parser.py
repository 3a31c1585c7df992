"""Tokens → the tree of an expression, by precedence climbing.

Source: HL7 FHIRPath N1, grammar (fhirpath.g4) and "Operator Precedence".
"""

from __future__ import annotations

from decimal import Decimal

from hilum.record.fhirpath.frame import refuse
from hilum.record.fhirpath.lexer import Token, tokenize
from hilum.record.fhirpath.quantity import Amount
from hilum.record.fhirpath.syntax import (
    Binary,
    Call,
    Chain,
    External,
    Index,
    Literal,
    Name,
    Node,
    Special,
    TypeTest,
    Unary,
)
from hilum.record.fhirpath.temporal import parse_temporal
from hilum.record.fhirpath.units import calendar_unit

__all__ = ["MAX_DEPTH", "parse"]

MAX_DEPTH = 60
"""Deepest nesting of parentheses, arguments, signs and operators."""

_BINARY = {
    "*": 9, "/": 9, "div": 9, "mod": 9,
    "+": 8, "-": 8, "&": 8,
    "is": 7, "as": 7,
    "|": 6,
    "<=": 5, "<": 5, ">": 5, ">=": 5,
    "=": 4, "~": 4, "!=": 4, "!~": 4,
    "in": 3, "contains": 3,
    "and": 2,
    "or": 1, "xor": 1,
    "implies": 0,
}  # fmt: skip
_WORDS = frozenset({"div", "mod", "is", "as", "in", "contains", "and", "or", "xor", "implies"})
_NAME_WORDS = frozenset({"as", "is", "contains", "in"})
"""Words that the grammar also takes as names of members and functions."""
_LITERAL_SORTS = {"date": "Date", "datetime": "DateTime", "time": "Time"}


def parse(text: str) -> Node:
    """Return the tree of an expression.

    Args:
        text: a FHIRPath expression.

    Raises:
        MalformedInputError: not FHIRPath, too long or nested too deep.
    """
    parser = _Parser(tokenize(text))
    node = parser.expression(0)
    parser.expect_end()
    return node


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _is(self, mark: str) -> bool:
        token = self._next
        return token.sort == "mark" and token.text == mark

    def _expect(self, mark: str) -> None:
        if not self._is(mark):
            refuse(f"'{mark}' is missing", self._next.offset)
        self._at += 1

    def expect_end(self) -> None:
        if self._next.sort != "end":
            refuse("the expression should end here", self._next.offset)

    def expression(self, least: int) -> Node:
        self._enter()
        left = self._operand()
        operators = 0
        while (power := self._power()) >= least:
            operators += 1
            if operators > MAX_DEPTH:
                self._enter()
            token = self._take()
            if token.text in {"is", "as"}:
                left = TypeTest(token.offset, token.text, left, self._type_name())
            else:
                left = Binary(token.offset, token.text, left, self.expression(power + 1))
        self._depth -= 1 + max(0, operators - MAX_DEPTH)
        return left

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            refuse(f"nested more than {MAX_DEPTH} levels", self._next.offset)

    def _power(self) -> int:
        token = self._next
        if token.sort == "mark" or (token.sort == "name" and token.text in _WORDS):
            return _BINARY.get(token.text, -1)
        return -1

    def _operand(self) -> Node:
        if self._is("-") or self._is("+"):
            sign = self._take()
            self._enter()
            operand = self._operand()
            self._depth -= 1
            return Unary(sign.offset, sign.text, operand)
        head = self._term()
        steps: list[Node] = []
        while True:
            if self._is("."):
                self._take()
                # behind a dot no operator can stand, and FHIR has an element named `div`
                steps.append(self._invocation(reserved=frozenset()))
            elif self._is("["):
                offset = self._take().offset
                steps.append(Index(offset, self.expression(0)))
                self._expect("]")
            else:
                break
        return Chain(head.offset, head, tuple(steps)) if steps else head

    def _term(self) -> Node:
        token = self._next
        if token.sort == "mark":
            return self._marked_term()
        if token.sort in {"string", "number", *_LITERAL_SORTS}:
            return self._literal()
        if token.sort == "name" and token.text in {"true", "false"}:
            self._take()
            return Literal(token.offset, token.text == "true")
        if token.sort == "special":
            self._take()
            return Special(token.offset, token.text)
        return self._invocation()

    def _marked_term(self) -> Node:
        token = self._take()
        if token.text == "(":
            node = self.expression(0)
            self._expect(")")
            return node
        if token.text == "{":
            self._expect("}")
            return Literal(token.offset, None)
        if token.text == "%":
            name = self._take()
            if name.sort not in {"name", "quoted", "string"}:
                refuse("a name should stand here", name.offset)
            return External(token.offset, name.text)
        return refuse("a value should stand here", token.offset)

    def _literal(self) -> Node:
        token = self._take()
        if token.sort == "string":
            return Literal(token.offset, token.text)
        if token.sort == "number":
            return self._number(token)
        value = parse_temporal(token.text[1:], _LITERAL_SORTS[token.sort])
        if value is None:
            refuse("no such date or time", token.offset)
        return Literal(token.offset, value)

    def _number(self, token: Token) -> Node:
        after = self._next
        if after.sort == "string":
            self._take()
            return Literal(token.offset, Amount(Decimal(token.text), after.text))
        word = calendar_unit(after.text) if after.sort == "name" else ""
        if word:
            self._take()
            return Literal(token.offset, Amount(Decimal(token.text), word, word=after.text))
        if "." in token.text:
            return Literal(token.offset, Decimal(token.text))
        if len(token.text) > 19:
            refuse("the integer has more than 19 digits", token.offset)
        return Literal(token.offset, int(token.text))

    def _invocation(self, *, reserved: frozenset[str] = _WORDS - _NAME_WORDS) -> Node:
        token = self._take()
        if token.sort == "special":
            return Special(token.offset, token.text)
        is_word = token.sort == "name" and token.text in reserved
        if token.sort not in {"name", "quoted"} or is_word:
            refuse("a name should stand here", token.offset)
        if self._is("("):
            self._take()
            return Call(token.offset, token.text, self._arguments())
        return Name(token.offset, token.text)

    def _arguments(self) -> tuple[Node, ...]:
        if self._is(")"):
            self._take()
            return ()
        found = [self.expression(0)]
        while self._is(","):
            self._take()
            found.append(self.expression(0))
        self._expect(")")
        return tuple(found)

    def _type_name(self) -> tuple[str, ...]:
        names: list[str] = []
        while True:
            token = self._take()
            if token.sort not in {"name", "quoted"}:
                refuse("a type name should stand here", token.offset)
            names.append(token.text)
            if not self._is("."):
                return tuple(names)
            self._take()
