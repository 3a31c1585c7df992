"""`is`, `as` and `ofType`: type names in an expression and what they match.

An unqualified name means the FHIR type of that name, or else the System type. Outside of strict
mode ``Boolean`` also means FHIR's ``boolean``, and `as` filters a collection: R4's own invariants
and search parameters are written so.

Source: HL7 FHIRPath N1, "Types"; FHIR R4, "FHIRPath", "Using FHIR types in expressions".
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from hilum.record.fhirpath.frame import Expr, Frame, Step, refuse
from hilum.record.fhirpath.items import Items, boolean
from hilum.record.fhirpath.kinds import SYSTEM, Kind, kind_named

__all__ = ["Matcher", "as_step", "is_step", "matcher"]

Matcher = Callable[[Kind], bool]


@lru_cache(maxsize=1024)
def matcher(name: tuple[str, ...], *, exact: bool, strict: bool) -> Matcher | None:
    """Return the test of a type name; None when there is no such type.

    Args:
        name: its parts, e.g. ``("FHIR", "Patient")`` or ``("Quantity",)``.
        exact: True when a primitive must be of the very type (`as`, `ofType`).
        strict: True when ``Boolean`` is the System type only.
    """
    namespace, plain = ("", name[0]) if len(name) == 1 else (name[0], ".".join(name[1:]))
    if namespace not in {"", "FHIR", "System"}:
        return None
    is_system = namespace != "FHIR" and plain in SYSTEM
    fhir = _fhir_name(plain) if namespace != "System" else ""
    if not fhir and not strict and not namespace and is_system:
        fhir = _fhir_name(plain[0].lower() + plain[1:])
    if not fhir and not is_system and namespace != "System":
        return None

    def matches(kind: Kind) -> bool:
        if kind.is_system:
            return is_system and kind.name == "System." + plain
        if exact and kind.is_primitive:
            return kind.name == fhir
        return fhir in kind.lineage

    return matches


def _fhir_name(name: str) -> str:
    try:
        return kind_named(name).name
    except KeyError:
        return ""


def is_step(test: Matcher, offset: int) -> Step:
    """Return the compiled `is`."""

    def step(items: Items, _frame: Frame) -> Items:
        if len(items) > 1:
            refuse("one value is needed, there are several", offset)
        return boolean(test(items[0].kind) if items else None)

    return step


def as_step(test: Matcher, offset: int, *, single: bool) -> Step:
    """Return the compiled `as` or `ofType`.

    Args:
        test: which kinds to keep.
        offset: where it stands.
        single: True when several items are an error.
    """

    def step(items: Items, _frame: Frame) -> Items:
        if single and len(items) > 1:
            refuse("one value is needed, there are several", offset)
        return [item for item in items if test(item.kind)]

    return step


def applied(operand: Expr, step: Step) -> Expr:
    """Return the expression that applies a step to an operand."""
    return lambda frame: step(operand(frame), frame)
