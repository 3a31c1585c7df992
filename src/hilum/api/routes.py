"""What this node answers, as data: requests are found by it, statements are made from it, tests walk it.

A shape is a path below /fhir in roles: ``type``, ``id`` and ``version`` stand for names of the client's,
everything else (``metadata``, ``*`` and what begins with ``_`` or ``$``) for itself.

Source: HL7 FHIR R4, RESTful API; capability statement, restful-interaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

__all__ = [
    "API_ROUTES",
    "FHIR_ROUTES",
    "PRESENTATION",
    "ROUTES",
    "SEARCHED",
    "Body",
    "Interaction",
    "Route",
    "allowed_methods",
    "find_interaction",
    "find_route",
]


class Interaction(StrEnum):
    """What can be asked over HTTP; the last ones are our own."""

    CAPABILITIES = "capabilities"
    BUNDLE = "bundle"
    SEARCH = "search"
    SEARCH_BY_POST = "search-by-post"
    SEARCH_COMPARTMENT = "search-compartment"
    SEARCH_SYSTEM = "search-system"
    CREATE = "create"
    READ = "read"
    UPDATE = "update"
    CONDITIONAL_UPDATE = "conditional-update"
    PATCH = "patch"
    CONDITIONAL_PATCH = "conditional-patch"
    DELETE = "delete"
    CONDITIONAL_DELETE = "conditional-delete"
    HISTORY = "history"
    HISTORY_OF_TYPE = "history-of-type"
    HISTORY_OF_ALL = "history-of-all"
    VREAD = "vread"
    EVERYTHING = "everything"
    LASTN = "lastn"
    META = "meta"
    META_ADD = "meta-add"
    META_DELETE = "meta-delete"
    EXPORT = "export"
    EXPORT_STATUS = "export-status"
    EXPORT_CANCEL = "export-cancel"
    EXPORT_FILE = "export-file"
    VALIDATE = "validate"
    HEALTH = "health"
    OPENAPI = "openapi"
    BREAK_GLASS = "break-glass"


class Body(StrEnum):
    """What kind of body a route takes."""

    NONE = "none"
    RESOURCE = "resource"
    FORM = "form"
    PATCH = "patch"


@dataclass(frozen=True, slots=True)
class Route:
    """One thing that can be asked under /fhir.

    Attributes:
        method: upper case; whatever is asked by GET can be asked by HEAD.
        shape: path below /fhir in roles.
        interaction: what it asks.
        code: FHIR interaction (``read`` …) or operation (``$everything``).
        body: what it takes.
        parameters: names of query parameters beside `PRESENTATION`; ``[search]`` stands for all search
            parameters and controls of the type.
        headers: request headers that change what it does.
    """

    method: str
    shape: str
    interaction: Interaction
    code: str
    body: Body = Body.NONE
    parameters: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()


SEARCHED = "[search]"
PRESENTATION = ("_format", "_pretty", "_summary", "_elements")
"""Query parameters of every route: how the answer looks."""
_HISTORIC = ("_since", "_at", "_count")
_MATCHED = ("If-Match",)
_PREFERRED = ("Prefer",)
_CACHED = ("If-None-Match", "If-Modified-Since")

ROUTES: tuple[Route, ...] = (
    Route("GET", "metadata", Interaction.CAPABILITIES, "capabilities", parameters=("mode",)),
    Route("POST", "", Interaction.BUNDLE, "transaction", Body.RESOURCE, (), _PREFERRED),
    Route("GET", "type", Interaction.SEARCH, "search-type", Body.NONE, (SEARCHED,), _PREFERRED),
    Route(
        "GET", "", Interaction.SEARCH_SYSTEM, "search-system", Body.NONE, ("_type", SEARCHED),
        _PREFERRED,
    ),
    Route(
        "POST", "_search", Interaction.SEARCH_SYSTEM, "search-system", Body.FORM,
        ("_type", SEARCHED), _PREFERRED,
    ),
    Route(
        "GET", "type/id/*", Interaction.SEARCH_COMPARTMENT, "search-compartment", Body.NONE,
        (SEARCHED,), _PREFERRED,
    ),
    Route(
        "GET", "type/id/type", Interaction.SEARCH_COMPARTMENT, "search-compartment", Body.NONE,
        (SEARCHED,), _PREFERRED,
    ),
    Route(
        "POST", "type/_search", Interaction.SEARCH_BY_POST, "search-type", Body.FORM, (SEARCHED,),
        _PREFERRED,
    ),
    Route(
        "POST", "type", Interaction.CREATE, "create", Body.RESOURCE, (),
        ("If-None-Exist", *_PREFERRED),
    ),
    Route("GET", "type/id", Interaction.READ, "read", headers=_CACHED),
    Route("GET", "type/id/_history/version", Interaction.VREAD, "vread", headers=_CACHED),
    Route(
        "PUT", "type/id", Interaction.UPDATE, "update", Body.RESOURCE, (),
        (*_MATCHED, "If-None-Match", *_PREFERRED),
    ),
    Route(
        "PUT", "type", Interaction.CONDITIONAL_UPDATE, "update", Body.RESOURCE, (SEARCHED,),
        (*_MATCHED, *_PREFERRED),
    ),
    Route("PATCH", "type/id", Interaction.PATCH, "patch", Body.PATCH, (), (*_MATCHED, *_PREFERRED)),
    Route(
        "PATCH", "type", Interaction.CONDITIONAL_PATCH, "patch", Body.PATCH, (SEARCHED,),
        (*_MATCHED, *_PREFERRED),
    ),
    Route(
        "DELETE", "type", Interaction.CONDITIONAL_DELETE, "delete", Body.NONE, (SEARCHED,), _MATCHED
    ),
    Route("DELETE", "type/id", Interaction.DELETE, "delete", headers=_MATCHED),
    Route(
        "GET", "type/id/_history", Interaction.HISTORY, "history-instance", parameters=_HISTORIC
    ),
    Route(
        "GET", "type/_history", Interaction.HISTORY_OF_TYPE, "history-type", parameters=_HISTORIC
    ),
    Route("GET", "_history", Interaction.HISTORY_OF_ALL, "history-system", parameters=_HISTORIC),
    Route(
        "GET", "type/id/$everything", Interaction.EVERYTHING, "$everything",
        parameters=("start", "end", "_since", "_type", "_count"),
    ),
    Route("POST", "type/id/$everything", Interaction.EVERYTHING, "$everything", Body.RESOURCE),
    Route(
        "GET", "type/$lastn", Interaction.LASTN, "$lastn", Body.NONE, ("max", SEARCHED), _PREFERRED
    ),
    Route("POST", "type/$lastn", Interaction.LASTN, "$lastn", Body.RESOURCE),
    Route("GET", "type/id/$meta", Interaction.META, "$meta"),
    Route("POST", "type/id/$meta-add", Interaction.META_ADD, "$meta-add", Body.RESOURCE),
    Route("POST", "type/id/$meta-delete", Interaction.META_DELETE, "$meta-delete", Body.RESOURCE),
    *(
        route
        for shape in ("$export", "type/$export", "type/id/$export")
        for route in (
            Route(
                "GET", shape, Interaction.EXPORT, "$export", Body.NONE,
                ("_outputFormat", "_since", "_type", "_typeFilter"), _PREFERRED,
            ),
            Route("POST", shape, Interaction.EXPORT, "$export", Body.RESOURCE, (), _PREFERRED),
        )
    ),
    Route("GET", "$export/id", Interaction.EXPORT_STATUS, "$export"),
    Route("DELETE", "$export/id", Interaction.EXPORT_CANCEL, "$export"),
    Route("GET", "$export/id/type", Interaction.EXPORT_FILE, "$export"),
    Route(
        "POST", "type/$validate", Interaction.VALIDATE, "$validate", Body.RESOURCE,
        ("mode", "profile"),
    ),
    Route(
        "GET", "type/id/$validate", Interaction.VALIDATE, "$validate",
        parameters=("mode", "profile"),
    ),
    Route(
        "POST", "type/id/$validate", Interaction.VALIDATE, "$validate", Body.RESOURCE,
        ("mode", "profile"),
    ),
)  # fmt: skip

_FOUND: Mapping[tuple[str, str], Route] = MappingProxyType(
    {(route.method, route.shape): route for route in ROUTES}
    | {("HEAD", route.shape): route for route in ROUTES if route.method == "GET"}
)
FHIR_ROUTES: Mapping[tuple[str, str], Interaction] = MappingProxyType(
    {key: route.interaction for key, route in _FOUND.items()}
)
"""(method, shape of the path below /fhir) → what it asks."""

API_ROUTES: Mapping[tuple[str, str], Interaction] = MappingProxyType(
    {
        ("GET", "health"): Interaction.HEALTH,
        ("GET", "openapi.json"): Interaction.OPENAPI,
        ("POST", "break-glass"): Interaction.BREAK_GLASS,
    }
)
"""(method, path below /api) → what it asks."""

_ROLES = ("type", "id", "type", "version")
_LITERAL = ("_", "$", "*")


def find_route(method: str, path: Sequence[str]) -> Route | None:
    """Return the route of a request under /fhir, or None when nothing answers that.

    Args:
        method: upper case.
        path: segments below /fhir, the type first.
    """
    return _FOUND.get((method, _shape_of(path)))


def find_interaction(method: str, path: Sequence[str]) -> Interaction | None:
    """Return what a request under /fhir asks, or None when nothing answers that."""
    return FHIR_ROUTES.get((method, _shape_of(path)))


def allowed_methods(path: Sequence[str]) -> tuple[str, ...]:
    """Return the methods that a path takes, sorted; none when it is no path of this node."""
    shape = _shape_of(path)
    found = {method for method, known in _FOUND if known == shape}
    return tuple(sorted(found | {"OPTIONS"})) if found else ()


def _shape_of(path: Sequence[str]) -> str:
    if len(path) > len(_ROLES):
        return "nothing"
    if len(path) == 1 and path[0] == "metadata":
        return "metadata"
    return "/".join(
        part if part.startswith(_LITERAL) else role
        for part, role in zip(path, _ROLES, strict=False)
    )
