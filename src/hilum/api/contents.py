"""Bodies of requests: a resource as JSON or XML, or a patch in either of its two languages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from hilum.api.wire import JSON_KINDS, Receive, kind_of, read_body
from hilum.exchange.patches import fhirpath_patch, json_patch
from hilum.record.xml import from_xml

if TYPE_CHECKING:
    from hilum.api.wire import Request

__all__ = ["JSON_PATCH", "XML_KINDS", "read_patch", "read_resource"]

XML_KINDS = frozenset({b"application/fhir+xml", b"application/xml", b"text/xml"})
JSON_PATCH = b"application/json-patch+json"
_FHIR_KINDS = JSON_KINDS | XML_KINDS
_PATCH_KINDS = frozenset({JSON_PATCH, b"application/fhir+json", b"application/fhir+xml"})


async def read_resource(request: Request, receive: Receive) -> bytes:
    """Return the body of a request as the JSON bytes of a resource.

    Raises:
        MalformedInputError: of another media type, too large, cut off, or XML that is no resource.
    """
    body = await read_body(request, receive, kinds=_FHIR_KINDS)
    if kind_of(request) in XML_KINDS:
        return await asyncio.to_thread(from_xml, body)
    return body


async def read_patch(request: Request, receive: Receive) -> Callable[[bytes], bytes]:
    """Return what the patch in the body of a request makes of a resource.

    Raises:
        MalformedInputError: of another media type, too large or cut off.
    """
    body = await read_body(request, receive, kinds=_PATCH_KINDS, needed=True)
    kind = kind_of(request)
    if kind in XML_KINDS:
        body = await asyncio.to_thread(from_xml, body)
    return json_patch(body) if kind == JSON_PATCH else fhirpath_patch(body)
