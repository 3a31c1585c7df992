"""The arguments of an operation: pairs of the URL, or parts of a Parameters resource.

Source: HL7 FHIR R4, operations.html "executing an operation synchronously".
"""

from __future__ import annotations

from typing import Any

from hilum.api.wire import Receive, Request, read_body
from hilum.errors import MalformedInputError
from hilum.record.resource import parse_resource

__all__ = ["Arguments", "read_arguments"]


class Arguments:
    """What an operation is asked with.

    Args:
        pairs: names and texts, in order.
        body: the Parameters resource, or empty.
    """

    def __init__(self, pairs: list[tuple[str, str]], body: dict[str, Any]) -> None:
        self.pairs = pairs
        self.body = body

    def only(self, names: frozenset[str], *, strict: bool) -> None:
        """Refuse what the operation does not take.

        Raises:
            MalformedInputError: an unknown name, when the client wants to know.
        """
        if strict and any(name not in names for name, _text in self.pairs):
            raise MalformedInputError(
                "unknown-parameter", "a parameter that the operation does not take", where="query",
                hint=", ".join(sorted(names)),
            )  # fmt: skip

    def one(self, name: str) -> str:
        """Return the text of an argument, or ``""``.

        Raises:
            MalformedInputError: it is given more than once.
        """
        found = self.all(name)
        if len(found) > 1:
            raise MalformedInputError("bad-search", "given more than once", where=name)
        return found[0] if found else ""

    def all(self, name: str) -> list[str]:
        """Return the texts of an argument that may be repeated."""
        return [text for each, text in self.pairs if each == name]

    def words(self, name: str) -> list[str]:
        """Return the words of an argument that is a list with commas, or repeated."""
        return [word.strip() for text in self.all(name) for word in text.split(",") if word.strip()]

    def count(self, name: str, usual: int, *, most: int) -> int:
        """Return an argument that is a number from 1; more than the most is the most.

        Raises:
            MalformedInputError: not a number.
        """
        text = self.one(name)
        if not text:
            return usual
        if not text.isascii() or not text.isdigit() or len(text) > 9:
            raise MalformedInputError("bad-search", "not a whole number", where=name)
        return max(1, min(int(text), most))


async def read_arguments(request: Request, receive: Receive) -> Arguments:
    """Return the arguments of a request: of its URL, and of its Parameters when it has a body.

    Raises:
        MalformedInputError: the body is not Parameters.
    """
    pairs = list(request.query)
    if request.method != "POST":
        return Arguments(pairs, {})
    body = await read_body(request, receive)
    if not body:
        return Arguments(pairs, {})
    resource = parse_resource(body)
    if resource.type != "Parameters":
        raise MalformedInputError("structure", "must be Parameters", where="resourceType")
    for part in resource.tree.get("parameter") or ():
        pairs += _pair(part)
    return Arguments(pairs, resource.tree)


def _pair(part: object) -> list[tuple[str, str]]:
    if not isinstance(part, dict) or not isinstance(part.get("name"), str):
        raise MalformedInputError("structure", "has no name", where="Parameters.parameter")
    values = [value for key, value in part.items() if key.startswith("value")]
    if len(values) > 1:
        raise MalformedInputError("structure", "has two values", where="Parameters.parameter")
    if not values or isinstance(values[0], (dict, list)):
        return []
    value = values[0]
    return [(part["name"], str(value).lower() if isinstance(value, bool) else str(value))]
