"""A patch as what it does: from the bytes of a resource's current version to those of the next."""

from __future__ import annotations

from collections.abc import Callable

from hilum.record.patching import apply_fhirpath_patch, apply_json_patch

__all__ = ["fhirpath_patch", "json_patch"]


def json_patch(patch: bytes) -> Callable[[bytes], bytes]:
    """Return what a JSON Patch (RFC 6902) does."""
    return lambda current: apply_json_patch(current, patch)


def fhirpath_patch(parameters: bytes) -> Callable[[bytes], bytes]:
    """Return what a FHIRPath Patch does.

    Args:
        parameters: JSON of its Parameters resource.
    """
    return lambda current: apply_fhirpath_patch(current, parameters)
