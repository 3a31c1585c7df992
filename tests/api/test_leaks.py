"""Denied looks exactly like never-existed, for every route there is.

Each probe is sent twice: about something that exists but is hidden from who asks, and about something
that never was. Status, headers and body must be equal up to the asked id, and so must the number of calls
into the stores and of receipts written. A route without a probe fails the last test of this file.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import pytest
from edge import Edge, Reply

from hilum.api.routes import API_ROUTES, FHIR_ROUTES, Interaction
from hilum.signals.synthetic import clarity_csv


@dataclass(frozen=True, slots=True)
class Names:
    """The ids a probe can ask about."""

    subject: str
    observation: str
    encounter: str
    deleted: str
    consent: str
    receipt: str
    reading: str
    hour: str


NEVER = Names(
    subject="99999999-0000-4000-8000-000000000001",
    observation="99999999-0000-4000-8000-000000000002",
    encounter="99999999-0000-4000-8000-000000000003",
    deleted="99999999-0000-4000-8000-000000000004",
    consent="9" * 32,
    receipt="8" * 32,
    reading="",
    hour="",
)


@dataclass(frozen=True, slots=True)
class Probe:
    """One request, written for the ids of either side."""

    interaction: Interaction
    method: str
    path: str
    body: Callable[[Names], Any] | bytes = b""
    headers: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        more = "" if isinstance(self.body, bytes) else f" {self.body.__name__}"
        return f"{self.interaction} {self.method} {self.path}{more}{self.headers or ''}"

    def send(self, edge: Edge, token: str, names: Names) -> Reply:
        asked = {field.name: getattr(names, field.name) for field in fields(names)}
        body = self.body.format(**asked) if isinstance(self.body, str) else self.body
        if callable(body):
            body = body(names)
        sent = {name: value.format(**asked) for name, value in self.headers}
        return edge.ask(self.method, self.path.format(**asked), token, body, **sent)


# -- bodies ----------------------------------------------------------------------------------------


def observation(names: Names) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "weight"},
        "subject": {"reference": f"Patient/{names.subject}"},
        "encounter": {"reference": f"Encounter/{names.encounter}"},
    }


def observation_with_member(names: Names) -> dict[str, Any]:
    return {
        **observation(names),
        "hasMember": [{"reference": f"Observation/{names.observation}"}],
    }


def same_observation(names: Names) -> dict[str, Any]:
    return {**observation(names), "id": names.observation}


def other_observation(names: Names) -> dict[str, Any]:
    return {**observation(names), "id": "another-id"}


def deleted_observation(names: Names) -> dict[str, Any]:
    return {**observation(names), "id": names.deleted}


def reading_observation(names: Names) -> dict[str, Any]:
    return {**observation(names), "id": names.reading}


def patient(names: Names) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": names.subject}


def consent(names: Names) -> dict[str, Any]:
    return {
        "resourceType": "Consent",
        "id": names.consent,
        "status": "inactive",
        "scope": {"text": "x"},
        "category": [{"text": "x"}],
        "patient": {"reference": f"Patient/{names.subject}"},
    }


def invalid_observation(names: Names) -> dict[str, Any]:
    return {**same_observation(names), "status": "no-such-status"}


def about_two_people(names: Names) -> dict[str, Any]:
    return {**observation(names), "performer": [{"reference": f"Patient/{NEVER.encounter}"}]}


def _bundle(kind: str, *entries: tuple[str, str, Any]) -> dict[str, Any]:
    return {
        "resourceType": "Bundle",
        "type": kind,
        "entry": [
            {"request": {"method": method, "url": url}}
            | ({} if resource is None else {"resource": resource})
            for method, url, resource in entries
        ],
    }


def batch(names: Names) -> dict[str, Any]:
    return _bundle(
        "batch",
        ("GET", f"Observation/{names.observation}", None),
        ("GET", f"Observation/{names.reading}", None),
        ("GET", f"Observation?patient={names.subject}", None),
        ("GET", f"AuditEvent?patient={names.subject}", None),
        ("GET", f"Patient?_id={names.subject}", None),
        ("POST", "Observation", observation(names)),
        ("PUT", f"Observation/{names.observation}", same_observation(names)),
        ("DELETE", f"Observation/{names.observation}", None),
        ("DELETE", f"Patient/{names.subject}", None),
    )


def json_patch(_names: Names) -> Any:
    return [{"op": "replace", "path": "/status", "value": "amended"}]


def nameless_observation(names: Names) -> dict[str, Any]:
    return observation(names)


def batch_of_patches(names: Names) -> dict[str, Any]:
    patch = base64.b64encode(json.dumps(json_patch(names)).encode()).decode()
    binary = {
        "resourceType": "Binary", "contentType": "application/json-patch+json", "data": patch,
    }  # fmt: skip
    return _bundle(
        "batch",
        ("PATCH", f"Observation/{names.observation}", binary),
        ("PATCH", f"Observation?_id={names.observation}", binary),
        ("GET", f"Observation/{names.observation}/_history", None),
        ("GET", f"Observation/{names.observation}/_history/1", None),
        ("GET", f"Observation/{names.reading}/_history", None),
    )


def transaction_of_conditions(names: Names) -> dict[str, Any]:
    bundle = _bundle("transaction", ("POST", "Observation", observation(names)))
    bundle["entry"][0]["request"]["ifNoneExist"] = f"patient={names.subject}"
    return bundle


def transaction_that_patches(names: Names) -> dict[str, Any]:
    return {**batch_of_patches(names), "type": "transaction"}


def transaction_that_deletes_what_it_finds(names: Names) -> dict[str, Any]:
    return _bundle("transaction", ("DELETE", f"Observation?_id={names.observation}", None))


def batch_of_conditions(names: Names) -> dict[str, Any]:
    return _bundle(
        "batch",
        ("DELETE", f"Observation?_id={names.observation}", None),
        ("PUT", f"Observation?_id={names.observation}", observation(names)),
    )


def transaction_of_reads(names: Names) -> dict[str, Any]:
    return _bundle(
        "transaction",
        ("GET", f"Observation/{names.observation}", None),
        ("GET", f"Observation?patient={names.subject}", None),
    )


def transaction_that_creates(names: Names) -> dict[str, Any]:
    return _bundle("transaction", ("POST", "Observation", observation(names)))


def transaction_that_updates(names: Names) -> dict[str, Any]:
    return _bundle(
        "transaction", ("PUT", f"Observation/{names.observation}", same_observation(names))
    )


def transaction_that_deletes(names: Names) -> dict[str, Any]:
    return _bundle("transaction", ("DELETE", f"Observation/{names.observation}", None))


def transaction_with_a_search_reference(names: Names) -> dict[str, Any]:
    body = {**observation(names), "encounter": {"reference": f"Encounter?_id={names.encounter}"}}
    return _bundle("transaction", ("POST", "Observation", body))


def transaction_on_a_patient_search(names: Names) -> dict[str, Any]:
    body = {**observation(names), "subject": {"reference": f"Patient?_id={names.subject}"}}
    return _bundle("transaction", ("POST", "Observation", body))


def some_meta(_names: Names) -> dict[str, Any]:
    tag = {"tag": [{"system": "urn:x", "code": "t"}]}
    return {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": tag}]}


def emergency(names: Names) -> dict[str, str]:
    return {"subject": names.subject, "reason": "r", "nature": "n", "affiliation": "a"}


# -- the matrix ------------------------------------------------------------------------------------

NAMED = (
    "Observation/{observation}",
    "Condition/{observation}",
    "Patient/{subject}",
    "Encounter/{subject}",
    "Encounter/{encounter}",
    "Observation/{deleted}",
    "Consent/{consent}",
    "AuditEvent/{receipt}",
    "Observation/{reading}",
    "Observation/{hour}",
)
SEARCHES = (
    "Observation?patient={subject}",
    "Observation?patient=Patient/{subject}",
    "Observation?subject=Patient/{subject}&_count=1",
    "Observation?patient={subject}&_id={observation}",
    "Observation?patient={subject}&code=29463-7&date=ge2000",
    "Observation?patient={subject}&_lastUpdated=ge2000&_count=500",
    "Observation?patient={subject}&category=vital-signs",
    "Observation?patient={subject}&encounter=Encounter/{encounter}",
    "Observation?patient={subject}&_count=0",
    "Observation?_id={observation}",
    "Observation?_id={observation},{deleted}",
    "Observation?_id={reading}",
    "Observation?_id={hour}&patient={subject}",
    "Observation?encounter=Encounter/{encounter}",
    "Observation?has-member=Observation/{observation}",
    "Observation?patient={subject}&patient={encounter}",
    "Patient?_id={subject}",
    "Patient?_id={subject},{encounter}",
    "Patient?_id={subject}&_lastUpdated=ge2000",
    "Encounter?patient={subject}",
    "Consent?patient={subject}",
    "Consent?_id={consent}",
    "AuditEvent?patient={subject}",
    "AuditEvent?_id={receipt}",
    "AuditEvent?patient={subject}&_id={receipt}&date=ge2000",
    "Provenance?target=Observation/{observation}",
    "Organization?_id={observation}",
    "Observation?patient={subject}&code:missing=false",
    "Observation?patient={subject}&status:not=final&_total=accurate",
    "Observation?patient={subject}&encounter.status=finished",
    "Observation?encounter:Encounter._id={encounter}",
    "Observation?subject:Patient._id={subject}",
    "Observation?subject:Patient._has:Encounter:subject:status=finished",
    "Patient?_has:Observation:patient:_id={observation}",
    "Patient?_has:Observation:subject:encounter.class=AMB&_id={subject}",
    "Practitioner?_has:Observation:performer:_id={observation}",
    "Observation?_has:Observation:has-member:_id={observation}",
    "Observation?patient={subject}&_include=*&_include:iterate=*",
    "Encounter?patient={subject}&_revinclude=*&_include:iterate=*",
    "Encounter?_id={encounter}&_revinclude=Observation:encounter",
    "Observation?patient={subject}&_sort=-date,code,_id&_count=1",
    "Observation?patient={subject}&_sort=_lastUpdated&_total=estimate",
    "Observation?_list={observation}",
    "Observation?patient={subject}&code:text=weight",
    "Patient?name=Ada&_id={subject}",
    "Patient?name:contains=ada&_total=accurate",
    "Patient?identifier=x|{subject}",
    "Patient?birthdate:missing=true&_sort=name",
)
COMPARTMENT_SEARCHES = (
    "Patient/{subject}/Observation",
    "Patient/{subject}/Observation?code:text=weight&_include=*",
    "Patient/{subject}/Patient",
    "Encounter/{encounter}/Observation?_total=accurate",
    "Encounter/{encounter}/Encounter",
    "Device/{observation}/Observation",
    "Observation/{observation}/Patient",
    "Patient/{subject}/*",
    "Patient/{subject}/*?_total=accurate&_count=1",
    "Encounter/{encounter}/*?_lastUpdated=ge2000",
)
SYSTEM_SEARCHES = (
    "?_type=Observation,Encounter,Patient&_id={observation},{encounter},{subject}",
    "?_type=Observation,Consent&_total=accurate",
    "?_id={encounter}&_revinclude=*",
)
CONDITIONS = (
    "Observation?_id={observation}",
    "Observation?_id={reading}",
    "Observation?patient={subject}",
    "Observation?patient={subject}&_id={observation}",
    "Observation?encounter=Encounter/{encounter}",
)
HISTORIES = ("", "?_count=1", "?_since=2020-01-01", "?_at=2026-01-01T00:00:00Z", "?_since=x")
PATCHES = ("content-type", "application/json-patch+json")
PROBES = [
    *(
        Probe(Interaction.READ, method, f"/fhir/{name}")
        for name in NAMED
        for method in ("GET", "HEAD")
    ),
    *(
        Probe(Interaction.VREAD, method, f"/fhir/{n}/_history/{v}")
        for method in ("GET", "HEAD")
        for n in NAMED
        for v in ("1", "2", "9", "x")
    ),
    *(
        Probe(Interaction.HISTORY, method, f"/fhir/{n}/_history{q}")
        for method in ("GET", "HEAD")
        for n in NAMED
        for q in ("", "?_count=1")
    ),
    *(
        Probe(interaction, method, f"/fhir/{path}{asked}")
        for interaction, path in (
            (Interaction.HISTORY_OF_TYPE, "Observation/_history"),
            (Interaction.HISTORY_OF_ALL, "_history"),
        )
        for method in ("GET", "HEAD")
        for asked in HISTORIES
    ),
    Probe(
        Interaction.HISTORY,
        "GET",
        "/fhir/Observation/{observation}/_history?_page=AQAAAEh6tKtQAAAA",
    ),
    *(
        Probe(Interaction.SEARCH, method, f"/fhir/{search}")
        for method in ("GET", "HEAD")
        for search in SEARCHES
    ),
    *(
        Probe(Interaction.SEARCH_COMPARTMENT, method, f"/fhir/{search}")
        for search in COMPARTMENT_SEARCHES
        for method in ("GET", "HEAD")
    ),
    *(
        Probe(Interaction.SEARCH_SYSTEM, method, f"/fhir{search}")
        for search in SYSTEM_SEARCHES
        for method in ("GET", "HEAD")
    ),
    *(
        Probe(Interaction.SEARCH_SYSTEM, "POST", f"/fhir/_search{search}")
        for search in SYSTEM_SEARCHES
    ),
    Probe(Interaction.SEARCH, "GET", "/fhir/Observation?patient={subject}&_page=AQAAAEh6tKtQAAAA"),
    Probe(
        Interaction.SEARCH,
        "GET",
        "/fhir/Observation?patient={subject}&x=1",
        headers=(("prefer", "handling=strict"),),
    ),
    *(
        Probe(
            Interaction.SEARCH_BY_POST,
            "POST",
            f"/fhir/{search.split('?')[0]}/_search?{search.split('?')[1]}",
        )
        for search in SEARCHES
    ),
    *(
        Probe(Interaction.CREATE, "POST", f"/fhir/{body.__name__.split('_')[-1].title()}", body)
        for body in (observation, same_observation, invalid_observation, patient, consent)
    ),
    Probe(Interaction.CREATE, "POST", "/fhir/Observation", observation_with_member),
    Probe(Interaction.CREATE, "POST", "/fhir/Observation", about_two_people),
    Probe(Interaction.CREATE, "POST", "/fhir/Condition", observation),
    Probe(Interaction.CREATE, "POST", "/fhir/AuditEvent", observation),
    *(
        Probe(Interaction.UPDATE, "PUT", f"/fhir/{name}", body, headers)
        for name, body in (
            ("Observation/{observation}", same_observation),
            ("Observation/{observation}", other_observation),
            ("Observation/{observation}", invalid_observation),
            ("Observation/{deleted}", deleted_observation),
            ("Observation/{reading}", reading_observation),
            ("Patient/{subject}", patient),
            ("Consent/{consent}", consent),
            ("Condition/{observation}", same_observation),
        )
        for headers in ((), (("if-match", 'W/"1"'),), (("if-match", 'W/"7"'),))
    ),
    *(
        Probe(Interaction.DELETE, "DELETE", f"/fhir/{name}", headers=headers)
        for name in NAMED
        for headers in ((), (("if-match", 'W/"1"'),), (("if-match", 'W/"7"'),))
    ),
    *(
        Probe(
            Interaction.CREATE,
            "POST",
            "/fhir/Observation",
            body,
            (("if-none-exist", "_id={observation}"),),
        )
        for body in (observation, invalid_observation)
    ),
    *(
        Probe(Interaction.UPDATE, "PUT", f"/fhir/{name}", body, (("if-none-match", "*"),))
        for name, body in (
            ("Observation/{observation}", same_observation),
            ("Observation/{deleted}", deleted_observation),
            ("Patient/{subject}", patient),
        )
    ),
    *(
        Probe(Interaction.CONDITIONAL_UPDATE, "PUT", f"/fhir/{search}", body, headers)
        for search in CONDITIONS
        for body in (nameless_observation, same_observation, invalid_observation)
        for headers in ((), (("if-match", 'W/"1"'),))
    ),
    *(
        Probe(Interaction.PATCH, "PATCH", f"/fhir/{name}", json_patch, (PATCHES, *headers))
        for name in NAMED
        for headers in ((), (("if-match", 'W/"1"'),), (("if-match", 'W/"7"'),))
    ),
    Probe(Interaction.PATCH, "PATCH", "/fhir/Observation/{observation}", json_patch),
    *(
        Probe(Interaction.CONDITIONAL_PATCH, "PATCH", f"/fhir/{search}", json_patch, (PATCHES,))
        for search in CONDITIONS
    ),
    *(
        Probe(Interaction.CONDITIONAL_DELETE, "DELETE", f"/fhir/{search}", headers=headers)
        for search in CONDITIONS
        for headers in ((), (("if-match", 'W/"1"'),))
    ),
    *(
        Probe(Interaction.BUNDLE, "POST", "/fhir", body)
        for body in (
            batch,
            batch_of_conditions,
            batch_of_patches,
            transaction_of_conditions,
            transaction_that_patches,
            transaction_that_deletes_what_it_finds,
            transaction_of_reads,
            transaction_that_creates,
            transaction_that_updates,
            transaction_that_deletes,
            transaction_with_a_search_reference,
            transaction_on_a_patient_search,
        )
    ),
    *(
        Probe(Interaction.EVERYTHING, method, f"/fhir/{name}/$everything{query}")
        for method in ("GET", "HEAD", "POST")
        for name in ("Patient/{subject}", "Patient/{encounter}")
        for query in ("", "?_type=Observation,Encounter&_count=1", "?_since=2000&start=2000")
    ),
    Probe(Interaction.EVERYTHING, "GET", "/fhir/Observation/{observation}/$everything"),
    *(
        Probe(Interaction.META, method, f"/fhir/{name}/$meta")
        for method in ("GET", "HEAD")
        for name in NAMED
    ),
    *(
        Probe(interaction, "POST", f"/fhir/{name}/${interaction}", some_meta)
        for interaction in (Interaction.META_ADD, Interaction.META_DELETE)
        for name in NAMED
    ),
    *(
        Probe(Interaction.LASTN, method, f"/fhir/Observation/$lastn?patient={{subject}}&{more}")
        for method in ("GET", "POST")
        for more in ("category=vital-signs", "code=29463-7&max=3", "max=2")
    ),
    Probe(Interaction.LASTN, "HEAD", "/fhir/Observation/$lastn?patient={subject}&code=29463-7"),
    *(
        Probe(Interaction.EXPORT, method, f"/fhir/{name}/$export", headers=headers)
        for method in ("GET", "HEAD", "POST")
        for name in ("Group/{encounter}", "Group/{observation}")
        for headers in ((("prefer", "respond-async"),), ())
        if method != "HEAD" or headers
    ),
    *(
        Probe(interaction, method, path)
        for interaction, method, path in (
            (Interaction.EXPORT_STATUS, "GET", "/fhir/$export/{observation}"),
            (Interaction.EXPORT_STATUS, "HEAD", "/fhir/$export/{observation}"),
            (Interaction.EXPORT_CANCEL, "DELETE", "/fhir/$export/{observation}"),
            (Interaction.EXPORT_FILE, "GET", "/fhir/$export/{observation}/0.ndjson"),
            (Interaction.EXPORT_FILE, "HEAD", "/fhir/$export/{observation}/0.ndjson"),
        )
    ),
    *(
        Probe(Interaction.VALIDATE, method, f"/fhir/{name}/$validate{query}")
        for method in ("GET", "HEAD", "POST")
        for name in NAMED
        for query in ("", "?mode=delete", "?profile=http://hl7.org/fhir/StructureDefinition/bp")
        if not (method == "HEAD" and name.startswith("AuditEvent"))
    ),
    *(
        Probe(Interaction.VALIDATE, "POST", path, body)
        for path in (
            "/fhir/Observation/$validate",
            "/fhir/Observation/$validate?mode=update",
            "/fhir/Observation/{observation}/$validate",
            "/fhir/Observation/{observation}/$validate?mode=create",
            "/fhir/Condition/{observation}/$validate",
        )
        for body in (observation, same_observation, observation_with_member, about_two_people)
    ),
    Probe(Interaction.VALIDATE, "POST", "/fhir/Observation/$validate"),
    Probe(Interaction.CAPABILITIES, "GET", "/fhir/metadata?patient={subject}"),
    Probe(Interaction.CAPABILITIES, "HEAD", "/fhir/metadata?patient={subject}"),
    Probe(Interaction.HEALTH, "GET", "/api/health?patient={subject}"),
    Probe(Interaction.OPENAPI, "GET", "/api/openapi.json?patient={subject}"),
    Probe(Interaction.BREAK_GLASS, "POST", "/api/break-glass", emergency),
]
NO_ROUTE = [
    Probe(Interaction.READ, method, path)
    for method in ("GET", "PATCH", "OPTIONS", "PUT", "POST", "TRACE")
    for path in (
        "/fhir/Patient/{subject}/$no-such",
        "/fhir/Patient/{subject}/Nothing",
        "/fhir/Observation/{observation}/_history/1/more",
        "/fhir/Nothing/{observation}",
        "/api/subjects/{subject}",
        "/fhir//Observation///{observation}",
        "/fhir/Observation/{observation}/../{observation}",
    )
]


@pytest.fixture(scope="module")
def hidden(edge: Edge) -> Names:
    """A record with one of everything in it, as its subject sees it."""
    subject = edge.add_subject()
    own = edge.token(subject=subject)
    empty = Names(subject, *[""] * 7)
    encounter = edge.create(
        own,
        {
            "resourceType": "Encounter",
            "status": "finished",
            "class": {"code": "AMB"},
            "subject": {"reference": f"Patient/{subject}"},
        },
    )
    body = {**observation(empty), "encounter": {"reference": f"Encounter/{encounter}"}}
    made = edge.create(own, body)
    for words in ("second", "third"):
        changed = {**body, "id": made, "note": [{"text": words}]}
        assert edge.ask("PUT", f"/fhir/Observation/{made}", own, changed).status == 200
    deleted = edge.create(own, body)
    assert edge.ask("DELETE", f"/fhir/Observation/{deleted}", own).status == 204
    taken = edge.take(
        clarity_csv(5, 1_700_000_000_000, 1, "Europe/Madrid"), "c.csv", subject=subject
    )
    assert taken["accepted"] > 100
    elsewhere = edge.grant(subject, edge.add_reader())
    found = edge.ask("GET", f"/fhir/Observation?patient={subject}&_count=100", own).json
    readings = [e["resource"]["id"] for e in found["entry"] if e["resource"]["id"][:2] == "s-"]
    audit = edge.ask("GET", f"/fhir/AuditEvent?patient={subject}&_count=1", own).json
    return Names(
        subject,
        made,
        encounter,
        deleted,
        elsewhere,
        audit["entry"][0]["resource"]["id"],
        readings[0],
        "h-" + readings[0][2:],
    )


@pytest.fixture(scope="module")
def never(hidden: Names) -> Names:
    """As many ids of the same shape that nothing ever had."""
    known = {field.name: getattr(NEVER, field.name) for field in fields(Names)}
    kind, _dash, rest = hidden.reading.partition("-")
    series, _dot, instant = rest.partition("-")
    known["reading"] = f"{kind}-{'9' * len(series)}-{instant}"
    known["hour"] = f"h-{'9' * len(series)}-{instant}"
    found = Names(**known)
    for field in fields(Names):
        assert len(getattr(found, field.name)) == len(getattr(hidden, field.name)), field.name
    return found


def deny_nobody_granted(edge: Edge, _names: Names, reader: str) -> str:
    return edge.token(reader=reader, purpose="TREAT")


def deny_revoked(edge: Edge, names: Names, reader: str) -> str:
    from hilum.exchange.sharing import revoke

    directive = edge.grant(names.subject, reader, segments="ALL")
    token = edge.token(reader=reader, purpose="TREAT")
    assert edge.ask("GET", f"/fhir/Patient/{names.subject}", token).status == 200
    revoke(edge.node, directive=directive)
    return token


def deny_other_purpose(edge: Edge, names: Names, reader: str) -> str:
    edge.grant(names.subject, reader, segments="ALL", purpose="HPAYMT")
    return edge.token(reader=reader, purpose="TREAT")


def deny_narrowed_token(edge: Edge, names: Names, reader: str) -> str:
    edge.grant(names.subject, reader, segments="ALL")
    elsewhere = edge.add_subject()
    return edge.token(reader=reader, purpose="TREAT", for_subject=elsewhere)


def deny_other_subject(edge: Edge, _names: Names, _reader: str) -> str:
    return edge.token(subject=edge.add_subject())


def deny_emergency_of_a_porter(edge: Edge, _names: Names, _reader: str) -> str:
    return edge.token(reader=edge.add_reader(role="porter"), purpose="ETREAT")


DENIALS = (
    deny_nobody_granted,
    deny_revoked,
    deny_other_purpose,
    deny_narrowed_token,
    deny_other_subject,
    deny_emergency_of_a_porter,
)


@pytest.fixture(scope="module", params=DENIALS, ids=lambda deny: deny.__name__)
def token(request: pytest.FixtureRequest, edge: Edge, hidden: Names) -> str:
    """A token that may see nothing of the hidden record, for one reason each."""
    return str(request.param(edge, hidden, edge.add_reader()))


def renamed(reply: Reply, names: Names, other: Names) -> Reply:
    for field in fields(Names):
        if getattr(names, field.name):
            reply = reply.about(getattr(names, field.name), getattr(other, field.name))
    return reply


def differences(edge: Edge, probe: Probe, token: str, pair: tuple[Names, Names]) -> Iterator[str]:
    """Yield what tells the two sides apart: the first time it is asked, and once decisions are known."""
    hidden, never = pair
    for attempt in ("first", "second"):
        denied = renamed(probe.send(edge, token, hidden), hidden, never)
        absent = probe.send(edge, token, never)
        if denied.status != absent.status:
            yield f"{attempt} status {denied.status} / {absent.status}"
        if sorted(denied.headers) != sorted(absent.headers):
            yield f"{attempt} headers {denied.headers} / {absent.headers}"
        if denied.body != absent.body:
            yield f"{attempt} body {denied.body!r} / {absent.body!r}"
        if denied.receipts != absent.receipts:
            yield f"{attempt} receipts {denied.receipts} / {absent.receipts}"
        if attempt == "second" and denied.calls != absent.calls:
            yield f"calls {denied.calls - absent.calls} / {absent.calls - denied.calls}"


def test_denied_and_never_existed_cannot_be_told_apart(
    edge: Edge, hidden: Names, never: Names, token: str
) -> None:
    told: dict[str, list[str]] = {}
    for probe in [*PROBES, *NO_ROUTE]:
        found = list(differences(edge, probe, token, (hidden, never)))
        if found:
            told[str(probe)] = found
    assert told == {}


def test_every_attempt_on_what_is_named_leaves_a_receipt(
    edge: Edge, hidden: Names, never: Names, token: str
) -> None:
    for probe in PROBES:
        if probe.interaction in {Interaction.READ, Interaction.SEARCH, Interaction.HISTORY}:
            if "_page=" in probe.path or "strict" in str(probe.headers):
                continue
            for names in (hidden, never):
                assert probe.send(edge, token, names).receipts >= 1, (str(probe), names)


def test_the_probes_see_the_difference_where_there_is_one(
    edge: Edge, hidden: Names, never: Names
) -> None:
    own = edge.token(subject=hidden.subject)
    blind = [
        str(probe)
        for probe in PROBES
        if probe.method == "GET"
        and probe.path in {f"/fhir/{name}" for name in NAMED}
        and "Condition" not in probe.path
        and probe.path != "/fhir/Encounter/{subject}"
        and not list(differences(edge, probe, own, (hidden, never)))
    ]
    assert blind == ["read GET /fhir/Observation/{hour}"]


def test_an_emergency_token_learns_nothing_until_the_glass_is_broken(
    edge: Edge, never: Names
) -> None:
    subject = edge.add_subject()
    pair = (Names(subject, *[getattr(never, f.name) for f in fields(Names)][1:]), never)
    urgent = edge.token(reader=edge.add_reader(), purpose="ETREAT")
    for probe in PROBES:
        if probe.interaction is not Interaction.BREAK_GLASS:
            assert list(differences(edge, probe, urgent, pair)) == [], str(probe)


def test_breaking_the_glass_of_nobody_looks_as_breaking_somebodys(edge: Edge, never: Names) -> None:
    urgent = edge.token(reader=edge.add_reader(), purpose="ETREAT")
    probe = Probe(Interaction.BREAK_GLASS, "POST", "/api/break-glass", emergency)
    replies = []
    for _ in range(2):
        subject = edge.add_subject()
        names = Names(subject, *[""] * 7)
        before = edge.rows()["emergency"]
        real, nobody = probe.send(edge, urgent, names), probe.send(edge, urgent, never)
        assert edge.rows()["emergency"] == before + 2
        replies.append((real, nobody))
    for real, nobody in replies:
        assert (real.status, nobody.status) == (201, 201)
        assert real.headers == nobody.headers
        assert real.json.keys() == nobody.json.keys() == {"expires"}
        assert (real.calls, real.receipts) == (nobody.calls, nobody.receipts)
    assert edge.ask("GET", f"/fhir/Patient/{never.subject}", urgent).status == 404


def test_a_reference_to_what_is_hidden_is_taken_like_one_to_nothing(
    edge: Edge, hidden: Names, never: Names
) -> None:
    subject = edge.add_subject()
    own = edge.token(subject=subject)
    first = observation(Names(subject, *[""] * 7))
    del first["encounter"]
    edge.create(own, first)
    replies = []
    for names in (never, hidden, never):  # the first one fills the caches of the session
        body = {
            **observation_with_member(names), "subject": {"reference": f"Patient/{subject}"},
        }  # fmt: skip
        replies.append(edge.ask("POST", "/fhir/Observation", own, body))
    _first, denied, absent = replies
    assert (denied.status, absent.status) == (201, 201)
    assert (denied.calls, denied.receipts) == (absent.calls, absent.receipts)
    refused = []
    for names in (hidden, never, hidden, never):
        body = {**same_observation(names), "subject": {"reference": f"Patient/{subject}"}}
        refused.append(edge.ask("PUT", f"/fhir/Observation/{names.observation}", own, body))
    assert refused[2].status == refused[3].status == 422
    assert refused[2].body == refused[3].body
    assert (refused[2].calls, refused[2].receipts) == (refused[3].calls, refused[3].receipts)


def test_a_partial_grant_hides_the_rest_as_if_it_were_not_there(
    edge: Edge, hidden: Names, never: Names
) -> None:
    reader = edge.add_reader()
    edge.grant(hidden.subject, reader, types="Encounter")
    token = edge.token(reader=reader, purpose="TREAT")
    assert edge.ask("GET", f"/fhir/Encounter/{hidden.encounter}", token).status == 200
    same = Names(hidden.subject, *[getattr(never, f.name) for f in fields(Names)][1:])
    for probe in PROBES:
        if "{encounter}" in probe.path or probe.interaction is Interaction.BREAK_GLASS:
            continue
        visible = Names(
            **{f.name: getattr(hidden, f.name) for f in fields(Names) if f.name != "encounter"},
            encounter=never.encounter,
        )
        found = list(differences(edge, probe, token, (visible, same)))
        assert [each for each in found if not each.startswith("calls")] == [], str(probe)


def test_a_page_token_opens_nothing_for_somebody_else(edge: Edge, hidden: Names) -> None:
    own = edge.token(subject=hidden.subject)
    first = edge.ask("GET", f"/fhir/Observation?patient={hidden.subject}&_count=2", own).json
    following = next(each["url"] for each in first["link"] if each["relation"] == "next")
    assert edge.ask("GET", following, own).status == 200
    history = f"/fhir/Observation/{hidden.observation}/_history?_count=1"
    older = edge.ask("GET", history, own).json["link"][1]["url"]
    assert edge.ask("GET", older, own).status == 200
    again = edge.token(subject=hidden.subject)
    stranger = edge.token(reader=edge.add_reader(), purpose="TREAT")
    for token in (again, stranger):
        for url in (following, older):
            refused = edge.ask("GET", url, token)
            assert refused.status == 400
            assert hidden.observation.encode() not in refused.body.replace(url.encode(), b"")
    other = following.replace("_count=2", "_count=3")
    assert edge.ask("GET", other, own).status == 400
    forged = following[:-1] + ("A" if following[-1] != "A" else "B")
    assert edge.ask("GET", forged, own).status == 400


def test_every_route_has_a_probe() -> None:
    assert {probe.interaction for probe in PROBES} == set(Interaction)
    asked = {(probe.method, probe.interaction) for probe in PROBES}
    for (method, _shape), interaction in (FHIR_ROUTES | API_ROUTES).items():
        assert (method, interaction) in asked, (method, interaction)


def test_answers_hold_nothing_but_what_was_asked(edge: Edge, hidden: Names, token: str) -> None:
    secrets = {hidden.reading, hidden.receipt, hidden.encounter, hidden.consent}
    for probe in PROBES:
        reply = probe.send(edge, token, hidden)
        sent = json.dumps(
            [probe.path.format(**{f.name: getattr(hidden, f.name) for f in fields(Names)})]
        )
        if callable(probe.body):
            sent += json.dumps(probe.body(hidden))
        for secret in secrets:
            if secret not in sent:
                assert secret.encode() not in reply.body, str(probe)
