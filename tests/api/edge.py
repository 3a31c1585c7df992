"""A node and its HTTP edge inside the test's own process, with every store call counted."""

from __future__ import annotations

import asyncio
import inspect
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from hilum.api.app import build_app
from hilum.api.wire import Receive, Scope, Send
from hilum.base.ids import UnixMs
from hilum.consent.adapters.sqlite import SqliteDirectives
from hilum.exchange import wiring
from hilum.exchange.datadir import DataDirectory, Lock
from hilum.exchange.importing import import_files
from hilum.exchange.node import Node
from hilum.exchange.people import add_reader, add_subject, issue_token
from hilum.exchange.sharing import grant
from hilum.journal.adapters.sqlite import SqliteJournal
from hilum.record.adapters.sqlite import SqliteRecord
from hilum.signals.adapters.sqlite import SqliteSeries

BASE = "http://node.test/fhir"
STORES = (SqliteRecord, SqliteSeries, SqliteDirectives, SqliteJournal)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, and what it cost the node.

    Attributes:
        calls: how often each function of a store was called.
        receipts: how many receipts were written.
    """

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    calls: Counter[str]
    receipts: int

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: bytes) -> bytes | None:
        return dict(self.headers).get(name)

    def about(self, own: str, other: str) -> Reply:
        """Return the reply as it reads when one asked id stands for another of the same length."""
        return replace(
            self,
            body=self.body.replace(own.encode(), other.encode()),
            headers=tuple(
                (name, value.replace(own.encode(), other.encode())) for name, value in self.headers
            ),
        )


class Calls:
    """Counts the calls into the stores, as long as it is set on them."""

    def __init__(self) -> None:
        self.counter: Counter[str] = Counter()
        self._real: list[tuple[type, str, Callable[..., Any]]] = []

    def install(self) -> None:
        for store in STORES:
            for name, function in inspect.getmembers(store, inspect.isfunction):
                if not name.startswith("_"):
                    self._real.append((store, name, function))
                    setattr(store, name, self._counting(f"{store.__name__}.{name}", function))

    def remove(self) -> None:
        for store, name, function in self._real:
            setattr(store, name, function)

    def _counting(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*words: Any, **named: Any) -> Any:
            self.counter[name] += 1
            return function(*words, **named)

        return counted


class Edge:
    """One node without a process of its own; its clock stands still.

    Args:
        node: opened.
        calls: counting.
    """

    def __init__(self, node: Node, calls: Calls) -> None:
        self.node = node
        self.calls = calls
        self.runner = asyncio.Runner()
        self._application = build_app(node, _no_portal)
        self._offset_ms = 0
        start = node.clock()
        node.clock = lambda: UnixMs(start + self._offset_ms)

    @contextmanager
    def later(self, by_ms: int) -> Iterator[None]:
        """Move the node's clock for a while."""
        self._offset_ms += by_ms
        try:
            yield
        finally:
            self._offset_ms -= by_ms

    @property
    def receipts(self) -> int:
        return int(self.node.conn.execute("select count(*) from receipt").fetchone()[0])

    def rows(self) -> dict[str, int]:
        """Return how many rows each table holds, receipts and tokens aside."""
        conn = self.node.conn
        names = [
            row[0]
            for row in conn.execute("select name from sqlite_master where type='table'")
            if row[0] not in {"receipt", "receipt_name", "token"}
        ]
        return {name: conn.execute(f"select count(*) from {name}").fetchone()[0] for name in names}

    def ask(
        self,
        method: str,
        target: str,
        token: str | None = None,
        body: object = b"",
        **headers: str,
    ) -> Reply:
        """Send one request; a body that is not bytes goes as JSON."""
        path, _question, query = target.removeprefix("http://node.test").partition("?")
        fields = [(b"host", b"node.test")]
        if token is not None:
            fields.append((b"authorization", f"Bearer {token}".encode()))
        for name, value in headers.items():
            fields = [each for each in fields if each[0] != name.replace("_", "-").encode()]
            fields.append((name.replace("_", "-").encode(), value.encode("latin-1")))
        scope = {
            "type": "http",
            "method": method,
            "path": unquote(path),
            "query_string": query.encode("latin-1"),
            "headers": fields,
            "scheme": "http",
        }
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        receipts, self.calls.counter = self.receipts, Counter()
        status, sent, answer = self.runner.run(self._send(scope, content))
        return Reply(status, sent, answer, Counter(self.calls.counter), self.receipts - receipts)

    async def _send(
        self, scope: Scope, content: bytes
    ) -> tuple[int, tuple[tuple[bytes, bytes], ...], bytes]:
        parts = [content[at : at + 65536] for at in range(0, len(content), 65536)] or [b""]
        status, headers, body = 0, (), b""

        async def receive() -> dict[str, Any]:
            part = parts.pop(0) if parts else b""
            return {"type": "http.request", "body": part, "more_body": bool(parts)}

        async def send(message: Any) -> None:
            nonlocal status, headers, body
            if message["type"] == "http.response.start":
                status, headers = message["status"], tuple(message["headers"])
            else:
                body += message.get("body", b"")

        await self._application(scope, receive, send)
        return status, headers, body

    # -- people --------------------------------------------------------------------------------------

    def add_subject(self) -> str:
        made = add_subject(self.node, name="Ada Example", gender=None, birth_date=None)
        return str(made["id"])

    def add_reader(self, role: str = "physician") -> str:
        made = add_reader(
            self.node, name="Riverside", kind="organization", role=role, organization=None
        )
        return str(made["id"])

    def token(self, **who: str) -> str:
        fields: dict[str, Any] = {
            "reader": None, "purpose": None, "for_subject": None, "subject": None, "ttl": "1h",
        }  # fmt: skip
        return str(issue_token(self.node, **{**fields, **who})["token"])

    def grant(self, subject: str, reader: str, **more: str) -> str:
        fields: dict[str, Any] = {"purpose": "TREAT", **more}
        return str(grant(self.node, subject=subject, reader=reader, **fields)["directive"])

    def take(self, content: bytes, name: str, *, subject: str) -> Any:
        """Import a file's content."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.write_bytes(content)
            return import_files(
                self.node, files=[str(path)], subject=subject, directory=False,
                zone="Europe/Madrid", progress=lambda _done, _total: None,
            )  # fmt: skip

    def create(self, token: str, tree: dict[str, Any]) -> str:
        """Create a resource over HTTP, and return its id."""
        reply = self.ask("POST", f"/fhir/{tree['resourceType']}", token, tree)
        assert reply.status == 201, reply.body
        return str(reply.json["id"])


async def _no_portal(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise AssertionError("the portal was asked")


@contextmanager
def open_edge(folder: Path) -> Iterator[Edge]:
    """Make a node in a folder and open its edge."""
    calls = Calls()
    calls.install()
    try:
        wiring.initialise(folder, custodian="Test", policy="eu-ehds")
        directory = DataDirectory(folder)
        with Lock(directory), wiring.open_node(directory) as node:
            edge = Edge(node, calls)
            try:
                yield edge
            finally:
                edge.runner.close()
    finally:
        calls.remove()
