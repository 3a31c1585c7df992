"""Histories over HTTP: the versions of one resource, of a type, or of everything that may be seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hilum.api.bundles import history_bundle, url_of
from hilum.api.outcomes import ABSENT
from hilum.api.paging import PAGE, read_page, write_page
from hilum.api.searching import deliver
from hilum.api.wire import Receive, Request, Response
from hilum.errors import MalformedInputError
from hilum.exchange.reading import look_up_history

if TYPE_CHECKING:
    from hilum.exchange.node import Node
    from hilum.identity.session import Session

__all__ = ["HistoryRoutes"]


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
        context = b"|".join((session.token_hash, f"{kind}/{own_id}/_history".encode()))
        pairs = [pair for pair in request.query if pair[0] != PAGE]
        token = next((value for name, value in request.query if name == PAGE), None)
        before = None
        if token is not None:
            before = int(read_page(self._node.paging_key, token, context=context)[0] or 0)
        limit = _count(pairs)
        found = look_up_history(self._node, session, kind, own_id, limit=limit, before=before)
        await deliver(self._node, found)
        if not found.rows and before is None:
            return ABSENT
        name = f"{kind}/{own_id}/_history"
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


def _count(pairs: Sequence[tuple[str, str]]) -> int:
    for name, value in pairs:
        if name == "_count":
            if not value.isascii() or not value.isdigit() or len(value) > 9:
                raise MalformedInputError("bad-search", "not a number", where="_count")
            return max(1, min(int(value), 1000))
    return 20
