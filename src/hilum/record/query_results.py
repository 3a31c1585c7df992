"""What a search says about its answer: order, total, and what comes with the matches.

Source: HL7 FHIR R4, search, "managing returned resources".
"""

from __future__ import annotations

from hilum.errors import MalformedInputError
from hilum.record.parameters import Kind, parameters_of
from hilum.record.query_names import UnknownNameError, name_of_place
from hilum.record.query_tree import Include, SortKey, SortSource, Total
from hilum.record.types import is_resource_type

__all__ = ["MAX_KEYS", "parse_include", "parse_sort", "parse_total"]

MAX_KEYS = 8
"""Most sort keys."""
_COLUMNS = {"_id": SortSource.ID, "_lastUpdated": SortSource.UPDATED}
_SOURCES = {
    Kind.DATE: SortSource.DATE,
    Kind.NUMBER: SortSource.NUMBER,
    Kind.QUANTITY: SortSource.NUMBER,
    Kind.STRING: SortSource.TEXT,
    Kind.TOKEN: SortSource.TEXT,
    Kind.REFERENCE: SortSource.TEXT,
    Kind.URI: SortSource.TEXT,
}
_ITERATES = frozenset({"iterate", "recurse"})


def parse_total(text: str) -> Total:
    """Read ``_total``.

    Raises:
        MalformedInputError: none of R4's words.
    """
    if text not in set(Total):
        raise MalformedInputError(
            "value", "not a way to count", where="_total", hint="none, estimate or accurate"
        )
    return Total(text)


def parse_sort(type: str, text: str) -> tuple[SortKey, ...]:
    """Read ``_sort``: names separated by commas, ``-`` before one for the greatest first.

    Raises:
        UnknownNameError: the type has no such parameter.
        MalformedInputError: too many, or by something that has no order.
    """
    names = text.split(",")
    if len(names) > MAX_KEYS:
        raise MalformedInputError("value", f"more than {MAX_KEYS} keys", where="_sort")
    return tuple(_key(type, name) for name in names)


def _key(type: str, text: str) -> SortKey:
    name = text.removeprefix("-")
    down = text.startswith("-")
    if name in _COLUMNS:
        return SortKey(name, 0, _COLUMNS[name], down)
    parameter = parameters_of(type).get(name)
    if parameter is None:
        raise UnknownNameError(name)
    source = _SOURCES.get(parameter.kind)
    if source is None:
        raise MalformedInputError(
            "value", f"a {parameter.kind} has no order", where="_sort", hint=name_of_place(name)
        )
    return SortKey(name, parameter.number, source, down)


def parse_include(type: str, key: str, text: str) -> list[Include]:
    """Read ``_include`` or ``_revinclude``.

    Args:
        type: of the search.
        key: the name with its modifier.
        text: ``*``, ``Type:parameter``, ``Type:parameter:Target`` or ``Type:*``.

    Raises:
        UnknownNameError: there is no such parameter.
        MalformedInputError: it is malformed, or not a reference.
    """
    base, colon, modifier = key.partition(":")
    if colon and modifier not in _ITERATES:
        raise MalformedInputError(
            "unsupported-modifier", "search modifier not supported", where=name_of_place(key)
        )
    is_reverse = base == "_revinclude"
    parts = text.split(":")
    if parts == ["*"]:
        return [Include("*" if is_reverse or colon else type, "*", "", is_reverse, bool(colon))]
    if len(parts) not in {2, 3} or not is_resource_type(parts[0]):
        raise MalformedInputError(
            "value",
            "not an inclusion",
            where=base,
            hint="Type:parameter, Type:parameter:Target or *",
        )
    source, name, target = (*parts, "")[:3]
    if target and not is_resource_type(target):
        raise MalformedInputError("value", "not a resource type", where=base)
    if name != "*":
        parameter = parameters_of(source).get(name)
        if parameter is None:
            raise UnknownNameError(name)
        if parameter.kind is not Kind.REFERENCE:
            raise MalformedInputError("value", "not a reference", where=base)
    return [Include(source, name, target, is_reverse, bool(colon))]
