"""Profiles, tags and security labels of one resource: added and taken away ($meta-add, $meta-delete).

A change of them is a change of the resource: it goes the way of every write, so it makes a version, is in
the history, leaves a receipt, and labels the resource anew. What the node itself labelled stays.

Source: HL7 FHIR R4, resource-operations.html "meta".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hilum.errors import ConflictError, MalformedInputError
from hilum.exchange import contributing
from hilum.exchange.preparing import Expected
from hilum.record.exact import encode_exact
from hilum.record.json_patch import decode_object

if TYPE_CHECKING:
    from hilum.exchange.auditing import Shown
    from hilum.exchange.node import Node
    from hilum.identity.session import Session

__all__ = ["META_LISTS", "change_meta", "meta_of"]

META_LISTS = ("profile", "security", "tag")
"""The members of a Meta that the operations change."""
_NODE_LABELS = frozenset({("http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "PATAST")})


def meta_of(body: bytes) -> dict[str, Any]:
    """Return the ``meta`` of a resource."""
    found = decode_object(body).get("meta", {})
    return found if isinstance(found, dict) else {}


def change_meta(
    node: Node, session: Session, row: Shown, change: dict[str, Any], *, adds: bool
) -> dict[str, Any]:
    """Add to, or take from, the profiles, tags and labels of a resource; return its new ``meta``.

    Nothing is written when nothing changes.

    Args:
        node: where.
        session: who asks.
        row: the resource as the session sees it.
        change: a Meta with what is added or taken away.
        adds: True to add.

    Raises:
        MalformedInputError: not a Meta, or the changed resource is not valid.
        AccessDeniedError: the session may not change it.
        ConflictError: it changed meanwhile, or a label of the node would go.
        UnavailableError: the disk refuses.
    """
    tree = decode_object(row.body)
    meta = tree.setdefault("meta", {})
    has_changed = False
    for name in META_LISTS:
        wanted = change.get(name, [])
        if not isinstance(wanted, list):
            raise MalformedInputError("structure", "must be an array", where=f"Meta.{name}")
        have = list(meta.get(name, []))
        after = _with(have, wanted) if adds else _without(have, wanted)
        has_changed = has_changed or after != have
        meta[name] = after
        if not after:
            del meta[name]
    if not has_changed:
        return meta_of(row.body)
    written = contributing.update(
        node, session, row.type, row.id, encode_exact(tree), expected=Expected(row.ver)
    )
    return meta_of(written.body)


def _key(value: object) -> tuple[str, str]:
    if isinstance(value, dict):
        return str(value.get("system", "")), str(value.get("code", ""))
    return "", str(value)


def _with(have: list[Any], wanted: list[Any]) -> list[Any]:
    known = {_key(value) for value in have}
    return have + [value for value in wanted if _key(value) not in known]


def _without(have: list[Any], wanted: list[Any]) -> list[Any]:
    gone = {_key(value) for value in wanted}
    if gone & _NODE_LABELS & {_key(value) for value in have}:
        raise ConflictError("node-label", "a label that the node gives cannot be taken away")
    return [value for value in have if _key(value) not in gone]
