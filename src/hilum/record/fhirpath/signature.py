"""The form in which the function modules offer their functions to the compiler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hilum.record.fhirpath.frame import Expr, Frame, Step
from hilum.record.fhirpath.items import EMPTY, Item, Items, made
from hilum.record.fhirpath.values import single

__all__ = ["Arguments", "Function", "Make", "of_single", "plain_step", "satisfied"]

Arguments = tuple[Expr, ...]
Make = Callable[[Arguments, int], Step]
"""From compiled arguments and the place of the call to the compiled call."""


@dataclass(frozen=True, slots=True)
class Function:
    """One function of the language.

    Attributes:
        make: its compiler.
        least: fewest arguments.
        most: most arguments.
        gives: the System type of its result when that is fixed, else "".
        takes: the System type that its input must have, else "".
    """

    make: Make
    least: int = 0
    most: int = 0
    gives: str = ""
    takes: str = ""


def plain_step(step: Step) -> Make:
    """Return the compiler of a function that looks at nothing but its input."""

    def make(_arguments: Arguments, _offset: int) -> Step:
        return step

    return make


def of_single(compute: Callable[..., Any]) -> Make:
    """Return the compiler of a function from one value and single arguments to one value or None.

    Args:
        compute: takes the System value of the input and those of the arguments, then the offset as
            ``offset=``. An empty input or argument gives an empty result without a call.
    """

    def make(arguments: Arguments, offset: int) -> Step:
        def step(items: Items, frame: Frame) -> Items:
            value = single(items, offset)
            if value is None:
                return EMPTY
            given = [single(argument(frame), offset) for argument in arguments]
            if None in given:
                return EMPTY
            found = compute(value, *given, offset=offset)
            return EMPTY if found is None else made(found)

        return step

    return make


def satisfied(item: Item, index: int, criteria: Expr, frame: Frame) -> Items:
    """Return what an expression says of one item of a loop; the caller restores the frame."""
    frame.this = [item]
    frame.index = index
    return criteria(frame)
