"""The types that FHIRPath sees: R4 structures with their members, and the System types.

A kind is made once per type name and holds what navigation needs: which JSON key leads to which
kind. Base types follow from the tables: what has a ``modifierExtension`` is a backbone element.

Source: HL7 FHIRPath N1, "Types and Reflection"; FHIR R4, "FHIRPath".
"""

from __future__ import annotations

from functools import cache, cached_property

from hilum.record.primitives import PRIMITIVES
from hilum.record.tables import Element, tables

__all__ = [
    "BOOLEAN",
    "DATE",
    "DATE_TIME",
    "DECIMAL",
    "INTEGER",
    "QUANTITY",
    "STRING",
    "SYSTEM",
    "TIME",
    "TYPE_INFO",
    "Kind",
    "Member",
    "kind_named",
    "system_kind",
]

_QUANTITIES = frozenset({"Age", "Count", "Distance", "Duration"})
_PLAIN_RESOURCES = frozenset({"Bundle", "Binary", "Parameters", "DomainResource"})
_PRIMITIVE_BASES = {
    "canonical": "uri",
    "code": "string",
    "id": "string",
    "markdown": "string",
    "oid": "uri",
    "positiveInt": "integer",
    "unsignedInt": "integer",
    "url": "uri",
    "uuid": "uri",
}
_SYSTEM_OF = {
    "boolean": "Boolean",
    "integer": "Integer",
    "positiveInt": "Integer",
    "unsignedInt": "Integer",
    "decimal": "Decimal",
    "date": "Date",
    "dateTime": "DateTime",
    "instant": "DateTime",
    "time": "Time",
}


class Kind:
    """One type.

    Attributes:
        name: ``Patient``, ``Observation.component``, ``string``, ``System.Integer``.
        is_primitive: True for FHIR primitives: the value is a JSON scalar, with siblings.
        is_system: True for types of the System namespace.
        is_resource: True for resource types.
        temporal: ``Date``, ``DateTime`` or ``Time`` when texts of the kind are read so, else ``""``.
        system: the System type that a value of the kind converts to, or ``""``.
        lineage: its own name and those of all its bases.
    """

    def __init__(self, name: str, base: str, *, system: str = "") -> None:
        self.name = name
        self.is_system = name.startswith("System.")
        self.is_primitive = name in PRIMITIVES
        self.is_resource = name in _resources()
        self.system = system or (_SYSTEM_OF.get(name, "String") if self.is_primitive else "")
        self.temporal = self.system if self.system in {"Date", "DateTime", "Time"} else ""
        inherited: frozenset[str] = kind_named(base).lineage if base else frozenset()
        self.lineage: frozenset[str] = inherited | {name}
        self.is_quantity = "Quantity" in self.lineage

    @cached_property
    def members(self) -> dict[str, Member]:
        """The members by FHIRPath name, and choices by their JSON names too."""
        return _members(self)

    @cached_property
    def by_key(self) -> dict[str, Member]:
        """The members by JSON key, sibling keys included, each with one option only."""
        found: dict[str, Member] = {}
        for member in self.members.values():
            for option in member.options:
                one = Member(member.name, (option,), is_list=member.is_list)
                found[option[0]] = found[option[1]] = one
        return found

    def is_a(self, name: str) -> bool:
        """Tell whether the kind is of the named FHIR type or derived from it."""
        return name in self.lineage

    def __repr__(self) -> str:
        return f"Kind({self.name})"


class Member:
    """How to get from a node to the values of one element.

    Attributes:
        name: the FHIRPath name.
        options: the JSON key, its sibling's key and the kind of every form.
        by_key: single-form members by JSON key and sibling key, when there are several forms.
        key: the JSON key of the only form; of several, that of the first.
        under: the sibling's key when that form is a primitive, else "".
        is_list: True when the JSON form is an array.
        is_resource: True when the kind is told by the value's ``resourceType``.
    """

    __slots__ = ("by_key", "is_list", "is_resource", "key", "name", "options", "under")

    def __init__(
        self, name: str, options: tuple[tuple[str, str, Kind], ...], *, is_list: bool
    ) -> None:
        self.name = name
        self.options = options
        self.is_list = is_list
        self.is_resource = any(kind.name == "Resource" for _, _, kind in options)
        self.key, under, kind = options[0]
        self.under = under if kind.is_primitive else ""
        self.by_key: dict[str, Member] = {}
        if len(options) > 1:
            for option in options:
                one = Member(name, (option,), is_list=is_list)
                self.by_key[option[0]] = self.by_key[option[1]] = one


@cache
def _resources() -> frozenset[str]:
    return frozenset(tables().resources) | {"Resource", "DomainResource"}


@cache
def kind_named(name: str) -> Kind:
    """Return the kind of a FHIR type name, or of a path as ``Observation.component``.

    Raises:
        KeyError: when R4 has no such type.
    """
    name = name.removeprefix("#")
    if name in {"Element", "Resource"}:
        return Kind(name, "")
    if name in PRIMITIVES:
        return Kind(name, _PRIMITIVE_BASES.get(name, "Element"))
    return Kind(name, _base(name, [e.name for e in tables().structure(name)]))


def _base(name: str, members: list[str]) -> str:
    if name in _QUANTITIES:
        return "Quantity"
    if name in _resources():
        return "Resource" if name in _PLAIN_RESOURCES else "DomainResource"
    if name != "BackboneElement" and "modifierExtension" in members:
        return "BackboneElement"
    return "Element"


def _members(kind: Kind) -> dict[str, Member]:
    if kind.is_system:
        return {}
    if kind.is_primitive:
        found = [_member(e) for e in tables().structure("Element")]
        return {member.name: member for member in found}
    members: dict[str, Member] = {}
    for element in tables().structure(kind.name):
        member = members[element.name] = _member(element)
        if element.is_choice:
            for option in member.options:
                single = Member(member.name, (option,), is_list=member.is_list)
                members.setdefault(option[0], single)
    return members


def _member(element: Element) -> Member:
    options = tuple((key, "_" + key, kind_named(kind)) for key, kind in element.options())
    return Member(element.name, options, is_list=element.is_list)


def system_kind(name: str) -> Kind:
    """Return the kind of a System type by its short name, e.g. ``Integer``.

    Raises:
        KeyError: when there is no such type.
    """
    return SYSTEM[name]


SYSTEM = {
    name: Kind("System." + name, "", system=name)
    for name in ("Boolean", "String", "Integer", "Decimal", "Date", "DateTime", "Time", "Quantity")
}
"""The System types by short name."""
SYSTEM["Any"] = Kind("System.Any", "")
BOOLEAN = SYSTEM["Boolean"]
STRING = SYSTEM["String"]
INTEGER = SYSTEM["Integer"]
DECIMAL = SYSTEM["Decimal"]
DATE = SYSTEM["Date"]
DATE_TIME = SYSTEM["DateTime"]
TIME = SYSTEM["Time"]
QUANTITY = SYSTEM["Quantity"]
TYPE_INFO = Kind("System.TypeInfo", "")
"""What `type()` gives: members ``namespace`` and ``name``."""


TYPE_INFO.members = {
    name: Member(name, ((name, "_" + name, STRING),), is_list=False)
    for name in ("namespace", "name")
}
