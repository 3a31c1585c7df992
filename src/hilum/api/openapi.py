"""OpenAPI 3.1 of this node, made from the registry of routes: every type has its own paths.

Schemas say what holds for every answer (which resource, which media type, which statuses); what is
inside a resource is FHIR's to say, not OpenAPI's.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec

from hilum import __version__
from hilum.api.claims import claim_of, has_route
from hilum.api.metadata import FORMATS, PATCH_FORMATS
from hilum.api.routes import PRESENTATION, ROUTES, SEARCHED, Body, Route
from hilum.record.capability import claimed_parameters
from hilum.record.types import type_names

__all__ = ["description"]

Json = dict[str, Any]
_ID = "[A-Za-z0-9\\-.]{1,64}"
_MADE = frozenset({"create"})
_FORM = "application/x-www-form-urlencoded"
_CONTROLS = (
    "_count", "_sort", "_total", "_include", "_revinclude", "_has", "_list",
)  # fmt: skip
_RESULTS = {
    "$validate": "OperationOutcome", "$everything": "Bundle", "$lastn": "Bundle",
    "$meta": "Parameters", "$meta-add": "Parameters", "$meta-delete": "Parameters",
}  # fmt: skip
"""What an operation gives back."""
_REFUSALS = {
    "400": "what is asked is not understood",
    "401": "no Authorization header",
    "404": "not there, or not for this token: the two are one answer",
    "405": "the type or the path has no such interaction",
    "406": "none of the media types asked for is given here",
    "409": "it does not fit what is stored",
    "410": "deleted",
    "412": "another version, or not exactly one match",
    "413": "the body is too large",
    "415": "the body's media type or coding is not understood",
    "422": "the resource is not valid",
    "503": "the node cannot write receipts, so it answers nothing",
}


@lru_cache(maxsize=4)
def description(base: str) -> bytes:
    """Return the OpenAPI description as JSON bytes.

    Args:
        base: ``http://host/fhir``.
    """
    paths: dict[str, Json] = {}
    for path, method, operation in _operations():
        paths.setdefault(path, {})[method] = operation
    return msgspec.json.encode({
        "openapi": "3.1.0",
        "info": {
            "title": "Hilum",
            "version": __version__,
            "description": "FHIR R4 behind consent: what may not be seen is as if it were not there.",
        },
        "servers": [{"url": base}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": _components(),
    })  # fmt: skip


def _operations() -> Iterator[tuple[str, str, Json]]:
    for route in ROUTES:
        method = route.method.lower()
        if not route.shape.startswith("type"):
            path, parameters = _path(route.shape, route.shape.partition("/")[0])
            yield path, method, _operation(route, None, parameters)
            continue
        for name in type_names():
            if has_route(route, name):
                path, parameters = _path(route.shape, name)
                yield path, method, _operation(route, name, parameters)


def _path(shape: str, name: str) -> tuple[str, list[Json]]:
    """Return the path of a shape for one type, and the parameters that stand in it."""
    steps, parameters = [name], []
    for role in shape.split("/")[1:]:
        if role in {"id", "version", "type"}:
            label = "target" if role == "type" else role
            steps.append(f"{{{label}}}")
            parameters.append({"$ref": f"#/components/parameters/{label}"})
        else:
            steps.append(role)
    return "/" + "/".join(steps), parameters


def _operation(route: Route, name: str | None, parameters: list[Json] | None = None) -> Json:
    made: Json = {
        "operationId": "-".join(
            part.strip("_$*") or "all"
            for part in (route.method.lower(), name or "", *_words(route))
        ),
        "summary": f"{route.code} ({name or 'system'})",
        "tags": [name or "system"],
        "parameters": [
            *(parameters or []),
            *(_query(each) for each in _names(route, name)),
            *({"$ref": f"#/components/parameters/{each}"} for each in route.headers),
        ],
        "responses": _responses(route, name),
    }
    if route.code == "capabilities":
        made["security"] = []
    if route.body is not Body.NONE:
        made["requestBody"] = _body(route, name)
    return made


def _words(route: Route) -> tuple[str, ...]:
    unsaid = {""} if route.shape.startswith("$") else {"", "type"}
    parts = [part for part in route.shape.split("/") if part not in unsaid]
    return (*parts, "type") if route.shape == "type/id/type" else tuple(parts)


def _names(route: Route, name: str | None) -> list[str]:
    found = [each for each in route.parameters if each != SEARCHED]
    if SEARCHED in route.parameters and route.method == "GET":
        found += _CONTROLS
        if name is not None and route.code == "search-type":
            found += [row["name"] for row in claimed_parameters(name, claim_of(name))]
    return list(dict.fromkeys([*found, *PRESENTATION]))


def _query(name: str) -> Json:
    label = name if name in PRESENTATION else f"search.{name}"
    return {"$ref": f"#/components/parameters/{label}"}


def _body(route: Route, name: str | None) -> Json:
    if route.body is Body.FORM:
        return {"content": {_FORM: {"schema": {"type": "object", "additionalProperties": True}}}}
    kinds = PATCH_FORMATS if route.method == "PATCH" else FORMATS
    wanted = "Resource" if name is None or route.code.startswith("$") else name
    schema = {"$ref": f"#/components/schemas/{wanted}"}
    if name is None:
        schema = {"$ref": "#/components/schemas/Bundle"}
    return {
        "required": True,
        "content": {kind: {"schema": {} if route.method == "PATCH" else schema} for kind in kinds},
    }


def _responses(route: Route, name: str | None) -> Json:
    done = _done(route, name)
    return done | {status: {"$ref": f"#/components/responses/{status}"} for status in _REFUSALS}


def _done(route: Route, name: str | None) -> Json:
    if route.code in _MADE:
        return {
            "200": {"description": "it was there already", "content": _content("Resource")},
            "201": {"description": "made", "content": _content("Resource")},
        }
    if route.code == "delete":
        return {
            "200": {"description": "deleted", "content": _content("OperationOutcome")},
            "204": {"description": "deleted"},
        }
    wanted = _RESULTS.get(route.code, "Resource") if route.code[0] == "$" else name or "Bundle"
    if route.code.startswith(("search", "history")):
        wanted = "Bundle"
    if route.code == "capabilities":
        wanted = "CapabilityStatement"
    found: Json = {"200": {"description": "done", "content": _content(wanted)}}
    if route.code in {"update", "patch"}:
        found["200"]["content"] = _content("Resource")
        found["201"] = {"description": "made", "content": _content("Resource")}
    if route.code in {"read", "vread"}:
        found["304"] = {"description": "unchanged"}
    if route.code == "$export":
        found["202"] = {"description": "begun, or not done yet"}
    return found


def _content(name: str) -> Json:
    schema = {"$ref": f"#/components/schemas/{name}"}
    return {"application/fhir+json": {"schema": schema}, "application/fhir+xml": {}}


def _components() -> Json:
    schemas: Json = {
        "Resource": {
            "type": "object",
            "required": ["resourceType"],
            "properties": {"resourceType": {"type": "string", "enum": list(type_names())}},
        }
    }
    for name in type_names():
        schemas[name] = {
            "type": "object",
            "required": ["resourceType"],
            "properties": {"resourceType": {"const": name}},
        }
    schemas["OperationOutcome"]["required"] = ["resourceType", "issue"]
    schemas["OperationOutcome"]["properties"]["issue"] = {
        "type": "array", "minItems": 1,
        "items": {"type": "object", "required": ["severity", "code"]},
    }  # fmt: skip
    schemas["Bundle"]["required"] = ["resourceType", "type"]
    return {
        "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        "schemas": schemas,
        "parameters": _parameters(),
        "responses": {
            status: {"description": why, "content": _content("OperationOutcome")}
            for status, why in _REFUSALS.items()
        },
    }


def _parameters() -> Json:
    found: Json = {
        "id": _in_path("id", _ID),
        "version": _in_path("version", "[1-9][0-9]{0,17}"),
        "target": {
            "name": "target", "in": "path", "required": True,
            "schema": {"type": "string", "enum": list(type_names())},
        },
        "_format": _choice("_format", ["json", "xml", *FORMATS]),
        "_pretty": _choice("_pretty", ["true", "false"]),
        "_summary": _choice("_summary", ["true", "text", "data", "count", "false"]),
        "_elements": {"name": "_elements", "in": "query", "schema": {"type": "string"}},
    }  # fmt: skip
    names = {each for route in ROUTES for each in route.parameters if each != SEARCHED}
    for kind in type_names():
        names |= {row["name"] for row in claimed_parameters(kind, claim_of(kind))}
    for name in sorted(names | set(_CONTROLS)):
        found[f"search.{name}"] = {
            "name": name, "in": "query", "style": "form", "explode": True,
            "schema": {"type": "array", "items": {"type": "string"}},
        }  # fmt: skip
    headers = dict.fromkeys(header for route in ROUTES for header in route.headers)
    for header in headers:
        found[header] = {"name": header, "in": "header", "schema": {"type": "string"}}
    return found


def _in_path(name: str, pattern: str) -> Json:
    schema = {"type": "string", "pattern": f"^{pattern}$"}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _choice(name: str, values: list[str]) -> Json:
    return {"name": name, "in": "query", "schema": {"type": "string", "enum": values}}
