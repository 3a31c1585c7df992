"""Write a resource as FHIR XML."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from hilum.errors import MalformedInputError
from hilum.record.types import is_resource_type
from hilum.record.xhtml import whole_div
from hilum.record.xml_layout import FHIR, Form, Slot, layout_of

__all__ = ["to_xml"]

_READ = msgspec.json.Decoder(dict[str, Any], float_hook=str)
_ESCAPES = str.maketrans(
    {
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        '"': "&quot;",
        "\t": "&#9;",
        "\n": "&#10;",
        "\r": "&#13;",
    }
)
_TO_ESCAPE = re.compile('[&<>"\t\n\r]')
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PLAIN_NAME = re.compile(r"_?[A-Za-z][A-Za-z0-9]{0,63}")


def to_xml(body: bytes) -> bytes:
    """Return the resource as FHIR XML, in UTF-8.

    What XML cannot carry (a member that R4 does not define, a narrative that is not well-formed) is
    left out, and a comment says so in its place.

    Args:
        body: JSON of one resource whose structure is sound, as the record keeps it.

    Raises:
        MalformedInputError: not a resource in JSON, a member of the wrong shape, or a character
            that XML forbids.
    """
    try:
        tree = _READ.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise MalformedInputError("bad-json", "not a resource in JSON") from None
    writer = _Writer()
    writer.resource(tree, "", f' xmlns="{FHIR}"')
    return ('<?xml version="1.0" encoding="UTF-8"?>' + "".join(writer.parts)).encode()


class _Writer:
    """Collects the text of one document, piece by piece."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def resource(self, node: object, place: str, declared: str = "") -> None:
        """Write one resource as an element of its type's name.

        Raises:
            MalformedInputError: not a resource, or a member of the wrong shape.
        """
        name = node.get("resourceType") if isinstance(node, dict) else None
        if not isinstance(node, dict) or not isinstance(name, str) or not is_resource_type(name):
            why = "must be a resource of a FHIR R4 type"
            raise MalformedInputError("structure", why, where=place or "resourceType")
        self._element(name, node, name, place=place or name, declared=declared)

    def _element(
        self, tag: str, node: object, kind: str, *, place: str, declared: str = "", value: str = ""
    ) -> None:
        if not isinstance(node, dict):
            raise MalformedInputError("structure", "must be an object", where=place)
        slots, unknown = _slots(node, kind)
        attributes = declared
        while slots and slots[0].form is Form.ATTRIBUTE:
            slot = slots.pop(0)
            attributes += f' {slot.key}="{_text(node.get(slot.key), f"{place}.{slot.step}")}"'
        self.parts.append(f"<{tag}{attributes}{value}")
        if not slots and not unknown:
            self.parts.append("/>")
            return
        self.parts.append(">")
        for slot in slots:
            self._member(slot, node, f"{place}.{slot.step}")
        for key in unknown:
            self._left_out(f"{place}.{key}" if _PLAIN_NAME.fullmatch(key) else place)
        self.parts.append(f"</{tag}>")

    def _left_out(self, place: str) -> None:
        self.parts.append(f"<!-- left out, for XML cannot carry it: {place} -->")

    def _member(self, slot: Slot, node: dict[str, Any], place: str) -> None:
        value = node.get(slot.key)
        if slot.form is Form.PRIMITIVE:
            self._primitives(slot, value, node.get("_" + slot.key), place)
        elif slot.form is Form.XHTML:
            self._narrative(value, place)
        elif not slot.is_list:
            self._whole(slot, value, place)
        else:
            for index, item in enumerate(_listed(value, place)):
                self._whole(slot, item, f"{place}[{index}]")

    def _whole(self, slot: Slot, value: object, place: str) -> None:
        if slot.form is Form.OBJECT:
            self._element(slot.key, value, slot.type, place=place)
            return
        self.parts.append(f"<{slot.key}>")
        self.resource(value, place)
        self.parts.append(f"</{slot.key}>")

    def _primitives(self, slot: Slot, value: object, sibling: object, place: str) -> None:
        if not slot.is_list:
            self._primitive(slot.key, value, sibling, place)
            return
        values = [] if value is None else list(_listed(value, place))
        siblings = [] if sibling is None else list(_listed(sibling, place))
        for index in range(max(len(values), len(siblings))):
            one = values[index] if index < len(values) else None
            other = siblings[index] if index < len(siblings) else None
            self._primitive(slot.key, one, other, f"{place}[{index}]")

    def _primitive(self, tag: str, value: object, sibling: object, place: str) -> None:
        attribute = "" if value is None else f' value="{_text(value, place)}"'
        if sibling is None:
            self.parts.append(f"<{tag}{attribute}/>")
        else:
            self._element(tag, sibling, "Element", place=place, value=attribute)

    def _narrative(self, value: object, place: str) -> None:
        whole = whole_div(value) if isinstance(value, str) else None
        if whole is None:
            self._left_out(place)
        else:
            self.parts.append(whole)


def _slots(node: dict[str, Any], kind: str) -> tuple[list[Slot], list[str]]:
    """Return the slots that the members fill, in the order of XML, and the members without one."""
    layout = layout_of(kind)
    found: dict[int, Slot] = {}
    unknown: list[str] = []
    for key in node:
        slot = layout.get(key)
        if slot is None and key.startswith("_"):
            slot = layout.get(key[1:])
            if slot is not None and slot.form is not Form.PRIMITIVE:
                slot = None
        if slot is not None:
            found[slot.order] = slot
        elif key != "resourceType":
            unknown.append(key)
    # attributes come before elements in a tag; `id` is the first element of every structure anyway
    order = sorted(found, key=lambda at: (found[at].form is not Form.ATTRIBUTE, at))
    return [found[at] for at in order], unknown


def _listed(value: object, place: str) -> Iterable[object]:
    if not isinstance(value, list):
        raise MalformedInputError("structure", "must be an array", where=place)
    return value


def _text(value: object, place: str) -> str:
    """Return the text of a primitive as the inside of an attribute.

    Raises:
        MalformedInputError: not a primitive, or with a character that XML forbids.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        raise MalformedInputError("structure", "must be a value", where=place)
    if _NOT_XML.search(value):
        raise MalformedInputError(
            "not-in-xml", "holds a character that XML forbids", where=place, hint="ask for JSON"
        )
    return value.translate(_ESCAPES) if _TO_ESCAPE.search(value) else value
