"""How an answer is wanted: media type, layout, subset, and what a write should give back.

Source: HL7 FHIR R4, http "content types", "general parameters" and Prefer; RFC 9110 §12.5.1 (Accept).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from hilum.errors import MalformedInputError

if TYPE_CHECKING:
    from hilum.api.wire import Request

__all__ = [
    "PLAIN",
    "Manner",
    "Returns",
    "Summary",
    "etag_version",
    "is_strict",
    "is_unchanged",
    "manner_of",
    "returns_of",
    "without_manner",
]

MANNER = frozenset({"_format", "_pretty", "_summary", "_elements"})
_JSON = frozenset({"application/fhir+json", "application/json", "text/json", "json"})
_LINES = frozenset({"application/fhir+ndjson", "application/ndjson"})
"""What the files of bulk exports are; asked for anything else, it is as good as JSON."""
_XML = frozenset({"application/fhir+xml", "application/xml", "text/xml", "xml"})
_WILD = frozenset({"*/*", "application/*"})
_QUALITY = re.compile(r"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\Z", re.ASCII)
_ETAG = re.compile(rb'(?:W/)?"(\d{1,18})"\Z')
_ELEMENT = re.compile(r"(?:[A-Z]\w{0,63}\.)?([a-z]\w{0,63})\Z", re.ASCII)
_MAX_ELEMENTS = 200


class Summary(StrEnum):
    """Values of ``_summary`` that leave something out."""

    TRUE = "true"
    TEXT = "text"
    DATA = "data"
    COUNT = "count"


class Returns(StrEnum):
    """What a write gives back (``Prefer: return=…``)."""

    MINIMAL = "minimal"
    REPRESENTATION = "representation"
    OUTCOME = "OperationOutcome"


@dataclass(frozen=True, slots=True)
class Manner:
    """How an answer is wanted.

    Attributes:
        is_xml: as XML instead of JSON.
        is_pretty: laid out for people.
        summary: the standard subset, or None for all.
        elements: names of the top-level elements wanted; empty for all.
    """

    is_xml: bool = False
    is_pretty: bool = False
    summary: Summary | None = None
    elements: tuple[str, ...] = ()


PLAIN = Manner()
"""All of it, as JSON, on one line."""


def manner_of(request: Request) -> Manner:
    """Return how the answer to a request is wanted.

    Raises:
        MalformedInputError: none of the media types asked for is given here (406), or a parameter
            has no meaning.
    """
    accepted = request.headers.get(b"accept")
    is_xml = False if accepted is None else _prefers_xml(accepted)
    if not request.query:
        return _checked(Manner(is_xml=is_xml) if is_xml else PLAIN, acceptable=is_xml is not None)
    named = [pair for pair in request.query if pair[0] in MANNER]
    if not named:
        return _checked(Manner(is_xml=is_xml) if is_xml else PLAIN, acceptable=is_xml is not None)
    fields = dict(named)
    if "_format" in fields:
        is_xml = _format(fields["_format"])
    manner = Manner(
        is_xml=bool(is_xml),
        is_pretty=_truth("_pretty", fields.get("_pretty", "false")),
        summary=_summary(fields.get("_summary", "false")),
        elements=_elements([value for name, value in named if name == "_elements"]),
    )
    return _checked(manner, acceptable=is_xml is not None)


def without_manner(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the pairs that say what is asked, not how the answer shall look."""
    return [pair for pair in pairs if pair[0] not in MANNER]


def _checked(manner: Manner, *, acceptable: bool) -> Manner:
    if not acceptable:
        raise MalformedInputError(
            "not-acceptable", "none of the media types asked for is given here", where="Accept",
            hint="application/fhir+json or application/fhir+xml",
        )  # fmt: skip
    return manner


@lru_cache(maxsize=256)
def _prefers_xml(accept: bytes) -> bool | None:
    """Tell which of JSON and XML an Accept header ranks higher (JSON when equal); None: neither."""
    best: dict[bool, float] = {}
    for part in accept.decode("latin-1").split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = _quality(parameters)
        if kind in _WILD or not kind:
            best.setdefault(False, 0.0)
            best[False] = max(best[False], quality)
        elif kind in _JSON | _LINES | _XML and _is_release(parameters):
            is_xml = kind in _XML
            best[is_xml] = max(best.get(is_xml, 0.0), quality)
    json, xml = best.get(False, 0.0), best.get(True, 0.0)
    if not json and not xml:
        return None
    return xml > json


def _quality(parameters: Sequence[str]) -> float:
    for each in parameters:
        name, _equals, value = each.partition("=")
        if name.strip() == "q":
            return float(value) if _QUALITY.match(value.strip()) else 0.0
    return 1.0


def _is_release(parameters: Sequence[str]) -> bool:
    """Tell whether a ``fhirVersion`` parameter, if there is one, means R4."""
    named = [each.partition("=")[2].strip() for each in parameters if "fhirversion" in each]
    return all(value.startswith("4.0") for value in named)


def _format(text: str) -> bool | None:
    # "+" of a media type reads as a space in a query
    kind = text.partition(";")[0].strip().lower().replace(" ", "+")
    return kind in _XML if kind in _JSON | _XML else None


def _truth(name: str, text: str) -> bool:
    if text not in {"true", "false"}:
        raise MalformedInputError("bad-search", "neither true nor false", where=name)
    return text == "true"


def _summary(text: str) -> Summary | None:
    if text == "false":
        return None
    if text not in set(Summary):
        raise MalformedInputError(
            "bad-search", "no kind of summary", where="_summary",
            hint="true, text, data, count or false",
        )  # fmt: skip
    return Summary(text)


def _elements(values: Sequence[str]) -> tuple[str, ...]:
    texts = [text for value in values for text in value.split(",")]
    if not texts:
        return ()
    found = [_ELEMENT.match(text.strip()) for text in texts]
    if len(found) > _MAX_ELEMENTS or not all(found):
        raise MalformedInputError(
            "bad-search", "not names of top-level elements", where="_elements",
            hint="_elements=identifier,active",
        )  # fmt: skip
    return tuple(dict.fromkeys(match[1] for match in found if match))


# -- what a write gives back, and what it or a read depends on -----------------------------------------


@lru_cache(maxsize=256)
def _preferences(prefer: bytes) -> dict[str, str]:
    pairs = (each.partition("=") for each in re.split(r"[;,]", prefer.decode("latin-1")))
    return {name.strip().lower(): value.strip().strip('"') for name, _equals, value in pairs}


def returns_of(request: Request, usual: Returns = Returns.REPRESENTATION) -> Returns:
    """Return what a write shall give back; a preference that is not known is no preference."""
    wanted = _preferences(request.headers.get(b"prefer", b"")).get("return", "")
    return Returns(wanted) if wanted in set(Returns) else usual


def is_strict(request: Request) -> bool:
    """Tell whether search parameters that are not supported shall be refused."""
    return _preferences(request.headers.get(b"prefer", b"")).get("handling") == "strict"


def etag_version(request: Request, name: bytes) -> int | None:
    """Return the version that a header names, or None when it is not sent.

    Raises:
        MalformedInputError: not one ETag of this node.
    """
    text = request.headers.get(name)
    if text is None:
        return None
    match = _ETAG.match(text.strip())
    if match is None:
        raise MalformedInputError(
            "bad-search", "not a version", where=name.decode().title(), hint='W/"1"'
        )
    return int(match[1])


def is_unchanged(request: Request, *, ver: int, updated_ms: int) -> bool:
    """Tell whether the reader has this version already (304).

    Source: RFC 9110 §13.1.2, §13.1.3: If-None-Match counts, If-Modified-Since only without it.
    """
    tags = request.headers.get(b"if-none-match")
    if tags is not None:
        texts = [each.strip() for each in tags.split(b",")]
        matches = [_ETAG.match(each) for each in texts]
        return b"*" in texts or any(match and int(match[1]) == ver for match in matches)
    since = request.headers.get(b"if-modified-since")
    if since is None:
        return False
    try:
        at = parsedate_to_datetime(since.decode("latin-1"))
    except (ValueError, TypeError):
        return False  # a date that is none is as if it were not sent
    return updated_ms // 1000 <= at.timestamp()
