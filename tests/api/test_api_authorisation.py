"""The authorisation matrix: every route × every way in which a request may have no leave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
from edge import Edge, Reply
from test_leaks import NEVER, PROBES, Names, Probe, observation

from hilum.api.outcomes import UNAUTHENTICATED
from hilum.api.routes import Interaction

DAY_MS = 86_400_000
OPEN = {Interaction.CAPABILITIES, Interaction.HEALTH, Interaction.OPENAPI}
HINT = b'Bearer realm="hilum", error="invalid_token"'


@pytest.fixture(scope="module")
def names(edge: Edge) -> Names:
    """A subject with an observation and an encounter; the rest never was."""
    subject = edge.add_subject()
    own = edge.token(subject=subject)
    encounter = edge.create(
        own,
        {
            "resourceType": "Encounter",
            "status": "finished",
            "class": {"code": "AMB"},
            "subject": {"reference": f"Patient/{subject}"},
        },
    )
    body = observation(Names(subject, *[""] * 7)) | {
        "encounter": {"reference": f"Encounter/{encounter}"}
    }
    return Names(
        subject, edge.create(own, body), encounter, NEVER.deleted, NEVER.consent, NEVER.receipt,
        "s-999999-17e0mqkhs-0", "h-999999-17e0mqkhs-0",
    )  # fmt: skip


def test_without_a_token_every_route_says_401_in_the_same_words(edge: Edge, names: Names) -> None:
    for probe in PROBES:
        reply = edge_without(edge, probe, names)
        if probe.interaction in OPEN:
            assert reply.status == 200
            continue
        words = b"" if probe.method == "HEAD" else UNAUTHENTICATED.body
        assert (reply.status, reply.body) == (401, words), str(probe)
        assert reply.header(b"www-authenticate") == b'Bearer realm="hilum"'
        assert (sum(reply.calls.values()), reply.receipts) == (0, 0)


def edge_without(edge: Edge, probe: Probe, names: Names) -> Reply:
    return edge.ask(probe.method, probe.path.format(subject=names.subject, **_rest(names)))


def _rest(names: Names) -> dict[str, str]:
    return {
        name: getattr(names, name)
        for name in ("observation", "encounter", "deleted", "consent", "receipt", "reading", "hour")
    }


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer hlm_" + "A" * 43,
        "Bearer nonsense",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "DPoP hlm_" + "A" * 43,
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.",
        "Bearer " + "x" * 5000,
        "Bearer \xff\xfe",
        "",
    ],
)
def test_a_token_that_is_none_finds_nothing_and_touches_nothing(
    edge: Edge, names: Names, authorization: str
) -> None:
    for probe in PROBES:
        if probe.interaction in OPEN or probe.interaction is Interaction.BREAK_GLASS:
            continue
        target = probe.path.format(subject=names.subject, **_rest(names))
        reply = edge.ask(probe.method, target, authorization=authorization)
        assert_nothing(reply, probe, NEVER)
        assert reply.header(b"www-authenticate") == HINT, str(probe)
        assert (sum(reply.calls.values()), reply.receipts) == (0, 0), str(probe)


SEARCHES = {
    Interaction.SEARCH, Interaction.SEARCH_BY_POST, Interaction.SEARCH_COMPARTMENT,
    Interaction.SEARCH_SYSTEM, Interaction.LASTN,
}  # fmt: skip


HISTORIES = {Interaction.HISTORY_OF_TYPE, Interaction.HISTORY_OF_ALL}


def assert_nothing(reply: Reply, probe: Probe, names: Names) -> None:
    """Nothing there: 404, or an empty Bundle for a search, or what the request itself is wrong in."""
    if probe.interaction in SEARCHES and "{" not in probe.path and reply.status == 200:
        # it names nobody: whoever asks may find what is the own
        for field in fields(Names):
            secret = getattr(names, field.name).encode()
            assert not secret or secret not in reply.body, str(probe)
        return
    if probe.method == "HEAD":
        statuses = {404} | ({200} if probe.interaction in SEARCHES else set())
        if probe.interaction in HISTORIES:
            statuses |= {200, 400}
        if probe.interaction is Interaction.SEARCH_COMPARTMENT:
            statuses.add(405)  # of a type that has no compartment
        assert reply.body == b"", str(probe)
        assert reply.status in statuses, str(probe)
    elif probe.interaction in SEARCHES and reply.status == 200:
        assert "entry" not in reply.json, str(probe)
        assert reply.json["total"] == 0, str(probe)
    elif probe.interaction is Interaction.BUNDLE and reply.status == 200:
        kinds = {entry["response"]["status"][:3] for entry in reply.json["entry"]}
        assert kinds <= {"200", "204", "404", "405", "422"}
        assert all("resource" not in e or "entry" not in e["resource"] for e in reply.json["entry"])
    elif probe.interaction is Interaction.VALIDATE and reply.status == 200:
        assert probe.body, str(probe)  # of what was sent along, and of nothing else
        assert reply.json["resourceType"] == "OperationOutcome"
    elif probe.interaction in HISTORIES and reply.status == 200:
        assert "entry" not in reply.json or all(
            getattr(names, field.name).encode() not in reply.body
            for field in fields(Names)
            if getattr(names, field.name)
        ), str(probe)
    elif probe.interaction is Interaction.CONDITIONAL_DELETE:
        assert reply.status in {204, 400, 404, 405}, (str(probe), reply)
    else:
        assert reply.status in {400, 404, 405, 415, 422}, (str(probe), reply)


def expired_token(edge: Edge, names: Names) -> str:
    reader = edge.add_reader()
    edge.grant(names.subject, reader, segments="ALL")
    with edge.later(-2 * DAY_MS):
        return edge.token(reader=reader, purpose="TREAT", ttl="1d")


def early_token(edge: Edge, names: Names) -> str:
    reader = edge.add_reader()
    edge.grant(names.subject, reader, segments="ALL")
    with edge.later(DAY_MS):
        return edge.token(reader=reader, purpose="TREAT")


def revoked_token(edge: Edge, names: Names) -> str:
    reader = edge.add_reader()
    edge.grant(names.subject, reader, segments="ALL")
    token = edge.token(reader=reader, purpose="TREAT")
    assert edge.ask("GET", f"/fhir/Patient/{names.subject}", token).status == 200
    from hilum.identity.token import hash_of_text

    digest = hash_of_text(token)
    edge.node.writer.write(
        lambda conn: edge.node.identity.revoke_token(conn, digest, at=edge.node.clock())
    )
    edge.node.sessions.forget()
    return token


def other_subject(edge: Edge, _names: Names) -> str:
    return edge.token(subject=edge.add_subject())


def no_consent(edge: Edge, _names: Names) -> str:
    return edge.token(reader=edge.add_reader(), purpose="TREAT")


def wrong_purpose(edge: Edge, names: Names) -> str:
    reader = edge.add_reader()
    edge.grant(names.subject, reader, segments="ALL")
    return edge.token(reader=reader, purpose="HRESCH")


def narrowed_elsewhere(edge: Edge, names: Names) -> str:
    reader = edge.add_reader()
    edge.grant(names.subject, reader, segments="ALL")
    return edge.token(reader=reader, purpose="TREAT", for_subject=edge.add_subject())


def expired_directive(edge: Edge, names: Names) -> str:
    reader = edge.add_reader()
    with edge.later(-30 * DAY_MS):
        until = edge.node.clock() + DAY_MS
        edge.grant(names.subject, reader, segments="ALL", until=iso(until))
    return edge.token(reader=reader, purpose="TREAT")


def directive_of_tomorrow(edge: Edge, names: Names) -> str:
    reader = edge.add_reader()
    post_consent(edge, names.subject, reader, start="2099-01-01", end="2099-12-31")
    return edge.token(reader=reader, purpose="TREAT")


def other_segment(edge: Edge, names: Names) -> str:
    reader = edge.add_reader()
    edge.grant(names.subject, reader, segments="HIV")
    return edge.token(reader=reader, purpose="TREAT")


def denied_above_all(edge: Edge, names: Names) -> str:
    reader = edge.add_reader()
    edge.grant(names.subject, reader, segments="ALL")
    post_consent(edge, names.subject, reader, start="2020-01-01", end="2099-12-31", kind="deny")
    return edge.token(reader=reader, purpose="TREAT")


WITHOUT_LEAVE = (
    expired_token, early_token, revoked_token, other_subject, no_consent, wrong_purpose,
    narrowed_elsewhere, expired_directive, directive_of_tomorrow, other_segment, denied_above_all,
)  # fmt: skip


def iso(at_ms: int) -> str:
    from hilum.record.resource import format_instant

    return format_instant(at_ms)


def post_consent(
    edge: Edge, subject: str, reader: str, *, start: str, end: str, kind: str = "permit"
) -> None:
    role = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
    body: dict[str, Any] = {
        "resourceType": "Consent",
        "status": "active",
        "scope": {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/consentscope",
                    "code": "patient-privacy",
                }
            ]
        },
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": f"Patient/{subject}"},
        "dateTime": "2026-01-01T00:00:00Z",
        "performer": [{"reference": f"Patient/{subject}"}],
        "organization": [{"display": "x"}],
        "policy": [{"uri": "http://example.org/policies/basic"}],
        "provision": {
            "type": kind,
            "period": {"start": start, "end": end},
            "actor": [
                {
                    "role": {"coding": [{"system": role, "code": "IRCP"}]},
                    "reference": {"reference": f"Organization/{reader}"},
                }
            ],
        },
    }
    edge.create(edge.token(subject=subject), body)


@pytest.mark.parametrize("deny", WITHOUT_LEAVE, ids=lambda each: each.__name__)
def test_without_leave_every_route_looks_empty_and_changes_nothing(
    edge: Edge, names: Names, deny: Callable[[Edge, Names], str]
) -> None:
    token = deny(edge, names)
    before = edge.rows()
    for probe in PROBES:
        if probe.interaction in OPEN or probe.interaction is Interaction.BREAK_GLASS:
            continue
        assert_nothing(probe.send(edge, token, names), probe, names)
    assert edge.rows() == before


@pytest.mark.parametrize("deny", [no_consent, other_subject, wrong_purpose, revoked_token])
def test_only_an_emergency_purpose_breaks_the_glass(
    edge: Edge, names: Names, deny: Callable[[Edge, Names], str]
) -> None:
    token = deny(edge, names)
    body = {"subject": names.subject, "reason": "r", "nature": "n", "affiliation": "a"}
    before = edge.rows()
    assert edge.ask("POST", "/api/break-glass", token, body).status == 404
    assert edge.rows() == before


def test_leave_ends_with_the_hours_of_the_emergency(edge: Edge, names: Names) -> None:
    token = edge.token(reader=edge.add_reader(), purpose="ETREAT", ttl="12h")
    body = {"subject": names.subject, "reason": "r", "nature": "n", "affiliation": "a"}
    where = f"/fhir/Patient/{names.subject}"
    assert edge.ask("POST", "/api/break-glass", token, body).status == 201
    assert edge.ask("GET", where, token).status == 200
    with edge.later(4 * 3_600_000 + 1):
        assert edge.ask("GET", where, token).status == 404


def test_leave_ends_with_the_directive_even_for_one_who_just_read(edge: Edge, names: Names) -> None:
    reader = edge.add_reader()
    until = edge.node.clock() + 60_000
    edge.grant(names.subject, reader, until=iso(until))
    token = edge.token(reader=reader, purpose="TREAT")
    where = f"/fhir/Patient/{names.subject}"
    assert edge.ask("GET", where, token).status == 200
    with edge.later(60_001):
        assert edge.ask("GET", where, token).status == 404
    assert edge.ask("GET", where, token).status == 200
