"""Which search parameters each resource type has: the registry.

Search, the indexer and the capability statement all read this one list.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from hilum.record.expressions import Path, compile_expression, compile_part
from hilum.record.tables import SearchParameterFact, numbers, tables
from hilum.record.types import type_names, type_number

__all__ = [
    "UNINDEXED",
    "Component",
    "Kind",
    "Parameter",
    "parameter_number",
    "parameters_of",
    "patient_parameters",
]

_NUMBER_BITS = 10


class Kind(StrEnum):
    """The kinds of search parameter. Source: HL7 FHIR R4, search, "search parameter types"."""

    TOKEN = "token"  # noqa: S105 - a FHIR word, not a password
    REFERENCE = "reference"
    DATE = "date"
    URI = "uri"
    STRING = "string"
    NUMBER = "number"
    QUANTITY = "quantity"
    COMPOSITE = "composite"
    SPECIAL = "special"


UNINDEXED = {
    "_id": "a column of every resource",
    "_lastUpdated": "a column of every resource",
    "_content": "R4 gives no expression; no full text is kept of sealed bodies",
    "_text": "R4 gives no expression; no full text is kept of sealed bodies",
    "_query": "R4 gives no expression: it names an operation, not a value",
}
"""Parameters of the specification that have no index rows, each with its reason."""

_QUANTITIES = frozenset({"Quantity", "Age", "Duration", "Money", "Range", "SampledData"})
_LEAVES: dict[Kind, frozenset[str]] = {
    Kind.TOKEN: frozenset(
        {
            "CodeableConcept", "Coding", "Identifier", "ContactPoint", "boolean", "code", "id",
            "string", "uri", "canonical", "url", "oid",
        }
    ),
    Kind.REFERENCE: frozenset({"Reference", "canonical", "uri", "Resource"}),
    Kind.DATE: frozenset({"date", "dateTime", "instant", "Period", "Timing"}),
    Kind.URI: frozenset({"uri", "url", "canonical", "oid", "uuid"}),
    Kind.STRING: frozenset({"string", "markdown", "HumanName", "Address"}),
    Kind.NUMBER: frozenset({"integer", "decimal", "positiveInt", "unsignedInt", "Range"}),
    Kind.QUANTITY: _QUANTITIES,
}  # fmt: skip
"""Data types that a kind can compare; a choice's other types have no rows."""
_BARE_LEAVES = frozenset(
    {"boolean", "code", "id", "string", "ContactPoint", "uri", "url", "canonical", "oid"}
)


@dataclass(frozen=True, slots=True)
class Component:
    """One part of a composite parameter.

    Attributes:
        name: the parameter that the part is a value of, e.g. ``"value-quantity"``.
        kind: how it is compared.
        paths: per path of the composite: where its values are, from that path's element.
        targets: resource types that a reference may point to.
    """

    name: str
    kind: Kind
    paths: tuple[tuple[Path, ...], ...]
    targets: tuple[str, ...] = ()

    @property
    def is_bare(self) -> bool:
        """True when its tokens never carry a system."""
        return all(path.leaf in _BARE_LEAVES for paths in self.paths for path in paths)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One search parameter of one resource type.

    Attributes:
        name: e.g. ``"category"``.
        type: the resource type.
        kind: how values are compared.
        number: what stands in the index column ``p``.
        paths: where the values are; of a composite: its elements.
        targets: resource types that a reference may point to.
        components: the parts of a composite, two or three.
    """

    name: str
    type: str
    kind: Kind
    number: int
    paths: tuple[Path, ...]
    targets: tuple[str, ...]
    components: tuple[Component, ...] = ()

    @property
    def is_bare(self) -> bool:
        """True when its tokens never carry a system (``status``, ``gender`` …)."""
        return all(path.leaf in _BARE_LEAVES or path.exists for path in self.paths)

    @property
    def is_phonetic(self) -> bool:
        """True when values are compared by how they sound (see `hilum.record.phonetics`)."""
        return self.name == "phonetic"


@cache
def _code_numbers() -> dict[str, int]:
    return {code: number for number, code in enumerate(numbers()[1])}


def parameter_number(type_name: str, code: str) -> int:
    """Return the stable number of a type's parameter: type number × 1024 + code number."""
    return type_number(type_name) << _NUMBER_BITS | _code_numbers()[code]


@cache
def _facts_by_base() -> dict[str, list[SearchParameterFact]]:
    by_base: dict[str, list[SearchParameterFact]] = {}
    for fact in tables().parameters:
        if fact.code not in UNINDEXED:
            for base in fact.bases:
                by_base.setdefault(base, []).append(fact)
    return by_base


@cache
def _targets_by_code() -> dict[tuple[str, str], tuple[str, ...]]:
    return {(base, fact.code): fact.targets for fact in tables().parameters for base in fact.bases}


@cache
def parameters_of(type_name: str) -> dict[str, Parameter]:
    """Return the indexed search parameters of a resource type by name.

    ``_id`` and ``_lastUpdated`` are not among them: they are columns, searchable for every type.
    """
    facts = _facts_by_base()
    found: dict[str, Parameter] = {}
    for base in (type_name, "DomainResource", "Resource"):
        for fact in facts.get(base, ()):
            kind = Kind(fact.kind)
            paths = _paths(fact, kind, type_name)
            if not paths:
                continue
            number = parameter_number(type_name, fact.code)
            found[fact.code] = Parameter(
                fact.code, type_name, kind, number, paths, _targets(fact, paths),
                _components(fact, paths, type_name),
            )  # fmt: skip
    return found


def _paths(fact: SearchParameterFact, kind: Kind, type_name: str) -> tuple[Path, ...]:
    return _comparable(kind, compile_expression(fact.expression, type_name))


def _comparable(kind: Kind, paths: tuple[Path, ...]) -> tuple[Path, ...]:
    leaves = _LEAVES.get(kind)
    if leaves is None:
        return paths
    return tuple(path for path in paths if path.leaf in leaves or path.exists)


def _components(
    fact: SearchParameterFact, paths: tuple[Path, ...], type_name: str
) -> tuple[Component, ...]:
    targets = _targets_by_code()
    return tuple(
        Component(
            code,
            Kind(kind),
            tuple(
                _comparable(Kind(kind), compile_part(expression, path.leaf, type_name))
                for path in paths
            ),
            targets.get((type_name, code), ()) if kind == Kind.REFERENCE else (),
        )
        for code, kind, expression in fact.components
    )


def _targets(fact: SearchParameterFact, paths: tuple[Path, ...]) -> tuple[str, ...]:
    if fact.kind != Kind.REFERENCE:
        return ()
    only = tuple(dict.fromkeys(path.target for path in paths if path.target))
    if only and all(path.target for path in paths):
        return only
    named = tuple(name for name in fact.targets if name not in {"Resource", "DomainResource"})
    return named or type_names()


@cache
def patient_parameters(type_name: str) -> frozenset[str]:
    """Return the parameters that put a resource into a Patient compartment.

    Source: HL7 FHIR R4, CompartmentDefinition patient.
    """
    return frozenset(tables().compartments["Patient"].get(type_name, "").split())
