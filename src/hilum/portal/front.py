"""The front page: signing in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hilum.exchange import people
from hilum.portal.page import SESSION_COOKIE, PageRequest, redirect

if TYPE_CHECKING:
    from starlette.responses import Response

__all__ = ["show_front", "show_nothing", "sign_in", "sign_out"]

_HOME = "/record"


def show_front(ask: PageRequest) -> Response:
    """Answer with the way in, or with the record of who is in already."""
    if ask.session is not None:
        return redirect(_HOME)
    return _front(ask, ask.query.get("next", ""), refusal="")


def sign_in(ask: PageRequest) -> Response:
    """Open a session with a pasted token, or with a member of the demo family."""
    family = people.demo_people(ask.node)
    member = ask.field("member")
    if member:
        if member not in {person["id"] for person in family}:
            return _front(ask, ask.field("next"), refusal="nobody")
        token = people.own_token(ask.node, member)
    else:
        token = ask.field("token")
    session = people.session_of(ask.node, token) if token else None
    if session is None:
        return _front(ask, ask.field("next"), refusal="nobody")
    if session.subject is None:
        return _front(ask, ask.field("next"), refusal="reader")
    response = redirect(_inside(ask.field("next")))
    left_s = max(0, (session.expires_unix_ms - ask.node.clock()) // 1000)
    response.set_cookie(
        SESSION_COOKIE,
        token,
        max_age=left_s,
        httponly=True,
        samesite="strict",
        secure=ask.is_secure,
    )
    return response


def sign_out(_ask: PageRequest) -> Response:
    """End the session in this browser."""
    response = redirect("/")
    response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict")
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


def show_nothing(ask: PageRequest) -> Response:
    """Answer for an address where there is nothing."""
    return ask.show("nothing.html", 404)


def _front(ask: PageRequest, following: str, *, refusal: str) -> Response:
    return ask.show(
        "front.html",
        403 if refusal else 200,
        family=people.demo_people(ask.node),
        following=following,
        refusal=refusal,
    )


def _inside(address: str) -> str:
    """Return an address of this portal, whatever was asked for."""
    is_ours = address.startswith("/") and not address.startswith("//") and "\\" not in address
    return address if is_ours and address.isprintable() else _HOME
