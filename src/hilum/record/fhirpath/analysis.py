"""Strict mode: what can be told to be wrong before any tree is seen.

The types that each part of an expression can have are followed from the root type on; None stands
for "any". A member that none of them has, a text function on a structure and a criterion that is
no truth value are errors; so is a position among children, which have no order.

Source: HL7 FHIRPath N1, "Type Safety and Strict Evaluation".
"""

from __future__ import annotations

from collections.abc import Callable

from hilum.record.fhirpath.compiler import FUNCTIONS, type_parts
from hilum.record.fhirpath.frame import refuse
from hilum.record.fhirpath.items import made
from hilum.record.fhirpath.kinds import (
    BOOLEAN,
    INTEGER,
    STRING,
    SYSTEM,
    TYPE_INFO,
    Kind,
    kind_named,
)
from hilum.record.fhirpath.syntax import (
    Binary,
    Call,
    Chain,
    Index,
    Literal,
    Name,
    Node,
    Special,
    TypeTest,
    Unary,
)

__all__ = ["check"]

Kinds = frozenset[Kind] | None
"""The types that a value can have; None = any, the empty set = no value."""

_ABSTRACT = frozenset({"Resource", "DomainResource", "Element", "BackboneElement"})
_TRUTHS = frozenset(
    ("and", "or", "xor", "implies", "=", "!=", "~", "!~", "<", "<=", ">", ">=", "in", "contains")
)
_LOOPS = frozenset(
    ("where", "exists", "all", "select", "repeat", "repeatAll", "aggregate", "iif", "sort", "trace")
)
_SAME = frozenset(
    ("where", "first", "last", "tail", "skip", "take", "single", "distinct", "trace", "sort")
) | {"intersect", "exclude", "getValue", "defineVariable"}
_POSITIONS = frozenset(("first", "last", "tail", "skip", "take"))


def check(node: Node, root_type: str) -> None:
    """Refuse an expression that cannot be right for a type.

    Args:
        node: a parsed expression.
        root_type: the type that it is applied to.

    Raises:
        MalformedInputError: with the offset of the part that is wrong.
    """
    try:
        root = kind_named(root_type)
    except KeyError:
        refuse("R4 has no type of this name", hint="give the type")
    _Analysis().kinds(node, frozenset({root}))


def _joined(one: Kinds, other: Kinds) -> Kinds:
    return None if one is None or other is None else one | other


class _Analysis:
    def kinds(self, node: Node, this: Kinds) -> Kinds:
        """Return the types that a node can have where ``$this`` has the given ones."""
        if isinstance(node, Chain):
            found = self.kinds(node.head, this)
            for step in node.steps:
                found = self._step(step, found, this)
            _check_order((node.head, *node.steps))
            return found
        if isinstance(node, Name):
            return self._head(node, this)
        if isinstance(node, (Binary, Unary, TypeTest)):
            return self._operation(node, this)
        if isinstance(node, Literal):
            value = node.value
            return frozenset() if value is None else frozenset({made(value)[0].kind})
        return self._step(node, this, this)

    def _head(self, node: Name, this: Kinds) -> Kinds:
        if this is not None and any(kind.is_a(node.name) for kind in this):
            return this
        return _member(node, this)

    def _operation(self, node: Binary | Unary | TypeTest, this: Kinds) -> Kinds:
        if isinstance(node, TypeTest):
            self.kinds(node.operand, this)
            return _BOOLEAN if node.operator == "is" else _named(node.type)
        if isinstance(node, Unary):
            return self.kinds(node.operand, this)
        left, right = self.kinds(node.left, this), self.kinds(node.right, this)
        if node.operator in _TRUTHS:
            return _BOOLEAN
        if node.operator == "|":
            return _joined(left, right)
        return frozenset({STRING}) if node.operator == "&" else None

    def _step(self, node: Node, given: Kinds, this: Kinds) -> Kinds:
        if isinstance(node, Name):
            return _member(node, given)
        if isinstance(node, Index):
            self.kinds(node.inner, this)
            return given
        if isinstance(node, Call):
            return self._call(node, given, this)
        if isinstance(node, Special) and node.name != "$total":
            return this if node.name == "$this" else frozenset({INTEGER})
        return None

    def _call(self, node: Call, given: Kinds, this: Kinds) -> Kinds:
        if node.name in {"is", "as", "ofType"}:
            name = type_parts(node.arguments[0])
            return _BOOLEAN if node.name == "is" else _named(name)
        focus = given if node.name in _LOOPS else this
        found = tuple(self.kinds(argument, focus) for argument in node.arguments)
        if node.name == "iif" and not _may_be_true(found[0]):
            refuse("the criterion is no truth value", node.arguments[0].offset)
        function = FUNCTIONS.get(node.name)
        if function is not None and function.takes and not _may_be_text(given):
            refuse("the function needs a text", node.offset)
        if function is not None and function.gives:
            return frozenset({SYSTEM[function.gives]})
        if node.name in _SAME:
            return given
        result = _RESULTS.get(node.name)
        return None if result is None else result(given, found)


def _check_order(steps: tuple[Node, ...]) -> None:
    is_ordered = True
    for step in steps:
        name = step.name if isinstance(step, Call) else ""
        if not is_ordered and (isinstance(step, Index) or name in _POSITIONS):
            refuse("children have no order, a position means nothing", step.offset)
        if name in {"children", "descendants"}:
            is_ordered = False
        elif name and name not in _SAME:
            is_ordered = True


def _member(node: Name, given: Kinds) -> Kinds:
    if given is None or any(kind.name in _ABSTRACT for kind in given):
        return None
    found: set[Kind] = set()
    is_known = not given
    for kind in given:
        member = kind.members.get(node.name)
        if member is not None and member.name == node.name:
            is_known = True
            found.update(option for _, _, option in member.options)
    if not is_known:
        refuse("the type has no such member", node.offset)
    return frozenset(found)


def _named(name: tuple[str, ...]) -> Kinds:
    plain = name[-1] if name[0] in {"FHIR", "System"} else ".".join(name)
    try:
        return frozenset({kind_named(plain) if name[0] != "System" else SYSTEM[plain]})
    except KeyError:
        return frozenset({SYSTEM[plain]}) if plain in SYSTEM else None


def _may_be_true(given: Kinds) -> bool:
    return not given or any(kind.system in {"", "Boolean"} for kind in given)


def _may_be_text(given: Kinds) -> bool:
    return not given or any(kind.system for kind in given)


_BOOLEAN: Kinds = frozenset({BOOLEAN})


def _of_all(_given: Kinds, found: tuple[Kinds, ...]) -> Kinds:
    joined: Kinds = frozenset()
    for kinds in found:
        joined = _joined(joined, kinds)
    return joined


_RESULTS: dict[str, Callable[[Kinds, tuple[Kinds, ...]], Kinds]] = {
    "select": lambda _given, found: found[0],
    "iif": lambda given, found: _of_all(given, found[1:]),
    "coalesce": _of_all,
    "union": lambda given, found: _joined(given, found[0]),
    "combine": lambda given, found: _joined(given, found[0]),
    "extension": lambda _given, _found: frozenset({kind_named("Extension")}),
    "type": lambda _given, _found: frozenset({TYPE_INFO}),
}
