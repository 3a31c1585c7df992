"""Requests and responses over raw ASGI: what the FHIR routes need and no more."""

from __future__ import annotations

import re
import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from hilum.errors import MalformedInputError

__all__ = [
    "FHIR_JSON",
    "FORM_KINDS",
    "JSON_KINDS",
    "MAX_BODY",
    "Receive",
    "Request",
    "Response",
    "Scope",
    "Send",
    "is_host",
    "kind_of",
    "parse_query_string",
    "read_body",
]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

FHIR_JSON = b"application/fhir+json; charset=utf-8"
JSON_KINDS = frozenset({b"application/fhir+json", b"application/json", b"text/json"})
FORM_KINDS = frozenset({b"application/x-www-form-urlencoded"})
_HOST = re.compile(rb"[A-Za-z0-9._\-]{1,253}(?::\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::\d{1,5})?")
MAX_BODY = 16 * 1024 * 1024
"""Largest request body taken, decompressed, in bytes."""
_MAX_QUERY = 16 * 1024
_TOO_LARGE = ("too-large", f"more than {MAX_BODY} bytes")


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        method: upper case.
        path: segments after the base, decoded, without empty ones.
        query: decoded pairs in order.
        headers: lower-case names; the last one of a name counts.
        base: ``http://host/fhir`` as the client wrote it.
        manner: pairs of the query that say how the answer shall look, once they are apart.
    """

    method: str
    path: tuple[str, ...]
    query: list[tuple[str, str]]
    headers: Mapping[bytes, bytes]
    base: str
    manner: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, scope: Scope) -> Request:
        """Read an ASGI scope.

        Raises:
            MalformedInputError: the query string is too long or not UTF-8, or the host is none.
        """
        headers = dict(scope["headers"])
        return cls(
            method=scope["method"],
            path=tuple(part for part in scope["path"].split("/")[2:] if part),
            query=parse_query_string(scope["query_string"]),
            headers=headers,
            base=f"{scope.get('scheme', 'http')}://{_host(headers)}/fhir",
        )


class Response(msgspec.Struct, frozen=True):
    """One response; `Content-Length` is added on sending."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ((b"content-type", FHIR_JSON),)

    async def send(self, send: Send, *, bodiless: bool = False) -> None:
        """Send it whole, or all but its body, as HEAD asks."""
        length = (b"content-length", b"%d" % len(self.body))
        headers = [*self.headers, *_ALWAYS, length]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if bodiless else self.body})


_ALWAYS = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


def is_host(value: bytes) -> bool:
    """Tell whether a Host header names a host or an address, with or without a port."""
    return _HOST.fullmatch(value) is not None


def _host(headers: Mapping[bytes, bytes]) -> str:
    """Return the host as the client wrote it; it is spliced into answers, so it must be one.

    Raises:
        MalformedInputError: not a host name or address with an optional port.
    """
    found = headers.get(b"host", b"localhost")
    if not is_host(found):
        raise MalformedInputError("bad-host", "not a host", where="Host")
    return found.decode("ascii")


def parse_query_string(raw: bytes) -> list[tuple[str, str]]:
    """Return the decoded pairs of a query string.

    Raises:
        MalformedInputError: too long, or not UTF-8.
    """
    if not raw:
        return []
    if len(raw) > _MAX_QUERY:
        raise MalformedInputError("too-long", "the query string is too long", where="url")
    try:
        return parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict")
    except (UnicodeDecodeError, ValueError) as error:
        raise MalformedInputError("bad-encoding", "the query is not UTF-8", where="url") from error


def kind_of(request: Request) -> bytes:
    """Return the media type of a request's body in lower case, without parameters."""
    return request.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()


async def read_body(
    request: Request,
    receive: Receive,
    *,
    kinds: frozenset[bytes] = JSON_KINDS,
    needed: bool = False,
) -> bytes:
    """Read a request body, at most `MAX_BODY` bytes, gzip undone.

    Args:
        request: whose.
        receive: gives its parts.
        kinds: media types that are understood; a request that names none is taken at its word.
        needed: True when it must name one.

    Raises:
        MalformedInputError: of another media type, too large (before or after decompression), cut off
            or badly compressed.
    """
    kind = kind_of(request)
    if kind not in kinds and (kind or needed):
        raise MalformedInputError(
            "bad-type", "not a media type that is understood here", where="Content-Type",
            hint=" or ".join(sorted(each.decode() for each in kinds)),
        )  # fmt: skip
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise MalformedInputError(
                "cut-off", "the client went away inside the body", where="body"
            )
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY:
            raise MalformedInputError(*_TOO_LARGE, where="body", hint="send it in parts")
        parts.append(part)
        if not message.get("more_body"):
            break
    body = b"".join(parts)
    coding = request.headers.get(b"content-encoding", b"identity").lower()
    if coding == b"identity":
        return body
    if coding != b"gzip":
        raise MalformedInputError("bad-coding", "only gzip is understood", where="Content-Encoding")
    return _gunzip(body)


def _gunzip(body: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = unpacker.decompress(body, MAX_BODY + 1)
    except zlib.error as error:
        raise MalformedInputError("bad-coding", "not gzip", where="body") from error
    if len(plain) > MAX_BODY:
        raise MalformedInputError(*_TOO_LARGE, where="body", hint="send it in parts")
    if not unpacker.eof:
        raise MalformedInputError("cut-off", "the gzip stream ends early", where="body")
    return plain
