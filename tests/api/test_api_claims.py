"""The capability statement and the OpenAPI description say what the node does, no more and no less."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from edge import Edge
from tests.conformance_page import told

from hilum.api.routes import ROUTES
from hilum.record.resource import parse_resource
from hilum.record.tables import tables
from hilum.record.types import type_names
from hilum.record.validate import validate

NOBODY = "99999999-0000-4000-8000-000000000009"
VALUES = {
    "token": "a|b", "reference": "Patient/1", "date": "ge2020", "uri": "urn:x", "string": "abc",
    "number": "1.5", "quantity": "5.4|http://unitsofmeasure.org|mg", "special": "1|2|3|km",
}  # fmt: skip
REQUESTS = {
    "read": ("GET", "{type}/{id}"), "vread": ("GET", "{type}/{id}/_history/1"),
    "update": ("PUT", "{type}/{id}"), "patch": ("PATCH", "{type}/{id}"),
    "delete": ("DELETE", "{type}/{id}"), "create": ("POST", "{type}"),
    "search-type": ("GET", "{type}"), "history-instance": ("GET", "{type}/{id}/_history"),
    "history-type": ("GET", "{type}/_history"),
}  # fmt: skip


@pytest.fixture(scope="module")
def rest(edge: Edge) -> dict[str, Any]:
    statement = edge.ask("GET", "/fhir/metadata").json
    found: dict[str, Any] = statement["rest"][0]
    return found


def test_the_statement_is_a_valid_resource_and_needs_no_token(edge: Edge) -> None:
    reply = edge.ask("GET", "/fhir/metadata")
    assert reply.status == 200
    assert validate(parse_resource(reply.body)) == ()
    assert reply.json["fhirVersion"] == "4.0.1"
    assert [each["type"] for each in reply.json["rest"][0]["resource"]] == list(type_names())


def test_every_claimed_interaction_is_answered_and_no_other(
    edge: Edge, rest: dict[str, Any]
) -> None:
    token = edge.token(subject=edge.add_subject())
    for resource in rest["resource"]:
        claimed = {each["code"] for each in resource["interaction"]}
        for code, (method, path) in REQUESTS.items():
            target = path.format(type=resource["type"], id=NOBODY)
            reply = edge.ask(method, f"/fhir/{target}", token)
            assert reply.status < 500, (code, target)
            refused = reply.status in {404, 405} and b'"not-supported"' in reply.body
            if resource["type"] in {"AuditEvent", "Patient"} and code not in claimed:
                assert reply.status >= 400
            else:
                assert refused == (code not in claimed), (code, target, reply.status)


def test_every_claimed_parameter_is_understood_by_strict_searches(
    edge: Edge, rest: dict[str, Any]
) -> None:
    token = edge.token(subject=edge.add_subject())
    for resource in rest["resource"]:
        for parameter in resource.get("searchParam", ()):
            value = VALUES.get(parameter["type"]) or composite(
                resource["type"], parameter["name"], rest
            )
            target = f"/fhir/{resource['type']}?{parameter['name']}={quote(value)}&_count=1"
            reply = edge.ask("GET", target, token, prefer="handling=strict")
            assert reply.status == 200, (target, reply.body)


def composite(kind: str, name: str, rest: dict[str, Any]) -> str:
    """Return a value of as many components as R4 gives a composite parameter."""
    from hilum.record.parameters import parameters_of

    return "$".join(VALUES[part.kind.value] for part in parameters_of(kind)[name].components)


def test_every_parameter_of_the_specification_is_claimed_or_named_as_left_out(
    rest: dict[str, Any],
) -> None:
    from hilum.record.parameters import UNINDEXED

    claimed = {
        (resource["type"], parameter["name"])
        for resource in rest["resource"]
        for parameter in resource.get("searchParam", ())
    }
    for fact in tables().parameters:
        for base in fact.bases:
            kinds = type_names() if base in {"Resource", "DomainResource"} else (base,)
            for kind in kinds:
                if fact.code in UNINDEXED or kind == "AuditEvent":
                    continue
                if base == "DomainResource" and kind in {"Bundle", "Binary", "Parameters"}:
                    continue
                assert (kind, fact.code) in claimed, (kind, fact.code)
    facts = tables().parameters
    left = [fact for fact in facts if fact.code in {"_content", "_text", "_query"}]
    told("parameters", len(facts) - len(left), len(facts), "tests/api/test_api_claims.py")


def test_unknown_parameters_are_refused_by_strict_searches(edge: Edge) -> None:
    token = edge.token(subject=edge.add_subject())
    for kind in type_names():
        reply = edge.ask("GET", f"/fhir/{kind}?no-such=1", token, prefer="handling=strict")
        assert reply.status == 400, kind


def test_openapi_has_a_path_for_every_route_and_no_other(edge: Edge) -> None:
    reply = edge.ask("GET", "/api/openapi.json")
    assert reply.status == 200
    description = json.loads(reply.body)
    assert description["openapi"].startswith("3.1")
    codes = {
        operation["summary"].split(" ")[0]
        for item in description["paths"].values()
        for operation in item.values()
    }
    assert codes == {route.code for route in ROUTES}
    names = [
        operation["operationId"]
        for item in description["paths"].values()
        for operation in item.values()
    ]
    assert len(names) == len(set(names))
