"""Batches and transactions: read entries, give ids, rewrite references, order. Pure.

References to entries of the same bundle (``urn:uuid:…`` or any ``fullUrl``) are rewritten in the
bytes of the entries; nothing else in them changes.

Source: HL7 FHIR R4, http "transaction", references "bundle".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from hilum.base.ids import FhirId, parse_fhir_id
from hilum.errors import MalformedInputError
from hilum.record.resource import MAX_BYTES
from hilum.record.rewriting import Rewriter, decode_text
from hilum.record.types import is_resource_type

__all__ = [
    "Bundle",
    "Entry",
    "Operation",
    "conditional_references",
    "parse_bundle",
    "plan",
]

MAX_ENTRIES = 100_000
_ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2, "GET": 3, "HEAD": 3}
_SEARCHING = re.compile(rb'"reference"\s*:\s*"([A-Z]\w+\?(?:[^"\\]|\\.)+)"')
_REST_URL = re.compile(r"https?://.*/([A-Z]\w+)/([A-Za-z0-9\-.]{1,64})\Z")
_CONDITIONAL = re.compile(r"([A-Z]\w+)\?(.+)\Z", re.DOTALL)


class _Request(msgspec.Struct, rename="camel"):
    method: str
    url: str
    if_match: str | None = None
    if_none_match: str | None = None
    if_modified_since: str | None = None
    if_none_exist: str | None = None


class _Entry(msgspec.Struct, rename="camel"):
    full_url: str | None = None
    resource: msgspec.Raw = msgspec.Raw(b"")
    request: _Request | None = None


class _Bundle(msgspec.Struct, rename="camel"):
    resource_type: str
    type: str
    entry: list[msgspec.Raw] = []


class _Named(msgspec.Struct, rename="camel"):
    resource_type: str
    id: str | None = None


_DECODER = msgspec.json.Decoder(_Bundle)
_ENTRY = msgspec.json.Decoder(_Entry)
_NAMED = msgspec.json.Decoder(_Named)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a bundle.

    Attributes:
        index: its place, from 0.
        full_url: its ``fullUrl`` or None.
        type: the resource type in the body or the URL.
        id: the id in the body or None.
        resource: the bytes of the resource, or None.
        method: HTTP verb of the request, or None where the bundle has no requests.
        url: URL of the request, without a leading slash.
        if_match: version that must be current, or None.
        if_none_match: as given.
        if_modified_since: as given.
        if_none_exist: search that must find nothing, or None.
    """

    index: int
    full_url: str | None
    type: str
    id: str | None
    resource: bytes | None
    method: str | None = None
    url: str = ""
    if_match: int | None = None
    if_none_match: str | None = None
    if_none_exist: str | None = None
    if_modified_since: str | None = None

    @property
    def condition(self) -> str | None:
        """The search that the entry depends on, or None."""
        if self.method == "POST":
            return self.if_none_exist
        if self.method in {"PUT", "PATCH", "DELETE"} and "?" in self.url:
            return self.url.partition("?")[2]
        return None

    @property
    def place(self) -> str:
        """FHIRPath of the entry."""
        return f"Bundle.entry[{self.index}]"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A parsed bundle: its type (``transaction``, ``batch``, ``collection`` …) and entries."""

    type: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing to do.

    Attributes:
        entry: where it comes from.
        id: the id given (POST) or named by the URL; None for what is only read, and for conditional
            URLs that were not settled.
        body: the resource's bytes with references rewritten, or None.
        query: what follows ``?`` in the URL, or None.
    """

    entry: Entry
    id: FhirId | None
    body: bytes | None
    query: str | None


def parse_bundle(
    data: bytes,
    *,
    max_bytes: int = MAX_BYTES,
    refuse: Callable[[MalformedInputError], None] | None = None,
) -> Bundle:
    """Read the bytes of a Bundle; the resources inside stay bytes.

    Args:
        data: UTF-8 JSON.
        max_bytes: refuse more than this.
        refuse: is told of each bad entry, which is then left out; None refuses the whole bundle.

    Raises:
        MalformedInputError: not a Bundle, a request that lacks something, or one ``fullUrl`` twice
            in a transaction; names the entry.
    """
    if len(data) > max_bytes:
        raise MalformedInputError("too-large", f"more than {max_bytes} bytes")
    try:
        stored = _DECODER.decode(data)
    except msgspec.ValidationError as error:
        path = re.search(r"`\$\.?(\S*)`", str(error))
        raise MalformedInputError(
            "structure", "not shaped like a Bundle", where=f"Bundle.{path[1]}" if path else "Bundle"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedInputError("bad-json", "not JSON") from None
    if stored.resource_type != "Bundle":
        raise MalformedInputError("structure", "not a Bundle", where="resourceType")
    if len(stored.entry) > MAX_ENTRIES:
        raise MalformedInputError(
            "too-large", f"more than {MAX_ENTRIES} entries", where="Bundle.entry"
        )
    acts = stored.type in {"transaction", "batch"}
    entries: list[Entry] = []
    for index, raw in enumerate(stored.entry):
        try:
            entries.append(_entry(index, _parse_entry(raw, index), acts=acts))
        except MalformedInputError as error:
            if refuse is None:
                raise
            refuse(error)
    if stored.type == "transaction" and refuse is None:
        _refuse_twins(entries)
    return Bundle(stored.type, tuple(entries))


def _parse_entry(raw: msgspec.Raw, index: int) -> _Entry:
    try:
        return _ENTRY.decode(raw)
    except msgspec.ValidationError as error:
        path = re.search(r"`\$\.?(\S*)`", str(error))
        place = f"Bundle.entry[{index}]" + (f".{path[1]}" if path and path[1] else "")
        raise MalformedInputError("structure", "not shaped like an entry", where=place) from None


def _refuse_twins(entries: Sequence[Entry]) -> None:
    seen: set[str] = set()
    for entry in entries:
        if entry.full_url is not None and entry.full_url in seen:
            raise MalformedInputError(
                "structure", "another entry has the same fullUrl", where=f"{entry.place}.fullUrl"
            )
        seen.add(entry.full_url or "")


def _entry(index: int, item: _Entry, *, acts: bool) -> Entry:
    place = f"Bundle.entry[{index}]"
    body = bytes(item.resource) or None
    name, own_id = _named(body, place) if body else ("", None)
    request = item.request
    if request is None:
        if acts or body is None:
            lack = "request" if acts else "resource"
            raise MalformedInputError("required", "is required", where=f"{place}.{lack}")
        return Entry(index, item.full_url, name, own_id, body)
    if request.method not in _ORDER:
        raise MalformedInputError(
            "value", "not an HTTP verb of FHIR", where=f"{place}.request.method"
        )
    if body is None and request.method in {"POST", "PUT", "PATCH"}:
        raise MalformedInputError("required", "is required", where=f"{place}.resource")
    url = request.url.removeprefix("/")
    kind = re.split(r"[/?]", url, maxsplit=1)[0]
    reads = request.method in {"GET", "HEAD"} and kind[:1] in {"", "_", "$"}
    wrong = name and request.method in {"POST", "PUT"} and kind != name
    if not reads and (not is_resource_type(kind) or wrong):
        raise MalformedInputError(
            "value", "does not name the type of the resource", where=f"{place}.request.url"
        )
    return Entry(
        index, item.full_url, kind, own_id, body, request.method, url,
        _version(request.if_match, place), request.if_none_match, request.if_none_exist,
        request.if_modified_since,
    )  # fmt: skip


def _named(body: bytes, place: str) -> tuple[str, str | None]:
    try:
        named = _NAMED.decode(body)
    except msgspec.ValidationError:
        raise MalformedInputError(
            "no-type", "the resource does not say its type", where=f"{place}.resource"
        ) from None
    if not is_resource_type(named.resource_type):
        raise MalformedInputError(
            "unknown-type", "not a FHIR R4 resource type", where=f"{place}.resource"
        )
    return named.resource_type, named.id


def _version(etag: str | None, place: str) -> int | None:
    if etag is None:
        return None
    match = re.fullmatch(r'(?:W/)?"(\d{1,18})"', etag, re.ASCII)
    if match is None:
        raise MalformedInputError("value", "not a version", where=f"{place}.request.ifMatch")
    return int(match[1])


def conditional_references(entries: Sequence[Entry]) -> set[tuple[str, str]]:
    """Return (type, query) of every conditional reference, e.g. ``Practitioner?identifier=s|v``.

    The caller searches each, and gives `plan` what it found.
    """
    found: set[tuple[str, str]] = set()
    for entry in entries:
        for text in _SEARCHING.findall(entry.resource or b""):
            conditional = _CONDITIONAL.match(decode_text(text))
            if conditional and is_resource_type(conditional[1]):
                found.add((conditional[1], conditional[2]))
    return found


def plan(
    bundle: Bundle,
    assign: Callable[[Entry], FhirId],
    resolved: Mapping[str, str] | None = None,
    *,
    settled: Mapping[int, FhirId] | None = None,
) -> list[Operation]:
    """Return what to do, in the order DELETE, POST, PUT and PATCH, GET.

    Args:
        bundle: a parsed bundle; entries without a request count as POST.
        assign: gives the id of an entry that is to be created (or found by ``ifNoneExist``).
        resolved: conditional references (``Type?query``) and what each points to (``Type/id``).
        settled: the ids of entries that depend on a search, by their index.

    Raises:
        MalformedInputError: a URL names no id where it must; names the entry.
    """
    targets = dict(resolved or {})
    named: list[tuple[Entry, FhirId | None, str | None]] = []
    for entry in bundle.entries:
        own_id, query = _target(entry, assign)
        own_id = (settled or {}).get(entry.index, own_id)
        named.append((entry, own_id, query))
        if own_id is not None and entry.resource is not None and entry.full_url:
            reference = f"{entry.type}/{own_id}"
            targets[entry.full_url] = reference
            rest = _REST_URL.match(entry.full_url)
            if rest and rest[1] == entry.type:
                # relative references are relative to the entry's own base
                targets.setdefault(f"{rest[1]}/{rest[2]}", reference)
    rewriter = Rewriter(targets)
    operations = [
        Operation(
            entry,
            own_id,
            None if entry.resource is None else rewriter.rewrite(entry.resource),
            query,
        )
        for entry, own_id, query in named
    ]
    return sorted(operations, key=lambda o: _ORDER[o.entry.method or "POST"])


def _target(entry: Entry, assign: Callable[[Entry], FhirId]) -> tuple[FhirId | None, str | None]:
    if entry.method in {None, "POST"}:
        return assign(entry), None
    path, question, query = entry.url.partition("?")
    parts = path.split("/")
    if entry.method in {"GET", "HEAD"}:
        return None, query
    if question or len(parts) == 1:
        if question:
            return None, query
        raise MalformedInputError("value", "names no id", where=f"{entry.place}.request.url")
    return parse_fhir_id(parts[1], where=f"{entry.place}.request.url"), None
