"""What a conditional request depends on: a search, run under the reader's access, and run again on writing.

The first look finds out what to do; the second, inside the writer's transaction, makes sure that it is
still so. What the reader may not see is not found by either.

Source: HL7 FHIR R4, http "conditional create", "conditional update", "conditional delete".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from hilum.errors import ConflictError, MalformedInputError
from hilum.exchange.searching import find, matches
from hilum.record.query import Query, parse_query

if TYPE_CHECKING:
    from hilum.base.sql import Connection
    from hilum.exchange.answering import Answer
    from hilum.exchange.node import Node
    from hilum.identity.session import Session

__all__ = ["MOVED", "Condition", "demand", "look_for", "one_of", "pairs_of"]

MOVED = "moved"
"""Code of the conflict that says: what a condition found is no longer so."""

_RESULT_PARAMETERS = frozenset({
    "_count", "_sort", "_include", "_revinclude", "_total", "_contained", "_containedType", "_cursor",
    "_page", "_score",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Condition:
    """A search and what it found.

    Attributes:
        query: the search.
        session: under whose access it runs.
        ids: what it found, newest first; no more than were asked for.
    """

    query: Query
    session: Session
    ids: tuple[str, ...]

    def still_holds(self, node: Node, conn: Connection) -> bool:
        """Tell whether the search finds the same by now, on a connection."""
        return matches(node, self.session, self.query, conn=conn) == self.ids


def demand(node: Node, conn: Connection, conditions: Iterable[Condition]) -> None:
    """Make sure, inside the writer's transaction, that conditions still find what they found.

    Raises:
        ConflictError: one does not (code ``"moved"``): look again.
    """
    for condition in conditions:
        if not condition.still_holds(node, conn):
            raise ConflictError(MOVED, "what the condition found changed meanwhile")


def pairs_of(text: str) -> list[tuple[str, str]]:
    """Return the pairs of a condition written as a query string.

    Raises:
        MalformedInputError: not a query string.
    """
    plain = text.partition("?")[2] if "?" in text else text
    try:
        return parse_qsl(plain, keep_blank_values=True, errors="strict")
    except (UnicodeDecodeError, ValueError):
        raise MalformedInputError("bad-search", "not a search", where="condition") from None


def look_for(
    node: Node, session: Session, type: str, pairs: Sequence[tuple[str, str]], *, most: int = 1
) -> tuple[Condition, Answer]:
    """Run the search of a conditional request.

    Args:
        node: where.
        session: who asks.
        type: resource type.
        pairs: the condition.
        most: how many matches are of use; one more is looked for.

    Returns:
        The condition, and the answer with its receipts.

    Raises:
        MalformedInputError: it says nothing, or something that is no condition.
    """
    named = {name.partition(":")[0] for name, _value in pairs}
    if not named or named & _RESULT_PARAMETERS:
        raise MalformedInputError(
            "bad-search", "a condition is made of search parameters, and of one at least",
            where="condition", hint="identifier=system|value",
        )  # fmt: skip
    query = parse_query(type, [*pairs, ("_count", str(most + 1))], strict=True)
    answer = find(node, session, query, after=None)
    return Condition(query, session, tuple(row.id for row in answer.rows)), answer


def one_of(condition: Condition) -> str | None:
    """Return the one id that a condition found, or None.

    Raises:
        ConflictError: it found several.
    """
    if len(condition.ids) > 1:
        raise ConflictError(
            "several-matches", "the condition matches several resources", where="condition"
        )
    return condition.ids[0] if condition.ids else None
