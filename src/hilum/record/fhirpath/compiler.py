"""The tree of an expression → closures.

Each part of the tree becomes one function of the state; the chain of a path becomes a list of steps
run in a loop, so that long paths need no deep calls.
"""

from __future__ import annotations

from hilum.record.fhirpath.converting import CONVERTING
from hilum.record.fhirpath.existence import EXISTENCE
from hilum.record.fhirpath.fhir import FHIR
from hilum.record.fhirpath.frame import Expr, Frame, Step, refuse
from hilum.record.fhirpath.items import EMPTY, Items, collect, made
from hilum.record.fhirpath.mathematics import MATHEMATICS
from hilum.record.fhirpath.operators import binary, unary
from hilum.record.fhirpath.selecting import SELECTING, index_step, sort_step
from hilum.record.fhirpath.signature import Function
from hilum.record.fhirpath.strings import STRINGS
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
from hilum.record.fhirpath.type_names import Matcher, applied, as_step, is_step, matcher
from hilum.record.fhirpath.variables import define_step, external, scoped

__all__ = ["FUNCTIONS", "Compiler", "type_parts"]

FUNCTIONS: dict[str, Function] = {
    **EXISTENCE,
    **SELECTING,
    **CONVERTING,
    **STRINGS,
    **MATHEMATICS,
    **FHIR,
}
"""Every function of plain arguments, by name."""
_TYPED = frozenset({"is", "as", "ofType"})


def type_parts(node: Node) -> tuple[str, ...]:
    """Return the type name that an argument spells, e.g. ``("FHIR", "Patient")``.

    Raises:
        MalformedInputError: when it spells none.
    """
    if isinstance(node, Name):
        return (node.name,)
    if isinstance(node, Chain) and isinstance(node.head, Name):
        names = [node.head.name]
        for step in node.steps:
            if not isinstance(step, Name):
                refuse("a type name should stand here", step.offset)
            names.append(step.name)
        return tuple(names)
    return refuse("a type name should stand here", node.offset)


class Compiler:
    """Compiles the tree of one expression.

    Args:
        strict: True for the letter of the specification, see `hilum.record.fhirpath.type_names`.
    """

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict

    def expression(self, node: Node) -> Expr:
        """Return the compiled form of a node.

        Raises:
            MalformedInputError: unknown function or type, or a wrong number of arguments.
        """
        if isinstance(node, Chain):
            return self._chain(node)
        if isinstance(node, (Binary, Unary, TypeTest)):
            return self._operation(node)
        if isinstance(node, (Call, Index)):
            alone = _from_focus(self._step(node))
            return scoped(alone) if _defines(node) else alone
        return _leaf(node)

    def _operation(self, node: Binary | Unary | TypeTest) -> Expr:
        if isinstance(node, Binary):
            left, right = self.expression(node.left), self.expression(node.right)
            return binary(node.operator, left, right, node.offset)
        operand = self.expression(node.operand)
        if isinstance(node, Unary):
            return unary(node.operator, operand, node.offset)
        return applied(operand, self._type_step(node.operator, node.type, node.offset))

    def _chain(self, node: Chain) -> Expr:
        path = self._steps(node)
        return scoped(path) if any(map(_defines, (node.head, *node.steps))) else path

    def _steps(self, node: Chain) -> Expr:
        steps = tuple(self._step(step) for step in node.steps)
        if isinstance(node.head, Name) and not node.head.name[:1].isupper():
            return _path((member_step(node.head.name), *steps))
        is_call = isinstance(node.head, Call)
        head = _from_focus(self._step(node.head)) if is_call else self.expression(node.head)
        if len(steps) == 1:
            only = steps[0]
            return lambda frame: only(head(frame), frame)
        if len(steps) == 2:
            first, second = steps
            return lambda frame: second(first(head(frame), frame), frame)

        def chain(frame: Frame) -> Items:
            items = head(frame)
            for step in steps:
                items = step(items, frame)
            return items

        return chain

    def _step(self, node: Node) -> Step:
        if isinstance(node, Name):
            return member_step(node.name)
        if isinstance(node, Index):
            return index_step(self.expression(node.inner), node.offset)
        if isinstance(node, Special):
            value = _special(node)
            return lambda _items, frame: value(frame)
        if isinstance(node, Call):
            return self._call(node)
        return refuse("this cannot follow a path", node.offset)

    def _call(self, node: Call) -> Step:
        if node.name in _TYPED:
            _expect_arguments(node, 1, 1)
            return self._type_step(node.name, type_parts(node.arguments[0]), node.offset)
        if node.name == "sort":
            return self._sort(node)
        if node.name == "defineVariable":
            _expect_arguments(node, 1, 2)
            return define_step(tuple(map(self.expression, node.arguments)), node.offset)
        function = FUNCTIONS.get(node.name)
        if function is None:
            refuse("there is no such function", node.offset)
        _expect_arguments(node, function.least, function.most)
        return function.make(tuple(map(self.expression, node.arguments)), node.offset)

    def _type_step(self, operator: str, name: tuple[str, ...], offset: int) -> Step:
        test: Matcher | None = matcher(name, exact=operator != "is", strict=self._strict)
        if test is None:
            refuse("there is no such type", offset)
        if operator == "is":
            return is_step(test, offset)
        return as_step(test, offset, single=self._strict and operator == "as")

    def _sort(self, node: Call) -> Step:
        keys = []
        for argument in node.arguments:
            is_down = isinstance(argument, Unary) and argument.operator == "-"
            inner = argument.operand if isinstance(argument, Unary) and is_down else argument
            keys.append((self.expression(inner), is_down))
        return sort_step(tuple(keys), node.offset)


def _defines(node: Node) -> bool:
    return isinstance(node, Call) and node.name == "defineVariable"


def _expect_arguments(node: Call, least: int, most: int) -> None:
    if not least <= len(node.arguments) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        refuse(f"the function takes {wanted} arguments", node.offset)


def member_step(name: str) -> Step:
    """Return the compiled access to a member."""

    def step(items: Items, frame: Frame) -> Items:
        if not items:
            return EMPTY
        found: Items = []
        for item in items:
            member = item.kind.members.get(name)
            if member is not None:
                collect(item, member, found)
        if len(items) > 1:
            frame.spend(len(items))
        return found

    return step


def _from_focus(step: Step) -> Expr:
    return lambda frame: step(frame.this, frame)


def _path(steps: tuple[Step, ...]) -> Expr:
    if len(steps) == 2:
        first, second = steps
        return lambda frame: second(first(frame.this, frame), frame)
    if len(steps) == 3:
        first, second, third = steps
        return lambda frame: third(second(first(frame.this, frame), frame), frame)

    def path(frame: Frame) -> Items:
        items = frame.this
        for step in steps:
            items = step(items, frame)
        return items

    return path


def _leaf(node: Node) -> Expr:
    if isinstance(node, Name):
        return _head(node.name)
    if isinstance(node, Literal):
        constant = EMPTY if node.value is None else made(node.value)
        return lambda _frame: constant
    if isinstance(node, Special):
        return _special(node)
    if isinstance(node, External):
        return external(node.name, node.offset)
    return refuse("this is no expression", node.offset)


def _head(name: str) -> Expr:
    step = member_step(name)
    if not name[:1].isupper():
        return lambda frame: step(frame.this, frame)

    def head(frame: Frame) -> Items:
        items = frame.this
        if items and items[0].kind.is_a(name):
            return items
        return step(items, frame)

    return head


def _special(node: Special) -> Expr:
    if node.name == "$this":
        return lambda frame: frame.this
    if node.name == "$total":
        return lambda frame: frame.total

    def index(frame: Frame) -> Items:
        return EMPTY if frame.index is None else made(frame.index)

    return index
