"""The FHIR R4 routes: which one is asked, by whom, and in what manner the answer is wanted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from hilum.api.exporting import ExportRoutes
from hilum.api.histories import HistoryRoutes
from hilum.api.metas import MetaRoutes
from hilum.api.negotiation import MANNER, PLAIN, Manner, Summary, manner_of, without_manner
from hilum.api.operations import OperationRoutes
from hilum.api.outcomes import ABSENT, UNAUTHENTICATED, refusal
from hilum.api.presentation import present
from hilum.api.reading import ReadRoutes
from hilum.api.routes import Body, Interaction, Route, allowed_methods, find_route
from hilum.api.searching import SearchRoutes
from hilum.api.validating import ValidateRoutes
from hilum.api.wire import (
    FHIR_JSON,
    FORM_KINDS,
    Receive,
    Request,
    Response,
    parse_query_string,
    read_body,
)
from hilum.api.writing import WriteRoutes
from hilum.errors import HilumError, MalformedInputError
from hilum.record.outcome import Issue, Severity, outcome
from hilum.record.types import is_resource_type

if TYPE_CHECKING:
    from hilum.exchange.node import Node
    from hilum.identity.session import Session

__all__ = ["FhirRoutes"]

_JSON = (b"content-type", FHIR_JSON)
_HINT = (b"www-authenticate", b'Bearer realm="hilum", error="invalid_token"')
_UNKNOWN_TYPE = refusal(
    MalformedInputError("unknown-type", "not a FHIR R4 resource type", where="url")
)
_NO_PATH = Response(
    404, outcome([Issue(Severity.ERROR, "not-supported", "nothing of this node has such a path")])
)
_SEARCHES = frozenset({Interaction.SEARCH, Interaction.SEARCH_BY_POST})
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
        operations, exports, metas = OperationRoutes(node), ExportRoutes(node), MetaRoutes(node)
        reads, histories = ReadRoutes(node), HistoryRoutes(node)
        writes = WriteRoutes(node, self._read_inside)
        self._acts: dict[Interaction, _Act] = {
            Interaction.BUNDLE: writes.run_bundle,
            Interaction.SEARCH: self._searches.by_url,
            Interaction.SEARCH_BY_POST: self._searches.by_url,
            Interaction.SEARCH_SYSTEM: self._searches.by_system,
            Interaction.SEARCH_COMPARTMENT: self._searches.by_compartment,
            Interaction.CREATE: writes.create,
            Interaction.READ: reads.read,
            Interaction.UPDATE: writes.update,
            Interaction.CONDITIONAL_UPDATE: writes.update_where,
            Interaction.PATCH: writes.patch,
            Interaction.CONDITIONAL_PATCH: writes.patch_where,
            Interaction.DELETE: writes.delete,
            Interaction.CONDITIONAL_DELETE: writes.delete_where,
            Interaction.HISTORY: histories.of_instance,
            Interaction.HISTORY_OF_TYPE: histories.of_type,
            Interaction.HISTORY_OF_ALL: histories.of_type,
            Interaction.VREAD: reads.read_version,
            Interaction.EVERYTHING: operations.everything,
            Interaction.LASTN: operations.newest,
            Interaction.META: metas.show,
            Interaction.META_ADD: metas.add,
            Interaction.META_DELETE: metas.delete,
            Interaction.EXPORT: exports.begin,
            Interaction.EXPORT_STATUS: exports.status,
            Interaction.EXPORT_CANCEL: exports.cancel,
            Interaction.EXPORT_FILE: exports.file,
            Interaction.VALIDATE: ValidateRoutes(node).validate,
        }

    async def answer(self, request: Request, receive: Receive) -> Response:
        """Return the response in the manner wanted; every refusal is an OperationOutcome."""
        manner = PLAIN
        try:
            manner = manner_of(request)
            response, manner = await self._answer(request, receive, manner)
        except HilumError as error:
            response = refusal(error, body_was_read=request.method in {"POST", "PUT", "PATCH"})
        return present(response, manner)

    async def _answer(
        self, request: Request, receive: Receive, manner: Manner
    ) -> tuple[Response, Manner]:
        route = find_route(request.method, request.path)
        if route is not None and route.interaction is Interaction.CAPABILITIES:
            return self._metadata(request), manner
        if request.method == "OPTIONS":
            return _options(request), manner
        authorization = request.headers.get(b"authorization")
        if authorization is None:
            return UNAUTHENTICATED, manner
        session = self._node.sessions.authenticate(authorization, self._node.clock())
        if session is not None and _names_no_type(request):
            return _UNKNOWN_TYPE, manner
        if route is not None and route.body is Body.FORM:
            request = await _with_form(request, receive)
            manner = manner_of(request)
        if request.query:
            request = _narrowed(request, route, manner)
        if session is None:
            return self._as_if_nothing(route, request), manner
        return await self._act(route, request, receive, session), manner

    async def _act(
        self, route: Route | None, request: Request, receive: Receive, session: Session
    ) -> Response:
        if route is None:
            return _not_allowed(request)
        return await self._acts[route.interaction](request, receive, session)

    async def _read_inside(self, request: Request, session: Session) -> Response:
        """Answer an entry of a bundle that reads, as if it had come alone."""
        if _names_no_type(request) and request.path != ("metadata",):
            return _UNKNOWN_TYPE
        route = find_route(request.method, request.path)
        if route is not None and route.interaction is Interaction.CAPABILITIES:
            return self._metadata(request)
        manner = manner_of(request)
        request = _narrowed(request, route, manner)
        response = await self._act(route, request, _no_body, session)
        return present(response, replace(manner, is_xml=False))

    def _metadata(self, request: Request) -> Response:
        from hilum.api.metadata import statement  # noqa: PLC0415 - large tables, rarely asked

        known = self._capability.get(request.base)
        if known is None:
            known = statement(self._node, request.base)
            self._capability = {request.base: known}
        return Response(200, known)

    def _as_if_nothing(self, route: Route | None, request: Request) -> Response:
        """Answer an unknown or expired token as if nothing were there, with a hint for its holder."""
        found = None
        if route is not None and route.interaction in _SEARCHES:
            found = self._searches.as_if_nothing(request)
        if found is None:
            return Response(ABSENT.status, ABSENT.body, (*ABSENT.headers, _HINT))
        return Response(200, found, (_JSON, _HINT))


async def _no_body() -> dict[str, object]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _with_form(request: Request, receive: Receive) -> Request:
    """Return the request with the pairs of its form beside those of its URL."""
    form = await read_body(request, receive, kinds=FORM_KINDS)
    return replace(request, query=[*request.query, *parse_query_string(form)])


def _narrowed(request: Request, route: Route | None, manner: Manner) -> Request:
    """Return the request with what is asked apart from how the answer shall look."""
    asked = without_manner(request.query)
    wanted = tuple(pair for pair in request.query if pair[0] in MANNER)
    if manner.summary is Summary.COUNT and route is not None and "[search]" in route.parameters:
        asked = [*(pair for pair in asked if pair[0] != "_count"), ("_count", "0")]
    return replace(request, query=asked, manner=wanted)


def _names_no_type(request: Request) -> bool:
    if not request.path or request.path[0].startswith(("_", "$")):
        return False
    return not is_resource_type(request.path[0])


def _options(request: Request) -> Response:
    if _names_no_type(request) and request.path != ("metadata",):
        return _UNKNOWN_TYPE
    allowed = allowed_methods(request.path)
    if not allowed:
        return _NO_PATH
    return Response(204, b"", ((b"allow", ", ".join(allowed).encode()),))


def _not_allowed(request: Request) -> Response:
    allowed = allowed_methods(request.path)
    if not allowed:
        return _NO_PATH
    issue = Issue(Severity.ERROR, "not-supported", "this interaction is not supported here")
    return Response(405, outcome([issue]), (_JSON, (b"allow", ", ".join(allowed).encode())))
