"""The value that a FHIRPath Patch brings, in the form of the element that takes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hilum.errors import MalformedInputError
from hilum.record.primitives import PRIMITIVES
from hilum.record.xml_layout import Form, Slot, layout_of

__all__ = ["Value", "value_for"]

Value = tuple[Slot, object, object]
"""The form of the element that was chosen, its value, and the id and extensions of a primitive."""

_UNFIT = "its value is of a type that the element cannot take"
_QUANTITIES = frozenset({"Age", "Count", "Distance", "Duration", "Quantity"})


def value_for(options: Sequence[Slot], part: dict[str, Any], place: str) -> Value:
    """Return the value of a part as one of the forms that an element can take.

    Args:
        options: the forms of the element; several for a choice of types.
        part: a part of a Parameters resource: with a ``value[x]``, with a ``resource``, or with
            parts of its own for an element whose type has no name.
        place: where the operation stands, for errors.

    Raises:
        MalformedInputError: no value, more than one, or one of a type that the element cannot take.
    """
    nested = part.get("part")
    if nested:
        return _from_parts(options, nested, place)
    if "resource" in part:
        slot = next((slot for slot in options if slot.form is Form.RESOURCE), None)
        if slot is None or not isinstance(part["resource"], dict):
            raise MalformedInputError("patch-failed", _UNFIT, where=place)
        return slot, part["resource"], None
    known = layout_of("#Parameters.parameter")
    keys = {key.removeprefix("_") for key in part if key.removeprefix("_").startswith("value")}
    if len(keys) != 1 or not keys <= known.keys():
        raise MalformedInputError("bad-patch", "must have one value of a FHIR type", where=place)
    key = keys.pop()
    slot = _taker(options, known[key].type)
    if slot is None:
        raise MalformedInputError("patch-failed", _UNFIT, where=place)
    is_primitive = slot.form in {Form.PRIMITIVE, Form.ATTRIBUTE}
    return slot, part.get(key), part.get("_" + key) if is_primitive else None


def _taker(options: Sequence[Slot], kind: str) -> Slot | None:
    """Return the form of the element that takes a value of a type."""
    for slot in options:
        if slot.type == kind:
            return slot
    if len(options) > 1:
        return None
    wanted = options[0].type
    both = (PRIMITIVES.get(wanted), PRIMITIVES.get(kind))
    if both[0] and both[1]:
        is_same = both[0].json == both[1].json
        return options[0] if is_same or (wanted, both[1].json) == ("decimal", "integer") else None
    return options[0] if {wanted, kind} <= _QUANTITIES else None


def _from_parts(options: Sequence[Slot], parts: object, place: str) -> Value:
    slot = next((slot for slot in options if slot.form is Form.OBJECT), None)
    if slot is None or not isinstance(parts, list):
        raise MalformedInputError("patch-failed", _UNFIT, where=place)
    layout = layout_of(slot.type)
    node: dict[str, Any] = {}
    for part in parts:
        name = part.get("name") if isinstance(part, dict) else None
        below = [other for other in layout.values() if name in {other.name, other.key}]
        if not below:
            why = "has a part that is no element of its value"
            raise MalformedInputError("patch-failed", why, where=place)
        taken, value, sibling = value_for(below, part, place)
        if taken.is_list:
            node.setdefault(taken.key, []).append(value)
        elif taken.key in node:
            raise MalformedInputError("bad-patch", "has a part twice", where=place)
        else:
            node[taken.key] = value
            if sibling is not None:
                node["_" + taken.key] = sibling
    return slot, node, None
