"""The write gate: is this resource shaped as R4 says?

Wrong types, cardinalities, values and codes are errors. An element that R4 does not define is kept
and reported, because an import must never lose what it does not understand; a caller may refuse it
instead.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from hilum.errors import MalformedInputError
from hilum.record.outcome import Issue, Severity
from hilum.record.resource import Resource, Tree
from hilum.record.schema import compiled_schema
from hilum.record.structure import find_issues
from hilum.record.types import is_resource_type

__all__ = ["Unknown", "is_sound", "list_issues", "parameter_resources", "validate"]


_HOLDERS = frozenset({"Bundle", "Parameters"})
"""Types that hold resources elsewhere than in ``contained``."""


class Unknown(Enum):
    """What to do with elements that R4 does not define."""

    KEEP = "keep"
    REFUSE = "refuse"


def list_issues(resource: Resource, *, unknown: Unknown = Unknown.KEEP) -> tuple[Issue, ...]:
    """Return every structural issue of the resource; empty when nothing is to be said.

    Args:
        resource: what `parse_resource` returned.
        unknown: whether elements unknown to R4 are warnings or errors.
    """
    if is_sound(resource.tree):
        return ()
    severity = Severity.WARNING if unknown is Unknown.KEEP else Severity.ERROR
    return find_issues(resource.tree, unknown=severity)


def validate(resource: Resource, *, unknown: Unknown = Unknown.KEEP) -> tuple[Issue, ...]:
    """Let a resource pass the write gate.

    Args:
        resource: what `parse_resource` returned.
        unknown: whether elements unknown to R4 are warnings or errors.

    Returns:
        Warnings; usually none.

    Raises:
        MalformedInputError: some element is wrong; names the first one's FHIRPath.
    """
    issues = list_issues(resource, unknown=unknown)
    for issue in issues:
        if issue.severity is Severity.ERROR:
            raise MalformedInputError(issue.code, issue.why, where=issue.expression)
    return issues


def is_sound(tree: Tree) -> bool:
    """Tell whether a resource of a known type has no structural issue at all."""
    if not compiled_schema(tree["resourceType"]).is_valid(tree):
        return False
    if "contained" not in tree and tree["resourceType"] not in _HOLDERS:
        return True
    return all(_is_sound_inside(inner) for inner in _inner(tree))


def _is_sound_inside(node: Any) -> bool:  # noqa: ANN401 - a decoded JSON value
    name = node.get("resourceType")
    return isinstance(name, str) and is_resource_type(name) and is_sound(node)


def _inner(tree: Tree) -> list[Any]:
    """Return the resources that stand directly inside a sound resource."""
    found = list(tree.get("contained", ()))
    name = tree["resourceType"]
    if name == "Bundle":
        for entry in tree.get("entry", ()):
            found += [entry[key] for key in ("resource",) if key in entry]
            found += (
                [entry["response"]["outcome"]] if "outcome" in entry.get("response", {}) else []
            )
    elif name == "Parameters":
        found += parameter_resources(tree.get("parameter", ()))
    return found


def parameter_resources(parameters: Any) -> list[Any]:  # noqa: ANN401 - a decoded JSON value
    """Return the resources that parameters carry, and those of their parts."""
    found: list[Any] = []
    for parameter in parameters:
        found += [parameter["resource"]] if "resource" in parameter else []
        found += parameter_resources(parameter.get("part", ()))
    return found
