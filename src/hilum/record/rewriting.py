"""References rewritten in the bytes of a resource; nothing else in them changes.

Source: HL7 FHIR R4, http "transaction", references "bundle".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache

from hilum.record.tables import tables

__all__ = ["Rewriter", "decode_text", "rewrite_references"]

_TEXT = rb'"(?:[^"\\]|\\.)*"'
_MEMBER = re.compile(
    rb'("(\w+)"\s*:\s*)(?:"((?:urn:|https?:|[A-Z]\w+[/?])(?:[^"\\]|\\.)*)"'
    rb"|\[\s*(" + _TEXT + rb"(?:\s*,\s*" + _TEXT + rb")*)\s*\])"
)
_STRING = re.compile(_TEXT)
_LINK = re.compile(rb"""((?:href|src)\s*=\s*(\\"|'))((?:(?!\2).)*)(?=\2)""", re.DOTALL)
_POINTER = re.compile(rb'("reference"\s*:\s*")((?:[^"\\]|\\.)*)"')


@cache
def _uri_members() -> frozenset[bytes]:
    """Return the member names whose texts are references or URIs, but no parts of identifiers."""
    kinds = {"uri", "url", "oid", "uuid"}
    names = {
        key
        for structure in tables().names()
        for element in tables().structure(structure)
        for key, kind in element.options()
        if kind in kinds
    }
    return frozenset(name.encode() for name in (names | {"reference"}) - {"system"})


def rewrite_references(raw: bytes, targets: Mapping[str, str]) -> bytes:
    """Return the bytes with references replaced; all other bytes stay.

    Looked at are ``Reference.reference``, elements of type uri, url, oid and uuid, and links and
    images of narratives; not the values and systems of identifiers. A ``#fragment`` stays behind
    its target.

    Args:
        raw: JSON of a resource.
        targets: from what is written to what shall stand there.
    """
    return Rewriter(targets).rewrite(raw)


class Rewriter:
    """Replaces what regular expressions found, where a target is known.

    Args:
        targets: from what is written to what shall stand there.
    """

    __slots__ = ("_members", "_only_urns", "_targets")

    def __init__(self, targets: Mapping[str, str]) -> None:
        self._targets = targets
        self._members = _uri_members()
        # when every full URL is a URN, what the first pass leaves of them shows in the bytes
        self._only_urns = not any(text.startswith("http") for text in targets)

    def rewrite(self, raw: bytes) -> bytes:
        """Return the bytes with references replaced; all other bytes stay."""
        if not self._targets:
            return raw
        raw = _POINTER.sub(self._in_pointer, raw)
        if b'"urn:' in raw or not self._only_urns:
            raw = _MEMBER.sub(self._in_member, raw)
        return _LINK.sub(self._in_link, raw) if b"href" in raw or b"src" in raw else raw

    def _replaced(self, text: bytes) -> bytes | None:
        plain = decode_text(text)
        whole, hash_sign, fragment = plain.partition("#")
        target = self._targets.get(plain) or self._targets.get(whole)
        if target is None:
            return None
        suffix = hash_sign + fragment if plain not in self._targets else ""
        return json.dumps(target + suffix, ensure_ascii=False)[1:-1].encode()

    def _in_string(self, match: re.Match[bytes]) -> bytes:
        new = self._replaced(match[0][1:-1])
        return match[0] if new is None else b'"' + new + b'"'

    def _in_pointer(self, match: re.Match[bytes]) -> bytes:
        new = self._replaced(match[2])
        return match[0] if new is None else match[1] + new + b'"'

    def _in_member(self, match: re.Match[bytes]) -> bytes:
        if match[2] not in self._members:
            return match[0]
        if match[3] is None:
            start, end = match.span(4)
            offset = match.start()
            inner = _STRING.sub(self._in_string, match[4])
            return match[0][: start - offset] + inner + match[0][end - offset :]
        if match[2] == b"reference":
            return match[0]  # the first pass has been here
        new = self._replaced(match[3])
        return match[0] if new is None else match[1] + b'"' + new + b'"'

    def _in_link(self, match: re.Match[bytes]) -> bytes:
        new = self._replaced(match[3])
        return match[0] if new is None else match[1] + new


def decode_text(text: bytes) -> str:
    """Return the text between the quotation marks of a JSON string; empty for half an escape."""
    if b"\\" not in text:
        return text.decode()
    try:
        return str(json.loads(b'"' + text + b'"'))
    except ValueError:
        # half an escape, as a narrative's link may hold: nothing that a target could equal
        return ""
