"""Collections that find equal items fast.

Equal items share a key, so that only items of one key are compared; each comparison counts as work.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from decimal import Decimal

from hilum.record.fhirpath.frame import Frame
from hilum.record.fhirpath.items import Item, Items
from hilum.record.fhirpath.quantity import Amount, comparison_key
from hilum.record.fhirpath.temporal import Temporal, instant_key
from hilum.record.fhirpath.values import items_equal, plain

__all__ = ["Bag", "distinct"]


class Bag:
    """Items, findable by equality.

    Args:
        items: what is in it at first.
        frame: where the work is counted.
    """

    def __init__(self, items: Iterable[Item], frame: Frame) -> None:
        self._frame = frame
        self._by_key: dict[Hashable, Items] = {}
        for item in items:
            self._by_key.setdefault(_key(item), []).append(item)

    def holds(self, item: Item) -> bool:
        """Tell whether an equal item is in the bag."""
        same = self._by_key.get(_key(item), ())
        self._frame.spend(len(same))
        return any(items_equal(item, other) for other in same)

    def add(self, item: Item) -> bool:
        """Put an item in unless an equal one is there; tell whether it was put in."""
        same = self._by_key.setdefault(_key(item), [])
        self._frame.spend(len(same))
        if any(items_equal(item, other) for other in same):
            return False
        same.append(item)
        return True


def distinct(items: Items, frame: Frame) -> Items:
    """Return the items without repetitions, the first of each kept."""
    if len(items) < 2:
        return items
    bag = Bag((), frame)
    return [item for item in items if bag.add(item)]


def _key(item: Item) -> Hashable:
    value = plain(item)
    if isinstance(value, (str, bool)):
        return value if isinstance(value, str) else ("bool", value)
    if isinstance(value, (int, Decimal)):
        return value
    if isinstance(value, Temporal):
        return instant_key(value)
    if isinstance(value, Amount):
        return comparison_key(value)
    return _node_key(value) if isinstance(value, dict) else None


def _node_key(node: dict[str, object]) -> Hashable:
    # scalars one level down tell most nodes apart; the rest is left to the comparison
    return frozenset(
        (key, value if isinstance(value, (str, int, Decimal)) else _first(value))
        for key, value in node.items()
    )


def _first(value: object) -> Hashable:
    while isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, dict):
        return tuple(sorted(value))
    return value if isinstance(value, (str, int, Decimal)) else None
