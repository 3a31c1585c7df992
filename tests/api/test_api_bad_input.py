"""Bad input over HTTP: a precise refusal that names the place, nothing changed, and the node goes on."""

from __future__ import annotations

import gzip
import json
import logging
from typing import Any

import pytest
from edge import Edge

CANARY = "Zyzzogeton"
CANARY_ID = "zyzzogeton-4711"
MIB = 1 << 20


@pytest.fixture(scope="module")
def subject(edge: Edge) -> str:
    return edge.add_subject()


@pytest.fixture(scope="module")
def own(edge: Edge, subject: str) -> str:
    return edge.token(subject=subject)


@pytest.fixture(scope="module")
def stored(edge: Edge, subject: str, own: str) -> str:
    return edge.create(own, observation(subject))


def observation(subject: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": CANARY},
        "subject": {"reference": f"Patient/{subject}"},
        "valueString": CANARY,
        **more,
    }


def text(subject: str, **more: Any) -> bytes:
    return json.dumps(observation(subject, **more)).encode()


def nested(depth: int) -> bytes:
    return b'{"resourceType":"Observation","x":' + b"[" * depth + b"]" * depth + b"}"


def deep_extension(subject: str, depth: int) -> bytes:
    inner: dict[str, Any] = {"url": "urn:x", "valueString": "x"}
    for _ in range(depth):
        inner = {"url": "urn:x", "extension": [inner]}
    return json.dumps({**observation(subject), "extension": [inner]}).encode()


@pytest.mark.parametrize(
    ("body", "statuses", "place"),
    [
        (lambda _s: b"", {400}, ""),
        (lambda _s: b"not json at all " + CANARY.encode(), {400}, ""),
        (lambda s: text(s)[:-20], {400}, ""),
        (lambda s: text(s) + b"}", {400}, ""),
        (lambda s: text(s) * 2, {400}, ""),
        (lambda _s: b"null", {400}, ""),
        (lambda _s: b"[]", {400}, ""),
        (lambda _s: b'"Observation"', {400}, ""),
        (lambda _s: b"{}", {400, 422}, "resourceType"),
        (lambda _s: b'{"resourceType":7}', {400, 422}, "resourceType"),
        (lambda _s: b'{"resourceType":"Observations"}', {400, 404, 422}, "resourceType"),
        (lambda s: text(s).decode().replace(CANARY, "Zyzzoget\u00f6n").encode("latin-1"), {400}, ""),
        (lambda s: text(s).decode().encode("utf-16"), {400}, ""),
        (lambda s: text(s).replace(CANARY.encode(), b"\\ud800"), {400, 422}, ""),
        (lambda s: text(s).replace(CANARY.encode(), b"\xed\xa0\x80"), {400}, ""),
        (lambda s: text(s).replace(CANARY.encode(), b"\\u0000"), {400, 422}, ""),
        (lambda s: text(s).replace(CANARY.encode(), b"a\x01b"), {400, 422}, ""),
        (lambda _s: nested(60_000), {400, 422}, ""),
        (lambda s: deep_extension(s, 400), {400, 422}, ""),
        (lambda s: text(s).replace(b"{", b'{"status":"final",', 1), {400, 422}, ""),
        (lambda s: text(s, status=7), {422}, "Observation.status"),
        (lambda s: text(s, status="no-such"), {422}, "Observation.status"),
        (lambda s: text(s, status=None), {422}, "Observation.status"),
        (lambda s: text(s, code=[]), {422}, "Observation.code"),
        (lambda s: text(s, category={}), {422}, "Observation.category"),
        (lambda s: text(s, valueInteger=5), {422}, "Observation.value"),
        (lambda s: text(s, valueString=""), {422}, "Observation.value"),
        (lambda s: text(s, effectiveDateTime="2026-13-01"), {422}, "effective"),
        (lambda s: text(s, effectiveDateTime="2026-02-30"), {422}, "effective"),
        (lambda s: text(s, effectiveDateTime="2026-01-01T25:00:00Z"), {422}, "effective"),
        (lambda s: text(s, effectiveDateTime="2026-01-01T10:00:00"), {422}, "effective"),
        (lambda s: text(s, effectiveDateTime="0000-01-01"), {422}, "effective"),
        (lambda s: text(s, id="x" * 65), {422}, "Observation.id"),
        (lambda s: text(s, id="../../etc/passwd"), {422}, "Observation.id"),
        (lambda s: text(s, issued="yesterday"), {422}, "Observation.issued"),
        (lambda s: text(s, specimen={"reference": 5}), {422}, "Observation.specimen"),
        (lambda s: text(s, performer=[{"reference": "Patient/other"}]), {422}, "Observation"),
        (lambda s: text(s, meta={"versionId": 5}), {422}, "meta"),
        (lambda s: text(s, component=[{"code": {"text": "x"}}, {}]), {422}, "component[1]"),
        (lambda _s: json.dumps({"resourceType": "Patient"}).encode(), {422}, "resourceType"),
    ],
)  # fmt: skip
def test_a_bad_body_is_refused_where_it_is_wrong(
    edge: Edge, subject: str, own: str, body: Any, statuses: set[int], place: str
) -> None:
    before = edge.rows()
    reply = edge.ask("POST", "/fhir/Observation", own, body(subject))
    assert reply.status in statuses, reply.body[:300]
    outcome = reply.json
    assert outcome["resourceType"] == "OperationOutcome"
    issue = outcome["issue"][0]
    assert issue["diagnostics"]
    assert place in json.dumps([issue["diagnostics"], issue.get("expression", [])])
    assert CANARY.encode() not in reply.body
    assert edge.rows() == before


@pytest.mark.parametrize(
    "value",
    [
        "1e400",
        "-0.000",
        "1.",
        ".5",
        "+1",
        "NaN",
        "Infinity",
        "0x1",
        "1e",
        "01",
        "1_000",
        '"5"',
        "true",
    ],
)
def test_a_number_is_a_number_of_json_or_refused(
    edge: Edge, subject: str, own: str, value: str
) -> None:
    body = observation(subject)
    del body["valueString"]
    raw = json.dumps({**body, "valueQuantity": {"value": "@"}}).replace('"@"', value).encode()
    reply = edge.ask("POST", "/fhir/Observation", own, raw)
    if value in {"-0.000", "1e400"} and reply.status == 201:
        assert f'"value":{value}'.encode() in reply.body
    else:
        assert reply.status in {400, 422}, value


@pytest.mark.parametrize(
    "value",
    [
        "0.1", "1.10", "100.000", "-0.0", "1e3", "1.0E-7", "123456789012345678.123456789",
        "0.30000000000000004", "9007199254740993", "1E+2",
    ],
)  # fmt: skip
def test_a_decimal_keeps_every_digit(edge: Edge, subject: str, own: str, value: str) -> None:
    body = observation(subject)
    del body["valueString"]
    raw = json.dumps({**body, "valueQuantity": {"value": "@"}}).replace('"@"', value).encode()
    made = edge.ask("POST", "/fhir/Observation", own, raw)
    assert made.status == 201, made.body
    read = edge.ask("GET", f"/fhir/Observation/{made.json['id']}", own)
    assert f'"value":{value}}}'.encode() in read.body


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/fhir/Observation"), ("POST", "/fhir"), ("PUT", "/fhir/Observation/{id}"),
     ("POST", "/fhir/Observation/_search"), ("POST", "/api/break-glass")],
)  # fmt: skip
def test_a_body_beyond_sixteen_mebibytes_is_refused_packed_or_not(
    edge: Edge, own: str, stored: str, method: str, path: str
) -> None:
    before = edge.rows()
    where = path.format(id=stored)
    token = edge.token(reader=edge.add_reader(), purpose="ETREAT") if "glass" in path else own
    before = edge.rows()
    plain = b" " * (16 * MIB + 1)
    assert edge.ask(method, where, token, plain).status == 413
    bomb = gzip.compress(b" " * (64 * MIB), 9)
    assert len(bomb) < MIB
    assert edge.ask(method, where, token, bomb, content_encoding="gzip").status == 413
    assert edge.rows() == before


@pytest.mark.parametrize(
    ("body", "coding", "status"),
    [
        (b"not gzip", "gzip", 415),
        (gzip.compress(b"{}", mtime=0)[:-4], "gzip", 422),
        (b"{}", "br", 415),
        (b"{}", "gzip, gzip", 415),
    ],
)
def test_a_bad_coding_is_said(edge: Edge, own: str, body: bytes, coding: str, status: int) -> None:
    reply = edge.ask("POST", "/fhir/Observation", own, body, content_encoding=coding)
    assert reply.status in {status, 400}
    assert reply.json["issue"][0]["diagnostics"]


def test_gzip_that_is_whole_is_taken(edge: Edge, subject: str, own: str) -> None:
    packed = gzip.compress(text(subject))
    reply = edge.ask("POST", "/fhir/Observation", own, packed, content_encoding="GZIP")
    assert reply.status == 201


@pytest.mark.parametrize(
    "kind",
    ["application/pdf", "application/fhir+turtle", "text/html", "multipart/form-data; boundary=x"],
)
def test_another_content_type_is_refused(edge: Edge, subject: str, own: str, kind: str) -> None:
    before = edge.rows()
    reply = edge.ask("POST", "/fhir/Observation", own, text(subject), content_type=kind)
    assert reply.status == 415
    assert edge.rows() == before


@pytest.mark.parametrize(
    "kind",
    ["application/fhir+json", "application/json; charset=UTF-8", "application/json", "text/json"],
)
def test_json_by_any_of_its_names_is_taken(edge: Edge, subject: str, own: str, kind: str) -> None:
    reply = edge.ask("POST", "/fhir/Observation", own, text(subject), content_type=kind)
    assert reply.status == 201


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("patient={s}&date=2026-13-45", 400),
        ("patient={s}&date=xx2026", 400),
        ("patient={s}&_count=-1", 400),
        ("patient={s}&_count=many", 400),
        ("patient={s}&_count=99999999999999999999", 400),
        ("patient={s}&_lastUpdated=never", 400),
        ("patient={s}&code:unknown-modifier=x", 400),
        ("patient={s}&_page=%00%01", 400),
        ("patient={s}&_page=" + "A" * 5000, 400),
        ("patient=%ff%fe", 400),
        ("patient=%ed%a0%80", 400),
        ("patient={s}&" + "code=" + "x," * 300, 400),
        ("&".join(["patient={s}"] + ["code=a"] * 100), 400),
        ("patient={s}&code=" + "y" * 20_000, 414),
        ("patient={s}&_cursor=1.1", 400),
        ("patient={s}&_id=" + "z" * 65, 200),
        ("patient={s}&code='; drop table resource; --", 200),
        ("patient={s}&code=%00", 200),
        ("patient=../../{s}", 200),
        ("patient=", 400),
        ("=", 200),
        ("&&&", 200),
    ],
)
def test_a_bad_search_is_refused_and_an_odd_one_finds_nothing(
    edge: Edge, subject: str, own: str, query: str, status: int
) -> None:
    reply = edge.ask("GET", f"/fhir/Observation?{query.format(s=subject)}", own)
    assert reply.status in {status, 200 if status == 400 and "_cursor" in query else status}, (
        reply.body[:300]
    )
    if reply.status != 200:
        assert reply.json["issue"][0]["diagnostics"]


@pytest.mark.parametrize(
    "path",
    [
        "/fhir/Observation/%2e%2e%2f%2e%2e%2fnode.key", "/fhir/../node.key", "/fhir/Observation/%00",
        "/fhir/Observation/" + "x" * 5000, "/fhir/Observation/a%0d%0aX-Evil:%201", "/fhir/Observation/%ff",
        "/fhir/Observation/'%20or%201=1",
        "/fhir/observation/x", "/fhir/Observations/x", "/fhir/%F0%9F%92%89/x",
        "/fhir/Observation/{id}/_history/00000000000000000000001", "/fhir/Observation/{id}/_history/-1",
        "/fhir/Observation/{id}/_history/1.0", "/fhir/Observation/{id}/_history/\u0661",
    ],
)  # fmt: skip
def test_a_path_trick_finds_nothing(edge: Edge, own: str, stored: str, path: str) -> None:
    reply = edge.ask("GET", path.format(id=stored), own)
    assert reply.status in {400, 404, 405}
    assert b"x-evil" not in json.dumps([str(each) for each in reply.headers]).lower().encode()


@pytest.mark.parametrize(
    "host", ['evil","x":"y', "evil\\", "a\nb", "\x7f", "", "x" * 4000, "ex\xe4mple"]
)
def test_a_host_header_cannot_break_out_of_an_answer(
    edge: Edge, subject: str, own: str, stored: str, host: str
) -> None:
    for path in (f"/fhir/Observation?patient={subject}&_count=1", f"/fhir/Observation/{stored}/_history",
                 "/fhir/metadata"):  # fmt: skip
        reply = edge.ask("GET", path, own, host=host)
        found = json.loads(reply.body)
        assert reply.status in {200, 400}
        assert "x" not in found.get("entry", [{}])[0]
    made = edge.ask("POST", "/fhir/Observation", own, text(subject), host=host)
    assert made.status in {201, 400}
    assert b"\n" not in (made.header(b"location") or b"")


@pytest.mark.parametrize(
    "value", ['W/"x"', "1", '"1', 'W/"1", W/"2"', "*", '"99999999999999999999"']
)
def test_a_version_that_is_none_is_refused(
    edge: Edge, subject: str, own: str, stored: str, value: str
) -> None:
    body = text(subject, id=stored)
    reply = edge.ask("PUT", f"/fhir/Observation/{stored}", own, body, if_match=value)
    assert reply.status == 400
    assert edge.ask("DELETE", f"/fhir/Observation/{stored}", own, if_match=value).status == 400


@pytest.mark.parametrize(
    ("bundle", "place"),
    [
        ({"resourceType": "Bundle"}, "Bundle"),
        ({"resourceType": "Bundle", "type": "collection", "entry": []}, "Bundle.type"),
        ({"resourceType": "Bundle", "type": "transaction", "entry": {}}, "Bundle.entry"),
        ({"resourceType": "Bundle", "type": "transaction", "entry": [5]}, "entry[0]"),
        ({"resourceType": "Bundle", "type": "transaction", "entry": [{}]}, "entry[0]"),
        (
            {"resourceType": "Bundle", "type": "batch",
             "entry": [{"request": {"method": "PATCH", "url": "x"}}]},
            "entry[0]",
        ),
        (
            {"resourceType": "Bundle", "type": "transaction",
             "entry": [{"request": {"method": "POST", "url": "Observation"}}]},
            "entry[0]",
        ),
        (
            {"resourceType": "Bundle", "type": "transaction",
             "entry": [{"request": {"method": "GET", "url": "http://elsewhere/Observation/1"}}]},
            "entry[0]",
        ),
        ({"resourceType": "Observation"}, ""),
    ],
)  # fmt: skip
def test_a_bad_bundle_names_its_entry(
    edge: Edge, own: str, bundle: dict[str, Any], place: str
) -> None:
    before = edge.rows()
    reply = edge.ask("POST", "/fhir", own, bundle)
    assert place in reply.body.decode()
    assert b"OperationOutcome" in reply.body
    assert reply.status in {200, 400, 405, 422}
    assert edge.rows() == before


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"null", b"\xff", b'{"subject":5,"reason":"","nature":"","affiliation":""}',
     b'{"subject":"x","reason":"r","nature":"n","affiliation":"a","more":1}',
     b'{"subject":"x","reason":"","nature":"n","affiliation":"a"}',
     json.dumps({"subject": "x", "reason": "r" * 100_000, "nature": "n", "affiliation": "a"}).encode()],
)  # fmt: skip
def test_an_emergency_without_its_words_is_none(edge: Edge, body: bytes) -> None:
    token = edge.token(reader=edge.add_reader(), purpose="ETREAT")
    before = edge.rows()
    reply = edge.ask("POST", "/api/break-glass", token, body)
    assert reply.status in {400, 422}
    assert edge.rows() == before


def test_what_was_sent_is_never_logged_nor_shown(
    edge: Edge, subject: str, own: str, caplog: pytest.LogCaptureFixture
) -> None:
    bodies = [
        text(subject, status=CANARY), text(subject, effectiveDateTime=CANARY),
        text(subject, issued=CANARY), text(subject, id=CANARY + "!"), text(subject)[:-5],
        text(subject, extension=[{"url": CANARY, "valueDate": CANARY}]), b"{" + CANARY.encode(),
        text(subject, category=[{"coding": [{"system": 5, "code": CANARY}]}]),
        text(subject, encounter={"reference": f"Patient/{CANARY}"}),
        text(subject, performer=[{"reference": f"Patient/{CANARY}"}]),
    ]  # fmt: skip
    with caplog.at_level(logging.DEBUG):
        replies = [edge.ask("POST", "/fhir/Observation", own, body) for body in bodies[:-2]]
        replies.append(edge.ask("POST", "/fhir/Observation", own, bodies[-1]))
        replies.append(edge.ask("GET", f"/fhir/Observation?patient=x&date={CANARY}", own))
        replies.append(edge.ask("GET", f"/fhir/Observation/{CANARY_ID}", own))
        replies.append(edge.ask("GET", f"/fhir/{CANARY}/{CANARY_ID}", own))
    assert {reply.status for reply in replies} <= {400, 404, 422}
    for reply in replies:
        assert CANARY.encode() not in reply.body
        assert CANARY_ID.encode() not in reply.body
    assert CANARY not in caplog.text
    assert CANARY_ID not in caplog.text


def test_what_fhir_does_not_know_is_kept_as_it_came(edge: Edge, subject: str, own: str) -> None:
    body = text(subject, nonsense={"a": [1.50, None]}).replace(b"1.5,", b"1.50,")
    made = edge.ask("POST", "/fhir/Observation", own, body)
    assert made.status == 201
    assert b'"nonsense":{"a":[1.50,null]}' in made.body


def test_after_all_that_the_node_answers(edge: Edge, own: str, stored: str) -> None:
    assert edge.ask("GET", f"/fhir/Observation/{stored}", own).status == 200
