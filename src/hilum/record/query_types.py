"""A search of several types at once: one query per type, with the parameters that all of them have.

Source: HL7 FHIR R4, search, "searching across all resource types", "variant searches".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hilum.errors import MalformedInputError
from hilum.record.query import parse_query
from hilum.record.query_tree import Query
from hilum.record.types import is_resource_type, type_names

__all__ = ["parse_queries", "types_named"]

TYPE = "_type"


def types_named(pairs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Return the types that ``_type`` names; all of R4 when it is not there.

    Raises:
        MalformedInputError: one is no resource type.
    """
    named = [text for name, value in pairs if name == TYPE for text in value.split(",")]
    for text in named:
        if not is_resource_type(text):
            raise MalformedInputError("value", "not a resource type", where=TYPE)
    return tuple(dict.fromkeys(named)) or type_names()


def parse_queries(
    types: Sequence[str], pairs: Sequence[tuple[str, str]], *, strict: bool, base: str = ""
) -> list[Query]:
    """Read a search of several types; what one of them does not have is left out for all.

    Args:
        types: at least one.
        pairs: decoded name-value pairs in order; ``_type`` says what is in `types` already.
        strict: refuse what is not supported instead of leaving it out.
        base: the node's own address, ``http://host/fhir``.

    Raises:
        MalformedInputError: a malformed value, or (strict) something that not all types have.
    """
    asked = [pair for pair in pairs if pair[0] != TYPE]
    left_out: dict[str, None] = {}
    for name in types:
        left_out |= dict.fromkeys(parse_query(name, asked, strict=strict, base=base).ignored)
    kept = [pair for pair in asked if pair[0] not in left_out]
    named = tuple(pair for pair in pairs if pair[0] == TYPE)
    found = [parse_query(name, kept, strict=strict, base=base) for name in types]
    return [
        replace(each, applied=(*named, *each.applied), ignored=tuple(left_out)) for each in found
    ]
