"""Profiles as trees of demands: an element, its children, its slices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from hilum.record.fhirpath import Item
from hilum.record.fhirpath.kinds import kind_named
from hilum.record.outcome import Severity
from hilum.record.primitives import PRIMITIVES
from hilum.record.resource import Tree
from hilum.record.validation.facts import (
    Binding,
    Constraint,
    ProfileRow,
    make_binding,
    profile_row,
)
from hilum.record.validation.plans import Step, plan_of

__all__ = ["ABSENT", "Node", "Slicing", "Spot", "TypeDemand", "profile_node", "spots_of"]

ABSENT: Any = object()
"""Stands where no fixed value or pattern is demanded."""


@dataclass(frozen=True, slots=True)
class TypeDemand:
    """One type that an element may have.

    Attributes:
        code: type name.
        profiles: the value must conform to one of these; empty = any.
        targets: types or profiles that a reference may lead to; empty = any.
    """

    code: str
    profiles: tuple[str, ...]
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Slicing:
    """How the slices of an element are told apart.

    Attributes:
        discriminators: (kind, path).
        rules: ``open``, ``closed`` or ``openAtEnd``.
    """

    discriminators: tuple[tuple[str, str], ...]
    rules: str


@dataclass(slots=True)
class Node:
    """What a profile demands of one element."""

    least: int = 0
    most: int | None = None
    types: tuple[TypeDemand, ...] = ()
    fixed: Any = ABSENT
    pattern: Any = ABSENT
    binding: Binding | None = None
    constraints: tuple[Constraint, ...] = ()
    slicing: Slicing | None = None
    children: dict[str, Node] = field(default_factory=dict)
    slices: dict[str, Node] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spot:
    """One element of an instance.

    Attributes:
        value: its JSON value; None when a primitive has extensions only.
        extra: the sibling of a primitive, or None.
        type: its type name; ``#Path`` for a nested structure; the resource type for a resource.
        place: its FHIRPath.
        item: the same as FHIRPath sees it.
        is_resource: True when it stands where a resource stands.
    """

    value: Any
    extra: Tree | None
    type: str
    place: str
    item: Item
    is_resource: bool = False


_KIND = kind_named("Element")
_BY_URL = Slicing((("value", "url"),), "open")
_BY_TYPE = Slicing((("type", "$this"),), "open")


@cache
def profile_node(url: str) -> Node | None:
    """Return the demands of a profile, None when it is not known.

    Args:
        url: with or without a version, or the bare name of an R4 profile.
    """
    row = profile_row(url)
    return None if row is None else _tree(row)


def _tree(row: ProfileRow) -> Node:
    root = Node()
    for path, demands in row.elements:
        node = root
        for segment in path.split(".")[1:]:
            name, _, slice_name = segment.partition(":")
            node = node.children.setdefault(name, Node())
            if slice_name:
                if node.slicing is None:
                    node.slicing = _BY_TYPE if name.endswith("[x]") else _BY_URL
                node = node.slices.setdefault(slice_name, Node())
        _fill(node, demands, row)
    return root


def _fill(node: Node, demands: dict[str, Any], row: ProfileRow) -> None:
    node.least = demands.get("min", 0)
    node.most = demands.get("max")
    node.types = tuple(
        TypeDemand(code, tuple(profiles), tuple(targets))
        for code, profiles, targets in demands.get("types", ())
    )
    node.fixed = demands.get("fixed", ABSENT)
    node.pattern = demands.get("pattern", ABSENT)
    node.binding = make_binding(demands.get("bind", []))
    node.constraints = tuple(
        Constraint(key, Severity(row.constraints[key][0]), row.constraints[key][1])
        for key in demands.get("keys", "").split()
    )
    if "slicing" in demands:
        pairs, rules, _ordered = demands["slicing"]
        node.slicing = Slicing(tuple((kind, path) for kind, path in pairs), rules)


@cache
def _steps(structure: str) -> dict[str, tuple[Step, ...]]:
    found: dict[str, list[Step]] = {}
    for step in plan_of(structure).steps.values():
        found.setdefault(step.leaf, []).append(step)
    return {leaf: tuple(steps) for leaf, steps in found.items()}


def spots_of(parent: Spot, leaf: str) -> list[Spot]:
    """Return the elements of one name below an element, in their order.

    Args:
        parent: the element above.
        leaf: as snapshots write it, a choice with ``[x]``.
    """
    holder, structure = parent.value, parent.type
    if structure in PRIMITIVES:
        holder, structure = parent.extra, "Element"
    if not isinstance(holder, dict):
        return []
    return [
        spot
        for step in _steps(structure).get(leaf, ())
        if step.key in holder or "_" + step.key in holder
        for spot in _spots(holder, step, parent)
    ]


def _spots(holder: Tree, step: Step, parent: Spot) -> Iterator[Spot]:
    value = holder.get(step.key)
    extra = holder.get("_" + step.key) if step.is_primitive else None
    place = f"{parent.place}.{step.text}"
    if not step.is_list:
        yield _spot(step, value, extra, place, Item(value, _KIND, parent.item, step.key))
        return
    values, extras = value or [], extra or []
    for index in range(max(len(values), len(extras))):
        one = values[index] if index < len(values) else None
        more = extras[index] if index < len(extras) else None
        item = Item(one, _KIND, parent.item, step.key, index)
        yield _spot(step, one, more, f"{place}[{index}]", item)


def _spot(step: Step, value: Any, extra: Tree | None, place: str, item: Item) -> Spot:  # noqa: ANN401
    is_resource = step.type == "Resource"
    kind = str(value.get("resourceType")) if is_resource else step.type
    item.kind, item.extra = kind_named(kind), extra
    return Spot(value, extra, kind, place, item, is_resource)
