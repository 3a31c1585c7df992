"""The node key on disk: one line of text, readable by its owner only."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from hilum.errors import ConflictError, MalformedInputError, UnavailableError
from hilum.vault.keys import KEY_BYTES, Entropy

__all__ = ["create_node_key", "read_node_key"]

_PREFIX = "hilum-node-key-v1:"


def create_node_key(path: Path, *, entropy: Entropy) -> bytes:
    """Make a node key, write it durably with mode 0600 and return its 32 bytes.

    It is written beside its place and linked there, so that a key file is whole or absent.

    Raises:
        ConflictError: when the file exists; a node key is never overwritten.
        UnavailableError: when it cannot be written.
    """
    key = entropy(KEY_BYTES)
    beside = path.with_name(f"{path.name}.new")
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{_PREFIX}{key.hex()}\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(beside, path)
        finally:
            beside.unlink()
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError:
        raise ConflictError("node-key-exists", "there is a node key already") from None
    except OSError as error:
        raise UnavailableError("node-key", "the node key cannot be written") from error
    return key


def read_node_key(path: Path) -> bytes:
    """Return the 32 bytes of the node key.

    Raises:
        UnavailableError: when it is missing or others than its owner may read it.
        MalformedInputError: when it is not a node key.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii")
    except UnicodeDecodeError:
        text, mode = "", 0
    except OSError as error:
        raise UnavailableError("node-key", "the node key cannot be read") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UnavailableError(
            "node-key", "others may read the node key", hint="chmod 600", retryable=False
        )
    body = text.removeprefix(_PREFIX).removesuffix("\n")
    if not text.startswith(_PREFIX) or len(body) != 2 * KEY_BYTES:
        raise MalformedInputError("bad-node-key", "not a node key file", where="node key")
    try:
        return bytes.fromhex(body)
    except ValueError:
        raise MalformedInputError("bad-node-key", "not a node key file", where="node key") from None
