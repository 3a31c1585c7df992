"""Searches over HTTP: by URL and by form; parse, ask, wait for the receipts, splice the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

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
from hilum.exchange.reading import Answer, find, find_all
from hilum.record.compartments import types_of as types_in
from hilum.record.compartments import within_compartment
from hilum.record.query import Query, parse_query
from hilum.record.query_names import name_of_place
from hilum.record.query_types import parse_queries, types_named
from hilum.record.types import is_resource_type

if TYPE_CHECKING:
    from hilum.exchange.node import Node
    from hilum.identity.session import Session

__all__ = ["SearchRoutes", "counted", "deliver", "left_out"]

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


def counted(answer: Answer, *, is_first: bool = True) -> Answer:
    """Return the answer with its total where the page is the whole result."""
    if answer.total is not None or answer.following is not None or not is_first:
        return answer
    return replace(answer, total=len(answer.rows))


def left_out(query: Query) -> tuple[str, ...]:
    """Return what a lenient search says of parameters that it left out."""
    named = sorted({name_of_place(name) for name in query.ignored})
    return tuple(f"search parameter left out: {name} is not supported" for name in named)


class SearchRoutes:
    """Answers searches.

    Args:
        node: whose record.
    """

    def __init__(self, node: Node) -> None:
        self._node = node

    async def by_url(self, request: Request, _receive: Receive, session: Session) -> Response:
        """Answer ``GET type?…`` and ``POST type/_search``, whose form is among the pairs already."""
        kind = request.path[0]
        strict = is_strict(request)
        query = _understand(kind, _asked(request), strict=strict, base=request.base)
        return await self._search(request, session, [query], kind)

    async def by_compartment(
        self, request: Request, _receive: Receive, session: Session
    ) -> Response:
        """Answer ``GET Patient/id/Observation?…``: what belongs to one compartment of R4."""
        owner, own_id, kind = request.path[:3]
        if kind == "*":
            queries = parse_queries(
                types_in(owner), _asked(request), strict=is_strict(request), base=request.base
            )
            queries = [within_compartment(query, owner, own_id) for query in queries]
            return await self._search(request, session, queries, f"{owner}/{own_id}/*")
        query = _understand(kind, _asked(request), strict=is_strict(request), base=request.base)
        query = within_compartment(query, owner, own_id)
        return await self._search(request, session, [query], f"{owner}/{own_id}/{kind}")

    async def by_system(self, request: Request, _receive: Receive, session: Session) -> Response:
        """Answer ``GET ?_type=…``: what is common to several types."""
        pairs = _asked(request)
        queries = parse_queries(
            types_named(pairs), pairs, strict=is_strict(request), base=request.base
        )
        return await self._search(request, session, queries, "")

    def as_if_nothing(self, request: Request) -> bytes | None:
        """Return the Bundle of a search that finds nothing; None when it names no type.

        Args:
            request: by someone who is not known; the pairs of a form are among its own.
        """
        kind = request.path[0]
        if not is_resource_type(kind):
            return None
        query = _understand(kind, _asked(request), strict=False, base=request.base)
        return search_bundle(
            request.base, Answer((), (), total=0), next_url=None,
            self_url=url_of(request.base, kind, [*query.applied, *request.manner]),
        )  # fmt: skip

    async def _search(
        self, request: Request, session: Session, queries: Sequence[Query], name: str
    ) -> Response:
        node, query = self._node, queries[0]
        applied = query.applied
        context = b"|".join((session.token_hash, name.encode(), repr(applied).encode()))
        token = next((value for key, value in request.query if key == PAGE), None)
        after = None
        if token is not None:
            after = read_page(node.paging_key, token, context=context)
        if len(queries) > 1:
            found = await asyncio.to_thread(find_all, node, session, queries, after=after)
        elif _is_short(query):
            found = find(node, session, query, after=after)
        else:
            found = await asyncio.to_thread(find, node, session, query, after=after)
        await deliver(node, found)
        pairs = [*applied, *request.manner]
        next_url = None
        if found.following is not None:
            page = write_page(node.paging_key, found.following, context=context)
            next_url = url_of(request.base, name, [*pairs, (PAGE, page)])
        body = search_bundle(
            request.base, counted(found, is_first=after is None), next_url=next_url,
            self_url=url_of(request.base, name, pairs), notes=left_out(query),
        )  # fmt: skip
        return Response(200, body)


def _asked(request: Request) -> list[tuple[str, str]]:
    return [pair for pair in request.query if pair[0] != PAGE]


def _is_short(query: Query) -> bool:
    return (
        query.count <= _INLINE
        and len(query.applied) <= _INLINE
        and query.patient is not None
        and not query.sort
        and not query.includes
    )


def _understand(kind: str, pairs: Sequence[tuple[str, str]], *, strict: bool, base: str) -> Query:
    if kind == AUDIT_TYPE:
        unknown = [name for name, _value in pairs if name.partition(":")[0] not in _AUDIT_NAMES]
        if unknown and strict:
            raise MalformedInputError(
                "unknown-parameter", "search parameter not supported", where="query",
                hint="see /fhir/metadata",
            )  # fmt: skip
        pairs = [pair for pair in pairs if pair[0] not in unknown]
    return parse_query(kind, list(pairs), strict=strict, base=base)
