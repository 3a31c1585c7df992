"""A real node in a process of its own, and short words for what journeys do with it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from hilum.cli.link import call

SOURCE = Path(__file__).resolve().parents[2] / "src"
_START_S = 60.0
_STOP_S = 60.0
_ANSWER_S = 60.0


@dataclass(frozen=True, slots=True)
class Ran:
    """What one command of the command line did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        """The error, as `--json` prints it on standard error."""
        return dict(json.loads(self.err.splitlines()[-1])["error"])


def environment() -> dict[str, str]:
    known = {name: value for name, value in os.environ.items() if not name.startswith("HILUM_")}
    return {**known, "PYTHONPATH": str(SOURCE), "PYTHONWARNINGS": "default"}


def run(*arguments: object, data: Path | None = None, as_json: bool = True) -> Ran:
    """Run `hilum` in a process of its own."""
    words = [str(each) for each in arguments]
    if data is not None:
        words += ["--data", str(data)]
    if as_json:
        words.append("--json")
    done = subprocess.run(
        [sys.executable, "-m", "hilum", *words],
        env=environment(),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=240,
        check=False,
    )
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


class Node:
    """A served node in a folder of its own.

    Args:
        folder: for the data directory and the log.
        options: further words for `hilum serve`.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.data = folder / "node"
        self.log_file = folder / "serve.log"
        self.options = options
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.http = httpx.Client(timeout=_ANSWER_S)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self.http.close()

    def start(self) -> None:
        """Serve, and wait until the node answers its first request.

        Raises:
            AssertionError: it does not.
        """
        self.port = free_port()
        words = ["serve", "--data", str(self.data), "--port", str(self.port), *self.options]
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hilum", *words],
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log
            with contextlib.suppress(httpx.TransportError):
                if self.http.get(self.url("/api/health")).status_code == httpx.codes.OK:
                    return
            time.sleep(0.01)
        raise AssertionError(f"no answer within {_START_S} s: {self.log}")

    def stop(self) -> int:
        """Ask the process to end, and return its exit code.

        Raises:
            AssertionError: it does not end.
        """
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("the node did not stop when asked") from None
        finally:
            self.process = None
        return code

    @property
    def log(self) -> str:
        """What the served node has written to its standard error."""
        return self.log_file.read_text("utf-8", "replace")

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    # -- the operator ------------------------------------------------------------------------------

    def run(self, *arguments: object) -> Ran:
        """Run one command of the command line in a process of its own."""
        return run(*arguments, data=self.data)

    def operate(self, command: str, **arguments: object) -> Any:
        """Do what a command does, through the node's local socket, without a new process."""
        return call(self.data, command, arguments)

    def take(self, *files: Path, subject: str | None = "new", zone: str | None = None) -> Any:
        """Import files; without a subject they are a directory."""
        return self.operate(
            "import",
            files=[str(each) for each in files],
            subject=subject,
            directory=subject is None,
            zone=zone,
        )

    def take_json(self, tree: object, *, subject: str | None = "new") -> Any:
        path = self.folder / f"import-{time.monotonic_ns()}.json"
        path.write_text(json.dumps(tree))
        return self.take(path, subject=subject)

    def add_subject(self, name: str = "Ada Example") -> str:
        made = self.operate("subject add", name=name, gender=None, birth_date=None)
        return str(made["id"])

    def add_reader(self, name: str = "Riverside Clinic") -> str:
        made = self.operate(
            "reader add", name=name, kind="organization", role="physician", organization=None
        )
        return str(made["id"])

    def token(self, **who: str) -> str:
        fields: dict[str, object] = {
            "reader": None, "purpose": None, "for_subject": None, "subject": None, "ttl": "1h",
        }  # fmt: skip
        return str(self.operate("token", **{**fields, **who})["token"])

    def grant(self, subject: str, reader: str, purpose: str = "TREAT", **more: str) -> str:
        granted = self.operate("grant", subject=subject, reader=reader, purpose=purpose, **more)
        return str(granted["directive"])

    # -- those who ask over HTTP -------------------------------------------------------------------

    def ask(
        self,
        method: str,
        path: str,
        token: str | None,
        body: object = None,
        **headers: str,
    ) -> httpx.Response:
        """Send one request; a body that is not bytes goes as FHIR JSON."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            fields["Authorization"] = f"Bearer {token}"
        if body is not None:
            fields.setdefault("Content-Type", "application/fhir+json")
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        where = path if path.startswith("http://") else self.url(path)
        return self.http.request(method, where, headers=fields, content=content)

    def get(self, path: str, token: str | None, **headers: str) -> httpx.Response:
        return self.ask("GET", path, token, **headers)

    def walk(self, path: str, token: str) -> Iterator[dict[str, Any]]:
        """Yield every page of a search or a history."""
        following: str | None = path
        while following:
            answer = self.get(following, token)
            assert answer.status_code == httpx.codes.OK, (following, answer.text)
            bundle = answer.json()
            yield bundle
            links = {link["relation"]: link["url"] for link in bundle["link"]}
            following = links.get("next")

    def resources(self, path: str, token: str) -> list[dict[str, Any]]:
        """Return what a search finds over all its pages."""
        return [
            entry["resource"] for page in self.walk(path, token) for entry in page.get("entry", ())
        ]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
