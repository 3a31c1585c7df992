"""A resource as it came: its bytes, and the tree read from them.

The bytes are what is stored; the tree is only looked at. Decimals keep their written digits.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from hilum.base.ids import UnixMs, is_fhir_id
from hilum.errors import MalformedInputError
from hilum.record.types import is_resource_type

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "Resource",
    "Tree",
    "format_instant",
    "parse_json",
    "parse_resource",
    "stamp",
]

MAX_BYTES = 16 * 1024 * 1024
"""Largest body taken, in bytes, unless the caller says otherwise."""
MAX_DEPTH = 64
"""Deepest nesting of objects and arrays."""

Tree = dict[str, Any]
"""A decoded JSON object; FHIR is too wide for static types, so leaves are `Any`."""

_TOO_DEEP = f"nested more than {MAX_DEPTH} levels"
_TREE = msgspec.json.Decoder(float_hook=Decimal)
_TOP = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_ENCODE = msgspec.json.Encoder(decimal_format="number").encode


class Resource(msgspec.Struct, frozen=True):
    """One parsed resource.

    Attributes:
        type: the resource type, known to R4.
        id: the id in the body or None.
        raw: the bytes as they came.
        tree: the decoded body; never changed.
    """

    type: str
    id: str | None
    raw: bytes
    tree: Tree


def parse_resource(data: bytes, *, max_bytes: int = MAX_BYTES) -> Resource:
    """Read the bytes of one resource.

    Args:
        data: UTF-8 JSON.
        max_bytes: refuse more than this.

    Returns:
        The resource; structure inside is not yet validated (see `hilum.record.validate`).

    Raises:
        MalformedInputError: not UTF-8, not JSON, too large, too deep, a key twice in one object, no
            known ``resourceType``, or an ``id`` that is not one.
    """
    tree = parse_json(data, max_bytes=max_bytes)
    name = tree.get("resourceType")
    if not isinstance(name, str):
        raise MalformedInputError(
            "no-type", "the resource does not say its type", where="resourceType"
        )
    if not is_resource_type(name):
        raise MalformedInputError(
            "unknown-type", "not a FHIR R4 resource type", where="resourceType"
        )
    own_id = tree.get("id")
    if own_id is not None and not (isinstance(own_id, str) and is_fhir_id(own_id)):
        raise MalformedInputError(
            "bad-id",
            "not a FHIR id",
            where=f"{name}.id",
            hint="1 to 64 letters, digits, '-' or '.'",
        )
    return Resource(name, own_id, data, tree)


def parse_json(data: bytes, *, max_bytes: int = MAX_BYTES) -> Tree:
    """Read the bytes of one JSON object, keeping the digits of decimals.

    Raises:
        MalformedInputError: not UTF-8, not JSON, not an object, too large, too deep, or a key twice
            in
            one object.
    """
    if len(data) > max_bytes:
        raise MalformedInputError("too-large", f"more than {max_bytes} bytes")
    try:
        tree = _TREE.decode(data)
    except UnicodeDecodeError as error:
        raise MalformedInputError(
            "bad-encoding", "not UTF-8", where=f"byte {error.start}", hint="send UTF-8 JSON"
        ) from None
    except RecursionError:
        raise MalformedInputError("too-deep", _TOO_DEEP) from None
    except (msgspec.DecodeError, ArithmeticError, ValueError) as error:
        place = re.search(r"byte \d+", str(error))
        raise MalformedInputError(
            "bad-json", "not JSON", where=place[0] if place else "end of input"
        ) from None
    if not isinstance(tree, dict):
        raise MalformedInputError("bad-json", "not a JSON object", where="byte 0")
    if data.count(b"{") + data.count(b"[") > MAX_DEPTH:
        _refuse_depth(tree)
    _refuse_twins(data, tree)
    return tree


def _refuse_depth(tree: Tree) -> None:
    level: list[Any] = [tree]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for node in level:
            children = node.values() if isinstance(node, dict) else node
            below += [child for child in children if isinstance(child, (dict, list))]
        if not below:
            return
        level = below
    raise MalformedInputError("too-deep", _TOO_DEEP)


def _refuse_twins(data: bytes, tree: Tree) -> None:
    # A key that stands twice in one object is read differently by different readers. Re-encoding
    # drops one of the twins, and with it at least two quotation marks; only `\u0022` could hide
    # that.
    again = _ENCODE(tree)
    if again == data or (b"\\u" not in data and again.count(b'"') == data.count(b'"')):
        return
    json.loads(data, object_pairs_hook=_refuse_twin, parse_float=str, parse_int=str)


def _refuse_twin(items: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in items]
    if len(set(names)) != len(names):
        twin = next(name for name in names if names.count(name) > 1)
        safe = twin if re.fullmatch(r"_?[A-Za-z][A-Za-z0-9]{0,63}", twin) else ""
        raise MalformedInputError("twin-key", "a key stands twice in one object", where=safe)


def format_instant(at: int) -> str:
    """Return the FHIR instant of a clock value, in UTC with milliseconds."""
    seconds, millis = divmod(at, 1000)
    return f"{_format_second(seconds)}.{millis:03d}Z"


@lru_cache(maxsize=256)
def _format_second(at_s: int) -> str:
    text = datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    # strftime does not pad years below 1000 on every platform
    return text.rjust(19, "0")


def stamp(
    raw: bytes,
    *,
    id: str,
    version: int,
    updated: UnixMs,
    security: tuple[bytes, ...] = (),
) -> bytes:
    """Return the body with its id, version and time put in; every other value keeps its bytes.

    Args:
        raw: the bytes of a parsed resource.
        id: the id to carry.
        version: the version number, from 1.
        updated: when it is stored.
        security: JSON of Codings to add to ``meta.security``, each as compact bytes.

    Returns:
        JSON without insignificant white space; every value of the original is there byte for byte.
    """
    members = _TOP.decode(msgspec.json.format(raw, indent=-1))
    meta = _TOP.decode(members["meta"]) if "meta" in members else {}
    meta["versionId"] = msgspec.Raw(b'"%d"' % version)
    meta["lastUpdated"] = msgspec.Raw(b'"' + format_instant(updated).encode() + b'"')
    if security:
        have = _LIST.decode(meta["security"]) if "security" in meta else []
        known = {bytes(label) for label in have}
        have += [msgspec.Raw(label) for label in security if label not in known]
        meta["security"] = msgspec.Raw(_ENCODE(have))
    head = {
        "resourceType": members["resourceType"],
        "id": msgspec.Raw(b'"' + id.encode() + b'"'),
        "meta": msgspec.Raw(_ENCODE(meta)),
    }
    return _ENCODE(head | {k: v for k, v in members.items() if k not in head})
