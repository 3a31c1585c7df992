"""Writes over HTTP: create, update, patch and delete, with and without conditions, and bundles of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from email.utils import formatdate
from typing import TYPE_CHECKING

from hilum.api.contents import read_patch, read_resource
from hilum.api.negotiation import Returns, etag_version, returns_of
from hilum.api.transactions import Asking, run_bundle
from hilum.api.wire import FHIR_JSON, Receive, Request, Response
from hilum.errors import MalformedInputError
from hilum.exchange import contributing
from hilum.exchange.committing import deposit
from hilum.exchange.conditions import pairs_of
from hilum.exchange.preparing import Existence, Expected
from hilum.exchange.settling import done_of
from hilum.record.outcome import Issue, Severity, outcome

if TYPE_CHECKING:
    from hilum.exchange.node import Node
    from hilum.exchange.settling import Done
    from hilum.identity.session import Session

__all__ = ["WriteRoutes"]

_JSON = (b"content-type", FHIR_JSON)
_EMPTY: tuple[()] = ()
_INLINE = 64 * 1024
"""Larger bodies are read in a thread, so that one of them does not hold the others up."""


class WriteRoutes:
    """Answers writes.

    Args:
        node: whose record.
        read: answers entries of bundles that read.
    """

    def __init__(
        self, node: Node, read: Callable[[Request, Session], Coroutine[None, None, Response]]
    ) -> None:
        self._node = node
        self._read = read

    async def run_bundle(self, request: Request, receive: Receive, session: Session) -> Response:
        """Answer ``POST [base]``: a batch or a transaction."""
        body = await read_resource(request, receive)
        loop = asyncio.get_running_loop()

        def read(asked: Request) -> Response:
            return asyncio.run_coroutine_threadsafe(self._read(asked, session), loop).result()

        asking = Asking(session, request.base, returns_of(request, Returns.MINIMAL), read)
        return await asyncio.to_thread(run_bundle, self._node, body, asking)

    async def create(self, request: Request, receive: Receive, session: Session) -> Response:
        """Answer ``POST type``, with or without If-None-Exist."""
        kind, condition = request.path[0], request.headers.get(b"if-none-exist")
        body = await read_resource(request, receive)
        if condition is None and len(body) <= _INLINE:
            ready = deposit(self._node, session, kind, body)
            if ready is not None:
                await self._node.writer.append(ready)
                return _written(request, done_of(ready.resources[0].version, is_new=True))
        if condition is None:
            done = await asyncio.to_thread(contributing.create, self._node, session, kind, body)
        else:
            pairs = pairs_of(_header_text(condition))
            done = await asyncio.to_thread(
                contributing.create_unless, self._node, session, kind, body, pairs=pairs
            )
        return _written(request, done)

    async def update(self, request: Request, receive: Receive, session: Session) -> Response:
        """Answer ``PUT type/id``; where nothing is, it may create."""
        kind, own_id = request.path
        existence = Existence.NEW if _only_new(request) else Existence.ANY
        expected = Expected(etag_version(request, b"if-match"), existence)
        body = await read_resource(request, receive)
        done = await asyncio.to_thread(
            contributing.update, self._node, session, kind, own_id, body,
            expected=expected,
        )  # fmt: skip
        return _written(request, done)

    async def update_where(self, request: Request, receive: Receive, session: Session) -> Response:
        """Answer ``PUT type?condition``."""
        expected = Expected(etag_version(request, b"if-match"))
        body = await read_resource(request, receive)
        done = await asyncio.to_thread(
            contributing.update_where, self._node, session, request.path[0], body,
            pairs=request.query, expected=expected,
        )  # fmt: skip
        return _written(request, done)

    async def patch(self, request: Request, receive: Receive, session: Session) -> Response:
        """Answer ``PATCH type/id``."""
        kind, own_id = request.path
        if_match = etag_version(request, b"if-match")
        change = await read_patch(request, receive)
        done = await asyncio.to_thread(
            contributing.patch,
            self._node,
            session,
            (kind, own_id),
            change=change,
            if_match=if_match,
        )
        return _written(request, done)

    async def patch_where(self, request: Request, receive: Receive, session: Session) -> Response:
        """Answer ``PATCH type?condition``."""
        if_match = etag_version(request, b"if-match")
        change = await read_patch(request, receive)
        done = await asyncio.to_thread(
            contributing.patch_where, self._node, session, request.path[0], change=change,
            pairs=request.query, if_match=if_match,
        )  # fmt: skip
        return _written(request, done)

    async def delete(self, request: Request, _receive: Receive, session: Session) -> Response:
        """Answer ``DELETE type/id``."""
        kind, own_id = request.path
        if_match = etag_version(request, b"if-match")
        done = await asyncio.to_thread(
            contributing.delete, self._node, session, kind, own_id, if_match=if_match
        )
        return Response(204, b"", ((b"etag", b'W/"%d"' % done.ver),))

    async def delete_where(self, request: Request, _receive: Receive, session: Session) -> Response:
        """Answer ``DELETE type?condition``."""
        if_match = etag_version(request, b"if-match")
        await asyncio.to_thread(
            contributing.delete_where, self._node, session, request.path[0],
            pairs=request.query, if_match=if_match,
        )  # fmt: skip
        return Response(204, b"", _EMPTY)


def _written(request: Request, done: Done) -> Response:
    location = f"{request.base}/{done.type}/{done.id}/_history/{done.ver}"
    headers = (
        _JSON,
        (b"etag", b'W/"%d"' % done.ver),
        (b"last-modified", formatdate(done.updated // 1000, usegmt=True).encode()),
        (b"location", location.encode()),
    )
    status = 201 if done.is_new else 200
    returns = returns_of(request)
    if returns is Returns.MINIMAL:
        return Response(status, b"", headers)
    if returns is Returns.OUTCOME:
        said = "stored" if done.changed else "it was there already"
        return Response(
            status, outcome([Issue(Severity.INFORMATION, "informational", said)]), headers
        )
    return Response(status, done.body, headers)


def _only_new(request: Request) -> bool:
    """Tell whether the update shall only create (``If-None-Match: *``).

    Raises:
        MalformedInputError: another If-None-Match, which means nothing for a write.
    """
    text = request.headers.get(b"if-none-match")
    if text not in {None, b"*"}:
        raise MalformedInputError("bad-search", "only * is understood", where="If-None-Match")
    return text is not None


def _header_text(value: bytes) -> str:
    """Return the text of a header.

    Raises:
        MalformedInputError: not UTF-8.
    """
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise MalformedInputError("bad-encoding", "not UTF-8", where="If-None-Exist") from None
