"""The tree of a parsed expression."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from hilum.record.fhirpath.quantity import Amount
from hilum.record.fhirpath.temporal import Temporal

__all__ = [
    "Binary",
    "Call",
    "Chain",
    "External",
    "Index",
    "Literal",
    "Name",
    "Node",
    "Special",
    "TypeTest",
    "Unary",
]


@dataclass(frozen=True, slots=True)
class Node:
    """Any part of an expression; `offset` is where it begins, in characters."""

    offset: int


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A constant; None is the empty collection ``{}``."""

    value: bool | int | str | Decimal | Temporal | Amount | None


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A member, or at the head of a path the name of the type."""

    name: str


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function with its arguments."""

    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Special(Node):
    """``$this``, ``$index`` or ``$total``."""

    name: str


@dataclass(frozen=True, slots=True)
class External(Node):
    """``%name``."""

    name: str


@dataclass(frozen=True, slots=True)
class Index(Node):
    """``[expression]``, a step of a chain."""

    inner: Node


@dataclass(frozen=True, slots=True)
class Chain(Node):
    """A head and the steps after it: names, calls and indexers."""

    head: Node
    steps: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """``+`` or ``-`` before an expression."""

    operator: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """Two operands and what is between them."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class TypeTest(Node):
    """``is`` or ``as`` with a type name."""

    operator: str
    operand: Node
    type: tuple[str, ...]
