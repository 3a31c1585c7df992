"""Operations that read: $everything and $lastn. Each is parsed, asked of the gate, receipted, spliced."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from hilum.api.arguments import read_arguments
from hilum.api.bundles import url_of
from hilum.api.marks import read_mark, write_mark
from hilum.api.negotiation import is_strict
from hilum.api.outcomes import ABSENT
from hilum.api.paging import PAGE
from hilum.api.searching import deliver
from hilum.api.wire import Receive, Request, Response
from hilum.errors import MalformedInputError
from hilum.exchange.answering import Answer
from hilum.exchange.everything import Everything, Part, look_up_everything, wanted_types
from hilum.exchange.newest import look_up_newest

if TYPE_CHECKING:
    from hilum.exchange.auditing import Shown
    from hilum.exchange.node import Node
    from hilum.identity.session import Session

__all__ = ["OperationRoutes", "searchset"]

_EVERYTHING = frozenset({"start", "end", "_since", "_type", "_count", PAGE})
_USUAL_COUNT = 100
_MAX_COUNT = 1000


def searchset(
    base: str, links: list[dict[str, str]], rows: Iterable[tuple[Shown, str]], total: int | None
) -> bytes:
    """Return a searchset Bundle, spliced from stored bytes.

    Args:
        base: ``http://host/fhir``.
        links: relation and url of each.
        rows: each with its search mode.
        total: number of matches when it is known.
    """
    head = b'{"resourceType":"Bundle","type":"searchset",'
    if total is not None:
        head += b'"total":%d,' % total
    entries = b",".join(
        b'{"fullUrl":"%b","resource":%b,"search":{"mode":"%b"}}'
        % (f"{base}/{row.type}/{row.id}".encode(), row.body, mode.encode())
        for row, mode in rows
    )
    head += b'"link":' + msgspec.json.encode(links)
    return head + (b',"entry":[' + entries + b"]}" if entries else b"}")


class OperationRoutes:
    """Answers operations that read.

    Args:
        node: whose record.
    """

    def __init__(self, node: Node) -> None:
        self._node = node

    async def everything(self, request: Request, receive: Receive, session: Session) -> Response:
        """Answer ``Patient/[id]/$everything``.

        Raises:
            MalformedInputError: of another type, or an argument is wrong.
        """
        node = self._node
        kind, own_id = request.path[:2]
        if kind != "Patient":
            raise MalformedInputError("not-supported", "an operation of Patient", where="url")
        arguments = await read_arguments(request, receive)
        arguments.only(_EVERYTHING, strict=is_strict(request))
        wanted = Everything(
            wanted_types(arguments.words("_type")),
            since=arguments.one("_since"), start=arguments.one("start"), end=arguments.one("end"),
            count=arguments.count("_count", _USUAL_COUNT, most=_MAX_COUNT),
        )  # fmt: skip
        pairs = [pair for pair in arguments.pairs if pair[0] in _EVERYTHING - {PAGE}]
        context = b"|".join((session.token_hash, own_id.encode(), repr(pairs).encode()))
        token = arguments.one(PAGE)
        after = None
        if token:
            name, ts, key = read_mark(node.paging_key, token, context=context)
            after = (name, ts, key)
        part = await asyncio.to_thread(
            look_up_everything, node, session, own_id, wanted, after=after
        )
        await deliver(node, Answer((), part.drafts))
        if part.is_absent:
            return ABSENT
        path = f"Patient/{own_id}/$everything"
        links = [{"relation": "self", "url": url_of(request.base, path, pairs)}]
        if part.following is not None:
            mark = write_mark(
                node.paging_key, list(part.following), context=context, nonce=node.entropy(12)
            )
            url = url_of(request.base, path, [*pairs, (PAGE, mark)])
            links.append({"relation": "next", "url": url})
        is_whole = part.following is None and after is None
        total = len(part.rows) if is_whole else None
        return Response(200, searchset(request.base, links, _modes(part), total))

    async def newest(self, request: Request, receive: Receive, session: Session) -> Response:
        """Answer ``Observation/$lastn``.

        Raises:
            MalformedInputError: of another type, or an argument is wrong.
        """
        node = self._node
        if request.path[0] != "Observation":
            raise MalformedInputError("not-supported", "an operation of Observation", where="url")
        arguments = await read_arguments(request, receive)
        most = arguments.count("max", 1, most=_MAX_COUNT)
        pairs = [pair for pair in arguments.pairs if pair[0] != "max"]
        answer = await asyncio.to_thread(
            look_up_newest, node, session, pairs, most=most, strict=is_strict(request)
        )
        await deliver(node, answer)
        url = url_of(request.base, "Observation/$lastn", arguments.pairs)
        rows = ((row, "match") for row in answer.rows)
        links = [{"relation": "self", "url": url}]
        return Response(200, searchset(request.base, links, rows, len(answer.rows)))


def _modes(part: Part) -> Iterable[tuple[Shown, str]]:
    yield from ((row, "match") for row in part.rows)
    yield from ((row, "include") for row in part.included)
