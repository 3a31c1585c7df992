"""FHIRPath Patch: operations of a Parameters resource on the places that FHIRPath finds.

Source: HL7 FHIR R4, fhirpatch.html.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hilum.errors import MalformedInputError
from hilum.record.exact import encode_exact
from hilum.record.fhirpath import compile_fhirpath
from hilum.record.json_patch import MAX_OPERATIONS, decode_object, refuse_new_identity
from hilum.record.patch_values import value_for
from hilum.record.places import Place, Spot

__all__ = ["apply_fhirpath_patch"]

_NEEDS = {
    "add": ("path", "name", "value"),
    "insert": ("path", "index", "value"),
    "delete": ("path",),
    "replace": ("path", "value"),
    "move": ("path", "source", "destination"),
}


@dataclass(frozen=True, slots=True)
class _Operation:
    """One operation: its kind, its parts by their name, and where it stands."""

    kind: str
    parts: dict[str, dict[str, Any]]
    place: str

    def text(self, name: str) -> str:
        """Return a part that is a text.

        Raises:
            MalformedInputError: it is something else.
        """
        part = self.parts[name]
        for key in ("valueString", "valueCode", "valueUri"):
            if isinstance(part.get(key), str):
                return str(part[key])
        raise self.wrong(f"its {name} must be a string")

    def number(self, name: str) -> int:
        """Return a part that is a place in a list, from 0.

        Raises:
            MalformedInputError: it is something else.
        """
        for key in ("valueInteger", "valueUnsignedInt", "valuePositiveInt"):
            number = self.parts[name].get(key)
            if isinstance(number, int) and not isinstance(number, bool) and number >= 0:
                return number
        raise self.wrong(f"its {name} must be an integer from 0")

    def wrong(self, why: str) -> MalformedInputError:
        """Return the error of an operation that is not one."""
        return MalformedInputError("bad-patch", why, where=self.place)

    def failed(self, why: str) -> MalformedInputError:
        """Return the error of an operation that cannot be done to this resource."""
        return MalformedInputError("patch-failed", why, where=self.place)


def apply_fhirpath_patch(body: bytes, parameters: bytes) -> bytes:
    """Return the body after all operations of the patch, or raise and leave nothing half done.

    Args:
        body: JSON of the resource as it is.
        parameters: a Parameters resource in JSON, one ``operation`` parameter for each step.

    Returns:
        JSON in which untouched numbers stand as they stood. It is not yet validated.

    Raises:
        MalformedInputError: ``bad-patch``, not a patch, or a path that is not FHIRPath;
            ``patch-failed``, a place that is not there, is not the only one or cannot take the
            value; ``patch-identity``, it would change what names the resource. The place is the
            operation's, as in ``Parameters.parameter[2]``.
    """
    before = decode_object(body)
    tree = decode_object(body)
    for operation in _read(parameters):
        _ACTS[operation.kind](tree, operation)
    refuse_new_identity(before, tree)
    return encode_exact(tree)


def _read(parameters: bytes) -> list[_Operation]:
    patch = decode_object(parameters, "patch")
    if patch.get("resourceType") != "Parameters":
        raise MalformedInputError("bad-patch", "must be Parameters", where="resourceType")
    listed = patch.get("parameter", [])
    if not isinstance(listed, list) or len(listed) > MAX_OPERATIONS:
        why = f"must be an array of at most {MAX_OPERATIONS} operations"
        raise MalformedInputError("bad-patch", why, where="Parameters.parameter")
    return [_operation(one, f"Parameters.parameter[{at}]") for at, one in enumerate(listed)]


def _operation(parameter: object, place: str) -> _Operation:
    if not isinstance(parameter, dict) or parameter.get("name") != "operation":
        raise MalformedInputError("bad-patch", "must be named operation", where=place)
    parts = {}
    for part in parameter.get("part") or ():
        if not isinstance(part, dict) or not isinstance(part.get("name"), str):
            raise MalformedInputError("bad-patch", "has a part without a name", where=place)
        if part["name"] in parts:
            raise MalformedInputError("bad-patch", "has a part twice", where=place)
        parts[part["name"]] = part
    if "type" not in parts:
        raise MalformedInputError("bad-patch", "does not say its type", where=place)
    operation = _Operation("", parts, place)
    kind = operation.text("type")
    if kind not in _NEEDS:
        raise operation.wrong("must be add, insert, delete, replace or move")
    for name in _NEEDS[kind]:
        if name not in parts:
            raise operation.wrong(f"has no {name}")
    return _Operation(kind, parts, place)


def _places(tree: dict[str, Any], operation: _Operation) -> list[Place]:
    """Return the places that the path of an operation finds in the resource, each once.

    Raises:
        MalformedInputError: the path is not FHIRPath, or finds what has no place.
    """
    try:
        expression = compile_fhirpath(operation.text("path"))
        items = expression.evaluate(tree, type=str(tree.get("resourceType")))
    except MalformedInputError as error:
        where = f"{operation.place}.path"
        raise MalformedInputError("bad-patch", error.why, where=where, hint=error.where) from None
    found: dict[Place, None] = {}
    for item in items:
        if not item.place and item.value is not tree:
            raise operation.failed("its path finds a value that is made, not a place")
        found[item.place] = None
    return list(found)


def _one(tree: dict[str, Any], operation: _Operation) -> Spot:
    places = _places(tree, operation)
    if len(places) != 1:
        count = "nothing" if not places else "more than one element"
        raise operation.failed(f"its path finds {count}")
    return Spot.at(tree, places[0])


def _list(tree: dict[str, Any], operation: _Operation) -> Spot:
    """Return the place of the first item of a list that the path finds as a whole."""
    places = _places(tree, operation)
    if not places:
        raise operation.failed("its path finds nothing")
    spots = [Spot.at(tree, place) for place in places]
    first = spots[0]
    if first.index is None or any(place[:-1] != places[0][:-1] for place in places):
        raise operation.failed("its path must find one list")
    if len(places) != first.length():
        raise operation.failed("its path must find a whole list")
    return first


def _add(tree: dict[str, Any], operation: _Operation) -> None:
    spot = _one(tree, operation)
    name = operation.text("name")
    member = spot.member(name)
    if not member:
        raise operation.failed("its name is no element there")
    slot, value, sibling = value_for(member, operation.parts["value"], operation.place)
    node = spot.inside()
    if slot.is_list:
        Spot(node, slot, None).append(value, sibling)
        return
    if any(key in node or "_" + key in node for key in (other.key for other in member)):
        raise operation.failed("the element is there already and is not a list")
    Spot(node, slot, None).put(value, sibling)


def _insert(tree: dict[str, Any], operation: _Operation) -> None:
    spot = _list(tree, operation)
    index = operation.number("index")
    if index > spot.length():
        raise operation.failed("its index is beyond the end of the list")
    _, value, sibling = value_for(spot.forms(), operation.parts["value"], operation.place)
    spot.insert(index, value, sibling)


def _delete(tree: dict[str, Any], operation: _Operation) -> None:
    places = _places(tree, operation)
    if not places:
        return
    if len(places) > 1:
        raise operation.failed("its path finds more than one element")
    if not places[0]:
        raise operation.failed("the resource itself cannot be deleted by a patch")
    *above, spot = Spot.way(tree, places[0])
    spot.remove()
    for owner in reversed(above[1:]):
        if not owner.drop_empty():
            break


def _replace(tree: dict[str, Any], operation: _Operation) -> None:
    spot = _one(tree, operation)
    if spot.slot is None:
        raise operation.failed("the resource itself cannot be replaced by a patch")
    slot, value, sibling = value_for(spot.forms(), operation.parts["value"], operation.place)
    if spot.index is not None:
        spot.set(value, sibling)
        return
    spot.remove()
    Spot(spot.node, slot, None).put(value, sibling)


def _move(tree: dict[str, Any], operation: _Operation) -> None:
    spot = _list(tree, operation)
    source, destination = operation.number("source"), operation.number("destination")
    if max(source, destination) >= spot.length():
        raise operation.failed("its source or destination is beyond the end of the list")
    spot.move(source, destination)


_ACTS = {
    "add": _add,
    "insert": _insert,
    "delete": _delete,
    "replace": _replace,
    "move": _move,
}
