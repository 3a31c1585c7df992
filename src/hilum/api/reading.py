"""Reads over HTTP: the current version of a resource, and one version by its number."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hilum.api.bundles import entity_headers
from hilum.api.negotiation import is_unchanged
from hilum.api.outcomes import ABSENT, GONE
from hilum.api.searching import deliver
from hilum.api.wire import FHIR_JSON, Receive, Request, Response
from hilum.exchange.histories import look_up_version
from hilum.exchange.reading import look_up, look_up_deletion

if TYPE_CHECKING:
    from hilum.exchange.auditing import Shown
    from hilum.exchange.node import Node
    from hilum.identity.session import Session

__all__ = ["ReadRoutes"]

_JSON = (b"content-type", FHIR_JSON)
_VERSION = re.compile(r"\d{1,18}\Z", re.ASCII)


class ReadRoutes:
    """Answers read and vread.

    Args:
        node: whose record.
    """

    def __init__(self, node: Node) -> None:
        self._node = node

    async def read(self, request: Request, _receive: Receive, session: Session) -> Response:
        """Answer ``GET type/id``; 304 when the reader has the current version."""
        kind, own_id = request.path
        answer = await deliver(self._node, look_up(self._node, session, kind, own_id))
        if not answer.rows:
            gone = look_up_deletion(self._node, session, kind, own_id)
            return ABSENT if gone is None else GONE
        return _shown(request, answer.rows[0])

    async def read_version(self, request: Request, _receive: Receive, session: Session) -> Response:
        """Answer ``GET type/id/_history/version``."""
        kind, own_id, _word, version = request.path
        if not _VERSION.match(version):
            return ABSENT
        answer, gone = look_up_version(self._node, session, (kind, own_id), int(version))
        await deliver(self._node, answer)
        if answer.rows:
            return _shown(request, answer.rows[0])
        return ABSENT if gone is None else GONE


def _shown(request: Request, row: Shown) -> Response:
    headers = entity_headers(row)
    if is_unchanged(request, ver=row.ver, updated_ms=row.updated):
        return Response(304, b"", headers)
    return Response(200, row.body, (_JSON, *headers))
