"""An answer as it was wanted: subset, layout, XML. Made from the finished bytes, after the receipts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hilum.api.negotiation import PLAIN, Manner, Summary
from hilum.api.wire import FHIR_JSON, Response
from hilum.record.subset import cut_data, cut_elements, cut_summary, cut_text
from hilum.record.xml import to_xml

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FHIR_XML", "present"]

FHIR_XML = b"application/fhir+xml; charset=utf-8"
_ANSWERS = frozenset({b'"searchset"', b'"history"', b'"batch-response"', b'"transaction-response"'})
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_ENCODE = msgspec.json.Encoder().encode
_SUMMARIES: dict[Summary, Callable[[bytes], bytes]] = {
    Summary.TRUE: cut_summary,
    Summary.TEXT: cut_text,
    Summary.DATA: cut_data,
}


def present(response: Response, manner: Manner) -> Response:
    """Return the response in the manner wanted; what is no FHIR body stays as it is."""
    if manner is PLAIN or not response.body or _kind(response) != FHIR_JSON:
        return response
    body = response.body
    if response.status < 300:
        body = _cut(body, manner)
    if manner.is_xml:
        headers = tuple(pair for pair in response.headers if pair[0] != b"content-type")
        return msgspec.structs.replace(
            response, body=to_xml(body), headers=((b"content-type", FHIR_XML), *headers)
        )
    if manner.is_pretty:
        body = msgspec.json.format(body, indent=2)
    return msgspec.structs.replace(response, body=body)


def _kind(response: Response) -> bytes:
    return next((value for name, value in response.headers if name == b"content-type"), b"")


def _cut(body: bytes, manner: Manner) -> bytes:
    if not manner.elements and manner.summary not in _SUMMARIES:
        return body
    members = _MEMBERS.decode(body)
    if bytes(members.get("resourceType", b"")) != b'"Bundle"' or (
        bytes(members.get("type", b"")) not in _ANSWERS
    ):
        return _cut_resource(body, manner)
    if "entry" in members:
        entries = _LIST.decode(members["entry"])
        members["entry"] = msgspec.Raw(_ENCODE([_cut_entry(each, manner) for each in entries]))
    return _ENCODE(members)


def _cut_entry(entry: dict[str, msgspec.Raw], manner: Manner) -> dict[str, msgspec.Raw]:
    mode = bytes(entry.get("search", b""))
    if "resource" not in entry or b'"outcome"' in mode:
        return entry
    if manner.elements and b'"include"' in mode:
        return entry  # the elements named are those of the type that was searched
    return {**entry, "resource": msgspec.Raw(_cut_resource(entry["resource"], manner))}


def _cut_resource(body: bytes, manner: Manner) -> bytes:
    if bytes(_MEMBERS.decode(body).get("resourceType", b"")) == b'"OperationOutcome"':
        return body
    if manner.elements:
        return cut_elements(body, manner.elements)
    return _SUMMARIES[manner.summary](body) if manner.summary in _SUMMARIES else body
