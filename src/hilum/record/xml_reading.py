"""Read FHIR XML into the JSON form.

The parser is expat, fed with the whole document at once: it tells the byte where an element stands,
so that the narrative is cut out of the input and not written anew. Document types are refused when
they begin; nothing is ever expanded or fetched.
"""

from __future__ import annotations

import re
from typing import Any
from xml.parsers import expat  # document types are refused, so no entity is ever expanded

import msgspec

from hilum.errors import MalformedInputError
from hilum.record.resource import MAX_BYTES, MAX_DEPTH
from hilum.record.types import is_resource_type
from hilum.record.xhtml import XHTML, whole_div
from hilum.record.xml_layout import FHIR, Form, Slot, layout_of

__all__ = ["from_xml"]

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,15})")
_INTEGERS = frozenset({"integer", "positiveInt", "unsignedInt"})
_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}")
_SCHEMA = "http://www.w3.org/2001/XMLSchema-instance "
_ENCODE = msgspec.json.Encoder().encode


def from_xml(data: bytes, *, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the JSON form of one resource given as FHIR XML.

    What is read is what R4 defines: an element, an attribute or a text that it does not know is
    refused with its place. Elements may come in any order; whether values and cardinalities are
    right is for `hilum.record.validate` to say.

    Args:
        data: the document, in UTF-8.
        max_bytes: refuse more than this.

    Raises:
        MalformedInputError: too large, not well-formed, with a document type, nested more than 64
            levels, in another encoding, or not a resource as R4 writes it in XML.
    """
    if len(data) > max_bytes:
        raise MalformedInputError("too-large", f"more than {max_bytes} bytes")
    return _ENCODE(_Reader(data).read())


class _Frame:
    """An element that is open: what it is, and what has been read of it.

    Args:
        slot: the member of the owner that it fills, None for the document and for resources.
        kind: the structure inside, ``""`` for a place that holds one resource.
        step: how its place is written.
    """

    __slots__ = ("kind", "node", "siblings", "slot", "step", "value")

    def __init__(self, slot: Slot | None, kind: str, step: str) -> None:
        self.slot = slot
        self.kind = kind
        self.step = step
        self.node: dict[str, Any] = {}
        self.value: object = None
        self.siblings: dict[str, list[object]] | None = None

    def keep(self, slot: Slot, value: object, sibling: object) -> None:
        """Put a member that has been read into its place."""
        if not slot.is_list:
            if value is not None:
                self.node[slot.key] = value
            if sibling is not None:
                self.node["_" + slot.key] = sibling
            return
        self.node.setdefault(slot.key, []).append(value)
        if slot.form is Form.PRIMITIVE:
            if self.siblings is None:
                self.siblings = {}
            self.siblings.setdefault(slot.key, []).append(sibling)

    def close(self) -> None:
        """Write the ids and extensions of repeated values beside them, where there are any."""
        for key, others in (self.siblings or {}).items():
            if any(other is not None for other in others):
                self.node["_" + key] = others
            if all(value is None for value in self.node[key]):
                del self.node[key]


class _Reader:
    """One document, read once."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._frames = [_Frame(None, "", "")]
        self._div_depth = 0
        self._div_start = 0
        self._div_name = ""
        self._prefixes: dict[str, str] = {}
        parser = expat.ParserCreate("utf-8", " ")
        parser.buffer_text = True
        parser.namespace_prefixes = True
        parser.XmlDeclHandler = self._on_declaration
        parser.StartDoctypeDeclHandler = self._on_document_type
        parser.StartElementHandler = self._on_start
        parser.EndElementHandler = self._on_end
        parser.CharacterDataHandler = self._on_text
        self._parser = parser

    def read(self) -> dict[str, Any]:
        """Return the tree of the resource.

        Raises:
            MalformedInputError: not well-formed, or not what R4 writes.
        """
        try:
            self._parser.Parse(self._data, True)
        except expat.ExpatError as error:
            place = f"line {error.lineno}, column {error.offset + 1}"
            why = "not well-formed XML in UTF-8"
            raise MalformedInputError("bad-xml", why, where=place) from None
        return self._frames[0].node

    def _wrong(self, code: str, why: str, *steps: str) -> MalformedInputError:
        path = [frame.step for frame in self._frames if frame.step] + [s for s in steps if s]
        line = f"line {self._parser.CurrentLineNumber}"
        if not path:
            return MalformedInputError(code, why, where=line)
        return MalformedInputError(code, f"{why}, on {line}", where=".".join(path))

    def _on_declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.lower() not in {"utf-8", "utf8", "us-ascii"}:
            raise MalformedInputError(
                "bad-encoding", "not UTF-8", where="line 1", hint="send UTF-8 XML"
            )

    def _on_document_type(self, *_: object) -> None:
        raise self._wrong("document-type", "a document type is not taken")

    def _on_text(self, text: str) -> None:
        if not self._div_depth and text.strip(" \t\r\n"):
            raise self._wrong("structure", "holds text outside an attribute")

    def _on_start(self, name: str, attributes: dict[str, str]) -> None:
        if self._div_depth:
            self._div_depth += 1
        elif len(self._frames) > MAX_DEPTH:
            raise self._wrong("too-deep", f"nested more than {MAX_DEPTH} levels")
        else:
            self._open(name, attributes)
        if self._div_depth + len(self._frames) > 4 * MAX_DEPTH:
            raise self._wrong("too-deep", f"nested more than {4 * MAX_DEPTH} levels")

    def _open(self, name: str, attributes: dict[str, str]) -> None:
        space, _, rest = name.partition(" ")
        local, _, prefix = rest.partition(" ")
        owner = self._frames[-1]
        slot = layout_of(owner.kind).get(local) if owner.kind else None
        if slot is not None and slot.form is Form.XHTML and space == XHTML:
            self._begin_narrative(slot, prefix)
            return
        if space != FHIR:
            raise self._wrong(
                "structure", "holds an element outside the name space of FHIR", _plain(local)
            )
        if not owner.kind:
            self._open_resource(owner, local, attributes)
            return
        if slot is None or slot.form in {Form.ATTRIBUTE, Form.XHTML}:
            raise self._wrong(
                "unknown-element", "holds an element that R4 does not define", _plain(local)
            )
        self._open_member(owner, slot, attributes)

    def _open_resource(self, owner: _Frame, name: str, attributes: dict[str, str]) -> None:
        if owner.node:
            raise self._wrong("structure", "holds more than one resource")
        if not is_resource_type(name):
            raise self._wrong("unknown-type", "not a FHIR R4 resource type", _plain(name))
        frame = _Frame(None, name, "" if owner.slot else name)
        frame.node["resourceType"] = name
        owner.node = frame.node
        self._frames.append(frame)
        self._take_attributes(frame, attributes)

    def _open_member(self, owner: _Frame, slot: Slot, attributes: dict[str, str]) -> None:
        step = slot.step
        if slot.is_list:
            step += f"[{len(owner.node.get(slot.key, ()))}]"
        elif slot.key in owner.node or "_" + slot.key in owner.node:
            raise self._wrong("structure", "stands more than once", step)
        kinds = {Form.PRIMITIVE: "Element", Form.RESOURCE: ""}
        frame = _Frame(slot, kinds.get(slot.form, slot.type), step)
        self._frames.append(frame)
        self._take_attributes(frame, attributes)

    def _take_attributes(self, frame: _Frame, attributes: dict[str, str]) -> None:
        for name, text in attributes.items():
            slot = layout_of(frame.kind).get(name) if frame.kind else None
            if slot is not None and slot.form is Form.ATTRIBUTE:
                frame.node[name] = text
            elif name == "value" and frame.slot and frame.slot.form is Form.PRIMITIVE:
                frame.value = self._value(frame.slot.type, text)
            elif not name.startswith(_SCHEMA) and name != "xmlns":
                raise self._wrong(
                    "unknown-element", "holds an attribute that R4 does not define", _plain(name)
                )

    def _value(self, kind: str, text: str) -> object:
        if kind == "decimal" and _NUMBER.fullmatch(text):
            return msgspec.Raw(text.encode())
        if kind in _INTEGERS and _INTEGER.fullmatch(text):
            return int(text)
        if kind == "boolean" and text in {"true", "false"}:
            return text == "true"
        if kind in {"decimal", "boolean"} or kind in _INTEGERS:
            raise self._wrong("value", f"must be a {kind}")
        return text

    def _on_end(self, _name: str) -> None:
        if self._div_depth:
            self._div_depth -= 1
            if not self._div_depth:
                self._end_narrative()
            return
        frame = self._frames[-1]
        frame.close()
        if frame.slot is not None and not frame.node and frame.value is None:
            raise self._wrong("structure", "an element must not be empty")
        self._frames.pop()
        if frame.slot is None:
            return
        if frame.slot.form is Form.PRIMITIVE:
            self._frames[-1].keep(frame.slot, frame.value, frame.node or None)
        else:
            self._frames[-1].keep(frame.slot, frame.node, None)

    def _begin_narrative(self, slot: Slot, prefix: str) -> None:
        if slot.key in self._frames[-1].node:
            raise self._wrong("structure", "stands more than once", slot.step)
        self._div_depth = 1
        self._div_start = self._parser.CurrentByteIndex
        self._div_name = prefix

    def _end_narrative(self) -> None:
        end = self._parser.CurrentByteIndex
        if self._data.startswith(b"</", end):  # a tag of its own, not the end of `<div/>`
            end = self._data.index(b">", end) + 1
        text = self._data[self._div_start : end].decode().replace("\r\n", "\n").replace("\r", "\n")
        if self._div_name:
            text = re.sub(rf"<(/?){re.escape(self._div_name)}:", r"<\1", text)
        whole = whole_div(text)
        if whole is None:
            why = "the narrative must declare the name spaces that it uses"
            raise self._wrong("structure", why, "div")
        self._frames[-1].node["div"] = whole


def _plain(name: str) -> str:
    return name if _PLAIN_NAME.fullmatch(name) else ""
