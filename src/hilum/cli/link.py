"""How a command reaches its node: through the local socket of a running one, else by opening it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hilum.errors import (
    AccessDeniedError,
    ConflictError,
    HilumError,
    InsufficientDataError,
    MalformedInputError,
    UnavailableError,
    VerificationError,
)

__all__ = ["Progress", "call", "connect"]

Progress = Callable[[int, int], None]
_KINDS: dict[str, type[HilumError]] = {
    kind.__name__: kind
    for kind in (AccessDeniedError, ConflictError, InsufficientDataError, MalformedInputError)
}


def call(
    data: Path, command: str, arguments: Mapping[str, object], *, progress: Progress | None = None
) -> Any:  # noqa: ANN401 - each command has its own JSON shape
    """Run one use case on the node of a data directory.

    Args:
        data: the data directory.
        command: name in `hilum.exchange.commands.COMMANDS`.
        arguments: JSON-able keyword arguments.
        progress: called with (done, total) in bytes or items; total 0 when unknown.

    Returns:
        The command's JSON-able result.

    Raises:
        MalformedInputError: an argument is no text.
        UnavailableError: no node there, or another process writes to it and does not listen.
    """
    from hilum.exchange.datadir import DataDirectory, Lock

    _check(arguments)
    directory = DataDirectory(data)
    if not directory.is_initialised():
        raise UnavailableError(
            "no-node",
            "there is no node in this directory",
            where=str(data),
            hint=f"make one: hilum init --data {data}",
            retryable=False,
        )
    try:
        lock = Lock(directory)
    except UnavailableError as busy:
        connection = connect(directory.socket)
        if connection is None:
            raise busy from None
        with connection:
            return _ask(connection, command, arguments, progress)
    from hilum.exchange.commands import COMMANDS
    from hilum.exchange.wiring import open_node

    with lock, open_node(directory) as node:
        return COMMANDS[command](node, dict(arguments), progress or (lambda _done, _total: None))


def _check(arguments: Mapping[str, object]) -> None:
    """Words of a command line may hold bytes that are no text.

    Raises:
        MalformedInputError: one does; names it.
    """
    for name, value in arguments.items():
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise MalformedInputError("bad-encoding", "not UTF-8", where=name) from error


def connect(path: Path) -> socket.socket | None:
    """Connect to a node's local socket; None when nobody listens.

    The path may be longer than the 108 bytes a socket address holds, so it is reached through its
    folder's descriptor.
    """
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            channel.connect(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)
    except OSError:
        channel.close()
        return None
    return channel


def _ask(
    connection: socket.socket,
    command: str,
    arguments: Mapping[str, object],
    progress: Progress | None,
) -> Any:  # noqa: ANN401 - each command has its own JSON shape
    request = {"command": command, "arguments": dict(arguments)}
    connection.sendall(json.dumps(request).encode() + b"\n")
    with connection.makefile("rb") as answers:
        for line in answers:
            answer = json.loads(line)
            if "progress" in answer:
                if progress is not None:
                    progress(*answer["progress"])
            elif "error" in answer:
                raise _rebuild(answer["error"])
            else:
                return answer["result"]
    raise UnavailableError("node-stopped", "the node stopped before it answered", retryable=True)


def _rebuild(fields: dict[str, Any]) -> HilumError:
    place = {"where": fields["where"], "hint": fields["hint"]}
    if fields["kind"] == "VerificationError":
        return VerificationError(fields["step"], fields["why"], **place)
    if fields["kind"] in _KINDS:
        return _KINDS[fields["kind"]](fields["code"], fields["why"], **place)
    return UnavailableError(fields["code"], fields["why"], **place)
