"""$validate: a resource that is sent along, or one that is stored here and may be read by its asker.

Source: HL7 FHIR R4, resource-operation-validate.html.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from hilum.api.outcomes import ABSENT
from hilum.api.searching import deliver
from hilum.api.wire import Receive, Request, Response, read_body
from hilum.errors import MalformedInputError
from hilum.exchange.auditing import AUDIT_TYPE
from hilum.exchange.reading import look_up
from hilum.record.outcome import Issue, Severity, issue_of, outcome
from hilum.record.resource import Tree, parse_resource

if TYPE_CHECKING:
    from hilum.exchange.node import Node
    from hilum.identity.session import Session

__all__ = ["ValidateRoutes"]

_ENCODE = msgspec.json.Encoder(decimal_format="number").encode
_NAMES = ("resource", "mode", "profile")
_MODES = frozenset({"", "create", "update", "delete", "profile"})
_LARGE = 64 * 1024
"""Bodies of more bytes are validated in a thread, so that one does not hold the others up."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is to be validated, for what purpose, against which profiles.

    Attributes:
        tree: the resource; None when none was sent.
        size: bytes of the request body.
        mode: ``create``, ``update``, ``delete``, ``profile`` or ``""``.
        profiles: urls.
    """

    tree: Tree | None
    size: int
    mode: str
    profiles: tuple[str, ...]


class ValidateRoutes:
    """Answers ``$validate``.

    Args:
        node: whose record.
    """

    def __init__(self, node: Node) -> None:
        self._node = node

    async def validate(self, request: Request, receive: Receive, session: Session) -> Response:
        """Answer ``type/$validate`` and ``type/id/$validate`` with an OperationOutcome.

        A resource that is sent along is held against nothing that is stored: any valid token will do.
        One that is only named is read through the gate, with a receipt.

        Raises:
            MalformedInputError: the mode is none, or nothing was sent where something must be.
        """
        kind = request.path[0]
        own_id = request.path[1] if len(request.path) == 3 else None
        if kind == AUDIT_TYPE:
            raise MalformedInputError("not-supported", "AuditEvents are only read", where="url")
        try:
            asked = await _read(request, receive)
        except MalformedInputError as error:
            if error.code in _REFUSED:
                raise
            return Response(200, outcome([issue_of(error)]))
        if asked.tree is not None:
            return await _judged(kind, own_id, asked)
        if own_id is None:
            raise MalformedInputError("required", "a resource to validate is needed", where="body")
        return await self._stored(kind, own_id, asked, session)

    async def _stored(self, kind: str, own_id: str, asked: _Asked, session: Session) -> Response:
        answer = await deliver(self._node, look_up(self._node, session, kind, own_id))
        if not answer.rows:
            return ABSENT
        if asked.mode == "delete":
            why = "nothing in the resource forbids to delete it"
            return Response(200, outcome([Issue(Severity.INFORMATION, "informational", why)]))
        resource = parse_resource(answer.rows[0].body)
        stored = _Asked(resource.tree, len(resource.raw), asked.mode, asked.profiles)
        return await _judged(kind, own_id, stored)


_REFUSED = frozenset({"bad-argument", "bad-type", "bad-coding", "too-large", "cut-off"})
"""Errors of the request; every other one is about the resource and stands in the answer."""


async def _judged(kind: str, own_id: str | None, asked: _Asked) -> Response:
    from hilum.record.validation.whole import validate_whole  # noqa: PLC0415 - large, rarely asked

    tree = asked.tree or {}
    issues = []
    if tree.get("resourceType") != kind:
        issues.append(Issue(Severity.ERROR, "invalid", "is not of the type in the url"))
    if own_id is not None and asked.mode != "create" and tree.get("id") != own_id:
        issues.append(Issue(Severity.ERROR, "invalid", "is not of the id in the url"))
    if asked.size > _LARGE:
        issues += await asyncio.to_thread(validate_whole, tree, profiles=asked.profiles)
    else:
        issues += validate_whole(tree, profiles=asked.profiles)
    return Response(200, outcome(issues))


async def _read(request: Request, receive: Receive) -> _Asked:
    """Return what a request asks for: its URL and, when there is one, its body.

    Raises:
        MalformedInputError: with a code of `_REFUSED` when the request is at fault.
    """
    modes = [value for name, value in request.query if name == "mode"]
    profiles = [value for name, value in request.query if name == "profile"]
    body = await read_body(request, receive) if request.method == "POST" else b""
    tree: Tree | None = None
    if body:
        tree = parse_resource(body).tree
        if _is_call(tree):
            tree, more_modes, more_profiles = _parameters(tree)
            modes, profiles = modes + more_modes, profiles + more_profiles
    mode = modes[0] if modes else ""
    if mode not in _MODES or len(modes) > 1:
        raise MalformedInputError(
            "bad-argument", "not one mode", where="mode", hint=", ".join(sorted(_MODES - {""}))
        )
    return _Asked(tree, len(body), mode, tuple(profiles))


def _is_call(tree: Tree) -> bool:
    """Tell whether the body is the operation's own Parameters, not Parameters to be validated."""
    names = [part.get("name") for part in _parts(tree)]
    is_parameters = tree.get("resourceType") == "Parameters"
    return is_parameters and bool(names) and all(name in _NAMES for name in names)


def _parts(tree: Tree) -> list[Tree]:
    parts = tree.get("parameter")
    if not isinstance(parts, list):
        return []
    return [part for part in parts if isinstance(part, dict)]


def _parameters(tree: Tree) -> tuple[Tree | None, list[str], list[str]]:
    """Return (resource, modes, profiles) of the operation's Parameters.

    Raises:
        MalformedInputError: the resource is none of a type that R4 knows.
    """
    found: Tree | None = None
    modes, profiles = [], []
    for part in _parts(tree):
        values = [value for key, value in part.items() if key.startswith("value")]
        text = str(values[0]) if values else ""
        if part["name"] == "mode":
            modes.append(text)
        elif part["name"] == "profile":
            profiles.append(text)
        elif isinstance(part.get("resource"), dict):
            found = parse_resource(_ENCODE(part["resource"])).tree
    return found, modes, profiles
