"""The use cases by the names that the command line and the local socket use."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hilum.errors import MalformedInputError
from hilum.exchange import (
    checking,
    emergency,
    erasing,
    importing,
    log,
    moving,
    people,
    proving,
    sealing,
    sharing,
)
from hilum.exchange.disk import disk_errors

if TYPE_CHECKING:
    from hilum.exchange.node import Node

__all__ = ["COMMANDS"]

Progress = Callable[[int, int], None]
Command = Callable[["Node", dict[str, Any], Progress], Any]


def _of(function: Callable[..., Any]) -> Command:
    """Make a command of a use case that takes keyword arguments only."""

    def command(node: Node, arguments: dict[str, Any], _progress: Progress) -> Any:  # noqa: ANN401
        try:
            with disk_errors():
                return function(node, **arguments)
        except TypeError as error:
            if "argument" in str(error):
                raise MalformedInputError(
                    "bad-arguments", "the command takes other arguments"
                ) from error
            raise

    return command


def _import(node: Node, arguments: dict[str, Any], progress: Progress) -> Any:  # noqa: ANN401 - JSON
    with disk_errors():
        return importing.import_files(node, **arguments, progress=progress)


COMMANDS: dict[str, Command] = {
    "subject add": _of(people.add_subject),
    "subject list": _of(people.list_subjects),
    "subject show": _of(people.show_subject),
    "reader add": _of(people.add_reader),
    "reader list": _of(people.list_readers),
    "token": _of(people.issue_token),
    "grant": _of(sharing.grant),
    "revoke": _of(sharing.revoke),
    "consents": _of(sharing.consents),
    "review list": _of(emergency.to_review),
    "review done": _of(emergency.mark_reviewed),
    "log": _of(log.receipts),
    "seal": _of(sealing.seal),
    "prove": _of(proving.prove),
    "headers": _of(proving.headers),
    "import": _import,
    "export": _of(moving.export),
    "erase": _of(erasing.erase),
    "fsck": _of(checking.check),
}
"""Name → use case ``(node, arguments, progress) -> JSON-able``."""
