"""The short way for plain reads: ``GET /fhir/[type]/[id]`` without anything that asks for more.

Most requests of a record are these. They take the same steps as all others (session, gate, rows under the
access, durable receipt, bytes), with as little around them as can be. A request that names a format, a
condition or a query goes the long way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hilum.api.bundles import entity_headers
from hilum.api.outcomes import ABSENT, GONE
from hilum.api.wire import FHIR_JSON, Response, Scope, is_host
from hilum.base.ids import is_fhir_id
from hilum.exchange.reading import look_up, look_up_deletion
from hilum.record.types import is_resource_type

if TYPE_CHECKING:
    from hilum.exchange.answering import Shown
    from hilum.exchange.node import Node
    from hilum.identity.session import Session

__all__ = ["PlainRead", "QuickReads"]

_JSON = (b"content-type", FHIR_JSON)
_PLAIN_ACCEPT = frozenset({b"*/*", b"application/fhir+json", b"application/json"})
_ASKS_MORE = frozenset(
    {b"if-none-match", b"if-modified-since", b"if-match", b"if-none-exist", b"prefer", b"range"}
)
_MOST_HOSTS = 64
_PARTS = 4


class PlainRead(msgspec.Struct, frozen=True, gc=False):
    """A request that the short way answers."""

    session: Session
    type: str
    id: str


class QuickReads:
    """Answers plain reads.

    Args:
        node: whose record.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._hosts: frozenset[bytes] = frozenset()

    def understand(self, scope: Scope) -> PlainRead | None:
        """Return what a request asks, or None when the short way does not answer it."""
        if scope["method"] != "GET" or scope["query_string"]:
            return None
        parts = scope["path"].split("/")
        if len(parts) != _PARTS or not is_resource_type(parts[2]) or not is_fhir_id(parts[3]):
            return None
        authorization, host = None, b"localhost"
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorization = value
            elif name == b"host":
                host = value
            elif name in _ASKS_MORE or (name == b"accept" and value not in _PLAIN_ACCEPT):
                return None
        if host not in self._hosts and not self._learn(host):
            return None
        node = self._node
        session = node.sessions.authenticate(authorization, node.clock())
        return None if session is None else PlainRead(session, parts[2], parts[3])

    async def answer(self, asked: PlainRead) -> Response:
        """Return the response, once the receipt is on disk."""
        node = self._node
        found = look_up(node, asked.session, asked.type, asked.id)
        for draft in found.drafts:
            await node.writer.append(draft)
        if found.rows:
            return shown_response(found.rows[0])
        gone = look_up_deletion(node, asked.session, asked.type, asked.id)
        return ABSENT if gone is None else GONE

    def _learn(self, host: bytes) -> bool:
        if not is_host(host):
            return False
        known = self._hosts if len(self._hosts) < _MOST_HOSTS else frozenset()
        self._hosts = known | {host}
        return True


def shown_response(row: Shown) -> Response:
    """Return the response that shows one version."""
    return Response(200, row.body, (_JSON, *entity_headers(row)))
