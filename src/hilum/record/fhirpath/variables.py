"""What ``%name`` means.

Source: HL7 FHIRPath N1, "Environment variables"; FHIR R4, "FHIRPath", "Variables".
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hilum.record.fhirpath.frame import Expr, Frame, Step, refuse
from hilum.record.fhirpath.items import EMPTY, Item, Items, made, root_item
from hilum.record.fhirpath.quantity import Amount
from hilum.record.fhirpath.signature import Arguments
from hilum.record.fhirpath.temporal import Temporal
from hilum.record.fhirpath.values import single

__all__ = ["define_step", "external", "scoped"]

_URLS = {
    "ucum": "http://unitsofmeasure.org",
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
}
_TREES = {"context", "resource", "rootResource"}


def external(name: str, offset: int) -> Expr:
    """Return the compiled access to a variable.

    Args:
        name: without the percent sign.
        offset: where it stands.
    """
    if name in _TREES:
        return _tree(name)
    constant = _constant(name)

    def lookup(frame: Frame) -> Items:
        found = frame.variables.get(name)
        if found is not None:
            return found
        given = frame.environment.variables
        if name in given:
            return _items(given[name], offset)
        if constant:
            return constant
        return refuse("there is no such variable", offset)

    return lookup


def _constant(name: str) -> Items:
    if name in _URLS:
        return made(_URLS[name])
    for prefix, folder in (("vs-", "ValueSet"), ("ext-", "StructureDefinition")):
        if name.startswith(prefix):
            return made(f"http://hl7.org/fhir/{folder}/{name[len(prefix) :]}")
    return EMPTY


def _tree(name: str) -> Expr:
    def context(frame: Frame) -> Items:
        return frame.context

    def resource(frame: Frame) -> Items:
        given = frame.environment.variables.get(name)
        if given is not None:
            return _items(given, -1)
        return [frame.context[0].resource()] if frame.context else EMPTY

    def root(frame: Frame) -> Items:
        given = frame.environment.variables.get(name)
        if given is not None:
            return _items(given, -1)
        return [frame.context[0].root_resource()] if frame.context else EMPTY

    return {"context": context, "resource": resource, "rootResource": root}[name]


def _items(value: Any, offset: int) -> Items:  # noqa: ANN401 - what the caller gave
    if value is None:
        return EMPTY
    if isinstance(value, Item):
        return [value]
    if isinstance(value, (list, tuple)):
        return [item for one in value for item in _items(one, offset)]
    if isinstance(value, (bool, int, str, Decimal, Temporal, Amount)):
        return made(value)
    try:
        return [root_item(value)]
    except (KeyError, AttributeError):
        refuse("the variable's value is of no known type", offset)


def define_step(arguments: Arguments, offset: int) -> Step:
    """Return the compiled `defineVariable`."""
    name, *value = arguments

    def step(items: Items, frame: Frame) -> Items:
        key = single(name(frame), offset)
        if not isinstance(key, str) or key in _TREES or key in frame.variables:
            refuse("the variable is already there, or may not be defined", offset)
        saved = frame.this
        frame.this = items
        frame.variables = {**frame.variables, key: value[0](frame) if value else items}
        frame.this = saved
        return items

    return step


def scoped(path: Expr) -> Expr:
    """Return an expression whose variables end with it."""

    def run(frame: Frame) -> Items:
        saved = frame.variables
        found = path(frame)
        frame.variables = saved
        return found

    return run
