"""Histories over HTTP: the versions of one resource, of a type, or of everything that may be seen."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hilum.api.bundles import history_bundle, url_of
from hilum.api.negotiation import is_strict
from hilum.api.outcomes import ABSENT
from hilum.api.paging import PAGE, read_page, write_page
from hilum.api.searching import deliver
from hilum.api.wire import Receive, Request, Response
from hilum.errors import MalformedInputError
from hilum.exchange.histories import look_up_changes, look_up_history
from hilum.record.past import ALL, Past, parse_past
from hilum.record.query_tree import Place

if TYPE_CHECKING:
    from hilum.exchange.answering import Answer
    from hilum.exchange.node import Node
    from hilum.identity.session import Session

__all__ = ["HistoryRoutes"]

_KNOWN = ("_since", "_at", "_count")


class HistoryRoutes:
    """Answers histories.

    Args:
        node: whose record.
    """

    def __init__(self, node: Node) -> None:
        self._node = node

    async def of_instance(self, request: Request, _receive: Receive, session: Session) -> Response:
        """Answer ``GET type/id/_history``."""
        kind, own_id, _word = request.path
        pairs, past, limit = _asked(request)
        context = _context(request, session, pairs)
        place = self._place(request, context)
        found = look_up_history(
            self._node, session, (kind, own_id), past, limit=limit,
            below=None if place is None else int(place[0] or 0),
        )  # fmt: skip
        await deliver(self._node, found)
        if not found.rows and place is None and past == ALL:
            return ABSENT
        return self._bundle(request, found, pairs, context)

    async def of_type(self, request: Request, _receive: Receive, session: Session) -> Response:
        """Answer ``GET type/_history`` and ``GET _history``."""
        pairs, past, limit = _asked(request)
        context = _context(request, session, pairs)
        place = self._place(request, context)
        after = None
        if place is not None:
            at, row, ver = place
            after = (int(at or 0), int(row or 0), int(ver or 0))
        kind = request.path[0] if len(request.path) > 1 else None
        found = await asyncio.to_thread(
            look_up_changes, self._node, session, kind, past, limit=limit, after=after
        )
        await deliver(self._node, found)
        return self._bundle(request, found, pairs, context)

    def _place(self, request: Request, context: bytes) -> Place | None:
        token = next((value for name, value in request.query if name == PAGE), None)
        return None if token is None else read_page(self._node.paging_key, token, context=context)

    def _bundle(
        self, request: Request, found: Answer, pairs: Sequence[tuple[str, str]], context: bytes
    ) -> Response:
        name = "/".join(request.path)
        next_url = None
        if found.following is not None:
            page = write_page(self._node.paging_key, found.following, context=context)
            next_url = url_of(request.base, name, [*pairs, *request.manner, (PAGE, page)])
        methods = [
            "DELETE" if not row.body else "POST" if row.ver == 1 else "PUT" for row in found.rows
        ]
        body = history_bundle(
            request.base, found.rows, methods,
            self_url=url_of(request.base, name, [*pairs, *request.manner]), next_url=next_url,
        )  # fmt: skip
        return Response(200, body)


def _asked(request: Request) -> tuple[list[tuple[str, str]], Past, int]:
    """Return the pairs that are understood, which versions they ask for, and how many at once.

    Raises:
        MalformedInputError: one has no meaning, or (strict) there is no such parameter.
    """
    known = [pair for pair in request.query if pair[0] in _KNOWN]
    if is_strict(request) and any(name not in {*_KNOWN, PAGE} for name, _ in request.query):
        raise MalformedInputError(
            "unknown-parameter", "a history has no such parameter", where="query",
            hint=", ".join(_KNOWN),
        )  # fmt: skip
    return known, parse_past(known), _count(known)


def _context(request: Request, session: Session, pairs: Sequence[tuple[str, str]]) -> bytes:
    return b"|".join((session.token_hash, "/".join(request.path).encode(), repr(pairs).encode()))


def _count(pairs: Sequence[tuple[str, str]]) -> int:
    for name, value in pairs:
        if name == "_count":
            if not value.isascii() or not value.isdigit() or len(value) > 9:
                raise MalformedInputError("bad-search", "not a number", where="_count")
            return max(1, min(int(value), 1000))
    return 20
