"""Items: the values that expressions pass around, each knowing its type and its place.

An item of a resource keeps its parent and the key that led to it, so that places, ``%resource``
and ``%rootResource`` need no bookkeeping while an expression runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

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


class Item:
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

    __slots__ = ("extra", "index", "key", "kind", "parent", "value")

    def __init__(
        self,
        value: Any,  # noqa: ANN401 - a decoded JSON value
        kind: Kind,
        parent: Item | None = None,
        key: str = "",
        index: int | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        self.value = value
        self.kind = kind
        self.parent = parent
        self.key = key
        self.index = index
        self.extra = extra

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

_KINDS: dict[type, Kind] = {bool: BOOLEAN, int: INTEGER, Decimal: DECIMAL, str: STRING}
_TEMPORAL = {"Date": DATE, "DateTime": DATE_TIME, "Time": TIME}


def boolean(value: bool | None) -> Items:
    """Return the collection of a truth value; None is the empty one."""
    if value is None:
        return EMPTY
    return TRUE if value else FALSE


def made(value: bool | int | str | Decimal | Temporal | Amount) -> Items:
    """Return the collection of one value that no tree holds."""
    if isinstance(value, Temporal):
        return [Item(value, _TEMPORAL[value.kind])]
    if isinstance(value, Amount):
        return [Item(value, QUANTITY)]
    return [Item(value, _KINDS[type(value)])]


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
    """Append all child items, in the order of the definition."""
    node = item.extra if item.kind.is_primitive else item.value
    if not node or not isinstance(node, dict):
        return
    for member in item.kind.elements:
        collect(item, member, found)


def collect(item: Item, member: Member, found: Items) -> None:
    """Append the values of one member of an item."""
    node = item.extra if item.kind.is_primitive else item.value
    if not node or not isinstance(node, dict):
        return
    options = member.options
    if len(options) > 1:
        options = tuple(dict.fromkeys(member.by_key[key] for key in node if key in member.by_key))
    for key, under, kind in options:
        value = node.get(key)
        if kind.is_primitive:
            extra = node.get(under)
            if value is None and extra is None:
                continue
            if member.is_list:
                _append_primitives(item, key, kind, value, extra, found)
            else:
                _append_primitive(Item(value, kind, item, key, None, extra), found)
        elif value is not None:
            _append_structures(item, member, key, kind, value, found)


def _append_primitive(item: Item, found: Items) -> None:
    # a structure where a primitive belongs is refused by the gate; here it is as if absent
    if not isinstance(item.extra, dict):
        item.extra = None
    if isinstance(item.value, (dict, list)):
        item.value = None
    if item.value is not None or item.extra is not None:
        found.append(item)


def _append_primitives(
    item: Item,
    key: str,
    kind: Kind,
    value: Any,  # noqa: ANN401 - a decoded JSON value
    extra: Any,  # noqa: ANN401 - a decoded JSON value
    found: Items,
) -> None:
    values = value if isinstance(value, list) else [value]
    extras = extra if isinstance(extra, list) else [extra]
    for index in range(max(len(values), len(extras))):
        one = values[index] if index < len(values) else None
        sibling = extras[index] if index < len(extras) else None
        _append_primitive(Item(one, kind, item, key, index, sibling), found)


def _append_structures(
    item: Item,
    member: Member,
    key: str,
    kind: Kind,
    value: Any,  # noqa: ANN401 - a decoded JSON value
    found: Items,
) -> None:
    if kind.is_system:
        found.append(Item(value, kind, item, key))
        return
    is_list = isinstance(value, list)
    for index, node in enumerate(value if is_list else (value,)):
        if isinstance(node, dict):
            actual = _resource_kind(node) if member.is_resource else kind
            found.append(Item(node, actual, item, key, index if is_list else None))


def _resource_kind(node: dict[str, Any]) -> Kind:
    name = node.get("resourceType")
    try:
        return kind_named(name) if isinstance(name, str) else kind_named("Resource")
    except KeyError:
        return kind_named("Resource")
