"""Narratives: well-formed XHTML of the small set that R4 allows, with links that lead somewhere."""

from __future__ import annotations

import re
from xml.parsers import expat

from hilum.record.validation.model import Findings
from hilum.record.validation.plans import Frame
from hilum.record.validation.scope import Scope

__all__ = ["check_narrative"]

_ELEMENTS = frozenset({
    "a", "abbr", "acronym", "b", "big", "blockquote", "br", "caption", "cite", "code", "col",
    "colgroup", "dd", "dfn", "div", "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr",
    "i", "img", "li", "ol", "p", "pre", "q", "samp", "small", "span", "strong", "sub", "sup",
    "table", "tbody", "td", "tfoot", "th", "thead", "tr", "tt", "ul", "var", "bdo", "bdi", "u",
    "s", "strike", "font", "center", "del", "ins", "address", "kbd", "map", "area",
})  # fmt: skip
"""Elements that HTML 4.0 chapters 7 to 11 and 15 define, without forms, frames and scripts."""
_BANNED = re.compile(r"on[a-z]+|form|action|formaction|srcdoc", re.ASCII)
_XHTML = "http://www.w3.org/1999/xhtml"
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*);")
_XML_ENTITIES = frozenset({"amp", "lt", "gt", "quot", "apos"})


class _Reader:
    """Reads one div; takes down the first thing of each kind that is wrong."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self.links: list[str] = []
        self.names: set[str] = set()
        self.has_content = False
        self._depth = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        space, _, local = name.rpartition("|")
        if self._depth == 0 and (local != "div" or space != _XHTML):
            self.wrong.append("must be a div of the XHTML namespace")
        self._depth += 1
        if local not in _ELEMENTS:
            self.wrong.append("holds an element that narratives may not hold")
        if any(_BANNED.fullmatch(each) for each in attributes):
            self.wrong.append("holds an attribute that narratives may not hold")
        self.has_content = self.has_content or local == "img"
        self.names |= {attributes[each] for each in ("id", "name") if each in attributes}
        link = attributes.get("href", "")
        if link.strip().lower().startswith("javascript:"):
            self.wrong.append("holds a link that runs a script")
        self.links += [link] if local == "a" else [attributes.get("src", "")]

    def text(self, data: str) -> None:
        self.has_content = self.has_content or bool(data.strip())

    def end(self, _name: str) -> None:
        self._depth -= 1


def check_narrative(frame: Frame, scope: Scope, findings: Findings) -> None:
    """Check the div of a Narrative.

    Args:
        frame: of the Narrative.
        scope: the resource, for links to its contained resources.
        findings: where to write.
    """
    text = frame.node.get("div")
    if not isinstance(text, str):
        return
    place = f"{frame.place}.div"
    reader = _Reader()
    if any(name not in _XML_ENTITIES for name in _ENTITY.findall(text)):
        findings.error("invalid", place, "holds an entity that XML does not know")
        return
    if not _read(text, reader):
        findings.error("invalid", place, "is not well-formed XHTML")
        return
    for why in dict.fromkeys(reader.wrong):
        findings.error("invalid", place, why)
    if not reader.has_content:
        findings.error("invariant", place, "breaks the invariant txt-2")
    _check_links(reader, place, scope, findings)


def _read(text: str, reader: _Reader) -> bool:
    parser = expat.ParserCreate(namespace_separator="|")
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    # Entities of a document type could grow without bound, and narratives have no use for one.
    parser.StartDoctypeDeclHandler = lambda *_: reader.wrong.append("must not declare a type")
    try:
        parser.Parse(text, True)
    except expat.ExpatError:
        return False
    return True


def _check_links(reader: _Reader, place: str, scope: Scope, findings: Findings) -> None:
    for link in reader.links:
        if link.startswith("#") and len(link) > 1:
            known = link[1:] in reader.names or scope.contained(link[1:]) is not None
            if not known:
                findings.error("not-found", place, "holds a link inside that leads nowhere")
                return
