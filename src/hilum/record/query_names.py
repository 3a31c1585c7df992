"""Names in a search that cannot be followed: unknown ones may be left out, wrong modifiers never."""

from __future__ import annotations

import re
from typing import NoReturn

from hilum.errors import MalformedInputError

__all__ = ["UnknownNameError", "name_of_place", "refuse_modifier"]


class UnknownNameError(Exception):
    """A type has no such search parameter: to be left out, or refused when the search is strict."""


def name_of_place(key: str) -> str:
    """Return a name as an error may repeat it."""
    return key if re.fullmatch(r"[A-Za-z_][\w.:-]{0,99}", key) else "query"


def refuse_modifier(key: str) -> NoReturn:
    """Refuse a modifier that does not apply, also in lenient searches: without it, others are found.

    Args:
        key: the name with the modifier.

    Raises:
        MalformedInputError: always.

    Source: HL7 FHIR R4, search, modifiers (servers reject those that they do not support).
    """
    raise MalformedInputError(
        "unsupported-modifier", "search modifier not supported", where=name_of_place(key),
        hint="the capability statement lists what is supported",
    )  # fmt: skip
