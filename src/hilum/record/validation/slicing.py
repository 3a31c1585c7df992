"""Slices: which one does an element belong to, and are there as many of each as demanded?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hilum.record.validation.bindings import is_bound
from hilum.record.validation.links import type_of_target, type_said
from hilum.record.validation.nodes import ABSENT, Node, Spot, profile_node, spots_of
from hilum.record.validation.patterns import contains, is_equal

if TYPE_CHECKING:
    from hilum.record.validation.conformance import Conformer

__all__ = ["Slicer"]

_STEP = re.compile(r"extension\('([^']+)'\)|[A-Za-z0-9]+\([^)]*\)|\$this|[A-Za-z0-9]+")


class Slicer:
    """Sorts elements into slices.

    Args:
        conformer: checks what belongs to a slice.
    """

    def __init__(self, conformer: Conformer) -> None:
        self._conformer = conformer

    def check(self, items: list[Spot], node: Node, place: str) -> None:
        """Check elements against the slices of their element.

        Args:
            items: the elements, in order.
            node: the sliced element.
            place: FHIRPath of the element without index.
        """
        counts = dict.fromkeys(node.slices, 0)
        for item in items:
            name = self._slice_of(item, node)
            if name is not None:
                counts[name] += 1
                self._conformer.check(item, node.slices[name])
            elif node.slicing is not None and node.slicing.rules == "closed":
                self._conformer.refuse(item.place, "belongs to none of the slices of the profile")
        for name, count in counts.items():
            self._conformer.check_count(count, node.slices[name], place, name)
            if not count and node.slices[name].least:
                self._explain(items, node.slices[name])

    def _explain(self, items: list[Spot], missing: Node) -> None:
        """Say why resources that could be in a missing slice, by their type, do not conform to it."""
        for item in items:
            inner = spots_of(item, "resource") if "resource" in missing.children else []
            for url in _profiles(missing.children["resource"]) if inner else ():
                if type_of_target(url) == inner[0].type:
                    self._conformer.within(inner[0]).check_profile(inner[0], url)

    def _slice_of(self, item: Spot, node: Node) -> str | None:
        slicing = node.slicing
        if slicing is None or not slicing.discriminators:
            return None
        for name, candidate in node.slices.items():
            if all(self._fits(item, candidate, *pair) for pair in slicing.discriminators):
                return name
        return None

    def _fits(self, item: Spot, node: Node, kind: str, path: str) -> bool:
        steps = _STEP.findall(path) and [m[0] for m in _STEP.finditer(path)]
        if kind == "profile":
            return self._fits_profile(item, node, steps)
        if "resolve()" in steps:
            return _fits_target_type(item, node)
        spots, inner = _follow(item, node, steps)
        if kind == "type":
            return inner is not None and any(_has_type(spot, inner) for spot in spots)
        if kind == "exists":
            return inner is not None and bool(spots) == (inner.most != 0)
        return inner is not None and any(_matches(spot, inner) for spot in spots)

    def _fits_profile(self, item: Spot, node: Node, steps: list[str]) -> bool:
        if "resolve()" in steps:
            before = steps[: steps.index("resolve()")]
            spots, inner = _follow(item, node, before)
            targets = [url for each in (inner.types if inner else ()) for url in each.targets]
            return any(
                self._conformer.refers_to(spot, url) is True for spot in spots for url in targets
            )
        spots, inner = _follow(item, node, steps)
        urls = [url for each in (inner.types if inner else ()) for url in each.profiles]
        scope = self._conformer.scope
        return any(
            self._conformer.conforms(
                spot, url, scope.into(spot.value) if spot.is_resource else scope
            )
            is True
            for spot in spots
            for url in urls
        )


def _follow(item: Spot, node: Node, steps: list[str]) -> tuple[list[Spot], Node | None]:
    """Go down a discriminator's path, in the instance and in the profile at once."""
    spots, current = [item], node
    for step in steps:
        if step == "$this" or step.startswith("ofType("):
            continue
        leaf, url = step, ""
        if step.startswith("extension("):
            leaf, url = "extension", step[len("extension('") : -2]
        spots = [
            below
            for spot in spots
            for below in spots_of(spot, leaf) or spots_of(spot, leaf + "[x]")
            if not url or below.value.get("url") == url
        ]
        found = _child(current, leaf, url)
        if found is None:
            return spots, None
        current = found
    return spots, current


def _child(node: Node, leaf: str, url: str) -> Node | None:
    found = node.children.get(leaf) or node.children.get(leaf + "[x]")
    if found is not None and url:
        return next((each for each in found.slices.values() if url in _profiles(each)), found)
    if found is not None:
        return found
    for part in node.slices.values():  # where the path leads through slices of its own
        below = _child(part, leaf, url)
        if below is not None:
            return below
    for profile in _profiles(node):
        whole = profile_node(profile)
        if whole is not None and leaf in whole.children:
            return whole.children[leaf]
        if leaf == "url":
            return Node(fixed=profile)
    return None


def _profiles(node: Node) -> list[str]:
    return [url for each in node.types for url in each.profiles]


def _has_type(spot: Spot, node: Node) -> bool:
    return any(each.code == spot.type for each in node.types)


def _fits_target_type(item: Spot, node: Node) -> bool:
    kind = type_said(item.value.get("reference"), None) if isinstance(item.value, dict) else ""
    targets = [url for each in node.types for url in each.targets]
    return bool(kind) and any(type_of_target(each) == kind for each in targets)


def _matches(spot: Spot, node: Node) -> bool:
    """Tell whether an element has the values by which a slice is told: fixed, pattern, codes."""
    if node.fixed is not ABSENT and not is_equal(spot.value, node.fixed):
        return False
    if node.pattern is not ABSENT and not contains(spot.value, node.pattern):
        return False
    binding = node.binding
    if binding is not None and binding.strength == "required":
        answer = is_bound(binding.value_set, spot.value, spot.type)
        if answer is not True:
            return False
    return all(_has_child(spot, leaf, child) for leaf, child in node.children.items())


def _has_child(spot: Spot, leaf: str, child: Node) -> bool:
    items = spots_of(spot, leaf)
    if child.least and not items:
        return False
    if items and not any(_matches(item, child) for item in items):
        return False
    return all(
        any(_matches(item, each) for item in items) for each in child.slices.values() if each.least
    )
