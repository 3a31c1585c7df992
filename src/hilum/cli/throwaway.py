"""A throw-away node, served by a process of its own: for the story and for measuring."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hilum.errors import UnavailableError

__all__ = ["ThrowawayNode", "serve_throwaway"]

_START_S = 20.0
_STOP_S = 20.0
_LOOK_EVERY_S = 0.01


@dataclass(frozen=True, slots=True)
class ThrowawayNode:
    """A node that goes away.

    Attributes:
        root: folder of the node and of files beside it.
        port: where it serves on loopback.
        pid: its process.
        started_s: seconds from the process' start to its first answer.
    """

    root: Path
    port: int
    pid: int
    started_s: float

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.root / "node"

    def operate(self, command: str, **arguments: object) -> Any:  # noqa: ANN401 - JSON
        """Run one command of the operator through the node's local socket."""
        from hilum.cli.link import call

        return call(self.data, command, arguments)

    def token(self, **who: str) -> str:
        """Issue a token for an hour: ``reader=`` with ``purpose=``, or ``subject=``."""
        nobody = {"reader": None, "purpose": None, "for_subject": None, "subject": None}
        return str(self.operate("token", **{**nobody, **who, "ttl": "1h"})["token"])

    def ask(self, path: str, token: str, *, body: bytes | None = None) -> tuple[int, bytes]:
        """Send one HTTP request; returns (status, body)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            connection.request("GET" if body is None else "POST", path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def count(self, path: str, token: str) -> int:
        """Return how many entries a search yields over all its pages; minus the status if refused."""
        total = 0
        while path:
            status, body = self.ask(path, token)
            if status != http.client.OK:
                return -status
            bundle = json.loads(body)
            total += len(bundle.get("entry", ()))
            links = {link["relation"]: link["url"] for link in bundle.get("link", ())}
            path = links.get("next", "").partition(f":{self.port}")[2]
        return total


@contextlib.contextmanager
def serve_throwaway(*, keep: bool = False, demo: bool = False) -> Iterator[ThrowawayNode]:
    """Serve a new node until the block ends.

    Args:
        keep: leave its folder behind.
        demo: fill it with the demo family first.

    Raises:
        UnavailableError: it did not start.
    """
    root = Path(tempfile.mkdtemp(prefix="hilum-demo-"))
    port = _free_port()
    command = [
        sys.executable, "-m", "hilum", "serve", "--data", str(root / "node"), "--port", str(port),
        *(["--demo"] if demo else []),
    ]  # fmt: skip
    began = time.monotonic()
    try:
        with subprocess.Popen(  # noqa: S603 - our own command
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                _await_answer(process, port)
                yield ThrowawayNode(root, port, process.pid, time.monotonic() - began)
            finally:
                process.terminate()
                process.wait(timeout=_STOP_S)
    finally:
        if not keep:
            shutil.rmtree(root, ignore_errors=True)


def _await_answer(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        with (
            contextlib.suppress(OSError, http.client.HTTPException),
            contextlib.closing(connection),
        ):
            connection.request("GET", "/api/health")
            if connection.getresponse().status == http.client.OK:
                return
        time.sleep(_LOOK_EVERY_S)
    raise UnavailableError("node-did-not-start", "the node did not start", retryable=False)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
