"""What an evaluation is given, and the state that it keeps while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NoReturn

import msgspec

from hilum.errors import MalformedInputError
from hilum.record.fhirpath.items import Item, Items

__all__ = ["MAX_WORK", "Environment", "Expr", "Frame", "Step", "refuse"]

MAX_WORK = 5_000_000
"""Items that one evaluation may visit."""


def refuse(why: str, offset: int = -1, *, hint: str = "") -> NoReturn:
    """Raise the error of an expression that cannot be compiled or evaluated.

    Args:
        why: one sentence without values.
        offset: character in the expression, -1 when unknown.
        hint: what to do about it.

    Raises:
        MalformedInputError: always.
    """
    where = "" if offset < 0 else f"offset {offset}"
    raise MalformedInputError("fhirpath", why, where=where, hint=hint) from None


@dataclass(frozen=True, slots=True)
class Environment:
    """What an expression may ask of the world outside its tree.

    Attributes:
        resolve: reference text → the resource's tree, or None; asked after contained resources
            and the entries of the Bundle that holds the item.
        member_of: (item, value set URL) → whether it is a member; None when that cannot be told.
        conforms_to: (item, profile URL) → whether it conforms; None when the profile is unknown.
        variables: values of ``%name``: an `Item`, a list of items, a scalar, or a resource's tree.
        now: the instant of the evaluation, with zone; `now()` is an error without it.
        trace: called with the name and the items of every `trace()`.
        max_work: items that may be visited.
    """

    resolve: Callable[[str], Mapping[str, Any] | None] | None = None
    member_of: Callable[[Item, str], bool | None] | None = None
    conforms_to: Callable[[Item, str], bool | None] | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    now: datetime | None = None
    trace: Callable[[str, Items], None] | None = None
    max_work: int = MAX_WORK


class Frame(msgspec.Struct, eq=False):
    """The state of one evaluation: what ``$this``, ``$index``, ``$total`` and ``%name`` mean.

    Attributes:
        this: the focus.
        index: position in the loop, None outside of one.
        total: of `aggregate`.
        context: what the evaluation began with, ``%context``.
        variables: those of `defineVariable`.
        left: items that may still be visited.
    """

    this: Items
    context: Items
    environment: Environment
    left: int
    index: int | None = None
    total: Items = []
    variables: dict[str, Items] = {}

    def spend(self, count: int) -> None:
        """Take note of work done.

        Args:
            count: items visited.

        Raises:
            MalformedInputError: when the evaluation has done too much.
        """
        self.left -= count
        if self.left < 0:
            refuse("the evaluation visits too many items")


Expr = Callable[[Frame], Items]
"""A compiled expression: from the state to its value."""
Step = Callable[[Items, Frame], Items]
"""A compiled member, function or indexer: from its input to its output."""
