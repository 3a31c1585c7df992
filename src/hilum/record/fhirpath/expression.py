"""Compiled expressions, and what one asks of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from hilum.record.fhirpath.analysis import check
from hilum.record.fhirpath.compiler import Compiler
from hilum.record.fhirpath.frame import Environment, Expr, Frame, refuse
from hilum.record.fhirpath.items import Item, Items, root_item
from hilum.record.fhirpath.parser import parse
from hilum.record.fhirpath.values import truth

__all__ = ["MAX_RESULT", "Expression", "compile_fhirpath"]

MAX_RESULT = 1_000_000
"""Most items that one evaluation may return."""
_NOTHING = Environment()


class Expression:
    """One compiled expression; holds no state, so threads may share it.

    Attributes:
        text: what it was compiled from.
    """

    __slots__ = ("_run", "text")

    def __init__(self, text: str, run: Expr) -> None:
        self.text = text
        self._run = run

    def evaluate(
        self,
        tree: Mapping[str, Any] | Item,
        *,
        type: str = "",
        environment: Environment = _NOTHING,
    ) -> Items:
        """Return the items that the expression finds.

        Args:
            tree: a decoded resource or data type, or an item of an earlier evaluation; an item
                keeps its place, so that ``%resource`` and the places of the results are right.
            type: the tree's type name; by default its ``resourceType``.
            environment: what the expression may ask.

        Raises:
            MalformedInputError: unknown type, or a value that the expression cannot be applied to.
        """
        items = self._run(_frame(tree, type, environment))
        if len(items) > MAX_RESULT:
            refuse("the result has too many items")
        return items

    def is_true(
        self,
        tree: Mapping[str, Any] | Item,
        *,
        type: str = "",
        environment: Environment = _NOTHING,
    ) -> bool:
        """Tell whether an invariant holds; an empty result counts as true.

        Args:
            tree: as for `evaluate`.
            type: as for `evaluate`.
            environment: what the expression may ask.

        Raises:
            MalformedInputError: as for `evaluate`.
        """
        return truth(self._run(_frame(tree, type, environment)), -1) is not False

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


def _frame(tree: Mapping[str, Any] | Item, type: str, environment: Environment) -> Frame:
    focus = [tree if isinstance(tree, Item) else _root(tree, type)]
    return Frame(focus, focus, environment, environment.max_work)


def _root(tree: Mapping[str, Any], type: str) -> Item:
    try:
        return root_item(tree, type)
    except KeyError:
        return refuse("R4 has no type of this name", hint="give the type")


@lru_cache(maxsize=4096)
def compile_fhirpath(text: str, *, root_type: str = "", strict: bool = False) -> Expression:
    """Compile an expression; the same text is compiled once.

    Args:
        text: FHIRPath, at most 16,384 characters.
        root_type: the type that it will be applied to, for strict mode.
        strict: hold it to the letter: `as` on a collection is an error, and with a root type so are
            unknown members, impossible types and JSON names of choices (``valueQuantity``).

    Raises:
        MalformedInputError: code ``fhirpath``, with the offset in the expression.
    """
    node = parse(text)
    run = Compiler(strict=strict).expression(node)
    if strict and root_type:
        check(node, root_type)
    return Expression(text, run)
