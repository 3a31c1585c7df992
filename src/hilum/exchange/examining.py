"""Bodies on their way in: read, validated and labelled."""

from __future__ import annotations

from hilum.consent.label import label
from hilum.errors import MalformedInputError
from hilum.record.resource import Resource, Tree, parse_resource
from hilum.record.validate import validate

__all__ = ["Contents", "examine"]

Contents = tuple[Resource, int]
"""A valid resource and the mask of its segments."""


def examine(body: bytes, *, type: str | None = None) -> Contents:
    """Read, validate and label a body; return the resource and its segment mask.

    A Bundle that is stored whole (a document, a message) is labelled by everything in it.

    Raises:
        MalformedInputError: not a valid resource, or not of the type that the URL names.
    """
    resource = parse_resource(body)
    if type is not None and resource.type != type:
        raise MalformedInputError(
            "structure", "the body is of another type than the URL", where="resourceType"
        )
    validate(resource)
    if resource.type == "Bundle":
        return resource, _label_whole(resource.tree)
    return resource, label(resource.tree, resource.raw)


def _label_whole(tree: Tree) -> int:
    mask = label(tree)
    if tree.get("resourceType") != "Bundle":
        return mask
    for entry in tree.get("entry", ()):
        inner = entry.get("resource")
        if isinstance(inner, dict):
            mask |= _label_whole(inner)
    return mask
