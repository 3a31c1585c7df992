"""Which search parameters each resource type has, as far as they are indexed: the registry.

Search, the indexer and the capability statement all read this one list.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from hilum.record.expressions import Path, compile_expression
from hilum.record.tables import SearchParameterFact, numbers, tables
from hilum.record.types import type_names, type_number

__all__ = ["Kind", "Parameter", "parameter_number", "parameters_of", "patient_parameters"]

_NUMBER_BITS = 10


class Kind(StrEnum):
    """The kinds of search parameter that are indexed."""

    TOKEN = "token"  # noqa: S105 - a FHIR word, not a password
    REFERENCE = "reference"
    DATE = "date"
    URI = "uri"


_INDEXED = frozenset(Kind)
_BARE_LEAVES = frozenset(
    {"boolean", "code", "id", "string", "ContactPoint", "uri", "url", "canonical", "oid"}
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One search parameter of one resource type.

    Attributes:
        name: e.g. ``"category"``.
        type: the resource type.
        kind: how values are compared.
        number: what stands in the index column ``p``.
        paths: where the values are.
        targets: resource types that a reference may point to.
    """

    name: str
    type: str
    kind: Kind
    number: int
    paths: tuple[Path, ...]
    targets: tuple[str, ...]

    @property
    def is_bare(self) -> bool:
        """True when its tokens never carry a system (``status``, ``gender`` …)."""
        return all(path.leaf in _BARE_LEAVES or path.exists for path in self.paths)


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
        if fact.kind in _INDEXED and fact.expression and fact.code not in {"_id", "_lastUpdated"}:
            for base in fact.bases:
                by_base.setdefault(base, []).append(fact)
    return by_base


@cache
def parameters_of(type_name: str) -> dict[str, Parameter]:
    """Return the indexed search parameters of a resource type by name.

    ``_id`` and ``_lastUpdated`` are not among them: they are columns, searchable for every type.
    """
    facts = _facts_by_base()
    found: dict[str, Parameter] = {}
    for base in (type_name, "DomainResource", "Resource"):
        for fact in facts.get(base, ()):
            paths = compile_expression(fact.expression, type_name)
            if not paths:
                continue
            number = parameter_number(type_name, fact.code)
            found[fact.code] = Parameter(
                fact.code, type_name, Kind(fact.kind), number, paths, _targets(fact, paths)
            )
    return found


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
