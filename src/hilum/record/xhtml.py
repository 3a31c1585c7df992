"""The narrative's ``div`` as a text that can stand inside FHIR XML."""

from __future__ import annotations

import re
from html.entities import html5
from xml.parsers import expat  # every document type is refused below, so no entity is ever expanded

__all__ = ["XHTML", "whole_div"]

XHTML = "http://www.w3.org/1999/xhtml"
_OPENING = re.compile(r"<div(?=[\s/>])")
_NAMED = re.compile(r"&([A-Za-z][A-Za-z0-9]*;)")
_KEPT = frozenset({"amp;", "lt;", "gt;", "quot;", "apos;"})


class _DocumentTypeError(Exception):
    """The text holds a document type."""


def whole_div(text: str) -> str | None:
    """Return the narrative as one well-formed XHTML ``div``, or None when it is not one.

    The text is returned as it is, but for a missing name space, which is put in, and for the named
    characters of HTML (``&nbsp;``), which XML does not know.

    Args:
        text: the value of ``Narrative.div``.
    """
    body = _NAMED.sub(_character, text.strip())
    for candidate in (body, _OPENING.sub(f'<div xmlns="{XHTML}"', body, count=1)):
        if _root(candidate) == f"{XHTML} div":
            return candidate
    return None


def _character(match: re.Match[str]) -> str:
    name = match[1]
    return match[0] if name in _KEPT else html5.get(name, match[0])


def _root(text: str) -> str:
    if not text.startswith("<div"):
        return ""
    names: list[str] = []
    parser = expat.ParserCreate("utf-8", " ")
    parser.StartElementHandler = lambda name, _: names.append(name) if not names else None
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(text.encode(), True)
    except (expat.ExpatError, _DocumentTypeError, UnicodeEncodeError):
        return ""
    return names[0]


def _refuse(*_: object) -> None:
    raise _DocumentTypeError
