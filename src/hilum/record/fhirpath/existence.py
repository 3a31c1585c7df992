"""Functions about what a collection holds, and how often.

Source: HL7 FHIRPath N1, "Existence".
"""

from __future__ import annotations

from collections.abc import Callable

from hilum.record.fhirpath.bags import Bag, distinct
from hilum.record.fhirpath.frame import Expr, Frame, Step, refuse
from hilum.record.fhirpath.items import EMPTY, FALSE, TRUE, Items, boolean, made
from hilum.record.fhirpath.signature import Arguments, Function, plain_step
from hilum.record.fhirpath.values import truth

__all__ = ["EXISTENCE"]


def _some(items: Items, _frame: Frame) -> Items:
    return TRUE if items else FALSE


def _exists(arguments: Arguments, offset: int) -> Step:
    if not arguments:
        return _some
    criteria = arguments[0]

    def exists(items: Items, frame: Frame) -> Items:
        saved, index = frame.this, frame.index
        frame.spend(len(items))
        found = FALSE
        for at, item in enumerate(items):
            frame.this, frame.index = [item], at
            if truth(criteria(frame), offset):
                found = TRUE
                break
        frame.this, frame.index = saved, index
        return found

    return exists


def _all(arguments: Arguments, offset: int) -> Step:
    criteria = arguments[0]

    def each(items: Items, frame: Frame) -> Items:
        saved, index = frame.this, frame.index
        frame.spend(len(items))
        found = TRUE
        for at, item in enumerate(items):
            frame.this, frame.index = [item], at
            if not truth(criteria(frame), offset):
                found = FALSE
                break
        frame.this, frame.index = saved, index
        return found

    return each


def _truths(decide: Callable[[list[bool]], bool]) -> Callable[[Arguments, int], Step]:
    def make(_arguments: Arguments, offset: int) -> Step:
        def step(items: Items, _frame: Frame) -> Items:
            values = [item.value for item in items]
            if not all(isinstance(value, bool) for value in values):
                refuse("a truth value is needed", offset)
            return boolean(decide(values))

        return step

    return make


def _not(_arguments: Arguments, offset: int) -> Step:
    def negate(items: Items, _frame: Frame) -> Items:
        value = truth(items, offset)
        return boolean(None if value is None else not value)

    return negate


def _subset_of(arguments: Arguments, _offset: int) -> Step:
    other: Expr = arguments[0]

    def subset(items: Items, frame: Frame) -> Items:
        theirs = other(frame)
        frame.spend(len(items) + len(theirs))
        bag = Bag(theirs, frame)
        return boolean(all(bag.holds(item) for item in items))

    return subset


def _superset_of(arguments: Arguments, _offset: int) -> Step:
    other: Expr = arguments[0]

    def superset(items: Items, frame: Frame) -> Items:
        theirs = other(frame)
        frame.spend(len(items) + len(theirs))
        bag = Bag(items, frame)
        return boolean(all(bag.holds(item) for item in theirs))

    return superset


def _count(items: Items, _frame: Frame) -> Items:
    return made(len(items))


def _is_distinct(_arguments: Arguments, _offset: int) -> Step:
    def step(items: Items, frame: Frame) -> Items:
        frame.spend(len(items))
        return boolean(len(distinct(items, frame)) == len(items))

    return step


def _distinct(_arguments: Arguments, _offset: int) -> Step:
    def step(items: Items, frame: Frame) -> Items:
        frame.spend(len(items))
        return distinct(items, frame)

    return step


def _empty(items: Items, _frame: Frame) -> Items:
    return FALSE if items else TRUE


def _has_value(items: Items, _frame: Frame) -> Items:
    found = len(items) == 1 and items[0].kind.system and items[0].value is not None
    return TRUE if found else FALSE


def _get_value(items: Items, _frame: Frame) -> Items:
    if len(items) != 1 or not items[0].kind.system or items[0].value is None:
        return EMPTY
    return items


EXISTENCE = {
    "empty": Function(plain_step(_empty), gives="Boolean"),
    "exists": Function(_exists, 0, 1, gives="Boolean"),
    "all": Function(_all, 1, 1, gives="Boolean"),
    "allTrue": Function(_truths(all), gives="Boolean"),
    "anyTrue": Function(_truths(any), gives="Boolean"),
    "allFalse": Function(_truths(lambda values: not any(values)), gives="Boolean"),
    "anyFalse": Function(_truths(lambda values: not all(values)), gives="Boolean"),
    "subsetOf": Function(_subset_of, 1, 1, gives="Boolean"),
    "supersetOf": Function(_superset_of, 1, 1, gives="Boolean"),
    "count": Function(plain_step(_count), gives="Integer"),
    "distinct": Function(_distinct),
    "isDistinct": Function(_is_distinct, gives="Boolean"),
    "not": Function(_not, gives="Boolean"),
    "hasValue": Function(plain_step(_has_value), gives="Boolean"),
    "getValue": Function(plain_step(_get_value)),
}
"""By name."""
