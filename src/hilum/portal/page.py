"""What every page needs: who asks, in which language, the form that came along, and the template."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from hilum.portal import words
from hilum.portal.language import LANGUAGES, Language, load_language

if TYPE_CHECKING:
    from hilum.exchange.node import Node
    from hilum.identity import Session
    from hilum.portal.assets import Assets

__all__ = ["SESSION_COOKIE", "PageRequest", "form_token", "redirect"]

SESSION_COOKIE = "hilum_session"
LANGUAGE_COOKIE = "hilum_language"


@dataclass(frozen=True, slots=True)
class PageRequest:
    """One request for a page, read.

    Attributes:
        node: the wired node.
        assets: style sheet and scripts.
        language: to answer in.
        path: path of the address.
        place: what the path names (``sid``, ``receipt`` …).
        query: parameters of the address, the last of equal names.
        form: fields of a posted form, all values of equal names.
        token: text of the session's token, or "".
        session: a subject's own session, or None.
        person: name of that subject, or "".
        is_secure: True when the page came over TLS.
    """

    node: Node
    assets: Assets
    language: Language
    path: str
    place: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, list[str]] = field(default_factory=dict)
    token: str = ""
    session: Session | None = None
    person: str = ""
    is_secure: bool = False

    @property
    def own(self) -> Session:
        """The subject's session.

        Raises:
            LookupError: there is none; pages that need one are not reached without it.
        """
        if self.session is None:
            raise LookupError("a page for signed-in people was reached without a session")
        return self.session

    @property
    def can_repeat(self) -> bool:
        """True when the address alone brings the same page again."""
        return not self.form

    @property
    def subject(self) -> str:
        """The id of the signed-in subject."""
        return str(self.own.subject)

    def field(self, name: str) -> str:
        """Return the first value of a field of the form, or ""."""
        return next(iter(self.form.get(name, ())), "").strip()

    def show(self, template: str, status: int = 200, **parts: object) -> Response:
        """Return a page.

        Args:
            template: file name.
            status: HTTP status.
            **parts: what the template names.
        """
        html = self.render(template, **parts)
        return HTMLResponse(html, status, {"Cache-Control": "no-store"})

    def render(self, template: str, **parts: object) -> str:
        """Return a template filled in."""
        found = _environment(self.language.locale).get_template(template)
        return found.render(
            ask=self,
            language=self.language,
            languages=LANGUAGES,
            words=words,
            asset=self.assets.address,
            demo=self.node.demo,
            form_token=form_token(self.token) if self.token else "",
            **parts,
        )

    def address(self, **changes: object) -> str:
        """Return this page's address with some parameters changed; None takes one away."""
        query = {name: value for name, value in self.query.items() if name != "lang"}
        query |= {name: str(value) for name, value in changes.items() if value is not None}
        for name, value in changes.items():
            if value is None:
                query.pop(name, None)
        return quote(self.path) + (f"?{urlencode(query)}" if query else "")


def form_token(token: str) -> str:
    """Return what a form of this session must carry: nobody without the session's token can make it.

    Args:
        token: text of the session's token, a secret of 256 bits.
    """
    return hmac.new(token.encode(), b"hilum/form/v1", sha256).hexdigest()


def redirect(address: str) -> Response:
    """Return the answer that sends the browser elsewhere with GET."""
    return RedirectResponse(address, status_code=303)


@cache
def _environment(locale: str) -> Environment:
    language = load_language(locale)
    environment = Environment(
        loader=PackageLoader("hilum.portal"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
    )
    installed: Any = environment
    installed.install_gettext_translations(language.translations, newstyle=True)
    environment.filters["fhirdate"] = language.date
    environment.filters["stamp"] = language.stamp
    environment.filters["number"] = language.number
    environment.filters["share"] = language.share
    return environment
