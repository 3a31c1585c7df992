"""Values of primitive and small types beyond their pattern: urls, base64, oids, sizes, text."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Any

from hilum.record.validation.model import Environment, Findings, Where

__all__ = ["LONGEST", "check_attachment", "check_identifier", "check_text", "check_uri"]

LONGEST = 1024 * 1024
"""Source: HL7 FHIR R4, datatypes, string."""
_UUID = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_OID = re.compile(r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+")
_EXAMPLE = re.compile(r"https?://(?:[^/]*\.)?(?:example\.(?:org|com)|acme\.com)(?:/|$)")
_TAG = re.compile(r"<[A-Za-z/!][^<>]*>")


def check_uri(value: Any, where: Where, environment: Environment, findings: Findings) -> None:  # noqa: ANN401
    """Check a uri: a well-formed uuid or oid, no example url where those are not wanted."""
    if not isinstance(value, str):
        return
    if value.startswith("urn:uuid:") and not _UUID.fullmatch(value.partition("#")[0]):
        findings.error("invalid", where(), "must be a valid uuid in lower case")
    elif value.startswith("urn:oid:") and not _OID.fullmatch(value):
        findings.error("invalid", where(), "must be a valid oid")
    elif environment.example_urls is not None and _EXAMPLE.match(value):
        findings.add(
            environment.example_urls, "invalid", where(), "example urls do not belong here"
        )


def check_text(value: Any, where: Where, environment: Environment, findings: Findings) -> None:  # noqa: ANN401
    """Check the length of a string or markdown and, where that is asked for, for embedded HTML."""
    if not isinstance(value, str):
        return
    if len(value) > LONGEST:
        findings.error("too-long", where(), "longer than 1 MB")
    if environment.html_in_text is None:
        return
    if _TAG.search(value):
        findings.add(environment.html_in_text, "invalid", where(), "text must not hold HTML")


def check_attachment(value: dict[str, Any], where: Where, findings: Findings) -> None:
    """Check that the data of an attachment can be read and has the stated size and hash."""
    data, size = value.get("data"), value.get("size")
    if not isinstance(data, str):
        return
    try:
        content = base64.b64decode(re.sub(r"\s", "", data), validate=True)
    except binascii.Error:
        findings.error("invalid", f"{where()}.data", "not base64")
        return
    if isinstance(size, int) and size != len(content):
        findings.error("structure", where(), "the stated size is not that of the data")
    stated = value.get("hash")
    if isinstance(stated, str) and not _is_hash(stated, content):
        findings.error("structure", where(), "the stated hash is not that of the data")


def _is_hash(stated: str, content: bytes) -> bool:
    # SHA-1 is what R4 prescribes here; it finds damage and guards against nothing.
    digest = hashlib.sha1(content, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode() == re.sub(r"\s", "", stated)


def check_identifier(value: dict[str, Any], where: Where, findings: Findings) -> None:
    """Check that the system of an identifier is absolute, and its value a uri where it says so."""
    system = value.get("system")
    if isinstance(system, str) and ":" not in system.partition("/")[0]:
        findings.error("invalid", f"{where()}.system", "must be an absolute url")
    text = value.get("value")
    if system == "urn:ietf:rfc:3986" and isinstance(text, str) and ":" not in text:
        findings.error("invalid", f"{where()}.value", "must be a whole uri in this system")
