"""Numbers of the R4 resource types: stored in rows, bits of type masks, part of signed terms.

The list is append-only (`definitions/numbers.json`): a number never changes its meaning.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from hilum.errors import MalformedInputError
from hilum.record.tables import numbers

__all__ = [
    "DIRECTORY_TYPES",
    "is_directory_type",
    "is_resource_type",
    "type_mask",
    "type_name",
    "type_names",
    "type_number",
]

DIRECTORY_TYPES = frozenset(
    {
        "Endpoint",
        "HealthcareService",
        "InsurancePlan",
        "Location",
        "Organization",
        "OrganizationAffiliation",
        "Practitioner",
        "PractitionerRole",
    }
)
"""Types about organisations and staff, shared by all records of a node (compartment 0)."""


@cache
def _by_name() -> dict[str, int]:
    return {name: number for number, name in enumerate(numbers()[0])}


def type_names() -> tuple[str, ...]:
    """Return all R4 resource types in the order of their numbers."""
    return numbers()[0]


def is_resource_type(name: str) -> bool:
    """Tell whether the name is an R4 resource type (case matters)."""
    return name in _by_name()


def is_directory_type(name: str) -> bool:
    """Tell whether resources of the type belong to the shared directory."""
    return name in DIRECTORY_TYPES


def type_number(name: str) -> int:
    """Return the number of a resource type, 0 to 191.

    Raises:
        MalformedInputError: when R4 has no such resource type.
    """
    number = _by_name().get(name)
    if number is None:
        raise MalformedInputError("unknown-type", "not a FHIR R4 resource type")
    return number


def type_name(number: int) -> str:
    """Return the name of a resource type.

    Raises:
        MalformedInputError: when no type has the number.
    """
    names = numbers()[0]
    if not 0 <= number < len(names):
        raise MalformedInputError("unknown-type", "no FHIR R4 resource type has this number")
    return names[number]


def type_mask(names: Iterable[str]) -> int:
    """Return the mask with the bits of the named types.

    Raises:
        MalformedInputError: when R4 has no such resource type.
    """
    mask = 0
    for name in names:
        mask |= 1 << type_number(name)
    return mask
