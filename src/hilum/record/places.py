"""A place in a decoded resource where a patch can put, move or remove an element.

A repeated primitive lives in two arrays, its values and, under ``_name``, their ids and extensions;
here they move together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from hilum.errors import MalformedInputError
from hilum.record.xml_layout import Form, Slot, layout_of

__all__ = ["Place", "Spot"]

Place = tuple[str | int, ...]
"""The way from the resource to an element: names of members and places in arrays."""


@dataclass(frozen=True, slots=True)
class Spot:
    """One element in its owner, or the resource itself.

    Attributes:
        node: the members of the owner; the resource's own when `slot` is None.
        slot: which member.
        index: which item of a repeated member, None for one that is not repeated.
        kind: the structure of the owner; of the resource itself when `slot` is None.
    """

    node: dict[str, Any]
    slot: Slot | None
    index: int | None = None
    kind: str = ""

    @classmethod
    def at(cls, tree: dict[str, Any], place: Place) -> Self:
        """Return the spot that a place names.

        Raises:
            MalformedInputError: R4 does not define an element on the way.
        """
        return cls.way(tree, place)[-1]

    @classmethod
    def way(cls, tree: dict[str, Any], place: Place) -> list[Self]:
        """Return the spots from the resource down to a place, both included.

        Args:
            tree: a decoded resource.
            place: as FHIRPath found it in the tree.

        Raises:
            MalformedInputError: R4 does not define an element on the way.
        """
        spots = [cls(tree, None, None, str(tree.get("resourceType")))]
        at = 0
        while at < len(place):
            name, follows = str(place[at]), place[at + 1 : at + 2]
            index = follows[0] if follows and isinstance(follows[0], int) else None
            at += 1 if index is None else 2
            owner = spots[-1]
            kind = owner.inside_kind()
            slot = layout_of(kind).get(name.removeprefix("_"))
            if slot is None:
                why = "finds an element that R4 does not define"
                raise MalformedInputError("patch-failed", why)
            spots.append(cls(owner.inside(), slot, index, kind))
        return spots

    def inside_kind(self) -> str:
        """Return the structure of what is inside the element."""
        if self.slot is None:
            return self.kind
        if self.slot.form is Form.PRIMITIVE:
            return "Element"
        if self.slot.form is Form.RESOURCE:
            return str(self._value().get("resourceType"))
        return self.slot.type

    def inside(self) -> dict[str, Any]:
        """Return the members of the element itself; those of a primitive are made when absent."""
        if self.slot is None:
            return self.node
        if self.slot.form is not Form.PRIMITIVE:
            return self._value()
        if self.index is None:
            return _members(self.node.setdefault("_" + self.slot.key, {}))
        pairs = self._pairs()
        members = _members(pairs[self.index][1] or {})
        pairs[self.index] = (pairs[self.index][0], members)
        self._write(pairs)
        return members

    def member(self, name: str) -> tuple[Slot, ...]:
        """Return the forms of an element inside this one, by its name or by its JSON name."""
        if self.slot is not None and self.slot.form is Form.XHTML:
            return ()
        layout = layout_of(self.inside_kind())
        own = layout.get(name)
        return (own,) if own else tuple(slot for slot in layout.values() if slot.name == name)

    def forms(self) -> tuple[Slot, ...]:
        """Return the forms that the element can take, several for a choice of types."""
        slot = self._slot()
        if self.index is not None:
            return (slot,)
        return tuple(each for each in layout_of(self.kind).values() if each.name == slot.name)

    def drop_empty(self) -> bool:
        """Remove the element when nothing is left in it, for FHIR has no empty ones; tell whether."""
        key = self._slot().key
        if self.index is not None:
            value, sibling = self._pairs()[self.index]
            self.set(value, sibling or None)
        else:
            value, sibling = self.node.get(key), self.node.get("_" + key)
            self.put(value, sibling or None)
        if value not in (None, {}) or sibling:
            return False
        self.remove()
        return True

    def length(self) -> int:
        """Return how many items the repeated member has."""
        return len(self._pairs())

    def put(self, value: object, sibling: object) -> None:
        """Set a member that is not repeated; what it was is gone."""
        key = self._slot().key
        for name, part in ((key, value), ("_" + key, sibling)):
            if part is not None:
                self.node[name] = part
            else:
                self.node.pop(name, None)

    def set(self, value: object, sibling: object) -> None:
        """Set this item of a repeated member."""
        pairs = self._pairs()
        pairs[self.index or 0] = (value, sibling)
        self._write(pairs)

    def append(self, value: object, sibling: object) -> None:
        """Put one more item at the end of a repeated member."""
        self._write([*self._pairs(), (value, sibling)])

    def insert(self, index: int, value: object, sibling: object) -> None:
        """Put one more item into a repeated member, at a place from 0 to its length."""
        pairs = self._pairs()
        pairs.insert(index, (value, sibling))
        self._write(pairs)

    def move(self, source: int, destination: int) -> None:
        """Take an item out of a repeated member and put it in elsewhere, both places from 0."""
        pairs = self._pairs()
        pairs.insert(destination, pairs.pop(source))
        self._write(pairs)

    def remove(self) -> None:
        """Remove the member, or this item of it."""
        if self.index is None:
            self.put(None, None)
            return
        pairs = self._pairs()
        del pairs[self.index]
        self._write(pairs)

    def _slot(self) -> Slot:
        if self.slot is None:
            raise MalformedInputError("patch-failed", "finds the resource itself")
        return self.slot

    def _value(self) -> dict[str, Any]:
        found = self.node.get(self._slot().key)
        if self.index is not None and isinstance(found, list):
            found = found[self.index]
        return _members(found)

    def _pairs(self) -> list[tuple[object, object]]:
        key = self._slot().key
        values, others = (list(self.node.get(name) or ()) for name in (key, "_" + key))
        length = max(len(values), len(others))
        values += [None] * (length - len(values))
        others += [None] * (length - len(others))
        return list(zip(values, others, strict=True))

    def _write(self, pairs: list[tuple[object, object]]) -> None:
        key = self._slot().key
        for name, column in ((key, 0), ("_" + key, 1)):
            items = [pair[column] for pair in pairs]
            if any(item is not None for item in items):
                self.node[name] = items
            else:
                self.node.pop(name, None)


def _members(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedInputError("patch-failed", "finds an element that has no members")
    return value
