"""Searches over HTTP: by URL and by form; parse, ask, wait for the receipts, splice the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hilum.api.bundles import search_bundle, url_of
from hilum.api.negotiation import is_strict
from hilum.api.paging import PAGE, read_page, write_page
from hilum.api.wire import (
    Receive,
    Request,
    Response,
)
from hilum.errors import MalformedInputError
from hilum.exchange.auditing import AUDIT_PARAMETERS, AUDIT_TYPE
from hilum.exchange.reading import Answer, find
from hilum.record.query import Query, parse_query
from hilum.record.types import is_resource_type

if TYPE_CHECKING:
    from hilum.exchange.node import Node
    from hilum.identity.session import Session

__all__ = ["SearchRoutes", "deliver"]

_INLINE = 50
"""Searches for more than this run in a thread, so that one large page does not hold the others up."""
_AUDIT_NAMES = frozenset({*AUDIT_PARAMETERS, "_count", "_format", "_pretty"})


async def deliver(node: Node, answer: Answer) -> Answer:
    """Wait until the receipts are on disk; only then may a byte leave."""
    append = node.writer.append
    waits = [append(draft) for draft in answer.drafts]
    for wait in waits:
        await wait
    return answer


class SearchRoutes:
    """Answers searches.

    Args:
        node: whose record.
    """

    def __init__(self, node: Node) -> None:
        self._node = node

    async def by_url(self, request: Request, _receive: Receive, session: Session) -> Response:
        """Answer ``GET type?…`` and ``POST type/_search``, whose form is among the pairs already."""
        return await self._search(request, session, request.query)

    def as_if_nothing(self, request: Request) -> bytes | None:
        """Return the Bundle of a search that finds nothing; None when it names no type.

        Args:
            request: by someone who is not known; the pairs of a form are among its own.
        """
        pairs = request.query
        kind = request.path[0]
        if not is_resource_type(kind):
            return None
        query = _understand(kind, [pair for pair in pairs if pair[0] != PAGE], strict=False)
        return search_bundle(
            request.base, (), next_url=None, total=0,
            self_url=url_of(request.base, kind, [*query.applied, *request.manner]),
        )  # fmt: skip

    async def _search(
        self, request: Request, session: Session, pairs: Sequence[tuple[str, str]]
    ) -> Response:
        kind = request.path[0]
        token = next((value for name, value in pairs if name == PAGE), None)
        asked = [pair for pair in pairs if pair[0] != PAGE]
        strict = is_strict(request)
        query = _understand(kind, asked, strict=strict)
        applied = list(query.applied)
        context = b"|".join((session.token_hash, kind.encode(), repr(applied).encode()))
        after = None
        if token is not None:
            after = read_page(self._node.paging_key, token, context=context)
        if query.count > _INLINE or len(applied) > _INLINE:
            found = await asyncio.to_thread(find, self._node, session, query, after=after)
        else:
            found = find(self._node, session, query, after=after)
        await deliver(self._node, found)
        next_url = None
        if found.following is not None:
            page = write_page(self._node.paging_key, found.following, context=context)
            next_url = url_of(request.base, kind, [*applied, *request.manner, (PAGE, page)])
        whole = found.following is None and after is None
        body = search_bundle(
            request.base, found.rows,
            self_url=url_of(request.base, kind, [*applied, *request.manner]), next_url=next_url,
            total=found.total if found.total is not None else len(found.rows) if whole else None,
        )  # fmt: skip
        return Response(200, body)


def _understand(kind: str, pairs: Sequence[tuple[str, str]], *, strict: bool) -> Query:
    if kind == AUDIT_TYPE:
        unknown = [name for name, _value in pairs if name.partition(":")[0] not in _AUDIT_NAMES]
        if unknown and strict:
            raise MalformedInputError(
                "unknown-parameter", "search parameter not supported", where="query",
                hint="see /fhir/metadata",
            )  # fmt: skip
        pairs = [pair for pair in pairs if pair[0] not in unknown]
    return parse_query(kind, list(pairs), strict=strict)
