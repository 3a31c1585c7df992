"""What every command shares: `--data`, `--json`, exit codes, and how it reaches its node."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from hilum.errors import HilumError, MalformedInputError, UnavailableError

__all__ = ["call", "default_data", "exit_code", "shared", "write_file"]

EXIT_REFUSED = 1
EXIT_MALFORMED = 2
EXIT_UNAVAILABLE = 3


def default_data() -> Path:
    """Return `$HILUM_DATA` or ``~/.local/share/hilum``."""
    return Path(os.environ.get("HILUM_DATA") or Path.home() / ".local" / "share" / "hilum")


def shared(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command its `--data` and `--json`, print its result and turn errors into exit codes."""

    @click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
    @click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        default=None,
        help="Data directory of the node (default: $HILUM_DATA or ~/.local/share/hilum).",
    )
    @wraps(function)
    def command(*, as_json: bool, data: Path | None, **arguments: object) -> None:
        from hilum.cli.show import show_error, show_result

        root = (data or default_data()).absolute()
        try:
            result, words = function(root, **arguments)
        except HilumError as error:
            show_error(error, as_json=as_json)
            sys.exit(exit_code(error))
        show_result(result, words, as_json=as_json)
        if isinstance(result, dict) and result.get("ok") is False:
            sys.exit(EXIT_REFUSED)

    return command


def exit_code(error: HilumError) -> int:
    """Return 2 for wrong input, 3 for what cannot be done now, 1 for everything refused."""
    if isinstance(error, MalformedInputError):
        return EXIT_MALFORMED
    if isinstance(error, UnavailableError):
        return EXIT_UNAVAILABLE
    return EXIT_REFUSED


def call(root: Path, command: str, /, **arguments: object) -> Any:  # noqa: ANN401 - JSON
    """Run a use case on the node of a data directory; returns its JSON-able result."""
    from hilum.cli import link

    return link.call(root, command, arguments)


def write_file(path: Path, content: bytes) -> None:
    """Write a file the user named.

    Raises:
        UnavailableError: it cannot be written.
    """
    try:
        path.write_bytes(content)
    except OSError as error:
        raise UnavailableError(
            "cannot-write", "the file cannot be written", where=str(path), retryable=False
        ) from error
