"""The FHIR R4 routes: parse, ask the use case, wait for the receipts, splice the answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from hilum.api.bundles import entity_headers, history_bundle, url_of
from hilum.api.outcomes import ABSENT, UNAUTHENTICATED, refusal
from hilum.api.paging import PAGE, read_page, write_page
from hilum.api.routes import Interaction, find_interaction
from hilum.api.searching import SearchRoutes, deliver
from hilum.api.transactions import run_bundle
from hilum.api.wire import (
    FHIR_JSON,
    Receive,
    Request,
    Response,
    read_body,
)
from hilum.errors import HilumError, MalformedInputError
from hilum.exchange import contributing
from hilum.exchange.reading import (
    look_up,
    look_up_deletion,
    look_up_history,
    look_up_version,
)
from hilum.record.outcome import Issue, Severity, outcome
from hilum.record.types import is_resource_type

if TYPE_CHECKING:
    from hilum.exchange.node import Node
    from hilum.identity.session import Session
    from hilum.record.change import Version

__all__ = ["FhirRoutes"]

_JSON = (b"content-type", FHIR_JSON)
_ETAG = re.compile(rb'(?:W/)?"(\d{1,18})"\Z')
_VERSION = re.compile(r"\d{1,18}\Z", re.ASCII)
_EMPTY: tuple[()] = ()
_UNKNOWN_TYPE = refusal(
    MalformedInputError("unknown-type", "not a FHIR R4 resource type", where="url")
)
_Act = Callable[[Request, Receive, "Session"], Awaitable[Response]]


class FhirRoutes:
    """Answers requests under /fhir.

    Args:
        node: whose record.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._searches = SearchRoutes(node)
        self._capability: dict[str, bytes] = {}
        self._acts: dict[Interaction, _Act] = {
            Interaction.BUNDLE: self._run_bundle,
            Interaction.SEARCH: self._searches.by_url,
            Interaction.SEARCH_BY_POST: self._searches.by_body,
            Interaction.CREATE: self._create,
            Interaction.READ: self._read,
            Interaction.UPDATE: self._update,
            Interaction.DELETE: self._delete,
            Interaction.HISTORY: self._history,
            Interaction.VREAD: self._read_version,
        }

    async def answer(self, request: Request, receive: Receive) -> Response:
        """Return the response; every refusal is an OperationOutcome."""
        try:
            asked = find_interaction(request.method, request.path)
            if asked is Interaction.CAPABILITIES:
                return self._metadata(request)
            authorization = request.headers.get(b"authorization")
            if authorization is None:
                return UNAUTHENTICATED
            session = self._node.sessions.authenticate(authorization, self._node.clock())
            if session is None:
                return await self._as_if_nothing(asked, request, receive)
            return await self._answer_session(asked, request, receive, session)
        except HilumError as error:
            return refusal(error, body_was_read=request.method in {"POST", "PUT"})

    async def _answer_session(
        self, asked: Interaction | None, request: Request, receive: Receive, session: Session
    ) -> Response:
        if request.path and not is_resource_type(request.path[0]):
            return _UNKNOWN_TYPE
        if asked is None:
            return _not_allowed()
        return await self._acts[asked](request, receive, session)

    # -- writes ----------------------------------------------------------------------------------------

    async def _run_bundle(self, request: Request, receive: Receive, session: Session) -> Response:
        body = await read_body(request, receive)
        return await asyncio.to_thread(run_bundle, self._node, session, body, request.base)

    async def _create(self, request: Request, receive: Receive, session: Session) -> Response:
        body = await read_body(request, receive)
        version = await asyncio.to_thread(
            contributing.create, self._node, session, request.path[0], body
        )
        return _written(request, version, status=201)

    async def _update(self, request: Request, receive: Receive, session: Session) -> Response:
        kind, own_id = request.path
        if_match = _if_match(request)
        body = await read_body(request, receive)
        version = await asyncio.to_thread(
            contributing.update, self._node, session, kind, own_id, body, if_match=if_match
        )
        return _written(request, version, status=200)

    async def _delete(self, request: Request, _receive: Receive, session: Session) -> Response:
        kind, own_id = request.path
        if_match = _if_match(request)
        await asyncio.to_thread(
            contributing.delete, self._node, session, kind, own_id, if_match=if_match
        )
        return Response(204, b"", _EMPTY)

    # -- reads ---------------------------------------------------------------------------------------

    async def _read(self, request: Request, _receive: Receive, session: Session) -> Response:
        kind, own_id = request.path
        answer = await deliver(self._node, look_up(self._node, session, kind, own_id))
        if not answer.rows:
            gone = look_up_deletion(self._node, session, kind, own_id)
            return ABSENT if gone is None else _gone()
        row = answer.rows[0]
        return Response(200, row.body, (_JSON, *entity_headers(row)))

    async def _read_version(
        self, request: Request, _receive: Receive, session: Session
    ) -> Response:
        kind, own_id, _word, version = request.path
        if not _VERSION.match(version):
            return ABSENT
        answer, gone = look_up_version(self._node, session, kind, own_id, int(version))
        await deliver(self._node, answer)
        if answer.rows:
            return Response(200, answer.rows[0].body, (_JSON, *entity_headers(answer.rows[0])))
        return ABSENT if gone is None else _gone()

    async def _history(self, request: Request, _receive: Receive, session: Session) -> Response:
        kind, own_id, _word = request.path
        context = b"|".join((session.token_hash, f"{kind}/{own_id}/_history".encode()))
        pairs = [pair for pair in request.query if pair[0] != PAGE]
        token = next((value for name, value in request.query if name == PAGE), None)
        before = None
        if token is not None:
            before = read_page(self._node.paging_key, token, context=context)[0]
        limit = _count(pairs)
        found = look_up_history(self._node, session, kind, own_id, limit=limit, before=before)
        await deliver(self._node, found)
        if not found.rows and before is None:
            return ABSENT
        name = f"{kind}/{own_id}/_history"
        next_url = None
        if found.following is not None:
            page = write_page(self._node.paging_key, found.following, context=context)
            next_url = url_of(request.base, name, [*pairs, (PAGE, page)])
        methods = [
            "DELETE" if not row.body else "POST" if row.ver == 1 else "PUT" for row in found.rows
        ]
        body = history_bundle(
            request.base, found.rows, methods,
            self_url=url_of(request.base, name, pairs), next_url=next_url,
        )  # fmt: skip
        return Response(200, body)

    # -- the rest ------------------------------------------------------------------------------------

    def _metadata(self, request: Request) -> Response:
        from hilum.api.metadata import statement  # noqa: PLC0415 - large tables, rarely asked

        known = self._capability.get(request.base)
        if known is None:
            known = statement(self._node, request.base)
            self._capability = {request.base: known}
        return Response(200, known)

    async def _as_if_nothing(
        self, asked: Interaction | None, request: Request, receive: Receive
    ) -> Response:
        """Answer an unknown or expired token as if nothing were there, with a hint for its holder."""
        hint = (b"www-authenticate", b'Bearer realm="hilum", error="invalid_token"')
        found = await self._searches.as_if_nothing(asked, request, receive)
        if found is None:
            return Response(ABSENT.status, ABSENT.body, (*ABSENT.headers, hint))
        return Response(200, found, (_JSON, hint))


def _count(pairs: Sequence[tuple[str, str]]) -> int:
    for name, value in pairs:
        if name == "_count":
            if not value.isascii() or not value.isdigit() or len(value) > 9:
                raise MalformedInputError("bad-search", "not a number", where="_count")
            return max(1, min(int(value), 1000))
    return 20


def _if_match(request: Request) -> int | None:
    text = request.headers.get(b"if-match")
    if text is None:
        return None
    match = _ETAG.match(text)
    if match is None:
        raise MalformedInputError("bad-search", "not a version", where="If-Match", hint='W/"1"')
    return int(match[1])


def _written(request: Request, version: Version, *, status: int) -> Response:
    location = f"{request.base}/{version.type}/{version.id}/_history/{version.ver}"
    headers = [
        _JSON,
        (b"etag", b'W/"%d"' % version.ver),
        (b"location", location.encode()),
    ]
    prefer = request.headers.get(b"prefer", b"")
    if b"return=minimal" in prefer:
        return Response(status, b"", tuple(headers))
    if b"return=OperationOutcome" in prefer:
        done = outcome([Issue(Severity.INFORMATION, "informational", "stored")])
        return Response(status, done, tuple(headers))
    return Response(status, version.body, tuple(headers))


def _gone() -> Response:
    return Response(410, outcome([Issue(Severity.ERROR, "deleted", "deleted")]))


def _not_allowed() -> Response:
    issue = Issue(Severity.ERROR, "not-supported", "this interaction is not supported here")
    return Response(405, outcome([issue]))
