"""The CapabilityStatement of this node: what the registry of routes says, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hilum import __version__
from hilum.api.claims import claim_of, system_claim
from hilum.api.routes import ROUTES
from hilum.record.capability import capability_statement
from hilum.record.resource import format_instant

if TYPE_CHECKING:
    from hilum.exchange.node import Node

__all__ = ["FORMATS", "PATCH_FORMATS", "statement"]

FORMATS = ("application/fhir+json", "application/fhir+xml")
PATCH_FORMATS = ("application/json-patch+json", "application/fhir+json")


def statement(node: Node, base: str) -> bytes:
    """Return the CapabilityStatement as JSON bytes.

    Args:
        node: whose.
        base: ``http://host/fhir``.
    """
    is_patched = any(route.method == "PATCH" for route in ROUTES)
    return capability_statement(
        date=format_instant(node.clock()),
        software=(__version__, base),
        claim=claim_of,
        system=system_claim(),
        formats=FORMATS,
        patch_formats=PATCH_FORMATS if is_patched else (),
    )
