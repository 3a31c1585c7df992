"""Compile the FHIRPath of search parameters into paths over decoded JSON.

R4's search parameters use few shapes: plain paths, ``as T``, ``where(resolve() is T)``,
``where(x='y')``, an index, one ``exists()``, and ``%resource`` in parts of composites. Each becomes a
list of steps from the resource to its values; choices become one path per type.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hilum.record.tables import Element, tables

__all__ = ["Path", "Step", "collector", "compile_expression", "compile_part"]

_AS = re.compile(r"\(([\w.]+) as (\w+)\)")
_STEP = re.compile(
    r"(?P<name>\w+)(?:\[(?P<index>\d+)\])?(?:\.as\((?P<as>\w+)\))?"
    r"(?:\.where\((?:resolve\(\) is (?P<target>\w+)|(?P<key>\w+)\s*=\s*'(?P<value>[^']*)')\))?"
    r"(?:\.|\Z)"
)
_EXISTS = re.compile(r"(\w+)\.(\w+)\.exists\(\) and \1\.\2 != false")
_RESOURCE = "%resource."


@dataclass(frozen=True, slots=True)
class Step:
    """One member to follow; `where` keeps only objects whose member has the value."""

    key: str
    where: tuple[str, str] | None = None
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Path:
    """Steps from the resource (or from an element of it) to values of one type.

    Attributes:
        steps: none for the start itself.
        leaf: the type of the values.
        target: the only resource type that a reference may point to, or ``""``.
        exists: True when the value is whether anything but false is there.
        from_resource: True in a composite's part that starts at the resource, not at the element.
    """

    steps: tuple[Step, ...]
    leaf: str
    target: str = ""
    exists: bool = False
    from_resource: bool = False

    @property
    def is_member(self) -> bool:
        """True when the values are a member's own, all of them."""
        return len(self.steps) == 1 and not _selects(self.steps[0])


def _selects(step: Step) -> bool:
    return step.where is not None or step.index is not None


def compile_expression(expression: str, name: str) -> tuple[Path, ...]:
    """Return the paths of an expression that start at a resource type.

    Args:
        expression: the expression of a search parameter, with ``|`` between its parts.
        name: the resource type; parts of other types are left out.
    """
    roots = {name, "Resource", "DomainResource"}
    paths: list[Path] = []
    for part in expression.split(" | "):
        text = part.strip()
        exists = _EXISTS.fullmatch(text)
        if exists:
            text = f"{exists[1]}.{exists[2]}"
        text = _AS.sub(r"\1.as(\2)", text)
        root, _, rest = text.partition(".")
        if root == name and not rest:
            paths.append(Path((), name))
        elif root in roots and rest:
            paths += _follow(rest, name, exists=exists is not None)
        elif root[:1].islower():
            # InsurancePlan's "name | alias" leaves its own type out
            paths += _follow(text, name)
    return tuple(dict.fromkeys(paths))


def compile_part(expression: str, owner: str, name: str) -> tuple[Path, ...]:
    """Return the paths of a composite's part.

    Args:
        expression: what R4 says, relative to the composite's element or to ``%resource``.
        owner: the structure of the element.
        name: the resource type.
    """
    paths: list[Path] = []
    for part in expression.split(" | "):
        if part.startswith(_RESOURCE):
            paths += [
                Path(path.steps, path.leaf, path.target, from_resource=True)
                for path in _follow(part.removeprefix(_RESOURCE), name)
            ]
        else:
            paths += _follow(part.strip(), owner)
    return tuple(dict.fromkeys(paths))


def _follow(text: str, name: str, *, exists: bool = False) -> list[Path]:
    # Each open path: the steps so far, and the structure that they lead to.
    open_paths: list[tuple[tuple[Step, ...], str]] = [((), name)]
    target = ""
    end = 0
    for match in _STEP.finditer(text):
        if match.start() != end:
            return []
        end = match.end()
        target = match["target"] or ""
        where = (match["key"], match["value"]) if match["key"] else None
        index = int(match["index"]) if match["index"] else None
        grown = []
        for steps, owner in open_paths:
            for key, kind in _members(owner, match["name"], match["as"]):
                grown.append(((*steps, Step(key, where, index)), kind))
        open_paths = grown
    if end != len(text):
        return []
    return [Path(steps, kind, target, exists) for steps, kind in open_paths]


def _members(owner: str, name: str, only: str | None) -> list[tuple[str, str]]:
    if owner in tables().primitives or owner == "Resource":
        return []
    for element in tables().structure(owner):
        if element.name == name:
            return _options(element, only)
    return []


def _options(element: Element, only: str | None) -> list[tuple[str, str]]:
    options = element.options()
    if not only or not element.is_choice:
        return options
    # R4 writes "as(DateTime)" in one place
    return [option for option in options if option[1].lower() == only.lower()]


def collector(path: Path) -> Callable[[Any], list[Any]]:
    """Return a function from the value of the path's first member to the values at its end."""
    first, *rest = path.steps
    if path.is_member:
        return lambda value: value if isinstance(value, list) else [value]
    selects = _selects(first)
    below = [(step.key, step if _selects(step) else None) for step in rest]

    def collect(value: Any) -> list[Any]:  # noqa: ANN401 - a decoded JSON value
        items = value if isinstance(value, list) else [value]
        if selects:
            items = _chosen(first, items)
        for key, chosen in below:
            found: list[Any] = []
            for item in items:
                inner = item.get(key) if isinstance(item, dict) else None
                if isinstance(inner, list):
                    found += inner
                elif inner is not None:
                    found.append(inner)
            items = found if chosen is None else _chosen(chosen, found)
            if not items:
                break
        return items

    return collect


def _chosen(step: Step, items: list[Any]) -> list[Any]:
    if step.index is not None:
        items = items[step.index : step.index + 1]
    if step.where is not None:
        key, value = step.where
        items = [item for item in items if isinstance(item, dict) and item.get(key) == value]
    return items
