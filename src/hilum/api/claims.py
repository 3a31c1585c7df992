"""What the routes amount to: the interactions and operations that each type has, from the registry."""

from __future__ import annotations

from functools import cache

from hilum.api.routes import ROUTES, Route
from hilum.exchange.auditing import AUDIT_PARAMETERS, AUDIT_TYPE
from hilum.record.capability import Claim
from hilum.record.compartments import COMPARTMENTS
from hilum.record.types import type_names

__all__ = ["OPERATION_TYPES", "claim_of", "has_route", "system_claim"]

_READ_ONLY = frozenset({AUDIT_TYPE})
"""AuditEvents are rendered from receipts: they are read and searched, and nothing else."""
_WRITES = frozenset({"create", "update", "patch", "delete"})
_VERSIONS = frozenset({"vread", "history-instance", "history-type"})
OPERATION_TYPES = {"$everything": ("Patient",), "$lastn": ("Observation",)}
"""Operations of some types only; the others are of all."""
_DEFINITIONS = {
    "$everything": "Patient-everything",
    "$lastn": "Observation-lastn",
    "$validate": "Resource-validate",
    "$meta": "Resource-meta",
    "$meta-add": "Resource-meta-add",
    "$meta-delete": "Resource-meta-delete",
}
_BULK = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/"
_CONDITIONAL = {
    ("POST", "type"): "create",
    ("PUT", "type"): "update",
    ("PATCH", "type"): "patch",
    ("DELETE", "type"): "delete",
}


def has_route(route: Route, name: str) -> bool:
    """Tell whether a type has a route that begins with a type.

    Args:
        route: one whose shape begins with ``type``.
        name: a resource type.
    """
    if not route.shape.startswith("type"):
        return False
    if route.code == "search-compartment":
        return name in COMPARTMENTS
    if route.code in OPERATION_TYPES or _literal(route) is not None:
        return name in (OPERATION_TYPES.get(route.code) or (_literal(route),))
    if name in _READ_ONLY:
        return route.code in {"read", "search-type"}
    return not (name == "Patient" and route.code == "delete")


def _literal(route: Route) -> str | None:
    """Return the only type of an export's route: patients and groups are exported by type."""
    if route.code != "$export":
        return None
    return "Group" if route.shape.startswith("type/id") else "Patient"


@cache
def claim_of(name: str) -> Claim:
    """Return what can be done with a resource type."""
    routes = [route for route in ROUTES if has_route(route, name)]
    plain = [r for r in routes if not r.code.startswith("$") and "*" not in r.shape]
    codes = dict.fromkeys(r.code for r in plain if r.shape.count("type") == 1)
    conditional = {
        _CONDITIONAL[r.method, r.shape] for r in plain if (r.method, r.shape) in _CONDITIONAL
    }
    if not any("If-None-Exist" in r.headers for r in plain):
        conditional.discard("create")
    if any(r.code == "read" and "If-None-Match" in r.headers for r in plain):
        conditional.add("read")
    if name != "Patient" and any(
        r.code == "update" and "If-None-Match" in r.headers for r in plain
    ):
        conditional.add("update-create")
    searched = AUDIT_PARAMETERS if name == AUDIT_TYPE else None
    return Claim(tuple(codes), _operations(routes), frozenset(conditional), searched)


@cache
def system_claim() -> Claim:
    """Return what can be done with the whole system."""
    routes = [route for route in ROUTES if not route.shape.startswith("type")]
    codes = dict.fromkeys(
        code for r in routes if not r.code.startswith("$") for code in _system_codes(r)
    )
    return Claim(tuple(codes), _operations(routes))


def _system_codes(route: Route) -> tuple[str, ...]:
    if route.code == "transaction":
        return ("transaction", "batch")
    return (route.code,) if route.code in {"history-system", "search-system"} else ()


def _operations(routes: list[Route]) -> tuple[tuple[str, str], ...]:
    codes = sorted({route.code for route in routes if route.code.startswith("$")})
    return tuple((code[1:], _definition(code, routes)) for code in codes)


def _definition(code: str, routes: list[Route]) -> str:
    if code == "$export":
        shapes = {route.shape.partition("/")[0] for route in routes if route.code == code}
        level = "export" if "type" not in shapes else "patient-export"
        return _BULK + level
    if code in _DEFINITIONS:
        return f"http://hl7.org/fhir/OperationDefinition/{_DEFINITIONS[code]}"
    return f"urn:hilum:operation:{code[1:]}"


def types_of(route: Route) -> tuple[str, ...]:
    """Return the types that have a route."""
    return tuple(name for name in type_names() if has_route(route, name))
