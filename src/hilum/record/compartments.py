"""The compartments of R4 as filters: what belongs to a patient, an encounter or a practitioner.

Not to be mistaken for the compartment number of a store, which is the record of one patient.

Source: HL7 FHIR R4, CompartmentDefinition; search, "variant searches".
"""

from __future__ import annotations

from dataclasses import replace

from hilum.base.ids import is_fhir_id
from hilum.errors import MalformedInputError
from hilum.record.parameters import Kind, parameters_of
from hilum.record.query_tree import AnyFilter, Filter, IdFilter, Query, ReferenceFilter
from hilum.record.tables import tables

__all__ = ["COMPARTMENTS", "types_of", "within_compartment"]

COMPARTMENTS = ("Patient", "Encounter", "Practitioner", "RelatedPerson", "Device")
"""Types whose resources have a compartment."""
_ITSELF = "{def}"


def types_of(owner: str) -> tuple[str, ...]:
    """Return the types of which resources can be in a compartment.

    Raises:
        MalformedInputError: R4 has no such compartment.
    """
    if owner not in COMPARTMENTS:
        raise MalformedInputError(
            "not-supported", "this type has no compartment", where="url",
            hint=" ".join(COMPARTMENTS),
        )  # fmt: skip
    return tuple(sorted({*tables().compartments[owner], owner}))


def within_compartment(query: Query, owner: str, own_id: str) -> Query:
    """Return the query with what belongs to one compartment only.

    Args:
        query: of one type.
        owner: type of the resource whose compartment it is.
        own_id: its id.

    Raises:
        MalformedInputError: R4 has no such compartment, or none of the type belongs to it.
    """
    if query.type not in types_of(owner):
        raise MalformedInputError(
            "not-supported", "resources of this type belong to no such compartment", where="url"
        )
    links: list[Filter] = []
    names = tables().compartments[owner].get(query.type, "").split()
    if query.type == owner or _ITSELF in names:
        links.append(IdFilter((own_id,) if is_fhir_id(own_id) else ()))
    known = parameters_of(query.type)
    for name in names:
        parameter = known.get(name)
        if parameter is not None and parameter.kind is Kind.REFERENCE:
            points = (f"{owner}/{own_id}",)
            links.append(ReferenceFilter(name, parameter.number, points, owner == "Patient"))
    patient = own_id if owner == "Patient" and query.patient in {None, own_id} else query.patient
    return replace(
        query, filters=(*query.filters, AnyFilter("_compartment", tuple(links))), patient=patient
    )
