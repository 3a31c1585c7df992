"""$meta, $meta-add and $meta-delete of one resource."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from hilum.api.arguments import read_arguments
from hilum.api.outcomes import ABSENT, GONE
from hilum.api.searching import deliver
from hilum.api.wire import Receive, Request, Response
from hilum.errors import MalformedInputError
from hilum.exchange.reading import look_up, look_up_deletion
from hilum.exchange.tagging import change_meta, meta_of
from hilum.record.exact import encode_exact

if TYPE_CHECKING:
    from hilum.exchange.node import Node
    from hilum.identity.session import Session

__all__ = ["MetaRoutes"]


class MetaRoutes:
    """Answers what is asked about the profiles, tags and labels of a resource.

    Args:
        node: whose record.
    """

    def __init__(self, node: Node) -> None:
        self._node = node

    async def show(self, request: Request, _receive: Receive, session: Session) -> Response:
        """Answer ``[type]/[id]/$meta``."""
        kind, own_id = request.path[:2]
        answer = await deliver(self._node, look_up(self._node, session, kind, own_id))
        if answer.rows:
            return _shown(meta_of(answer.rows[0].body))
        gone = look_up_deletion(self._node, session, kind, own_id)
        return ABSENT if gone is None else GONE

    async def add(self, request: Request, receive: Receive, session: Session) -> Response:
        """Answer ``[type]/[id]/$meta-add``."""
        return await self._change(request, receive, session, adds=True)

    async def delete(self, request: Request, receive: Receive, session: Session) -> Response:
        """Answer ``[type]/[id]/$meta-delete``."""
        return await self._change(request, receive, session, adds=False)

    async def _change(
        self, request: Request, receive: Receive, session: Session, *, adds: bool
    ) -> Response:
        node = self._node
        kind, own_id = request.path[:2]
        change = _meta((await read_arguments(request, receive)).body)
        answer = await deliver(node, look_up(node, session, kind, own_id))
        if not answer.rows:
            return ABSENT
        changed = await asyncio.to_thread(
            change_meta, node, session, answer.rows[0], change, adds=adds
        )
        return _shown(changed)


def _meta(parameters: dict[str, Any]) -> dict[str, Any]:
    for part in parameters.get("parameter") or ():
        if part["name"] == "meta" and isinstance(part.get("valueMeta"), dict):
            found: dict[str, Any] = part["valueMeta"]
            return found
    raise MalformedInputError(
        "required", "a Meta is needed", where="Parameters.parameter", hint="meta with valueMeta"
    )


def _shown(meta: dict[str, Any]) -> Response:
    parts = [{"name": "return", "valueMeta": meta}]
    return Response(200, encode_exact({"resourceType": "Parameters", "parameter": parts}))
