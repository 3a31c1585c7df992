"""Collect every text the portal shows and bring the catalogues up to date.

New texts arrive in each catalogue without a translation (in the English one, with themselves); the
suite fails until they have one. Texts that nobody shows any more are dropped.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po

from hilum.bitcoin import EMBEDDED_BANNER
from hilum.signals.template import load_template

PORTAL = Path(__file__).resolve().parents[1] / "src" / "hilum" / "portal"
SIGNALS = PORTAL.parent / "signals" / "templates"
LOCALES = ("en", "zh_Hans")
KEYWORDS: dict[str, Any] = {
    "N_": None, "_": None, "say": None, "gettext": None, "ngettext": (1, 2),
}  # fmt: skip
METHODS = {".py": "python", ".html": "jinja2.ext:babel_extract"}
OPTIONS = {"trim_blocks": "true", "lstrip_blocks": "true", "newstyle_gettext": "true"}

VOLATILE = re.compile(
    rb'^"(POT-Creation-Date|PO-Revision-Date|Last-Translator|Language-Team|Report-Msgid-Bugs-To|'
    rb'Generated-By): .*\\n"\n',
    re.MULTILINE,
)
"""Header lines that change with every run."""


def collect_messages() -> dict[str | tuple[str, ...], set[str]]:
    """Return every text and the files it stands in; a text with a plural is a pair."""
    found: dict[str | tuple[str, ...], set[str]] = {}
    for path in sorted([*PORTAL.glob("*.py"), *PORTAL.glob("templates/*.html")]):
        with path.open("rb") as source:
            for _line, message, _comments, _context in extract(
                METHODS[path.suffix], source, keywords=KEYWORDS, options=OPTIONS
            ):
                found.setdefault(message, set()).add(path.name)
    for name in names_of_measures():
        found.setdefault(name, set()).add("signals")
    found.setdefault(EMBEDDED_BANNER, set()).add("bitcoin")
    return found


def names_of_measures() -> set[str]:
    """Return the names of all measures and stages that the templates of signals know."""
    names = set()
    for path in SIGNALS.glob("*.yaml"):
        if path.stem == "loinc":  # a table of codes, not a template
            continue
        for mapping in load_template(path.stem).mappings.values():
            names.add(mapping.series.display)
            names.update(stage.display for stage in mapping.series.stages)
    return names


def catalogue_path(locale: str) -> Path:
    """Return where a language's catalogue is."""
    return PORTAL / "locale" / locale / "LC_MESSAGES" / "portal.po"


def update(locale: str) -> None:
    """Write one catalogue anew, keeping its translations."""
    path = catalogue_path(locale)
    old = Catalog(locale=locale)
    if path.exists():
        with path.open("rb") as source:
            old = read_po(source, locale=locale)
    new = Catalog(locale=locale, project="hilum", charset="utf-8", fuzzy=False, header_comment="#")
    for message, files in collect_messages().items():
        known = old.get(message)
        text = known.string if known is not None and known.string else None
        if text is None and locale == "en":
            text = message
        new.add(message, text, locations=[(name, 0) for name in sorted(files)])
    with path.open("wb") as target:
        write_po(target, new, sort_output=True, include_lineno=False, width=100)
    path.write_bytes(VOLATILE.sub(b"", path.read_bytes()))


if __name__ == "__main__":
    for name in LOCALES:
        update(name)
