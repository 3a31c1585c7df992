"""Languages: catalogues, which one a person gets, and how dates and numbers are written in it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from functools import cache
from importlib import resources
from io import BytesIO
from typing import Any

from babel import Locale
from babel.dates import format_date, format_skeleton, format_time
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent
from babel.support import Translations

__all__ = ["LANGUAGES", "Language", "choose_language", "load_language"]

LANGUAGES = {"en": "English", "zh_Hans": "简体中文"}
"""Locale → its own name; the first is what a person gets who asks for none of them."""

_FHIR_DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(T.+)?)?)?\Z")


@dataclass(frozen=True, slots=True)
class Language:
    """A language with its catalogue.

    Attributes:
        locale: name of the catalogue's folder, ``zh_Hans``.
        translations: the catalogue, with `gettext` and `ngettext`.
    """

    locale: str
    translations: Any
    _babel: Locale

    @property
    def _joint(self) -> str:
        return " " if self.locale.startswith("zh") else ", "

    @property
    def tag(self) -> str:
        """Return the BCP 47 tag for ``lang`` attributes."""
        return self.locale.replace("_", "-")

    def say(self, text: str, **parts: object) -> str:
        """Return the text in this language, with its ``%(name)s`` parts filled in."""
        said: str = self.translations.gettext(text)
        return said % parts if parts else said

    def ngettext(self, one: str, many: str, count: int) -> str:
        """Return the form of a text that fits a count, with ``%(count)s`` filled in."""
        said: str = self.translations.ngettext(one, many, count)
        return said % {"count": self.number(count)}

    def date(self, text: str) -> str:
        """Return a FHIR date or dateTime as people write it, no more precise than it is.

        Args:
            text: ``2024``, ``2024-05``, ``2024-05-17`` or a dateTime; anything else comes back as it is.
        """
        match = _FHIR_DATE.match(text)
        if match is None:
            return text
        year, month, day, _time = match.groups()
        try:
            when = date(int(year), int(month or 1), int(day or 1))
        except ValueError:
            return text
        if day:
            return str(format_date(when, "medium", locale=self._babel))
        return str(format_skeleton("yMMM" if month else "y", when, locale=self._babel))

    def instant(self, at_unix_ms: int, offset_minutes: int = 0) -> str:
        """Return date and time of an instant.

        Args:
            at_unix_ms: ms since 1970.
            offset_minutes: UTC offset to show it in, minutes east.
        """
        return self._instant(_local(at_unix_ms, offset_minutes).replace(tzinfo=None))

    def _instant(self, local: datetime) -> str:
        day = format_date(local, "medium", locale=self._babel)
        return f"{day}{self._joint}{format_time(local, 'short', locale=self._babel)}"

    def moment(self, at_unix_ms: int, offset_minutes: int, skeleton: str) -> str:
        """Return an instant as the time of day (``Hm``) or in another CLDR skeleton (``MMMd``)."""
        local = _local(at_unix_ms, offset_minutes).replace(tzinfo=None)
        if skeleton == "Hm":
            return str(format_time(local, "short", locale=self._babel))
        return str(format_skeleton(skeleton, local, locale=self._babel))

    def stamp(self, iso: str) -> str:
        """Return an ISO instant (``…Z``) as date and time in UTC, saying so."""
        try:
            when = datetime.fromisoformat(iso).astimezone(UTC)
        except ValueError:
            return iso
        return f"{self._instant(when.replace(tzinfo=None))} UTC"

    def number(self, value: float) -> str:
        """Return a number with the separators of the language and at most two digits after the point."""
        return str(format_decimal(value, format="#,##0.##", locale=self._babel))

    def share(self, part: float) -> str:
        """Return a share of 1 in per cent."""
        return str(format_percent(part, format="#,##0%", locale=self._babel))


def _local(at_unix_ms: int, offset_minutes: int) -> datetime:
    zone = timezone(timedelta(minutes=offset_minutes))
    return datetime(1970, 1, 1, tzinfo=UTC).astimezone(zone) + timedelta(milliseconds=at_unix_ms)


@cache
def load_language(locale: str) -> Language:
    """Return a language with its catalogue read from the package.

    Args:
        locale: one of `LANGUAGES`.
    """
    folder = resources.files("hilum.portal") / "locale" / locale / "LC_MESSAGES"
    compiled = BytesIO()
    with (folder / "portal.po").open("rb") as source:
        write_mo(compiled, read_po(source, locale=locale))
    compiled.seek(0)
    return Language(locale, Translations(compiled), Locale.parse(locale))


def choose_language(asked: Iterable[str | None], accept: str) -> str:
    """Return the locale for a person.

    Args:
        asked: what was asked for outright, strongest first (address, cookie).
        accept: the Accept-Language header or "".
    """
    for wish in asked:
        if wish in LANGUAGES:
            return wish
    ranked = sorted(_accepted(accept), key=lambda pair: -pair[1])
    for tag, _ in ranked:
        found = next((name for name in LANGUAGES if _speaks(name, tag)), None)
        if found is not None:
            return found
    return next(iter(LANGUAGES))


def _accepted(header: str) -> Iterable[tuple[str, float]]:
    for part in header[:500].split(","):
        tag, _, weight = part.partition(";q=")
        try:
            yield tag.strip().lower(), float(weight or 1)
        except ValueError:
            continue


def _speaks(locale: str, tag: str) -> bool:
    """Tell whether a locale serves a language tag; traditional Chinese gets the simplified too."""
    return bool(tag) and locale.partition("_")[0] == tag.partition("-")[0]
