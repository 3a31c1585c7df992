"""Which parameters are searched across records, without naming a patient.

Their rows are kept a second time, by parameter first. Few are: each costs room and load speed.
"""

from __future__ import annotations

from functools import cache

from hilum.record.parameters import Kind, Parameter, parameters_of, patient_parameters

__all__ = ["population_of", "population_strings"]

_PEOPLE = frozenset({"Patient", "Person", "RelatedPerson"})
# Values that half of all people share lead nowhere; tags and labels are no way to find a person.
_COMMON = frozenset({
    "active", "address-use", "deceased", "gender", "language", "_profile", "_security", "_source",
    "_tag",
})  # fmt: skip
_ABOUT = frozenset({
    "class", "code", "ingredient-code", "reason-code", "substance", "type", "vaccine-code",
})  # fmt: skip
"""What a clinical resource is about: how cohorts are found."""
_DIRECTORY = frozenset({"Practitioner", "PractitionerRole", "Organization", "Location", "Device"})
_MOST_TARGETS = 12


@cache
def population_of(type_name: str) -> frozenset[int]:
    """Return the numbers of a type's parameters that are searched across records."""
    return frozenset(p.number for p in parameters_of(type_name).values() if _is_shared(p))


@cache
def population_strings() -> frozenset[int]:
    """Return the numbers of all string parameters that are searched across records.

    The words beside codes (``:text``) are not copied, whatever their parameter.
    """
    return frozenset(
        p.number
        for name in _PEOPLE
        for p in parameters_of(name).values()
        if p.kind is Kind.STRING and _is_shared(p)
    )


def _is_shared(parameter: Parameter) -> bool:
    if parameter.name in _COMMON:
        return False
    if parameter.kind is Kind.REFERENCE:
        # a reference to anything at all is no way to find the records of a practitioner
        return (
            len(parameter.targets) <= _MOST_TARGETS
            and not _DIRECTORY.isdisjoint(parameter.targets)
            and parameter.name not in {"subject", "patient"}
        )
    if parameter.type in _PEOPLE:
        return parameter.kind in {Kind.TOKEN, Kind.STRING, Kind.DATE}
    if parameter.kind is not Kind.TOKEN:
        return False
    about = parameter.name in _ABOUT and bool(patient_parameters(parameter.type))
    return parameter.name == "identifier" or about
