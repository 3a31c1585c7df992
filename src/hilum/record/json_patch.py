"""JSON Patch (RFC 6902) on the bytes of a resource.

The library follows the pointers and moves the values; ours are the limits, the comparison of
``test`` (JSON has no number that equals ``true``) and the members that no patch may change.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import jsonpatch
import msgspec
from jsonpointer import JsonPointer, JsonPointerException

from hilum.errors import MalformedInputError
from hilum.record.exact import decode_exact, encode_exact
from hilum.record.resource import MAX_BYTES

__all__ = ["MAX_OPERATIONS", "apply_json_patch", "decode_object", "refuse_new_identity"]

MAX_OPERATIONS = 1000
"""Most operations in one patch."""
MAX_POINTER = 1024
"""Longest path, in characters."""

_OPERATIONS = frozenset({"add", "remove", "replace", "move", "copy", "test"})
_NOTHING = object()


def apply_json_patch(body: bytes, patch: bytes) -> bytes:
    """Return the body after all operations of the patch, or raise and leave nothing half done.

    Args:
        body: JSON of the resource as it is.
        patch: a JSON array of operations.

    Returns:
        JSON in which untouched numbers stand as they stood. It is not yet validated.

    Raises:
        MalformedInputError: ``bad-patch``, not a patch; ``patch-failed``, a place that is not there
            or a test that does not hold; ``patch-identity``, it would change what names the
            resource. The place is the operation's, as in ``patch[2]``.
    """
    operations = _read_patch(patch)
    before = decode_object(body)
    tree: object = decode_object(body)
    room = MAX_BYTES
    for index, operation in enumerate(operations):
        place = f"patch[{index}]"
        _check_form(operation, place)
        try:
            if operation["op"] == "copy":
                room -= len(encode_exact(JsonPointer(operation["from"]).resolve(tree)))
            if room < 0:
                raise MalformedInputError("too-large", "copies too much", where=place)
            tree = _step(tree, operation, place)
        except (JsonPointerException, jsonpatch.JsonPatchException, TypeError, KeyError):
            why = "a place it names is not there, or cannot take it"
            raise MalformedInputError("patch-failed", why, where=place) from None
        except RecursionError:
            raise MalformedInputError("too-deep", "nests too deep", where=place) from None
    refuse_new_identity(before, tree)
    return encode_exact(tree)


def decode_object(body: bytes, where: str = "") -> dict[str, Any]:
    """Return the members of a JSON object with its numbers as written.

    Raises:
        MalformedInputError: not a JSON object.
    """
    tree = _decode(body, where)
    if not isinstance(tree, dict):
        raise MalformedInputError("bad-json", "not a JSON object", where=where)
    return tree


def refuse_new_identity(before: dict[str, Any], after: object) -> None:
    """Check that a patch left alone what names the resource and its version.

    Args:
        before: the resource as it was.
        after: what the patch made of it.

    Raises:
        MalformedInputError: the type, the id, the version or the time of the version changed.
    """
    if not isinstance(after, dict):
        raise MalformedInputError("patch-failed", "must leave a resource")
    kind = str(before.get("resourceType", ""))
    for name in ("resourceType", "id"):
        if before.get(name) != after.get(name):
            raise MalformedInputError(
                "patch-identity", "a patch may not change it", where=f"{kind}.{name}"
            )
    metas = [tree.get("meta") for tree in (before, after)]
    old, new = (meta if isinstance(meta, dict) else {} for meta in metas)
    for name in ("versionId", "lastUpdated"):
        if name in new and old.get(name) != new[name]:
            raise MalformedInputError(
                "patch-identity", "a patch may not change it", where=f"{kind}.meta.{name}"
            )


def _decode(data: bytes, where: str) -> object:
    try:
        return decode_exact(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, ArithmeticError, RecursionError):
        raise MalformedInputError("bad-json", "not JSON", where=where) from None


def _read_patch(patch: bytes) -> list[Any]:
    if len(patch) > MAX_BYTES:
        raise MalformedInputError("too-large", f"more than {MAX_BYTES} bytes", where="patch")
    operations = _decode(patch, "patch")
    if not isinstance(operations, list):
        raise MalformedInputError("bad-patch", "must be an array of operations", where="patch")
    if len(operations) > MAX_OPERATIONS:
        why = f"more than {MAX_OPERATIONS} operations"
        raise MalformedInputError("bad-patch", why, where="patch")
    return operations


def _check_form(operation: object, place: str) -> None:
    if not isinstance(operation, dict) or str(operation.get("op")) not in _OPERATIONS:
        raise MalformedInputError("bad-patch", "must be one of the six operations", where=place)
    kind = operation["op"]
    pointers = ("path", "from") if kind in {"move", "copy"} else ("path",)
    for name in pointers:
        text = operation.get(name)
        if not isinstance(text, str) or (text and not text.startswith("/")):
            raise MalformedInputError("bad-patch", f"{name} must be a JSON pointer", where=place)
        if len(text) > MAX_POINTER:
            raise MalformedInputError("bad-patch", f"{name} is too long", where=place)
    if kind in {"add", "replace", "test"} and "value" not in operation:
        raise MalformedInputError("bad-patch", "must have a value", where=place)


def _step(tree: object, operation: dict[str, Any], place: str) -> object:
    if operation["op"] != "test":
        after: object = jsonpatch.JsonPatch([operation]).apply(tree, in_place=True)
        return after
    found = JsonPointer(operation["path"]).resolve(tree, _NOTHING)
    if not _is_same(found, operation["value"]):
        raise MalformedInputError("patch-failed", "the test does not hold", where=place)
    return tree


def _is_same(one: object, other: object) -> bool:
    """Tell whether two JSON values are equal as RFC 6902 has it: numbers by value, never `true` = 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_same(v, other[k]) for k, v in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    return _kind(one) == _kind(other) and one == other


def _kind(value: object) -> str:
    is_number = isinstance(value, (int, Decimal)) and not isinstance(value, bool)
    return "number" if is_number else type(value).__name__
