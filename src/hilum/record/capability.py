"""What the node's FHIR interface can do, said from the registry that search and indexing use."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from hilum.record.query import searched_parameters
from hilum.record.types import type_names

__all__ = ["INSTANCE_INTERACTIONS", "SYSTEM_INTERACTIONS", "capability_statement"]

INSTANCE_INTERACTIONS = (
    "read", "vread", "create", "update", "delete", "history-instance", "search-type",
)  # fmt: skip
"""Interactions on every resource type (FHIR restful-interaction)."""
SYSTEM_INTERACTIONS = ("transaction", "batch")
_COLUMNS = (("_id", "token"), ("_lastUpdated", "date"))


def capability_statement(
    *,
    date: str,
    version: str,
    url: str,
    refused: Mapping[str, Collection[str]],
    searched: Mapping[str, Collection[str]],
) -> bytes:
    """Return the CapabilityStatement as JSON bytes.

    Args:
        date: FHIR date or time of the statement.
        version: the software's version.
        url: base URL of the FHIR interface.
        refused: resource type → interactions that it does not have.
        searched: resource type → the only parameters that it has; other types have all indexed ones.
    """
    resources = [
        {
            "type": name,
            "interaction": [
                {"code": code}
                for code in INSTANCE_INTERACTIONS
                if code not in refused.get(name, ())
            ],
            "versioning": "versioned",
            "readHistory": True,
            "updateCreate": False,
            "conditionalCreate": False,
            "conditionalRead": "not-supported",
            "conditionalUpdate": False,
            "conditionalDelete": "not-supported",
            "referencePolicy": ["literal"],
            "searchParam": [
                row
                for row in _search_parameters(name)
                if name not in searched or row["name"] in searched[name]
            ],
        }
        for name in type_names()
    ]
    statement = {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": date,
        "kind": "instance",
        "software": {"name": "Hilum", "version": version},
        "implementation": {"description": "Hilum node", "url": url},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [
            {
                "mode": "server",
                "interaction": [{"code": code} for code in SYSTEM_INTERACTIONS],
                "resource": resources,
            }
        ],
    }
    return msgspec.json.encode(statement)


def _search_parameters(name: str) -> list[dict[str, str]]:
    rows = [{"name": column, "type": kind} for column, kind in _COLUMNS]
    known = sorted(searched_parameters(name).values(), key=lambda p: p.name)
    return rows + [{"name": p.name, "type": p.kind.value} for p in known]
