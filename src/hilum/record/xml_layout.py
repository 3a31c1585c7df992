"""How a structure is written in XML: which of its JSON members are attributes, which elements."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from functools import cache

from hilum.record.primitives import PRIMITIVES
from hilum.record.tables import tables
from hilum.record.types import is_resource_type

__all__ = ["FHIR", "Form", "Slot", "layout_of"]

FHIR = "http://hl7.org/fhir"
"""The namespace of every FHIR element."""


class Form(Enum):
    """The shape of one member in XML."""

    ATTRIBUTE = auto()
    """An attribute of the owner: ``id`` of data types, ``url`` of an extension."""
    PRIMITIVE = auto()
    """An element whose value is the attribute ``value``."""
    OBJECT = auto()
    """An element with elements in it."""
    RESOURCE = auto()
    """An element that holds one whole resource, under the name of its type."""
    XHTML = auto()
    """The narrative: one ``div`` of XHTML."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One member of a structure.

    Attributes:
        order: its place among the elements of the structure, as the specification lists them.
        key: JSON name, which is the XML name as well.
        name: name of the element, ``value`` for every type of ``value[x]``.
        step: how FHIRPath writes it.
        type: type name, ``#Path`` for a nested structure.
        form: its shape in XML.
        is_list: True when the JSON form is an array.
    """

    order: int
    key: str
    name: str
    step: str
    type: str
    form: Form
    is_list: bool


def _form(owner: str, key: str, kind: str) -> Form:
    if kind == "xhtml":
        return Form.XHTML
    if kind == "Resource" or is_resource_type(kind):
        return Form.RESOURCE
    if kind not in PRIMITIVES:
        return Form.OBJECT
    if (key == "id" and not is_resource_type(owner)) or (owner == "Extension" and key == "url"):
        return Form.ATTRIBUTE
    return Form.PRIMITIVE


@cache
def layout_of(name: str) -> dict[str, Slot]:
    """Return the members of a structure by their JSON name, in the order XML demands.

    Args:
        name: a type name, or ``#Path`` of a nested structure.
    """
    slots: dict[str, Slot] = {}
    for element in tables().structure(name):
        for key, kind in element.options():
            step = f"{element.name}.ofType({kind})" if element.is_choice else element.name
            form = _form(name, key, kind)
            slots[key] = Slot(len(slots), key, element.name, step, kind, form, element.is_list)
    return slots
