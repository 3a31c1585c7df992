"""`hilum serve`: one process with the HTTP server, the writer thread, the steps and the local socket."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server

from hilum.api.app import build_app
from hilum.errors import HilumError, MalformedInputError, UnavailableError, VerificationError
from hilum.exchange.commands import COMMANDS
from hilum.exchange.datadir import DataDirectory, Lock
from hilum.exchange.demo import fill_with_family
from hilum.exchange.events import report
from hilum.exchange.steps import BackgroundSteps
from hilum.exchange.warming import warm_up
from hilum.exchange.wiring import initialise, open_node
from hilum.portal.app import build_portal

if TYPE_CHECKING:
    from hilum.exchange.node import Node

__all__ = ["serve_node"]

_LONGEST_REQUEST = 1 << 20
_SWITCH_S = 0.0002
"""How soon the writer and the event loop take turns: measured, 20 % more reads than with 5 ms."""
_COLLECT_AFTER = (50_000, 20, 50)
"""When the collector looks for cycles: parsed resources are large trees without any, and looking at them
every 700 objects cost a bundle a third of its time."""


def serve_node(data: Path, *, host: str, port: int, demo: bool) -> None:
    """Serve the node of a data directory until SIGINT or SIGTERM.

    Args:
        data: the data directory; made when it is not there.
        host: address to listen on.
        port: TCP port.
        demo: fill an empty node with the demo family first.

    Raises:
        UnavailableError: the directory or the port is taken.
    """
    directory = DataDirectory(data)
    if not directory.is_initialised():
        initialise(data, custodian="A Hilum node", policy="eu-ehds")
    with Lock(directory):
        _probe(host, port)
        with open_node(directory) as node:
            if demo:
                fill_with_family(node)
            uvloop.run(_serve(node, directory, host, port))


def _probe(host: str, port: int) -> None:
    """Find out whether the port is free before anything else starts.

    Raises:
        UnavailableError: it is not.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UnavailableError(
                "port-taken",
                f"cannot listen on {host}:{port}",
                hint="choose another with --port",
                retryable=False,
            ) from error


async def _serve(node: Node, directory: DataDirectory, host: str, port: int) -> None:
    application = build_app(node, build_portal(node))
    server = Server(
        application, address=host, port=port, interface=Interfaces.ASGI, log_enabled=False
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    steps = asyncio.create_task(_run_steps(BackgroundSteps(node), stop))
    listener = await _listen(node, directory)
    serving = asyncio.create_task(server.serve())
    sys.setswitchinterval(_SWITCH_S)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
    click.echo(f"Hilum serves http://localhost:{port}  (data in {directory.root})", err=True)
    warming = asyncio.create_task(asyncio.to_thread(warm_up))
    halted = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, halted}, return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    listener.close()
    server.stop()  # type: ignore[no-untyped-call]  # granian types nothing here
    for task in (serving, steps, warming):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait_for(task, timeout=10)
    directory.socket.unlink(missing_ok=True)


async def _run_steps(steps: BackgroundSteps, stop: asyncio.Event) -> None:
    """Drive the background objects: each says when it wants to be called next."""
    while not stop.is_set():
        due_s = await asyncio.to_thread(steps.step)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), timeout=due_s)


async def _listen(node: Node, directory: DataDirectory) -> asyncio.Server:
    directory.socket.unlink(missing_ok=True)
    folder = os.open(directory.root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            channel.bind(f"/proc/self/fd/{folder}/{directory.socket.name}")
        finally:
            os.umask(before)
    finally:
        os.close(folder)

    async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            try:
                line = await reader.readline()
            except ValueError:  # longer than any request
                line = b"too long"
            if line:
                await _answer(node, line, writer)
        writer.close()

    return await asyncio.start_unix_server(attend, sock=channel, limit=_LONGEST_REQUEST)


class _Asked(msgspec.Struct):
    command: str
    arguments: dict[str, Any]


def _parse_request(line: bytes) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Return the use case that a line of the local socket names, and its arguments.

    Raises:
        MalformedInputError: not a request, or of an unknown command.
    """
    try:
        asked = msgspec.json.decode(line, type=_Asked)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedInputError("bad-request", "not a request of one line of JSON") from error
    if asked.command not in COMMANDS:
        raise MalformedInputError("unknown-command", "the node does not know this command")
    return COMMANDS[asked.command], asked.arguments


async def _answer(node: Node, line: bytes, writer: asyncio.StreamWriter) -> None:
    loop = asyncio.get_running_loop()

    def send(message: dict[str, Any]) -> None:
        writer.write(json.dumps(message).encode() + b"\n")

    def progress(done: int, total: int) -> None:
        loop.call_soon_threadsafe(send, {"progress": [done, total]})

    try:
        command, arguments = _parse_request(line)
        result = await asyncio.to_thread(command, node, arguments, progress)
        send({"result": result})
    except HilumError as error:
        send({"error": _fields(error)})
    except Exception as error:  # noqa: BLE001 - the edge of the process: nothing of it may leak
        report("command-failed", kind=type(error).__name__)
        failed = UnavailableError("failed", "the command failed in the node", retryable=False)
        send({"error": _fields(failed)})
    await writer.drain()


def _fields(error: HilumError) -> dict[str, Any]:
    fields = {
        "kind": type(error).__name__,
        "code": error.code,
        "why": error.why,
        "where": error.where,
        "hint": error.hint,
    }
    if isinstance(error, VerificationError):
        fields["step"] = error.step
    return fields
