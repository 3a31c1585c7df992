"""The ASGI application: /fhir by hand (hot), /api, everything else to the portal."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from hilum.api.fhir import FhirRoutes
from hilum.api.outcomes import ABSENT, UNAUTHENTICATED, refusal
from hilum.api.quick import QuickReads
from hilum.api.routes import API_ROUTES, Interaction
from hilum.api.wire import Receive, Request, Response, Scope, Send, read_body
from hilum.errors import HilumError, MalformedInputError
from hilum.exchange.disk import disk_errors
from hilum.exchange.emergency import break_glass
from hilum.exchange.events import report

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hilum.exchange.node import Node

__all__ = ["build_app"]

_JSON = ((b"content-type", b"application/json"),)


class _BreakGlass(msgspec.Struct, forbid_unknown_fields=True):
    subject: str
    reason: str
    nature: str
    affiliation: str


def build_app(
    node: Node, portal: Callable[[Scope, Receive, Send], Awaitable[None]]
) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Return the ASGI application of a node.

    Args:
        node: whose.
        portal: answers what is neither /fhir nor /api.
    """
    fhir, quick = FhirRoutes(node), QuickReads(node)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            return
        path = scope["path"]
        if path == "/fhir" or path.startswith("/fhir/"):
            response = await _answer_fhir((quick, fhir), scope, receive)
            await response.send(send, bodiless=scope["method"] == "HEAD")
        elif path.startswith("/api/"):
            response = await _answer_api(node, scope, receive)
            await response.send(send)
        else:
            await portal(scope, receive, send)

    return application


async def _answer_fhir(
    ways: tuple[QuickReads, FhirRoutes], scope: Scope, receive: Receive
) -> Response:
    quick, fhir = ways
    try:
        with disk_errors():
            plain = quick.understand(scope)
            if plain is not None:
                return await quick.answer(plain)
            return await fhir.answer(Request.of(scope), receive)
    except HilumError as error:
        return refusal(error)
    except Exception as error:  # noqa: BLE001 - the edge of the process: nothing of it may leak
        report("request-failed", kind=type(error).__name__)
        return Response(
            500,
            b'{"resourceType":"OperationOutcome","issue":[{"severity":"fatal","code":"exception"}]}',
        )


async def _answer_api(node: Node, scope: Scope, receive: Receive) -> Response:
    try:
        with disk_errors():
            return await _route_api(node, scope, receive)
    except HilumError as error:
        return refusal(error)


async def _route_api(node: Node, scope: Scope, receive: Receive) -> Response:
    request = Request.of(scope)
    asked = API_ROUTES.get((request.method, "/".join(request.path)))
    if asked is Interaction.HEALTH:
        return Response(200, b'{"status":"up"}', _JSON)
    if asked is Interaction.OPENAPI:
        from hilum.api.openapi import description  # noqa: PLC0415 - large, rarely asked

        return Response(200, description(request.base), _JSON)
    authorization = request.headers.get(b"authorization")
    if authorization is None:
        return UNAUTHENTICATED
    session = node.sessions.authenticate(authorization, node.clock())
    if session is None or asked is not Interaction.BREAK_GLASS:
        return ABSENT
    fields: dict[str, Any] = msgspec.structs.asdict(_decode(await read_body(request, receive)))
    done = await asyncio.to_thread(break_glass, node, session, **fields)
    return Response(201, msgspec.json.encode(done), _JSON)


def _decode(body: bytes) -> _BreakGlass:
    try:
        return msgspec.json.decode(body, type=_BreakGlass)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedInputError(
            "bad-json", "not the four fields of an emergency", where="body",
            hint="subject, reason, nature, affiliation",
        ) from error  # fmt: skip


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return
