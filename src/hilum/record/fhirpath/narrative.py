"""The check of narratives: XHTML as FHIR allows it.

Source: HL7 FHIR R4, narrative, invariants txt-1 and txt-2.
"""

from __future__ import annotations

import re
from typing import Any

from lxml import etree

__all__ = ["is_clean_narrative"]

_XHTML = "{http://www.w3.org/1999/xhtml}"
# fmt: off
_TAGS = frozenset(
    (
        "a", "abbr", "acronym", "b", "big", "blockquote", "br", "caption", "cite", "code", "col",
        "colgroup", "dd", "dfn", "div", "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5", "h6",
        "hr", "i", "img", "li", "ol", "p", "pre", "q", "samp", "small", "span", "strong", "sub",
        "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "tt", "ul", "var"
    )
)
_ATTRIBUTES = frozenset(
    (
        "abbr", "accesskey", "align", "alt", "axis", "bgcolor", "border", "cellhalign",
        "cellpadding", "cellspacing", "cellvalign", "char", "charoff", "charset", "cite", "class",
        "colspan", "compact", "coords", "dir", "frame", "headers", "height", "href", "hreflang",
        "hspace", "id", "lang", "longdesc", "name", "nowrap", "rel", "rev", "rowspan", "rules",
        "scope", "shape", "span", "src", "start", "style", "summary", "tabindex", "title", "type",
        "valign", "value", "vspace", "width"
    )
)
# fmt: on
_SAFE_LINK = re.compile(r"(?!\s*(?:javascript|vbscript|data):)", re.IGNORECASE)
_ENTITY = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9a-fA-F]{1,6});)")


def is_clean_narrative(text: str) -> bool:
    """Tell whether a narrative is the XHTML that FHIR allows: no scripts, forms or objects.

    Args:
        text: the ``div`` as text.
    """
    if "<!" in text.replace("<!--", "") or _ENTITY.search(text.replace("&nbsp;", " ")):
        return False
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(text.replace("&nbsp;", "&#160;").encode(), parser)
    except (etree.XMLSyntaxError, ValueError):
        return False
    if root.tag != _XHTML + "div" or not ("".join(root.itertext()).strip() or len(root)):
        return False
    return all(_is_clean_element(element) for element in root.iter())


def _is_clean_element(element: Any) -> bool:  # noqa: ANN401 - lxml has no types
    if element.tag is etree.Comment:
        return True
    if not isinstance(element.tag, str) or not element.tag.startswith(_XHTML):
        return False
    if element.tag.removeprefix(_XHTML) not in _TAGS:
        return False
    for name, value in element.attrib.items():
        if name.startswith("{http://www.w3.org/XML/1998/namespace}"):
            continue
        if name not in _ATTRIBUTES:
            return False
        if name in {"href", "src"} and not _SAFE_LINK.match(value):
            return False
    return True
