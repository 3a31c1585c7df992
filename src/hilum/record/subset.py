"""Subsets of a resource (``_summary``, ``_elements``), cut from its bytes: what stays keeps every byte.

Source: HL7 FHIR R4, search "summary" and "elements"; a subset carries the tag SUBSETTED.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Collection
from functools import cache
from importlib.resources import files

import msgspec

from hilum.record.tables import tables

__all__ = ["cut_data", "cut_elements", "cut_summary", "cut_text"]

SUBSETTED = msgspec.Raw(
    b'{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}'
)
_ALWAYS = frozenset({"resourceType", "id", "meta"})
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_ENCODE = msgspec.json.Encoder().encode


class _Stored(msgspec.Struct, frozen=True):
    v: int
    summaries: dict[str, list[str]]
    modifiers: dict[str, list[str]]


@cache
def _marks() -> _Stored:
    packed = files("hilum.record").joinpath("definitions/summaries.json.gz").read_bytes()
    return msgspec.json.decode(gzip.decompress(packed), type=_Stored)


def cut_elements(body: bytes, wanted: Collection[str]) -> bytes:
    """Return the resource with the wanted top-level elements, and those that are mandatory or modify it.

    Args:
        body: JSON of a resource.
        wanted: element names; a choice by its stem (``value``) or by a form of it (``valueQuantity``).
    """
    return _cut(body, lambda name: frozenset(wanted) | _bound_names(name))


def cut_text(body: bytes) -> bytes:
    """Return narrative, id, meta and mandatory elements (``_summary=text``)."""
    return _cut(body, lambda name: frozenset({"text"}) | _bound_names(name))


def cut_data(body: bytes) -> bytes:
    """Return everything but the narrative (``_summary=data``)."""
    members = _MEMBERS.decode(body)
    return _tagged({name: value for name, value in members.items() if name != "text"})


def cut_summary(body: bytes) -> bytes:
    """Return the elements that R4 marks as summary, inside nested elements as well."""
    members = _MEMBERS.decode(body)
    return _tagged(_summary_of(members, msgspec.json.decode(members["resourceType"], type=str)))


def _cut(body: bytes, names_for: Callable[[str], frozenset[str]]) -> bytes:
    members = _MEMBERS.decode(body)
    kind = msgspec.json.decode(members["resourceType"], type=str)
    names = names_for(kind)
    stems = _stems(kind)
    return _tagged({
        name: value
        for name, value in members.items()
        if name in _ALWAYS
        or name.removeprefix("_") in names
        or stems.get(name.removeprefix("_"), "") in names
    })  # fmt: skip


def _summary_of(members: dict[str, msgspec.Raw], path: str) -> dict[str, msgspec.Raw]:
    wanted = frozenset(leaf.removesuffix("[x]") for leaf in _marks().summaries.get(path, ()))
    if not wanted - {"modifierExtension"}:
        return members  # a nested element that R4 marks as a whole
    stems = _stems(path)
    found: dict[str, msgspec.Raw] = {}
    for name, value in members.items():
        plain = name.removeprefix("_")
        stem = stems.get(plain, plain)
        if name in _ALWAYS or plain in wanted or stem in wanted:
            nested = f"{path}.{plain}"
            found[name] = _nested(value, nested) if nested in _marks().summaries else value
    return found


def _nested(value: msgspec.Raw, path: str) -> msgspec.Raw:
    first = bytes(value[:1])
    if first == b"[":
        return msgspec.Raw(_ENCODE([_nested(each, path) for each in _LIST.decode(value)]))
    if first == b"{":
        return msgspec.Raw(_ENCODE(_summary_of(_MEMBERS.decode(value), path)))
    return value


@cache
def _stems(path: str) -> dict[str, str]:
    """Return ``valueQuantity`` → ``value`` for the choices of a structure."""
    if path not in tables().names():
        return {}
    return {
        form: element.name
        for element in tables().structure(path)
        if element.is_choice
        for form, _kind in element.options()
    }


@cache
def _bound_names(kind: str) -> frozenset[str]:
    """Return the top-level elements that no subset leaves out: mandatory ones and modifiers."""
    if kind not in tables().names():
        return frozenset()
    least = {element.name for element in tables().structure(kind) if element.least}
    return frozenset(least) | {
        leaf.removesuffix("[x]") for leaf in _marks().modifiers.get(kind, ())
    }


def _tagged(members: dict[str, msgspec.Raw]) -> bytes:
    meta = _MEMBERS.decode(members["meta"]) if "meta" in members else {}
    tags = _LIST.decode(meta["tag"]) if "tag" in meta else []
    meta["tag"] = msgspec.Raw(_ENCODE([*tags, SUBSETTED]))
    head = {name: members[name] for name in ("resourceType", "id") if name in members}
    return _ENCODE(head | {"meta": msgspec.Raw(_ENCODE(meta))} | {
        name: value for name, value in members.items() if name not in _ALWAYS
    })  # fmt: skip
