"""Canonical JSON for files that are hashed, signed or compared byte by byte.

One value has exactly one encoding: UTF-8, keys ASCII and sorted, no spaces, no floats, no null,
integers within ±(2^53 - 1) so that every JSON reader agrees on them. The parser re-encodes what it
read and refuses every text that is not equal to the result, so white space, escapes, repeated keys
and other number spellings do not get through.

Source: the idea of RFC 8785, restricted to integers; the restrictions make it identical in
ECMAScript's ``JSON.stringify`` with sorted keys.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from hilum.errors import MalformedInputError

__all__ = ["MAX_INTEGER", "Value", "encode", "parse"]

MAX_INTEGER = 2**53 - 1
Value: TypeAlias = "str | int | bool | Sequence[Value] | Mapping[str, Value]"
Parsed: TypeAlias = "str | int | bool | list[Parsed] | dict[str, Parsed]"


def encode(value: Value) -> bytes:
    """Return the canonical bytes of a value.

    Args:
        value: text, integers, booleans, lists and mappings with ASCII keys.

    Raises:
        MalformedInputError: when the value holds anything else.
    """
    _check(value)
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise MalformedInputError("bad-text", "a text is not valid Unicode") from error


def parse(data: bytes, *, where: str = "") -> Parsed:
    """Return the value of canonical bytes.

    Args:
        data: the bytes as stored.
        where: name of the file, for the error.

    Raises:
        MalformedInputError: when the bytes are not the canonical encoding of any value.
    """
    try:
        value: Parsed = json.loads(data.decode())
        canonical = encode(value)
    except (ValueError, RecursionError) as error:
        raise MalformedInputError("bad-json", "not canonical JSON", where=where) from error
    if canonical != data:
        raise MalformedInputError("bad-json", "JSON, but not in canonical form", where=where)
    return value


def _check(value: object) -> None:
    if isinstance(value, str | bool):
        return
    if isinstance(value, int):
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise MalformedInputError("bad-number", "an integer is beyond 2^53 - 1")
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            if not (isinstance(key, str) and key.isascii()):
                raise MalformedInputError("bad-key", "keys are ASCII text")
            _check(inner)
        return
    if isinstance(value, list | tuple):
        for inner in value:
            _check(inner)
        return
    raise MalformedInputError("bad-value", "only text, integers, booleans, lists and mappings")
