"""What this node answers, as data: the routes run by it, and the leak test has a row for each of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType

__all__ = ["API_ROUTES", "FHIR_ROUTES", "Interaction", "find_interaction"]


class Interaction(StrEnum):
    """What can be asked over HTTP. Source: HL7 FHIR R4, RESTful API; the last two are our own."""

    CAPABILITIES = "capabilities"
    BUNDLE = "bundle"
    SEARCH = "search"
    SEARCH_BY_POST = "search-by-post"
    CREATE = "create"
    READ = "read"
    UPDATE = "update"
    DELETE = "delete"
    HISTORY = "history"
    VREAD = "vread"
    HEALTH = "health"
    BREAK_GLASS = "break-glass"


FHIR_ROUTES: Mapping[tuple[str, str], Interaction] = MappingProxyType(
    {
        ("GET", "metadata"): Interaction.CAPABILITIES,
        ("HEAD", "metadata"): Interaction.CAPABILITIES,
        ("POST", ""): Interaction.BUNDLE,
        ("GET", "type"): Interaction.SEARCH,
        ("POST", "type/_search"): Interaction.SEARCH_BY_POST,
        ("POST", "type"): Interaction.CREATE,
        ("GET", "type/id"): Interaction.READ,
        ("HEAD", "type/id"): Interaction.READ,
        ("PUT", "type/id"): Interaction.UPDATE,
        ("DELETE", "type/id"): Interaction.DELETE,
        ("GET", "type/id/_history"): Interaction.HISTORY,
        ("GET", "type/id/_history/version"): Interaction.VREAD,
    }
)
"""(method, shape of the path below /fhir) → what it asks."""

API_ROUTES: Mapping[tuple[str, str], Interaction] = MappingProxyType(
    {
        ("GET", "health"): Interaction.HEALTH,
        ("POST", "break-glass"): Interaction.BREAK_GLASS,
    }
)
"""(method, path below /api) → what it asks."""


def find_interaction(method: str, path: Sequence[str]) -> Interaction | None:
    """Return what a request under /fhir asks, or None when nothing answers that.

    Args:
        method: upper case.
        path: segments below /fhir, the type first.
    """
    return FHIR_ROUTES.get((method, _shape_of(method, path)))


def _shape_of(method: str, path: Sequence[str]) -> str:
    length = len(path)
    if length == 2:
        return "type/_search" if path[1] == "_search" and method == "POST" else "type/id"
    if length == 1:
        return "metadata" if path[0] == "metadata" else "type"
    if length == 0:
        return ""
    if length <= 4 and path[2] == "_history":
        return "type/id/_history" if length == 3 else "type/id/_history/version"
    return "nothing"
