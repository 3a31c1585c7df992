"""JSON schemas made from the R4 tables: the fast half of the write gate.

A schema is compiled when its resource type is first met, since each costs about a megabyte.
Resources inside a resource (``contained``, bundle entries) are cut out and checked by their own
type's
schema: otherwise every type would drag in all the others.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import jsonschema_rs

from hilum.record.primitives import PRIMITIVES, Primitive
from hilum.record.structure import required_codes
from hilum.record.tables import Element, tables

__all__ = ["compiled_schema", "schema_of"]

Schema = dict[str, Any]


def schema_of(name: str) -> Schema:
    """Return the JSON schema (draft 4) of a resource type, with all structures that it reaches."""
    definitions: dict[str, Schema] = {}
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in definitions:
            continue
        body, reached = _structure(current, is_root=current == name)
        definitions[current] = body
        waiting += reached
    for kind, primitive in PRIMITIVES.items():
        definitions[kind] = _primitive(primitive)
    definitions["Resource"] = {"type": "object", "required": ["resourceType"]}
    return {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "definitions": definitions,
        "allOf": [_ref(name)],
    }


@cache
def compiled_schema(name: str) -> jsonschema_rs.Draft4Validator:
    """Return the compiled schema of a resource type; kept for the life of the process.

    Draft 4, because there ``1.0`` is not an integer, as in FHIR.
    """
    options = jsonschema_rs.RegexOptions()  # the engine whose work grows with the text only
    return jsonschema_rs.Draft4Validator(schema_of(name), pattern_options=options)


def _ref(name: str) -> Schema:
    return {"$ref": "#/definitions/" + name.removeprefix("#")}


def _structure(name: str, *, is_root: bool) -> tuple[Schema, list[str]]:
    properties: dict[str, Schema] = {}
    rules: list[Schema] = []
    reached = ["Element"]
    if is_root:
        properties["resourceType"] = {"enum": [name]}
    for element in tables().structure(name):
        forms = _forms(element)
        for key, kind in element.options():
            properties[key] = _form(element, kind)
            if kind in PRIMITIVES:
                properties["_" + key] = _sibling(element)
            elif kind != "Resource":
                reached.append(kind.removeprefix("#"))
        if element.is_choice:
            rules.append(_choice(element, forms, small=name == "Extension"))
        elif element.least:
            rules.append(_some(forms[0]))
    body: Schema = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "minProperties": 1,
    }
    if rules:
        body["allOf"] = rules
    return body, reached


def _forms(element: Element) -> list[list[str]]:
    options = element.options()
    return [[key, "_" + key] if kind in PRIMITIVES else [key] for key, kind in options]


def _form(element: Element, kind: str) -> Schema:
    value = _ref(kind)
    if element.codes:
        value = {"enum": sorted(required_codes(element.codes))}
    if not element.is_list:
        return value
    items = {"anyOf": [value, {"type": "null"}]} if kind in PRIMITIVES else value
    return {"type": "array", "items": items, "minItems": 1}


def _sibling(element: Element) -> Schema:
    value = _ref("Element")
    if not element.is_list:
        return value
    return {"type": "array", "items": {"anyOf": [value, {"type": "null"}]}, "minItems": 1}


def _some(keys: list[str]) -> Schema:
    if len(keys) == 1:
        return {"required": keys}
    return {"anyOf": [{"required": [key]} for key in keys]}


def _choice(element: Element, forms: list[list[str]], *, small: bool) -> Schema:
    # What a form forbids is looked at only where the form is there.
    forbidden = {
        key: {
            "not": {
                "anyOf": [{"required": [k]} for other in forms if other is not own for k in other]
            }
        }
        for own in forms
        for key in own
        if len(forms) > 1
    }
    rule: Schema = {"dependencies": forbidden}
    # An extension with two members holds its url and one value: no need to look at fifty forms.
    if small:
        rule = {"anyOf": [{"maxProperties": 2}, rule]}
    if element.least:
        rule = {"allOf": [{"anyOf": [_some(keys) for keys in forms]}, rule]}
    return rule


def _primitive(primitive: Primitive) -> Schema:
    schema: Schema = {"type": primitive.json}
    if primitive.pattern:
        schema["pattern"] = f"^(?:{primitive.pattern})$"
    if primitive.least is not None:
        schema["minimum"] = primitive.least
    if primitive.most is not None:
        schema["maximum"] = primitive.most
    return schema
