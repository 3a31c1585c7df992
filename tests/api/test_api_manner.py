"""How an answer looks: media types, layout, subsets, HEAD, OPTIONS, validators and preferences."""

from __future__ import annotations

import json
from typing import Any

import pytest
from edge import Edge

from hilum.record.xml import from_xml, to_xml

XML = "application/fhir+xml"
LONG_AGO = "Thu, 01 Jan 1970 00:00:00 GMT"


@pytest.fixture(scope="module")
def subject(edge: Edge) -> str:
    return edge.add_subject()


@pytest.fixture(scope="module")
def own(edge: Edge, subject: str) -> str:
    return edge.token(subject=subject)


def observation(subject: str, **more: Any) -> bytes:
    tree = {
        "resourceType": "Observation", "status": "final", "code": {"text": "weight"},
        "subject": {"reference": f"Patient/{subject}"}, "note": [{"text": "n"}],
        "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">w</div>'},
        "valueQuantity": {"value": "@", "unit": "kg"}, **more,
    }  # fmt: skip
    return json.dumps(tree).replace('"@"', "70.500").encode()


@pytest.fixture(scope="module")
def stored(edge: Edge, subject: str, own: str) -> str:
    reply = edge.ask("POST", "/fhir/Observation", own, observation(subject))
    assert reply.status == 201
    return f"/fhir/Observation/{reply.json['id']}"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/fhir+json", "json"), ("application/json", "json"), ("*/*", "json"),
        (XML, "xml"), ("text/xml", "xml"), (f"{XML};q=0.5, application/json;q=0.4", "xml"),
        (f"{XML}, application/fhir+json", "json"), ("text/html,application/xml;q=0.9,*/*;q=0.8", "xml"),
        (f"{XML};fhirVersion=4.0", "xml"), ("text/turtle", ""), (f"{XML};fhirVersion=5.0", ""),
        ("application/json;q=0", ""),
    ],
)  # fmt: skip
def test_accept_is_weighed(edge: Edge, own: str, stored: str, accept: str, kind: str) -> None:
    reply = edge.ask("GET", stored, own, accept=accept)
    assert reply.status == (200 if kind else 406)
    assert (reply.header(b"content-type") or b"").startswith(
        f"application/fhir+{kind or 'json'}".encode()
    )


def test_format_wins_over_accept_and_refuses_before_anything_is_done(
    edge: Edge, subject: str, own: str, stored: str
) -> None:
    for text in ("xml", "application/fhir+xml", "text/xml", "application%2Ffhir%2Bxml"):
        reply = edge.ask("GET", f"{stored}?_format={text}", own, accept="application/json")
        assert reply.header(b"content-type") == b"application/fhir+xml; charset=utf-8"
    before = edge.rows()
    refused = edge.ask("POST", "/fhir/Observation?_format=pdf", own, observation(subject))
    assert refused.status == 406
    assert edge.rows() == before


def test_xml_goes_in_and_comes_out_with_every_digit(edge: Edge, subject: str, own: str) -> None:
    made = edge.ask(
        "POST", "/fhir/Observation", own, to_xml(observation(subject)), content_type=XML, accept=XML
    )
    assert made.status == 201, made.body
    assert b'<value value="70.500"/>' in made.body
    tree = json.loads(from_xml(made.body))
    read = edge.ask("GET", f"/fhir/Observation/{tree['id']}", own)
    assert b'"value":70.500' in read.body
    found = edge.ask("GET", f"/fhir/Observation?_id={tree['id']}", own, accept=XML)
    assert json.loads(from_xml(found.body))["entry"][0]["resource"]["id"] == tree["id"]
    refused = edge.ask("POST", "/fhir/Observation", own, b"<Observation", content_type=XML)
    assert refused.status in {400, 422}


def test_subsets_are_tagged_and_keep_what_must_stay(edge: Edge, own: str, stored: str) -> None:
    def subset(query: str) -> dict[str, Any]:
        reply = edge.ask("GET", f"{stored}?{query}", own)
        assert b"70.500" in reply.body or "value" not in reply.body.decode()
        tree: dict[str, Any] = reply.json
        assert tree["meta"]["tag"][-1]["code"] == "SUBSETTED"
        return tree

    always = {"resourceType", "id", "meta", "status", "code"}
    assert set(subset("_elements=value")) == always | {"valueQuantity"}
    assert set(subset("_elements=Observation.subject,note")) == always | {"subject", "note"}
    assert set(subset("_summary=text")) == always | {"text"}
    assert "text" not in subset("_summary=data")
    assert set(subset("_summary=true")) == always | {"subject", "valueQuantity"}
    assert edge.ask("GET", f"{stored}?_summary=nonsense", own).status == 400
    assert edge.ask("GET", f"{stored}?_elements=%00", own).status == 400


def test_bundles_are_cut_inside_and_pages_keep_the_manner(
    edge: Edge, subject: str, own: str, stored: str
) -> None:
    for _ in range(2):
        edge.ask("POST", "/fhir/Observation", own, observation(subject))
    page = edge.ask("GET", f"/fhir/Observation?patient={subject}&_count=1&_elements=status", own)
    row = page.json["entry"][0]["resource"]
    assert "note" not in row
    assert row["meta"]["tag"][-1]["code"] == "SUBSETTED"
    following = next(each["url"] for each in page.json["link"] if each["relation"] == "next")
    assert "_elements=status" in following
    assert "note" not in edge.ask("GET", following, own).json["entry"][0]["resource"]
    count = edge.ask("GET", f"/fhir/Observation?patient={subject}&_summary=count", own).json
    assert "entry" not in count
    assert count["total"] >= 3


def test_pretty_is_the_same_on_many_lines(edge: Edge, own: str, stored: str) -> None:
    plain, pretty = (edge.ask("GET", f"{stored}{q}", own) for q in ("", "?_pretty=true"))
    assert pretty.body.count(b"\n") > 10
    assert b"70.500" in pretty.body
    assert pretty.json == plain.json


def test_validators_save_the_way(edge: Edge, own: str, stored: str) -> None:
    first = edge.ask("GET", stored, own)
    etag = (first.header(b"etag") or b"").decode()
    at = (first.header(b"last-modified") or b"").decode()
    for headers in (
        {"if_none_match": etag},
        {"if_modified_since": at},
        {"if_none_match": f'"x", {etag}'},
    ):
        reply = edge.ask("GET", stored, own, **headers)
        assert (reply.status, reply.body, reply.receipts) == (304, b"", 1)
    for headers in (
        {"if_none_match": 'W/"9"'},
        {"if_modified_since": LONG_AGO},
        {"if_modified_since": "never"},
        {"if_none_match": 'W/"9"', "if_modified_since": at},
    ):
        assert edge.ask("GET", stored, own, **headers).status == 200


def test_head_says_what_get_would_say_without_the_body(edge: Edge, own: str, stored: str) -> None:
    for path in (stored, f"{stored}/_history", f"{stored}/_history/1", "/fhir/metadata",
                 "/fhir/Observation/_history?_count=1"):  # fmt: skip
        got, head = edge.ask("GET", path, own), edge.ask("HEAD", path, own)
        assert (head.status, head.body) == (got.status, b"")
        assert head.header(b"content-length") == str(len(got.body)).encode()


def test_a_method_that_is_not_taken_is_told_which_are(edge: Edge, own: str, stored: str) -> None:
    refused = edge.ask("POST", stored, own, b"{}")
    assert refused.status == 405
    allowed = (refused.header(b"allow") or b"").decode().split(", ")
    assert {"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"} <= set(allowed)
    options = edge.ask("OPTIONS", stored)
    assert (options.status, options.header(b"allow")) == (204, refused.header(b"allow"))
    assert edge.ask("GET", "/fhir/a/b/c/d/e", own).status == 404


@pytest.mark.parametrize("wanted", ["minimal", "representation", "OperationOutcome", "nonsense"])
def test_a_write_gives_back_what_is_preferred(
    edge: Edge, subject: str, own: str, wanted: str
) -> None:
    reply = edge.ask(
        "POST", "/fhir/Observation", own, observation(subject), prefer=f"return={wanted}"
    )
    assert reply.status == 201
    assert reply.header(b"location")
    kinds = {"minimal": "", "OperationOutcome": "OperationOutcome"}
    kind = kinds.get(wanted, "Observation")
    assert (reply.json["resourceType"] if reply.body else "") == kind
