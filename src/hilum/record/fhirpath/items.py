"""Items: the values that expressions pass around, each knowing its type and its place.

An item of a resource keeps its parent and the key that led to it, so that places, ``%resource``
and ``%rootResource`` need no bookkeeping while an expression runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from hilum.record.fhirpath.kinds import (
    BOOLEAN,
    DATE,
    DATE_TIME,
    DECIMAL,
    INTEGER,
    QUANTITY,
    STRING,
    TIME,
    TYPE_INFO,
    Kind,
    Member,
    kind_named,
)
from hilum.record.fhirpath.quantity import Amount
from hilum.record.fhirpath.temporal import Temporal

__all__ = ["EMPTY", "FALSE", "TRUE", "Item", "Items", "boolean", "children", "made", "root_item"]


class Item(msgspec.Struct, eq=False):
    """One value.

    Attributes:
        value: bool, int, Decimal, str, `Temporal`, `Amount`, or the dict of a structure; None for
            a primitive that carries extensions only.
        kind: its type.
        parent: the item that it was reached from, None for roots and made values.
        key: the JSON key that led to it.
        index: its position when that member is an array.
        extra: the ``_key`` sibling of a primitive: its id and extensions.
    """

    value: Any
    kind: Kind
    parent: Item | None = None
    key: str = ""
    index: int | None = None
    extra: dict[str, Any] | None = None

    @property
    def type(self) -> str:
        """The name of the type, e.g. ``HumanName``, ``Patient.contact``, ``System.Integer``."""
        return self.kind.name

    @property
    def place(self) -> tuple[str | int, ...]:
        """The keys and positions from the root to here; ``()`` for roots and made values."""
        steps: list[str | int] = []
        item = self
        while item.parent is not None:
            if item.index is not None:
                steps.append(item.index)
            steps.append(item.key)
            item = item.parent
        return tuple(reversed(steps))

    @property
    def path(self) -> str:
        """The place as a FHIRPath from the root type, e.g. ``Patient.name[0].given[1]``."""
        steps: list[str] = []
        item = self
        while item.parent is not None:
            mark = "" if item.index is None else f"[{item.index}]"
            steps.append(item.key + mark)
            item = item.parent
        return ".".join([item.kind.name, *reversed(steps)])

    def resource(self) -> Item:
        """Return the nearest resource that holds the item, or its root."""
        item = self
        while item.parent is not None and not item.kind.is_resource:
            item = item.parent
        return item

    def root_resource(self) -> Item:
        """Return the resource that holds the item; for a contained one, its container."""
        item = self.resource()
        while item.key == "contained" and item.parent is not None:
            item = item.parent.resource()
        return item

    def child(self, name: str) -> list[Item]:
        """Return the values of one member, choices by their stem (``value``)."""
        found: list[Item] = []
        member = self.kind.members.get(name)
        if member is not None:
            collect(self, member, found)
        return found

    def __repr__(self) -> str:
        return f"Item({self.path})"  # without the value: it may be health data


Items = list[Item]
"""A collection. Never changed once handed on: constants are shared."""

TRUE = [Item(True, BOOLEAN)]
FALSE = [Item(False, BOOLEAN)]
EMPTY: Items = []
_SCALARS = frozenset({str, bool, int, Decimal, float})

_COUNTS = [[Item(number, INTEGER)] for number in range(256)]
_KINDS: dict[type, Kind] = {bool: BOOLEAN, int: INTEGER, Decimal: DECIMAL, str: STRING}
_TEMPORAL = {"Date": DATE, "DateTime": DATE_TIME, "Time": TIME}


def boolean(value: bool | None) -> Items:
    """Return the collection of a truth value; None is the empty one."""
    if value is None:
        return EMPTY
    return TRUE if value else FALSE


def made(value: bool | int | str | Decimal | Temporal | Amount) -> Items:
    """Return the collection of one value that no tree holds."""
    if type(value) is int and -1 < value < len(_COUNTS):
        return _COUNTS[value]
    if isinstance(value, Temporal):
        return [Item(value, _TEMPORAL[value.kind])]
    if isinstance(value, Amount):
        return [Item(value, QUANTITY)]
    kind = _KINDS.get(type(value))
    if kind is None:
        # a decimal that remembers its text
        return [Item(Decimal(value), DECIMAL)]
    return [Item(value, kind)]


def type_info(item: Item) -> Item:
    """Return the reflection of an item's type: namespace and name."""
    kind = item.kind
    if kind.is_system:
        value = {"namespace": "System", "name": kind.name.removeprefix("System.")}
    else:
        inner = "." in kind.name
        base = "BackboneElement" if kind.is_a("BackboneElement") else "Element"
        value = {"namespace": "FHIR", "name": base if inner else kind.name}
    return Item(value, TYPE_INFO)


def root_item(tree: Mapping[str, Any], type: str = "") -> Item:
    """Return the item of a whole tree.

    Args:
        tree: a decoded resource, or the object of a data type.
        type: its type name; by default its ``resourceType``.

    Raises:
        KeyError: when R4 has no such type.
    """
    return Item(tree, kind_named(type or str(tree.get("resourceType", ""))))


def children(item: Item, found: Items) -> None:
    """Append all child items, in the order of the document."""
    kind = item.kind
    node = item.extra if kind.is_primitive else item.value
    if type(node) is dict:
        _each(item, node, kind.by_key, found)


def collect(item: Item, member: Member, found: Items) -> None:
    """Append the values of one member of an item."""
    node = item.extra if item.kind.is_primitive else item.value
    if type(node) is not dict:
        return
    if member.by_key:
        _each(item, node, member.by_key, found)
    elif member.key in node or member.under in node:
        _values(item, node, member, found)


def _each(item: Item, node: dict[str, Any], by_key: dict[str, Member], found: Items) -> None:
    for key in node:
        member = by_key.get(key)
        # a sibling beside its value was taken with it
        if member is not None and (key[0] != "_" or key[1:] not in node):
            _values(item, node, member, found)


def _values(item: Item, node: dict[str, Any], member: Member, found: Items) -> None:
    ((key, under, kind),) = member.options
    value = node.get(key)
    if kind.is_primitive:
        extra = node.get(under)
        if extra is None and type(value) in _SCALARS and not member.is_list:
            found.append(Item(value, kind, item, key))
        elif value is not None or extra is not None:
            _primitives(item, member, value, extra, found)
    elif value is not None:
        _structures(item, member, value, found)


def _primitives(
    item: Item,
    member: Member,
    value: Any,  # noqa: ANN401 - a decoded JSON value
    extra: Any,  # noqa: ANN401 - a decoded JSON value
    found: Items,
) -> None:
    ((key, _, kind),) = member.options
    is_list = isinstance(value, list) or isinstance(extra, list)
    values = value if isinstance(value, list) else [value]
    extras = extra if isinstance(extra, list) else [extra]
    for index in range(max(len(values), len(extras))):
        one = values[index] if index < len(values) else None
        sibling = extras[index] if index < len(extras) else None
        # a structure where a primitive belongs is refused by the gate; here it is as if absent
        if isinstance(one, (dict, list)):
            one = None
        if type(sibling) is not dict:
            sibling = None
        if one is not None or sibling is not None:
            found.append(Item(one, kind, item, key, index if is_list else None, sibling))


def _structures(
    item: Item,
    member: Member,
    value: Any,  # noqa: ANN401 - a decoded JSON value
    found: Items,
) -> None:
    ((key, _, kind),) = member.options
    if type(value) is list:
        for index, node in enumerate(value):
            if type(node) is dict:
                actual = _resource_kind(node) if member.is_resource else kind
                found.append(Item(node, actual, item, key, index))
    elif type(value) is dict:
        found.append(Item(value, _resource_kind(value) if member.is_resource else kind, item, key))
    elif kind.is_system:
        found.append(Item(value, kind, item, key))


def _resource_kind(node: dict[str, Any]) -> Kind:
    name = node.get("resourceType")
    try:
        return kind_named(name) if isinstance(name, str) else kind_named("Resource")
    except KeyError:
        return kind_named("Resource")
