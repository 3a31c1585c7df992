"""Writes over HTTP: create, update, delete, and bundles of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hilum.api.negotiation import Returns, etag_version, returns_of
from hilum.api.transactions import run_bundle
from hilum.api.wire import FHIR_JSON, Receive, Request, Response, read_body
from hilum.exchange import contributing
from hilum.record.outcome import Issue, Severity, outcome

if TYPE_CHECKING:
    from hilum.exchange.node import Node
    from hilum.identity.session import Session
    from hilum.record.change import Version

__all__ = ["WriteRoutes"]

_JSON = (b"content-type", FHIR_JSON)
_EMPTY: tuple[()] = ()


class WriteRoutes:
    """Answers writes.

    Args:
        node: whose record.
    """

    def __init__(self, node: Node) -> None:
        self._node = node

    async def run_bundle(self, request: Request, receive: Receive, session: Session) -> Response:
        """Answer ``POST [base]``: a batch or a transaction."""
        body = await read_body(request, receive)
        return await asyncio.to_thread(run_bundle, self._node, session, body, request.base)

    async def create(self, request: Request, receive: Receive, session: Session) -> Response:
        """Answer ``POST type``."""
        body = await read_body(request, receive)
        version = await asyncio.to_thread(
            contributing.create, self._node, session, request.path[0], body
        )
        return _written(request, version, status=201)

    async def update(self, request: Request, receive: Receive, session: Session) -> Response:
        """Answer ``PUT type/id``."""
        kind, own_id = request.path
        if_match = etag_version(request, b"if-match")
        body = await read_body(request, receive)
        version = await asyncio.to_thread(
            contributing.update, self._node, session, kind, own_id, body, if_match=if_match
        )
        return _written(request, version, status=200)

    async def delete(self, request: Request, _receive: Receive, session: Session) -> Response:
        """Answer ``DELETE type/id``."""
        kind, own_id = request.path
        if_match = etag_version(request, b"if-match")
        await asyncio.to_thread(
            contributing.delete, self._node, session, kind, own_id, if_match=if_match
        )
        return Response(204, b"", _EMPTY)


def _written(request: Request, version: Version, *, status: int) -> Response:
    location = f"{request.base}/{version.type}/{version.id}/_history/{version.ver}"
    headers = (_JSON, (b"etag", b'W/"%d"' % version.ver), (b"location", location.encode()))
    returns = returns_of(request)
    if returns is Returns.MINIMAL:
        return Response(status, b"", headers)
    if returns is Returns.OUTCOME:
        done = outcome([Issue(Severity.INFORMATION, "informational", "stored")])
        return Response(status, done, headers)
    return Response(status, version.body, headers)
