"""Ids inside a resource: each element id once, contained resources named, used and flat."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hilum.record.resource import Tree
from hilum.record.validation.model import Findings

__all__ = ["check_contained", "check_element_ids"]


def check_element_ids(tree: Tree, place: str, findings: Findings) -> None:
    """Check that no two elements of a resource carry the same id; resources inside stand apart."""
    if tree.get("resourceType") == "StructureDefinition":
        return  # its snapshot and differential name the same elements
    seen: set[str] = set()
    for own_id in _element_ids(tree, is_root=True):
        if own_id in seen:
            findings.error("business-rule", place, "two elements of the resource have the same id")
            return
        seen.add(own_id)


def _element_ids(node: Any, *, is_root: bool) -> Iterator[str]:  # noqa: ANN401
    if isinstance(node, list):
        for item in node:
            yield from _element_ids(item, is_root=False)
        return
    if not isinstance(node, dict) or ("resourceType" in node and not is_root):
        return
    if not is_root and isinstance(node.get("id"), str):
        yield node["id"]
    for value in node.values():
        if isinstance(value, (dict, list)):
            yield from _element_ids(value, is_root=False)


def check_contained(tree: Tree, place: str, findings: Findings) -> None:
    """Check that every contained resource has an id, once, and that something refers to it."""
    contained = tree.get("contained")
    if not contained:
        return
    used = set(_fragments(tree))
    seen: set[object] = set()
    for index, inner in enumerate(contained):
        own_id, at = inner.get("id"), f"{place}.contained[{index}]"
        if not isinstance(own_id, str):
            findings.error("required", f"{at}.id", "a contained resource needs an id")
        elif own_id in seen:
            findings.error("business-rule", at, "two contained resources have the same id")
        elif own_id not in used and "" not in set(_fragments(inner)):
            findings.error("invariant", at, "nothing refers to this contained resource (dom-3)")
        seen.add(own_id)


def _fragments(node: Any) -> Iterator[str]:  # noqa: ANN401 - a decoded JSON value
    """Yield what stands after ``#`` in every text that is a link inside the resource."""
    if isinstance(node, dict):
        for value in node.values():
            yield from _fragments(value)
    elif isinstance(node, list):
        for item in node:
            yield from _fragments(item)
    elif isinstance(node, str) and node.startswith("#"):
        yield node[1:]
