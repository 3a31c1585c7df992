"""Functions that choose, join and walk: filtering, subsetting, combining, loops, trees.

Source: HL7 FHIRPath N1, "Filtering and Projection", "Subsetting", "Combining", "Tree Navigation",
    "Utility Functions", "Aggregates"; FHIRPath 3.0 for `sort`, `coalesce` and `repeatAll`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cmp_to_key

from hilum.record.fhirpath.bags import Bag, distinct
from hilum.record.fhirpath.frame import Expr, Frame, Step, refuse
from hilum.record.fhirpath.items import EMPTY, Item, Items, children
from hilum.record.fhirpath.signature import Arguments, Function, Make, plain_step, satisfied
from hilum.record.fhirpath.values import order, single, truth

__all__ = ["SELECTING", "index_step", "sort_step"]


def index_step(inner: Expr, offset: int) -> Step:
    """Return the compiled indexer."""

    def at(items: Items, frame: Frame) -> Items:
        index = _whole(single(inner(frame), offset), offset)
        return EMPTY if index is None or index < 0 else items[index : index + 1]

    return at


def _whole(value: object, offset: int) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        refuse("an integer is needed", offset)
    return value


def _where(arguments: Arguments, offset: int) -> Step:
    criteria = arguments[0]

    def where(items: Items, frame: Frame) -> Items:
        if not items:
            return EMPTY
        saved, index = frame.this, frame.index
        frame.spend(len(items))
        found: Items = []
        for at, item in enumerate(items):
            frame.this, frame.index = [item], at
            if truth(criteria(frame), offset):
                found.append(item)
        frame.this, frame.index = saved, index
        return found

    return where


def _select(arguments: Arguments, _offset: int) -> Step:
    projection = arguments[0]

    def select(items: Items, frame: Frame) -> Items:
        if not items:
            return EMPTY
        saved, index = frame.this, frame.index
        found: Items = []
        for at, item in enumerate(items):
            found += satisfied(item, at, projection, frame)
        frame.spend(len(items) + len(found))
        frame.this, frame.index = saved, index
        return found

    return select


def _repeat(*, merge: bool) -> Make:
    def make(arguments: Arguments, _offset: int) -> Step:
        projection = arguments[0]

        def repeat(items: Items, frame: Frame) -> Items:
            saved, index = frame.this, frame.index
            found: Items = []
            bag = Bag((), frame)
            level = items
            while level:
                below: Items = []
                for at, item in enumerate(level):
                    below += satisfied(item, at, projection, frame)
                frame.spend(len(level) + len(below))
                if merge:
                    # only what was not there yet goes on: an end even for loops
                    below = [item for item in below if bag.add(item)]
                found += below
                level = below
            frame.this, frame.index = saved, index
            return found

        return repeat

    return make


def _aggregate(arguments: Arguments, _offset: int) -> Step:
    def aggregate(items: Items, frame: Frame) -> Items:
        saved, index, total = frame.this, frame.index, frame.total
        frame.total = arguments[1](frame) if len(arguments) > 1 else EMPTY
        for at, item in enumerate(items):
            frame.total = satisfied(item, at, arguments[0], frame)
            frame.spend(1 + len(frame.total))
        found = frame.total
        frame.this, frame.index, frame.total = saved, index, total
        return found

    return aggregate


def _iif(arguments: Arguments, offset: int) -> Step:
    criterion, then, *otherwise = arguments

    def choose(items: Items, frame: Frame) -> Items:
        if len(items) > 1:
            refuse("one value is needed, there are several", offset)
        saved = frame.this
        frame.this = items or saved
        if truth(criterion(frame), offset):
            found = then(frame)
        else:
            found = otherwise[0](frame) if otherwise else EMPTY
        frame.this = saved
        return found

    return choose


def sort_step(keys: tuple[tuple[Expr, bool], ...], offset: int) -> Step:
    """Return the compiled `sort`.

    Args:
        keys: expressions with whether each sorts downwards; none sorts by the items themselves.
        offset: where the call stands.
    """

    def sort(items: Items, frame: Frame) -> Items:
        frame.spend(len(items) * 8)
        saved, index = frame.this, frame.index
        rows: list[tuple[Item, list[Items]]] = []
        for at, item in enumerate(items):
            frame.this, frame.index = [item], at
            rows.append((item, [key(frame) for key, _ in keys] or [[item]]))
        frame.this, frame.index = saved, index
        downwards = [is_down for _, is_down in keys] or [False]

        def by_keys(one: tuple[Item, list[Items]], other: tuple[Item, list[Items]]) -> int:
            for ours, theirs, is_down in zip(one[1], other[1], downwards, strict=True):
                found = _ordered(ours, theirs, offset)
                if found:
                    return -found if is_down else found
            return 0

        return [item for item, _ in sorted(rows, key=cmp_to_key(by_keys))]

    return sort


def _ordered(ours: Items, theirs: Items, offset: int) -> int:
    if not ours or not theirs:
        # what has no key comes after all others
        return (not ours) - (not theirs)
    return order(ours, theirs, offset) or 0


def _combine(join: Callable[[Items, Items, Frame], Items]) -> Make:
    def make(arguments: Arguments, _offset: int) -> Step:
        def step(items: Items, frame: Frame) -> Items:
            other = arguments[0](frame)
            frame.spend(len(items) + len(other))
            return join(items, other, frame)

        return step

    return make


def _compare(keep: Callable[[Items, Bag, Frame], Items]) -> Make:
    def make(arguments: Arguments, _offset: int) -> Step:
        def step(items: Items, frame: Frame) -> Items:
            if not items:
                return EMPTY
            other = arguments[0](frame)
            frame.spend(len(items) + len(other))
            return keep(items, Bag(other, frame), frame)

        return step

    return make


def _intersect(items: Items, other: Bag, frame: Frame) -> Items:
    return distinct([item for item in items if other.holds(item)], frame)


def _exclude(items: Items, other: Bag, _frame: Frame) -> Items:
    return [item for item in items if not other.holds(item)]


def _single(_arguments: Arguments, offset: int) -> Step:
    def step(items: Items, _frame: Frame) -> Items:
        if len(items) > 1:
            refuse("one value is needed, there are several", offset)
        return items

    return step


def _cut(cut: Callable[[Items, int], Items]) -> Make:
    def make(arguments: Arguments, offset: int) -> Step:
        def step(items: Items, frame: Frame) -> Items:
            count = _whole(single(arguments[0](frame), offset), offset)
            return EMPTY if count is None else cut(items, max(0, count))

        return step

    return make


def _coalesce(arguments: Arguments, _offset: int) -> Step:
    def step(_items: Items, frame: Frame) -> Items:
        for argument in arguments:
            found = argument(frame)
            if found:
                return found
        return EMPTY

    return step


def _children(_arguments: Arguments, _offset: int) -> Step:
    def step(items: Items, frame: Frame) -> Items:
        found: Items = []
        for item in items:
            children(item, found)
        frame.spend(len(items) + len(found))
        return found

    return step


def _descendants(_arguments: Arguments, _offset: int) -> Step:
    def step(items: Items, frame: Frame) -> Items:
        found: Items = []
        level = items
        while level:
            below: Items = []
            for item in level:
                children(item, below)
            frame.spend(len(level) + len(below))
            found += below
            level = below
        return found

    return step


def _trace(arguments: Arguments, offset: int) -> Step:
    name, *projection = arguments

    def step(items: Items, frame: Frame) -> Items:
        told = frame.environment.trace
        if told is not None:
            shown = _select((projection[0],), offset)(items, frame) if projection else items
            told(str(single(name(frame), offset)), shown)
        return items

    return step


SELECTING = {
    "where": Function(_where, 1, 1),
    "select": Function(_select, 1, 1),
    "repeat": Function(_repeat(merge=True), 1, 1),
    "repeatAll": Function(_repeat(merge=False), 1, 1),
    "aggregate": Function(_aggregate, 1, 2),
    "iif": Function(_iif, 2, 3),
    "single": Function(_single),
    "first": Function(plain_step(lambda items, _: items[:1])),
    "last": Function(plain_step(lambda items, _: items[-1:])),
    "tail": Function(plain_step(lambda items, _: items[1:])),
    "skip": Function(_cut(lambda items, count: items[count:]), 1, 1),
    "take": Function(_cut(lambda items, count: items[:count]), 1, 1),
    "intersect": Function(_compare(_intersect), 1, 1),
    "exclude": Function(_compare(_exclude), 1, 1),
    "union": Function(_combine(lambda items, other, frame: distinct(items + other, frame)), 1, 1),
    "combine": Function(_combine(lambda items, other, _: items + other), 1, 1),
    "coalesce": Function(_coalesce, 1, 16),
    "children": Function(_children),
    "descendants": Function(_descendants),
    "trace": Function(_trace, 1, 2),
}
"""By name."""
