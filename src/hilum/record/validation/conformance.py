"""Does an element conform to a profile? Cardinality, values, types, codes, invariants and slices."""

from __future__ import annotations

from typing import Any

from hilum.record.fhirpath import Item, root_item
from hilum.record.outcome import Severity
from hilum.record.types import is_resource_type
from hilum.record.validation.bindings import check_binding
from hilum.record.validation.invariants import Judge
from hilum.record.validation.links import target_of, type_of_target, type_said
from hilum.record.validation.model import Environment, Findings
from hilum.record.validation.nodes import ABSENT, Node, Spot, profile_node, spots_of
from hilum.record.validation.patterns import contains, is_equal
from hilum.record.validation.scope import Scope
from hilum.record.validation.slicing import Slicer

__all__ = ["Conformer", "root_spot"]

_ANY_RESOURCE = frozenset({"Resource", "DomainResource"})


class Conformer:
    """Checks elements of one resource against profiles.

    Args:
        scope: the resource and those around it.
        environment: what may be looked at.
        findings: where to write.
        busy: (identity of a tree, profile) that are being checked further up, so that profiles which
            refer to each other come to an end.
    """

    def __init__(
        self,
        scope: Scope,
        environment: Environment,
        findings: Findings,
        *,
        busy: frozenset[tuple[int, str]] = frozenset(),
    ) -> None:
        self.scope = scope
        self.environment = environment
        self._findings = findings
        self._busy = busy
        self._judge = Judge(scope, environment, findings)
        self._slicer = Slicer(self)

    def check_profile(self, spot: Spot, url: str) -> bool:
        """Check an element against a profile.

        Args:
            spot: the element.
            url: of the profile.

        Returns:
            False when the profile is not known here.
        """
        node = profile_node(url)
        if node is None:
            return False
        key = (id(spot.value), url)
        if key not in self._busy:
            inner = Conformer(self.scope, self.environment, self._findings, busy=self._busy | {key})
            inner.check(spot, node)
        return True

    def within(self, spot: Spot) -> Conformer:
        """Return a conformer for a resource inside this one."""
        scope = self.scope.into(spot.value)
        return Conformer(scope, self.environment, self._findings, busy=self._busy)

    def conforms(self, spot: Spot, url: str, scope: Scope | None = None) -> bool | None:
        """Tell whether an element conforms to a profile; None when the profile is not known.

        Args:
            spot: the element.
            url: of the profile, or the name of a resource type.
            scope: of the resource that it stands in, when it is not this one.
        """
        if is_resource_type(url):
            return spot.type == url
        if type_of_target(url) not in {"", spot.type}:
            return False
        trial = Findings()
        other = Conformer(scope or self.scope, self.environment, trial, busy=self._busy)
        known = other.check_profile(spot, url)
        return trial.errors == 0 if known else None

    def check(self, spot: Spot, node: Node) -> None:
        """Check one element and what is below it."""
        self._check_value(spot, node)
        if node.types:
            self._check_types(spot, node)
        if node.constraints:
            self._judge.judge(node.constraints, spot.item, lambda: spot.place)
        for leaf, child in node.children.items():
            self._check_children(spot, leaf, child)

    def _check_value(self, spot: Spot, node: Node) -> None:
        if node.fixed is not ABSENT and not is_equal(spot.value, node.fixed):
            self._findings.error("value", spot.place, "is not the value that the profile fixes")
        if node.pattern is not ABSENT and not contains(spot.value, node.pattern):
            self._findings.error("value", spot.place, "does not hold what the profile demands")
        if node.binding is not None and spot.value is not None:
            check_binding(node.binding, spot.value, spot.type, lambda: spot.place, self._findings)

    def _check_children(self, spot: Spot, leaf: str, child: Node) -> None:
        items = spots_of(spot, leaf)
        place = f"{spot.place}.{leaf.removesuffix('[x]')}"
        self.check_count(len(items), child, place)
        for item in items:
            self.check(item, child)
        if child.slices and child.slicing is not None:
            self._slicer.check(items, child, place)

    def check_count(self, count: int, node: Node, place: str, slice_name: str = "") -> None:
        """Check how often an element or one of its slices is there."""
        what = f"slice {slice_name}: " if slice_name else ""
        if count < node.least:
            why = f"{node.least} are required" if node.least > 1 else "is required"
            self._findings.error("required", place, f"{what}{why} in this profile")
        if node.most is not None and count > node.most:
            why = f"at most {node.most} allowed" if node.most else "is not allowed"
            self._findings.error("structure", place, f"{what}{why} in this profile")

    def refuse(self, place: str, why: str) -> None:
        """Take down that an element does not fit the profile's structure."""
        self._findings.error("structure", place, why)

    def _check_types(self, spot: Spot, node: Node) -> None:
        fitting = [each for each in node.types if _is_type(spot, each.code)]
        if not fitting:
            if spot.is_resource or ".ofType(" in spot.place.rpartition(".value")[2]:
                self.refuse(spot.place, "is not of a type that the profile allows")
            return
        profiles = [url for each in fitting for url in each.profiles]
        if profiles and spot.type != "Extension":
            self._check_profiles(spot, profiles)
        targets = [url for each in fitting for url in each.targets]
        if targets and isinstance(spot.value, dict) and spot.type == "Reference":
            self._check_targets(spot, targets)

    def _check_profiles(self, spot: Spot, profiles: list[str]) -> None:
        scope = self.scope.into(spot.value) if spot.is_resource else self.scope
        if len(profiles) == 1:
            other = self.within(spot) if spot.is_resource else self
            other.check_profile(spot, profiles[0])
        elif not any(self.conforms(spot, url, scope) is not False for url in profiles):
            self.refuse(spot.place, "conforms to none of the profiles that are allowed")

    def _check_targets(self, spot: Spot, targets: list[str]) -> None:
        text = spot.value.get("reference")
        found = target_of(text, self.scope, self.environment) if isinstance(text, str) else None
        kind = type_said(text, found) or str(spot.value.get("type", ""))
        if not is_resource_type(kind):
            return
        fitting = [each for each in targets if type_of_target(each) in {"", kind}]
        if not fitting:
            why = "may not refer to a resource of this type in this profile"
            severity = Severity.WARNING if found is None else Severity.ERROR
            self._findings.add(severity, "structure", spot.place, why)
        elif found is not None and all(self.refers_to(spot, each) is False for each in fitting):
            self.refuse(spot.place, "what is referred to conforms to none of the allowed profiles")

    def refers_to(self, spot: Spot, target: str) -> bool | None:
        """Tell whether a reference leads to something that conforms; None when it cannot be told."""
        text = spot.value.get("reference") if isinstance(spot.value, dict) else None
        found = target_of(text, self.scope, self.environment) if isinstance(text, str) else None
        if found is None:
            kind = type_said(text, None)
            return None if kind in {"", type_of_target(target)} else False
        return self.conforms(root_spot(found, spot.place), target, self.scope.into(found))


def _is_type(spot: Spot, code: str) -> bool:
    if spot.is_resource:
        return code == spot.type or code in _ANY_RESOURCE
    return code == spot.type or code in {"BackboneElement", "Element"}


def root_spot(tree: dict[str, Any], place: str, item: Item | None = None) -> Spot:
    """Return a resource as the element that a profile is checked on."""
    return Spot(tree, None, str(tree["resourceType"]), place, item or root_item(tree), True)
