"""Bundles spliced from stored bytes: nothing inside a resource is parsed or written again."""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import formatdate
from functools import lru_cache
from urllib.parse import urlencode

import msgspec

from hilum.exchange.answering import Answer, Shown
from hilum.record.outcome import Issue, Severity, outcome
from hilum.record.resource import format_instant

__all__ = ["entity_headers", "history_bundle", "search_bundle", "url_of"]

_ENCODE = msgspec.json.Encoder().encode


def search_bundle(
    base: str, answer: Answer, *, self_url: str, next_url: str | None, notes: Sequence[str] = ()
) -> bytes:
    """Return a searchset Bundle: matches, what is included, and what the reader should know.

    Args:
        base: ``http://host/fhir``.
        answer: what was found; its total is that of the matches.
        self_url: the search as it was understood.
        next_url: where the next page is, or None.
        notes: warnings for the reader, beside those of the answer.
    """
    links = _link("self", self_url)
    if next_url is not None:
        links += b"," + _link("next", next_url)
    head = b'{"resourceType":"Bundle","type":"searchset",'
    if answer.total is not None:
        head += b'"total":%d,' % answer.total
    entries = [_found(base, row, b"match") for row in answer.rows]
    entries += [_found(base, row, b"include") for row in answer.included]
    told = (*notes, *answer.notes)
    if told:
        issues = [Issue(Severity.WARNING, "not-supported", note) for note in told]
        entries.append(b'{"resource":' + outcome(issues) + b',"search":{"mode":"outcome"}}')
    head += b'"link":[' + links + b"]"
    return head + (b',"entry":[' + b",".join(entries) + b"]}" if entries else b"}")


def _link(relation: str, url: str) -> bytes:
    return b'{"relation":"%b","url":%b}' % (relation.encode(), _ENCODE(url))


def _found(base: str, row: Shown, mode: bytes) -> bytes:
    return b'{"fullUrl":"%b/%b/%b","resource":%b,"search":{"mode":"%b"}}' % (
        base.encode(), row.type.encode(), row.id.encode(), row.body, mode,
    )  # fmt: skip


def history_bundle(
    base: str, rows: Sequence[Shown], methods: Sequence[str], *, self_url: str, next_url: str | None
) -> bytes:
    """Return a history Bundle; a deletion has no resource.

    Args:
        base: ``http://host/fhir``.
        rows: versions, newest first.
        methods: HTTP verb that made each.
        self_url: the request.
        next_url: where older versions are, or None.
    """
    links = [{"relation": "self", "url": self_url}]
    if next_url is not None:
        links.append({"relation": "next", "url": next_url})
    entries = [_version(base, row, method) for row, method in zip(rows, methods, strict=True)]
    head = b'{"resourceType":"Bundle","type":"history","link":' + msgspec.json.encode(links)
    if not entries:
        return head + b"}"
    return head + b',"entry":[' + b",".join(entries) + b"]}"


def _version(base: str, row: Shown, method: str) -> bytes:
    url = f"{row.type}/{row.id}" if method != "POST" else row.type
    status = {"POST": "201", "PUT": "200", "DELETE": "204"}[method]
    rest = {
        "request": {"method": method, "url": url},
        "response": {
            "status": status,
            "etag": f'W/"{row.ver}"',
            "lastModified": format_instant(row.updated),
        },
    }
    head = b'{"fullUrl":"' + f"{base}/{row.type}/{row.id}".encode() + b'",'
    if row.body:
        head += b'"resource":' + row.body + b","
    return head + msgspec.json.encode(rest)[1:]


def entity_headers(row: Shown) -> tuple[tuple[bytes, bytes], ...]:
    """Return ETag and Last-Modified of a version."""
    return (
        (b"etag", b'W/"%d"' % row.ver),
        (b"last-modified", _http_date(row.updated // 1000)),
    )


@lru_cache(maxsize=4096)
def _http_date(at_s: int) -> bytes:
    return formatdate(at_s, usegmt=True).encode()


def url_of(base: str, path: str, pairs: Sequence[tuple[str, str]]) -> str:
    """Return a URL with a query."""
    return f"{base}/{path}" + (f"?{urlencode(pairs)}" if pairs else "")
