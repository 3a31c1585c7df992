"""What a fuzzer makes of our OpenAPI description is answered without a 5xx and as described."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from edge import Edge, open_edge
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.conformance_page import told

from hilum.api.openapi import description

CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
]  # fmt: skip
TYPES = ("Patient", "Observation", "Bundle", "Organization", "Group", "AuditEvent", "Consent")
"""One of each kind: the subject, clinical, wrapping, shared, of several people, rendered, a directive."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Edge, str]]:
    with open_edge(tmp_path_factory.mktemp("fuzz") / "node") as edge:
        yield edge, edge.token(subject=edge.add_subject())


def described() -> Any:
    """Return the node's own description, narrowed to a few types."""
    tree = json.loads(description("http://node.test/fhir"))
    tree["paths"] = {
        path: item for path, item in tree["paths"].items()
        if path.split("/")[1] in TYPES or not path[1:2].isupper()
    }  # fmt: skip
    tree["components"]["schemas"]["Resource"]["properties"]["resourceType"]["enum"] = (
        *TYPES,
        "OperationOutcome",
    )
    return schemathesis.openapi.from_dict(tree)


OPERATIONS = {found.ok().label: found.ok() for found in described().get_all_operations()}


def test_the_page_of_conformance_counts_what_is_driven() -> None:
    told("openapi", len(OPERATIONS), len(OPERATIONS), "tests/api/test_api_fuzz.py")


@pytest.mark.parametrize("label", OPERATIONS)
def test_what_is_described_is_answered_as_described(label: str, node: tuple[Edge, str]) -> None:
    @settings(
        max_examples=15, deadline=None, phases=[Phase.explicit, Phase.generate], derandomize=True,
        suppress_health_check=list(HealthCheck), database=None,
    )  # fmt: skip
    @given(case=OPERATIONS[label].as_strategy())
    def holds(case: schemathesis.Case) -> None:
        check(case, node)

    holds()


def check(case: schemathesis.Case, node: tuple[Edge, str]) -> None:
    """Send one made-up request; the answer must keep what the description says."""
    edge, token = node
    known = case.as_transport_kwargs(base_url="http://node.test/fhir")
    wanted = {"method", "url", "headers", "params", "data", "json"}
    request = requests.Request(**{k: v for k, v in known.items() if k in wanted}).prepare()
    case.validate_response(answer(edge, token, request), checks=CHECKS)


def answer(edge: Edge, token: str, request: requests.PreparedRequest) -> Response:
    """Send a prepared request into the node of this process."""
    fields = {
        name.lower(): value for name, value in request.headers.items()
        if name.lower() not in {"authorization", "host", "content-length"}
    }  # fmt: skip
    body = request.body or b""
    reply = edge.ask(
        str(request.method), str(request.url), token,
        body if isinstance(body, bytes) else str(body).encode(),
        **{name: _latin(value) for name, value in fields.items()},
    )  # fmt: skip
    headers: dict[str, list[str]] = {}
    for name, value in reply.headers:
        headers.setdefault(name.decode(), []).append(value.decode("latin-1"))
    return Response(reply.status, headers, reply.body, request, elapsed=0.0, verify=False)


def _latin(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")
