"""What items mean as System values: equality, equivalence, order, and single values.

Source: HL7 FHIRPath N1, "Equality", "Comparison", "Singleton Evaluation of Collections".
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hilum.record.fhirpath.frame import refuse
from hilum.record.fhirpath.items import FALSE, TRUE, Item, Items
from hilum.record.fhirpath.quantity import (
    Amount,
    amount_of,
    compare_amounts,
    equivalent_amounts,
    rounded,
)
from hilum.record.fhirpath.temporal import Temporal, compare, parse_temporal

__all__ = [
    "are_equal",
    "are_equivalent",
    "items_equal",
    "order",
    "plain",
    "single",
    "truth",
]

_PLAIN = frozenset({int, str, Decimal})
_IGNORED = frozenset({"id"})


def plain(item: Item) -> Any:  # noqa: ANN401 - any System value, or a node
    """Return the System value of an item: texts of dates as `Temporal`, Quantities as `Amount`.

    A structure that is no Quantity is returned as its node, a primitive without value as None.
    """
    value = item.value
    sort = type(value)
    if sort is str:
        temporal = item.kind.temporal
        return (parse_temporal(value, temporal) or value) if temporal else value
    if sort is dict and item.kind.is_quantity:
        return amount_of(value) or value
    if sort is float:
        return Decimal(repr(value))
    return value


def single(items: Items, offset: int) -> Any:  # noqa: ANN401 - any System value, or a node
    """Return the System value of a collection of at most one item; None when there is none.

    Raises:
        MalformedInputError: when there are several.
    """
    if not items:
        return None
    if len(items) > 1:
        refuse("one value is needed, there are several", offset)
    return plain(items[0])


def truth(items: Items, offset: int) -> bool | None:
    """Return a collection's truth: itself, True for any other single value, None when empty.

    Raises:
        MalformedInputError: when there are several values.
    """
    if items is TRUE or items is FALSE:
        return items is TRUE
    if not items:
        return None
    if len(items) > 1:
        refuse("one truth value is needed, there are several values", offset)
    value = items[0].value
    return value if isinstance(value, bool) else True


def items_equal(left: Item, right: Item) -> bool | None:
    """Tell whether two items are equal; None when that cannot be known (precision, zones)."""
    texts = type(left.value) is str and type(right.value) is str
    if texts and not (left.kind.temporal or right.kind.temporal):
        return bool(left.value == right.value)
    one, other = plain(left), plain(right)
    if type(one) is type(other):
        return _same_sort(one, other)
    if isinstance(one, bool) or isinstance(other, bool):
        return False
    if isinstance(one, (int, Decimal)) and isinstance(other, (int, Decimal)):
        return one == other
    if isinstance(one, Amount) or isinstance(other, Amount):
        return _amounts_equal(_as_amount(one), _as_amount(other))
    return False


def _same_sort(one: Any, other: Any) -> bool | None:  # noqa: ANN401 - System values
    if isinstance(one, Temporal):
        if (one.kind == "Time") != (other.kind == "Time"):
            return False
        order = compare(one, other)
        return None if order is None else order == 0
    if isinstance(one, Amount):
        return _amounts_equal(one, other)
    if isinstance(one, dict):
        return _nodes_equal(one, other)
    return bool(one == other)


def _as_amount(value: Any) -> Amount | None:  # noqa: ANN401 - a System value
    if isinstance(value, Amount):
        return value
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return Amount(Decimal(value), "1")
    return None


def _amounts_equal(one: Amount | None, other: Amount | None) -> bool | None:
    if one is None or other is None:
        return False
    if {one.unit, other.unit} & {"year", "month"} and one.is_calendar != other.is_calendar:
        return None  # a calendar year is no certain number of UCUM years
    result = compare_amounts(one, other)
    return False if result is None else result == 0


def _nodes_equal(one: Any, other: Any) -> bool:  # noqa: ANN401 - decoded JSON values
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            _nodes_equal(value, other[key]) for key, value in one.items()
        )
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_nodes_equal, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def are_equal(left: Items, right: Items) -> bool | None:
    """Tell whether two collections are equal, in order; None when one is empty."""
    if not left or not right:
        return None
    if len(left) != len(right):
        return False
    answer: bool | None = True
    for one, other in zip(left, right, strict=True):
        same = items_equal(one, other)
        if same is False:
            return False
        if same is None:
            answer = None
    return answer


def are_equivalent(left: Items, right: Items) -> bool:
    """Tell whether two collections are equivalent, in any order; two empty ones are."""
    if len(left) != len(right):
        return False
    if len(left) == 1:
        return _equivalent(plain(left[0]), plain(right[0]))
    rest = [plain(item) for item in right]
    for item in left:
        value = plain(item)
        for at, other in enumerate(rest):
            if _equivalent(value, other):
                del rest[at]
                break
        else:
            return False
    return True


def _equivalent(one: Any, other: Any) -> bool:  # noqa: ANN401 - System values
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if _is_number(one) and _is_number(other):
        places = min(_places(one), _places(other))
        return rounded(Decimal(one), places) == rounded(Decimal(other), places)
    if isinstance(one, (dict, list)) and isinstance(other, (dict, list)):
        return _nodes_equivalent(one, other)
    if isinstance(one, str) and isinstance(other, str):
        return " ".join(one.lower().split()) == " ".join(other.lower().split())
    if isinstance(one, Temporal) and isinstance(other, Temporal):
        return one.kind == other.kind and compare(one, other) == 0
    both = isinstance(one, Amount) and isinstance(other, Amount)
    return equivalent_amounts(one, other) if both else one is None and other is None


def _nodes_equivalent(one: Any, other: Any) -> bool:  # noqa: ANN401 - decoded JSON values
    if isinstance(one, dict) and isinstance(other, dict):
        ours, theirs = one.keys() - _IGNORED, other.keys() - _IGNORED
        return ours == theirs and all(_equivalent(one[key], other[key]) for key in ours)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(any(_equivalent(a, b) for b in other) for a in one)
    return False


def _places(value: int | Decimal) -> int:
    exponent = Decimal(value).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def order(left: Items, right: Items, offset: int) -> int | None:
    """Return -1, 0 or 1 for two single values; None when one is empty or it cannot be known.

    Raises:
        MalformedInputError: several values, or types without a common order.
    """
    one, other = single(left, offset), single(right, offset)
    if one is None or other is None:
        return None
    if (type(one) is type(other) and type(one) in _PLAIN) or (
        _is_number(one) and _is_number(other)
    ):
        return int(one > other) - int(one < other)
    if isinstance(one, Temporal) and isinstance(other, Temporal):
        if (one.kind == "Time") == (other.kind == "Time"):
            return compare(one, other)
    elif isinstance(one, Amount) or isinstance(other, Amount):
        ours, theirs = _as_amount(one), _as_amount(other)
        if ours is not None and theirs is not None:
            return compare_amounts(ours, theirs)
    return refuse("the two values have no common order", offset)


def _is_number(value: Any) -> bool:  # noqa: ANN401 - a System value
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool)
