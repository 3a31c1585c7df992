"""Bulk exports over HTTP: begin, ask how far it is, fetch the files, delete.

Source: FHIR Bulk Data Access 2.0.0, export.html.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import msgspec

from hilum.api.arguments import Arguments, read_arguments
from hilum.api.bundles import url_of
from hilum.api.negotiation import is_strict
from hilum.api.outcomes import ABSENT
from hilum.api.searching import deliver
from hilum.api.streaming import Stream
from hilum.api.wire import Receive, Request, Response
from hilum.base.ids import UnixMs
from hilum.errors import MalformedInputError, UnavailableError
from hilum.exchange.answering import Answer
from hilum.exchange.bulk import Export, Wanted, drop_export, load_export, new_export, queries_of
from hilum.exchange.bulk_asking import draft_question, members_of
from hilum.exchange.bulk_planning import Planner
from hilum.exchange.bulk_reading import walk_file
from hilum.exchange.everything import wanted_types
from hilum.record.dates import read_interval
from hilum.record.outcome import Issue, Severity, outcome
from hilum.record.resource import format_instant

if TYPE_CHECKING:
    from hilum.exchange.bulk_reading import Chunk
    from hilum.exchange.node import Node
    from hilum.identity.session import Session

__all__ = ["ExportRoutes"]

_ARGUMENTS = frozenset({"_outputFormat", "_since", "_type", "_typeFilter", "patient"})
_FORMATS = frozenset({"application/fhir+ndjson", "application/ndjson", "ndjson"})
_CONTROLS = frozenset({"_count", "_sort", "_include", "_revinclude", "_total", "_summary"})
_LINES = (b"content-type", b"application/fhir+ndjson")
_JSON = (b"content-type", b"application/json")
_FILE = re.compile(r"(\d{1,9})\.ndjson\Z", re.ASCII)
_ACCEPTED = outcome([Issue(Severity.INFORMATION, "informational", "the export is under way")])


class ExportRoutes:
    """Answers everything about bulk exports.

    Args:
        node: whose record.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._planner = Planner(node)

    async def begin(self, request: Request, receive: Receive, session: Session) -> Response:
        """Answer ``$export``, ``Patient/$export`` and ``Group/[id]/$export``.

        Raises:
            MalformedInputError: of another type, not asked to be done later, or an argument is wrong.
        """
        node = self._node
        kind = request.path[0]
        if request.method == "HEAD":
            return ABSENT  # a look begins nothing
        if kind not in {"$export", "Patient" if len(request.path) == 2 else "Group"}:
            why = "the system, all patients or a group can be exported"
            raise MalformedInputError("not-supported", why, where="url")
        if b"respond-async" not in request.headers.get(b"prefer", b""):
            raise MalformedInputError(
                "bad-search", "an export is always done later", where="Prefer", hint="respond-async"
            )
        arguments = await read_arguments(request, receive)
        arguments.only(_ARGUMENTS, strict=is_strict(request))
        asked = _asked(arguments, is_system=kind == "$export")
        group = request.path[1] if kind == "Group" else None
        members, drafts = members_of(node, session, group, arguments.all("patient"))
        await deliver(node, Answer((), drafts))
        if group is not None and members is None:
            return ABSENT
        asked = msgspec.structs.replace(asked, members=members)
        url = url_of(request.base, "/".join(request.path), arguments.pairs)
        await deliver(node, Answer((), (draft_question(node, session),)))
        export = await asyncio.to_thread(new_export, node, session, url=url, wanted=asked)
        self._planner.begin(session, export)
        where = f"{request.base}/$export/{export.id}"
        return Response(
            202, _ACCEPTED, (*Response(202).headers, (b"content-location", where.encode()))
        )

    async def status(self, request: Request, _receive: Receive, session: Session) -> Response:
        """Answer ``$export/[id]``: how far it is (202), or what can be fetched (200)."""
        node = self._node
        export = load_export(node, session, request.path[1], now=node.clock())
        if export is None:
            return ABSENT
        if export.files is None:
            progress = self._planner.begin(session, export)
            words = f"{progress.done} of {progress.total} records looked at".encode()
            return Response(202, b"", ((b"x-progress", words), (b"retry-after", b"1")))
        output = [
            {
                "type": export.wanted[file.wanted].type,
                "url": f"{request.base}/$export/{export.id}/{number}.ndjson",
            }
            for number, file in enumerate(export.files)
        ]
        manifest = {
            "transactionTime": format_instant(UnixMs(export.at)),
            "request": export.url,
            "requiresAccessToken": True,
            "output": output,
            "error": [],
        }
        expires = (b"expires", formatdate(export.expires // 1000, usegmt=True).encode())
        return Response(200, msgspec.json.encode(manifest), (_JSON, expires))

    async def cancel(self, request: Request, _receive: Receive, session: Session) -> Response:
        """Answer ``DELETE $export/[id]``."""
        node = self._node
        export = load_export(node, session, request.path[1], now=node.clock())
        if export is None:
            return ABSENT
        await asyncio.to_thread(drop_export, node, export.id)
        return Response(202, b"", ())

    async def file(self, request: Request, _receive: Receive, session: Session) -> Response:
        """Answer ``$export/[id]/[n].ndjson``; the lines are read while they are sent."""
        node = self._node
        export = load_export(node, session, request.path[1], now=node.clock())
        match = _FILE.match(request.path[2])
        if export is None or export.files is None or match is None:
            return ABSENT
        number = int(match[1])
        if number >= len(export.files):
            return ABSENT
        chunks = walk_file(node, session, export, export.files[number])
        authorization = request.headers.get(b"authorization", b"")
        return Stream(200, b"", (_LINES,), self._send(chunks, authorization, export.id))

    async def _send(
        self, chunks: Iterator[Chunk], authorization: bytes, id: str
    ) -> AsyncIterator[bytes]:
        node = self._node
        while True:
            chunk = await asyncio.to_thread(next, chunks, None)
            if chunk is None:
                return
            session = node.sessions.authenticate(authorization, node.clock())
            if session is None or load_export(node, session, id, now=node.clock()) is None:
                raise UnavailableError("ended", "the token or the export ended", retryable=False)
            await deliver(node, Answer((), chunk.drafts))
            yield chunk.lines


def _asked(arguments: Arguments, *, is_system: bool) -> Export:
    if arguments.one("_outputFormat").replace(" ", "+") not in _FORMATS | {""}:
        raise MalformedInputError(
            "bad-search", "exports are NDJSON", where="_outputFormat",
            hint="application/fhir+ndjson",
        )  # fmt: skip
    since = arguments.one("_since")
    if since and read_interval(since.replace(" ", "+")) is None:
        raise MalformedInputError("bad-date", "not an instant", where="_since")
    filters: dict[str, list[tuple[tuple[str, str], ...]]] = {}
    for text in arguments.all("_typeFilter"):
        name, pairs = _filter(text)
        filters.setdefault(name, []).append(pairs)
    names = wanted_types(arguments.words("_type"))
    wanted = tuple(Wanted(name, tuple(filters.get(name, ()))) for name in names)
    export = Export("", b"", "", 0, wanted, since.replace(" ", "+"), None, is_system)
    for each in wanted:
        queries_of(export, each)
    return export


def _filter(text: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    name, question, rest = text.partition("?")
    pairs = tuple(parse_qsl(rest, keep_blank_values=True))
    if not question or any(key.partition(":")[0] in _CONTROLS for key, _value in pairs):
        raise MalformedInputError(
            "bad-search", "not a type with a search", where="_typeFilter",
            hint="_typeFilter=Observation?code=http://loinc.org|8867-4, encoded",
        )  # fmt: skip
    return wanted_types([name])[0], pairs
