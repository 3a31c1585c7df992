"""Per-structure plans of the deep walk, made from the tables when a structure is first met."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from hilum.record.fhirpath import Item
from hilum.record.fhirpath.kinds import kind_named
from hilum.record.primitives import PRIMITIVES
from hilum.record.resource import Tree
from hilum.record.tables import Element, tables
from hilum.record.validation.facts import Constraint, Rule, constraint_of, rule_of

__all__ = ["Frame", "Plan", "Step", "plan_of"]


@dataclass(frozen=True, slots=True)
class Step:
    """One JSON name of a structure.

    Attributes:
        key: the JSON name.
        leaf: the element's name, a choice with ``[x]``.
        type: type name of this form; ``#Path`` for a nested structure.
        text: how FHIRPath writes the step.
        is_list: True when the JSON form is an array.
        is_primitive: True for a primitive type.
        rule: what R4 demands of it.
        constraints: the invariants on the element itself.
        is_plain: True when a primitive needs no further look.
    """

    key: str
    leaf: str
    type: str
    text: str
    is_list: bool
    is_primitive: bool
    rule: Rule
    constraints: tuple[Constraint, ...]
    is_plain: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What the walk does in one structure: its path, its steps by JSON name, its invariants."""

    path: str
    steps: dict[str, Step]
    constraints: tuple[Constraint, ...]


class Frame:
    """One object on the way from the root down to an element; places are written only when asked.

    Args:
        parent: the frame above, None at the root.
        step: how the object is reached from there; None for a root.
        index: place in its array, -1 when it stands in none.
        node: the object.
        type: its type name; ``#Path`` for a nested structure.
    """

    __slots__ = ("_item", "index", "node", "parent", "step", "type")

    def __init__(
        self, parent: Frame | None, step: Step | None, index: int, node: Tree, type: str
    ) -> None:
        self.parent = parent
        self.step = step
        self.index = index
        self.node = node
        self.type = type
        self._item: Item | None = None

    @property
    def item(self) -> Item:
        """Return the object as FHIRPath sees it."""
        if self._item is None:
            above = self.parent.item if self.parent is not None else None
            key = self.step.key if self.step is not None else ""
            index = None if self.index < 0 else self.index
            self._item = Item(self.node, kind_named(self.type), above, key, index)
        return self._item

    def primitive(self, step: Step, index: int, value: Any) -> Item:  # noqa: ANN401
        """Return a primitive of this object as FHIRPath sees it, with its sibling."""
        extra = self.node.get("_" + step.key)
        if step.is_list:
            extra = extra[index] if extra is not None and index < len(extra) else None
        at = index if step.is_list else None
        return Item(value, kind_named(step.type), self.item, step.key, at, extra)

    @property
    def place(self) -> str:
        """Return the FHIRPath of the object."""
        if self.parent is None or self.step is None:
            return self.type
        return self.parent.below(self.step, self.index)

    def where(self) -> str:
        """Return the FHIRPath of the object."""
        return self.place

    def below(self, step: Step, index: int = -1) -> str:
        """Return the FHIRPath of an element of this object."""
        text = f"{self.place}.{step.text}"
        return text if index < 0 else f"{text}[{index}]"

    @property
    def path(self) -> str:
        """Return the path that definitions use for it, from its resource type or outermost type."""
        if self.parent is None or self.step is None or self.step.type == "Resource":
            return self.type
        return f"{self.parent.path}.{self.step.leaf}"


# Told without FHIRPath, by the same rule: ele-1 by the structure, the others by the walk.
_ELSEWHERE = frozenset({"dom-3", "ele-1", "ext-1", "ref-1", "txt-1", "txt-2"})

# Types whose every value has a rule of its own: these are looked at one by one.
_WATCHED = frozenset(
    {"base64Binary", "canonical", "markdown", "oid", "uri", "url", "uuid", "xhtml"}
)


@cache
def plan_of(structure: str) -> Plan:
    """Return the plan of a structure: a type name, or ``#Path`` for a nested one."""
    path = structure.removeprefix("#")
    steps = {}
    for element in tables().structure(path):
        for key, kind in element.options():
            steps[key] = _step(path, element, key, kind)
    return Plan(path, steps, _constraints(rule_of(path, "")))


def _constraints(rule: Rule) -> tuple[Constraint, ...]:
    return tuple(constraint_of(key) for key in rule.keys if key not in _ELSEWHERE)


def _step(path: str, element: Element, key: str, kind: str) -> Step:
    leaf = element.name + "[x]" if element.is_choice else element.name
    rule = rule_of(path, leaf)
    is_primitive = kind in PRIMITIVES
    has_more = rule.keys or (rule.binding and not element.codes) or kind in _WATCHED
    return Step(
        key=key,
        leaf=leaf,
        type=kind,
        text=f"{element.name}.ofType({kind})" if element.is_choice else element.name,
        is_list=element.is_list,
        is_primitive=is_primitive,
        rule=rule,
        constraints=_constraints(rule),
        is_plain=is_primitive and not has_more,
    )
