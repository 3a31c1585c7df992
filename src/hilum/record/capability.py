"""What the node's FHIR interface can do, said from the registry that search and indexing use."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import msgspec

from hilum.record.parameters import Kind
from hilum.record.query import searched_parameters
from hilum.record.types import type_names

__all__ = ["Claim", "capability_statement", "claimed_parameters"]

_COLUMNS = (("_id", "token"), ("_lastUpdated", "date"))


@dataclass(frozen=True, slots=True)
class Claim:
    """What can be done with one resource type.

    Attributes:
        interactions: FHIR restful-interaction codes.
        operations: (name without ``$``, canonical of its definition).
        conditional: interaction codes that can be conditional; ``read`` means a cached read.
        searched: the only search parameters there are, or None for all that R4 defines.
    """

    interactions: tuple[str, ...]
    operations: tuple[tuple[str, str], ...] = ()
    conditional: frozenset[str] = field(default_factory=frozenset)
    searched: Collection[str] | None = None


def capability_statement(
    *,
    date: str,
    software: tuple[str, str],
    claim: Callable[[str], Claim],
    system: Claim,
    formats: Collection[str],
    patch_formats: Collection[str],
) -> bytes:
    """Return the CapabilityStatement as JSON bytes.

    Args:
        date: FHIR date or time of the statement.
        software: the software's version, and the base URL of the FHIR interface.
        claim: resource type → what can be done with it.
        system: interactions and operations of the whole system.
        formats: media types of answers.
        patch_formats: media types of patches.
    """
    version, url = software
    rest = {
        "mode": "server",
        "resource": [_resource(name, claim(name)) for name in type_names()],
        "interaction": [{"code": code} for code in system.interactions],
        "operation": _operations(system),
    }
    statement = {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": date,
        "kind": "instance",
        "software": {"name": "Hilum", "version": version},
        "implementation": {"description": "Hilum node", "url": url},
        "fhirVersion": "4.0.1",
        "format": list(formats),
        "patchFormat": list(patch_formats),
        "rest": [_filled(rest)],
    }
    return msgspec.json.encode(_filled(statement))


def claimed_parameters(name: str, claim: Claim) -> list[dict[str, str]]:
    """Return the search parameters of a type as ``{"name", "type"}``, the columns first."""
    known = sorted(searched_parameters(name).values(), key=lambda p: p.name)
    rows = [{"name": column, "type": kind} for column, kind in _COLUMNS]
    rows += [{"name": p.name, "type": p.kind.value} for p in known]
    return [row for row in rows if claim.searched is None or row["name"] in claim.searched]


def _resource(name: str, claim: Claim) -> dict[str, object]:
    conditional = claim.conditional & set(claim.interactions)
    is_searched = "search-type" in claim.interactions
    references = [
        p.name for p in searched_parameters(name).values() if p.kind is Kind.REFERENCE
    ] * is_searched
    return _filled({
        "type": name,
        "interaction": [{"code": code} for code in claim.interactions],
        "versioning": "versioned",
        "readHistory": "vread" in claim.interactions,
        "updateCreate": "update-create" in claim.conditional,
        "conditionalCreate": "create" in conditional,
        "conditionalRead": "full-support" if "read" in conditional else "not-supported",
        "conditionalUpdate": "update" in conditional,
        "conditionalDelete": "single" if "delete" in conditional else "not-supported",
        "referencePolicy": ["literal", "logical", "local"],
        "searchInclude": sorted(f"{name}:{code}" for code in references) if references else [],
        "searchParam": claimed_parameters(name, claim) if is_searched else [],
        "operation": _operations(claim),
    })  # fmt: skip


def _operations(claim: Claim) -> list[dict[str, str]]:
    return [{"name": name, "definition": url} for name, url in claim.operations]


def _filled(tree: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in tree.items() if value != []}
