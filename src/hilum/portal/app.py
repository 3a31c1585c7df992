"""The portal as an ASGI application: routes, sign-in, and what protects every page.

A page is a plain function from `PageRequest` to a response; it runs in a thread, because everything the
exchange does is synchronous. Posts are refused unless the browser says that they come from our own
page and the form carries the session's form token.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hilum.errors import (
    AccessDeniedError,
    ConflictError,
    HilumError,
    InsufficientDataError,
    MalformedInputError,
    UnavailableError,
    VerificationError,
)
from hilum.exchange import people
from hilum.exchange.browsing import load_person
from hilum.exchange.disk import disk_errors
from hilum.portal import front, looked, measurements, record, sharing
from hilum.portal.assets import Assets
from hilum.portal.language import choose_language, load_language
from hilum.portal.page import (
    LANGUAGE_COOKIE,
    SESSION_COOKIE,
    PageRequest,
    form_token,
    redirect,
)

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from hilum.exchange.node import Node
    from hilum.identity import Session

__all__ = ["SECURITY_HEADERS", "build_portal"]

Page = Callable[[PageRequest], Response]

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: browsers then send `Origin: null` with our own forms, which we would refuse.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_LONGEST_FORM = 16_384
_MOST_FIELDS = 100
_NAMES_KEPT = 512
_YEAR_S = 365 * 86_400

_STATUS: tuple[tuple[type[HilumError], int], ...] = (
    (MalformedInputError, 400),
    (AccessDeniedError, 404),
    (InsufficientDataError, 404),
    (ConflictError, 409),
    (UnavailableError, 503),
    (VerificationError, 500),
)


def build_portal(node: Node) -> ASGIApp:
    """Return the portal of a node.

    Args:
        node: the wired node.
    """
    portal = _Portal(node, Assets(), _Names(node))
    routes = [
        portal.route("/", front.show_front, public=True),
        portal.route("/sign-in", front.sign_in, public=True, post=True),
        portal.route("/sign-out", front.sign_out, post=True),
        portal.route("/record", record.show_record),
        portal.route("/record/download", record.download_all),
        portal.route("/record/{section}", record.show_section),
        portal.route("/record/{type}/{id}", record.show_original),
        portal.route("/record/{type}/{id}/download", record.download),
        portal.route("/measurements", measurements.show_measurements),
        portal.route("/measurements/{sid:int}", measurements.show_measure),
        portal.route("/measurements/{sid:int}.json", measurements.send_window),
        portal.route("/sharing", sharing.show_sharing),
        portal.route("/sharing/preview", sharing.show_preview, post=True),
        portal.route("/sharing/give", sharing.give, post=True),
        portal.route("/sharing/end", sharing.end, post=True),
        portal.route("/who-looked", looked.show_receipts),
        portal.route("/who-looked/seal", looked.seal_now, post=True),
        portal.route("/who-looked/{receipt}", looked.show_receipt),
        portal.route("/who-looked/{receipt}/proof", looked.send_proof),
        portal.route("/headers.json", looked.send_headers),
        Route("/static/{name}", portal.assets.serve),
        portal.route("/{rest:path}", front.show_nothing, public=True),
    ]
    return _secured(Starlette(routes=routes))


@dataclass(frozen=True, slots=True)
class _Portal:
    node: Node
    assets: Assets
    names: _Names

    def route(self, path: str, page: Page, *, public: bool = False, post: bool = False) -> Route:
        """Return the route of a page; a page that changes something answers POST only."""

        async def answer(request: Request) -> Response:
            form = await _read_form(request) if post else {}
            return await run_in_threadpool(self._answer, page, request, form, public=public)

        return Route(path, answer, methods=["POST" if post else "GET"], name=path)

    def _answer(
        self, page: Page, request: Request, form: Mapping[str, list[str]] | None, *, public: bool
    ) -> Response:
        ask = self._read(request, form or {})
        if form is None:
            return _problem(ask, MalformedInputError("form-too-large", "the form is too large"))
        if request.method == "POST" and not _is_ours(request, ask):
            return ask.show("refused.html", 403)
        if ask.session is None and not public:
            return _ask_to_sign_in(request)
        try:
            with disk_errors():
                response = page(ask)
        except HilumError as error:
            response = _problem(ask, error)
        if request.query_params.get("lang") == ask.language.locale:
            response.set_cookie(
                LANGUAGE_COOKIE, ask.language.locale, max_age=_YEAR_S, samesite="strict"
            )
        return response

    def _read(self, request: Request, form: Mapping[str, list[str]]) -> PageRequest:
        locale = choose_language(
            (request.query_params.get("lang"), request.cookies.get(LANGUAGE_COOKIE)),
            request.headers.get("accept-language", ""),
        )
        token = request.cookies.get(SESSION_COOKIE, "")
        session = people.session_of(self.node, token) if token else None
        if session is None or session.subject is None:
            token, session = "", None
        return PageRequest(
            node=self.node,
            assets=self.assets,
            language=load_language(locale),
            path=request.url.path,
            place={name: str(value) for name, value in request.path_params.items()},
            query=dict(request.query_params),
            form=form,
            token=token,
            session=session,
            person="" if session is None else self.names.of(session),
            is_secure=request.url.scheme == "https",
        )


class _Names:
    """Names of the people signed in, read once per session through the gate."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._known: OrderedDict[bytes, str] = OrderedDict()

    def of(self, session: Session) -> str:
        """Return the name of a session's subject."""
        name = self._known.get(session.token_hash)
        if name is None:
            name = load_person(self._node, session).name
            self._known[session.token_hash] = name
            if len(self._known) > _NAMES_KEPT:
                self._known.popitem(last=False)
        return name


async def _read_form(request: Request) -> dict[str, list[str]] | None:
    """Return the fields of an urlencoded form; None when it is too large."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LONGEST_FORM:
            return None
    try:
        return parse_qs(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return None


def _is_ours(request: Request, ask: PageRequest) -> bool:
    """Tell whether a post comes from a page of this portal."""
    origin = urlsplit(request.headers.get("origin", ""))
    if not origin.netloc or origin.netloc != request.headers.get("host"):
        return False
    if ask.session is None:
        return True  # signing in: there is no session yet that a stranger could use
    return hmac.compare_digest(ask.field("form"), form_token(ask.token))


def _ask_to_sign_in(request: Request) -> Response:
    if request.url.path.endswith(".json"):
        return JSONResponse({"error": "signed-out"}, 401)
    return redirect(f"/?next={quote(request.url.path)}" if request.method == "GET" else "/")


def _problem(ask: PageRequest, error: HilumError) -> Response:
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    if ask.path.endswith((".json", "/proof")):
        return JSONResponse({"error": error.code}, status, {"Cache-Control": "no-store"})
    return ask.show("problem.html", status, error=error, number=status)


def _secured(application: ASGIApp) -> ASGIApp:
    """Return the application with the security headers on every answer."""

    async def secured(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers[name] = value
            await send(message)

        await application(scope, receive, send_secured)

    return secured
