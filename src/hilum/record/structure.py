"""Find what is structurally wrong in a resource, element by element, with its place.

This is the slow, explaining half of the write gate; `hilum.record.schema` is the fast, silent half.
Both are made from the same tables and must agree.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from hilum.record.outcome import Issue, Severity
from hilum.record.primitives import PRIMITIVES
from hilum.record.resource import Tree
from hilum.record.tables import Element, tables
from hilum.record.types import is_resource_type

__all__ = ["find_issues", "required_codes"]

_PLAIN_NAME = re.compile(r"_?[A-Za-z][A-Za-z0-9]{0,63}")


@dataclass(frozen=True, slots=True)
class _Slot:
    """One JSON name of a structure: its element, its type, and how FHIRPath writes it."""

    element: Element
    type: str
    step: str


@dataclass(frozen=True, slots=True)
class _Layout:
    slots: dict[str, _Slot]
    required: tuple[tuple[str, tuple[str, ...]], ...]
    choices: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]


@cache
def _layout(name: str) -> _Layout:
    slots: dict[str, _Slot] = {}
    required = []
    choices = []
    for element in tables().structure(name):
        forms: list[tuple[str, ...]] = []
        for key, kind in element.options():
            step = f"{element.name}.ofType({kind})" if element.is_choice else element.name
            slots[key] = _Slot(element, kind, step)
            forms.append((key, "_" + key) if kind in PRIMITIVES else (key,))
        if element.least:
            required.append((element.name, tuple(key for form in forms for key in form)))
        if element.is_choice:
            choices.append((element.name, tuple(forms)))
    return _Layout(slots, tuple(required), tuple(choices))


@cache
def required_codes(name: str) -> frozenset[str]:
    """Return the codes of a required value set by its short name."""
    return frozenset(tables().codes[name].split())


def find_issues(tree: Tree, *, unknown: Severity) -> tuple[Issue, ...]:
    """Return everything structurally wrong in a resource, in document order.

    Args:
        tree: a decoded resource of a known type.
        unknown: how to rate an element that R4 does not define.
    """
    walk = _Walk(unknown)
    walk.resource(tree, str(tree["resourceType"]))
    return tuple(walk.issues)


class _Walk:
    def __init__(self, unknown: Severity) -> None:
        self.issues: list[Issue] = []
        self._unknown = unknown

    def _error(self, code: str, path: str, why: str) -> None:
        self.issues.append(Issue(Severity.ERROR, code, why, path))

    def resource(self, node: object, path: str) -> None:
        """Check a whole resource, also one inside another."""
        if not isinstance(node, dict):
            return self._error("structure", path, "must be a resource")
        name = node.get("resourceType")
        if not isinstance(name, str) or not is_resource_type(name):
            return self._error("structure", f"{path}.resourceType", "not a FHIR R4 resource type")
        return self._members(node, name, path)

    def _members(self, node: Tree, name: str, path: str) -> None:
        layout = _layout(name)
        for key, value in node.items():
            slot = layout.slots.get(key)
            if slot is not None:
                self._slot(slot, value, f"{path}.{slot.step}")
                continue
            below = layout.slots.get(key[1:]) if key.startswith("_") else None
            if below is not None and below.type in PRIMITIVES:
                self._siblings(below, value, f"{path}.{below.step}")
            elif key != "resourceType" or not is_resource_type(name):
                self._unknown_member(key, path)
        for element, keys in layout.required:
            if not any(key in node for key in keys):
                self._error("required", f"{path}.{element}", "is required")
        for element, forms in layout.choices:
            if sum(any(key in node for key in form) for form in forms) > 1:
                self._error("structure", f"{path}.{element}", "only one type may be given")

    def _unknown_member(self, key: str, path: str) -> None:
        place = f"{path}.{key}" if _PLAIN_NAME.fullmatch(key) else path
        self.issues.append(
            Issue(self._unknown, "structure", "holds an element that R4 does not define", place)
        )

    def _slot(self, slot: _Slot, value: object, path: str) -> None:
        if not slot.element.is_list:
            self._value(slot, value, path)
            return None
        if not isinstance(value, list):
            return self._error("structure", path, "must be an array")
        if not value:
            return self._error("structure", path, "an array must not be empty")
        for index, item in enumerate(value):
            if item is None and slot.type in PRIMITIVES:
                continue
            self._value(slot, item, f"{path}[{index}]")
        return None

    def _value(self, slot: _Slot, value: object, path: str) -> None:
        primitive = PRIMITIVES.get(slot.type)
        if primitive is None:
            if slot.type == "Resource":
                self.resource(value, path)
            else:
                self._object(value, slot.type, path)
        elif not primitive.admits(value):
            self._error("value", path, f"must be a {slot.type}")
        elif slot.element.codes and value not in required_codes(slot.element.codes):
            self._error("code-invalid", path, f"not a code of {slot.element.codes}")

    def _object(self, value: object, name: str, path: str) -> None:
        if not isinstance(value, dict):
            return self._error("structure", path, "must be an object")
        if not value:
            return self._error("structure", path, "an object must not be empty")
        return self._members(value, name, path)

    def _siblings(self, slot: _Slot, value: object, path: str) -> None:
        if not slot.element.is_list:
            return self._object(value, "Element", path)
        if not isinstance(value, list) or not value:
            return self._error("structure", path, "must be an array with values")
        for index, item in enumerate(value):
            if item is not None:
                self._object(item, "Element", f"{path}[{index}]")
        return None
