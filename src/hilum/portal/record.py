"""The record page: sections, search, the original behind every entry, download."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from hilum.base.ids import is_fhir_id
from hilum.exchange import reading
from hilum.exchange.browsing import copy_record, load_person, load_section
from hilum.exchange.views import Item, Section, matching, shape_item
from hilum.portal.page import PageRequest

__all__ = ["download", "download_all", "show_original", "show_record", "show_section"]

_OVERVIEW: dict[Section, int | None] = {
    Section.PROBLEMS: None,
    Section.MEDICINES: None,
    Section.ALLERGIES: None,
    Section.RESULTS: 10,
    Section.IMMUNISATIONS: 6,
    Section.VISITS: 6,
    Section.DOCUMENTS: 6,
}
"""Sections of the overview, with how many entries of each type are asked for."""
_MOST_SHOWN = 12
_PAGE = 50


def show_record(ask: PageRequest) -> Response:
    """Answer with the overview, or with what a search finds in the whole record."""
    words = ask.query.get("q", "").strip()
    if words:
        return _show_found(ask, words)
    sections = {
        section: load_section(ask.node, ask.own, section, most=most)
        for section, most in _OVERVIEW.items()
    }
    return ask.show(
        "record.html",
        person=load_person(ask.node, ask.own),
        sections=sections,
        most=_MOST_SHOWN,
        is_empty=not any(sections.values()),
    )


def _show_found(ask: PageRequest, words: str) -> Response:
    found: dict[Section, list[Item]] = {}
    for section in Section:
        items = matching(load_section(ask.node, ask.own, section), words)
        if items:
            found[section] = items
    return ask.show("found.html", found=found, sought=words, most=_PAGE)


def show_section(ask: PageRequest) -> Response:
    """Answer with one section, page by page."""
    try:
        section = Section(ask.place["section"])
    except ValueError:
        return ask.show("nothing.html", 404)
    items = load_section(ask.node, ask.own, section)
    number = _page_number(ask)
    return ask.show(
        "section.html",
        section=section,
        items=items[(number - 1) * _PAGE : number * _PAGE],
        total=len(items),
        number=number,
        pages=max(1, -(-len(items) // _PAGE)),
    )


def show_original(ask: PageRequest) -> Response:
    """Answer with one entry as the node keeps it."""
    body = _read(ask)
    if body is None:
        return ask.show("nothing.html", 404)
    return ask.show(
        "original.html",
        item=shape_item(body),
        original=msgspec.json.format(body, indent=2).decode(),
    )


def download(ask: PageRequest) -> Response:
    """Answer with one entry as a file, byte for byte."""
    body = _read(ask)
    if body is None:
        return ask.show("nothing.html", 404)
    return _file(f"{ask.place['type']}-{ask.place['id']}.json", body)


def download_all(ask: PageRequest) -> Response:
    """Answer with the whole record as one file, without readings of devices."""
    return _file("record.json", copy_record(ask.node, ask.own))


def _file(name: str, body: bytes) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(body, media_type="application/fhir+json", headers=headers)


def _read(ask: PageRequest) -> bytes | None:
    kind, name = ask.place["type"], ask.place["id"]
    if not (kind.isascii() and kind.isalpha() and is_fhir_id(name)):
        return None
    return reading.read(ask.node, ask.own, kind, name)


def _page_number(ask: PageRequest) -> int:
    text = ask.query.get("page", "1")
    return max(1, int(text)) if text.isdecimal() and len(text) < 7 else 1
