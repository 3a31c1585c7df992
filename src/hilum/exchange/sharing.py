"""Directives: grant, revoke, list, preview. One commit holds the directive, its FHIR Consent and its cell."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any

import msgspec

from hilum.base.ids import CompartmentId, FhirId, SubjectId, UnixMs
from hilum.consent.asking import SEARCH
from hilum.consent.compiled import compile_directives
from hilum.consent.decision import Request
from hilum.consent.directive import Directive, DirectiveStatus, make_directive
from hilum.consent.gate import decide
from hilum.consent.grant import Choice, grant_terms, parse_actions, parse_segments
from hilum.consent.render import render_consent
from hilum.consent.sentence import describe, in_english
from hilum.errors import ConflictError, MalformedInputError
from hilum.exchange.people import compartment_of
from hilum.identity.purpose import parse_purpose
from hilum.ledger.cell import Rule
from hilum.ledger.model import Opening
from hilum.record.change import Create, Update
from hilum.record.dates import read_interval
from hilum.record.resource import parse_resource
from hilum.record.types import type_mask, type_names

if TYPE_CHECKING:
    from hilum.base.sql import Connection
    from hilum.exchange.node import Node
    from hilum.identity.reader import Reader
    from hilum.record.change import Version

__all__ = [
    "DEFAULT_SEGMENTS",
    "adopt",
    "consents",
    "end_directive",
    "grant",
    "preview",
    "revoke",
]

DEFAULT_SEGMENTS = "NORMAL,DEV"
"""What a grant covers when nothing is said: the ordinary record and device readings."""
_NORMAL = 1


def grant(  # noqa: PLR0913 - the options of one command
    node: Node,
    *,
    subject: str,
    reader: str,
    purpose: str,
    types: str | None = None,
    segments: str | None = None,
    until: str | None = None,
    actions: str | None = None,
) -> dict[str, Any]:
    """Let a reader see a record for a purpose and a time; returns ``{"directive", …}``.

    Args:
        node: where.
        subject: whose record.
        reader: who may read.
        purpose: v3 PurposeOfUse code.
        types: resource types joined by commas; None or empty for all clinical ones.
        segments: segment names joined by commas, or ``ALL``; None for `DEFAULT_SEGMENTS`.
        until: last day (its end in UTC) or an instant with zone; None for no end.
        actions: names of actions joined by commas; None for read, search and history.

    Raises:
        MalformedInputError: something is unknown or malformed; names the option.
    """
    conn = node.conn
    cid = compartment_of(node, conn, subject)
    choice = _choice(_reader(node, conn, reader), purpose, types, segments, until)
    choice = replace(choice, actions=parse_actions(_words(actions)))
    now = node.clock()
    if choice.valid_until is not None and choice.valid_until <= now:
        raise MalformedInputError(
            "past", "ends before it begins", where="until", hint="a later date"
        )
    terms, names = grant_terms([choice])
    directive = make_directive(
        SubjectId(subject), terms, names=names, salt=node.entropy(32), now=now
    )
    organization = {"display": node.settings.custodian}
    body = msgspec.json.encode(render_consent(directive, organization=organization))
    consent = Create(
        cid, parse_resource(body), FhirId(directive.id), _NORMAL, author=f"Patient/{subject}"
    )
    node.writer.write(lambda write: adopt(node, write, directive, consent=consent, at=now))
    node.gatekeeper.forget(cid)
    return {"directive": directive.id, "sentence": _sentence(directive, _names(node))}


def adopt(
    node: Node,
    conn: Connection,
    directive: Directive,
    *,
    consent: Create,
    at: UnixMs,
) -> Version:
    """Keep a new directive with its FHIR Consent and open its cell, in the writer's transaction.

    Args:
        node: where.
        conn: the writer's connection.
        directive: what the subject said.
        consent: the same as a resource, under the directive's id.
        at: the present.

    Returns:
        The Consent as it was stored.
    """
    node.directives.add(conn, directive, cid=consent.cid)
    stored = node.record.apply(conn, [consent], at)[0]
    opening = Opening(_cell(directive.id), Rule.ONE_WAY, directive.root, node.entropy(32))
    opened = node.ledger.open_cell(conn, node.signer, opening, at_unix_ms=at)
    node.directives.set_cell(conn, directive.id, cell=opened.cell)
    return stored


def revoke(node: Node, *, directive: str) -> dict[str, Any]:
    """End a directive; whoever read through it sees nothing from the next request on.

    What follows is sealed under new keys. Returns ``{"directive", "status", "subject"}``.

    Raises:
        MalformedInputError: no such directive.
        ConflictError: it is revoked already.
    """
    found = node.directives.find(node.conn, directive)
    if found is None:
        raise MalformedInputError(
            "unknown-directive",
            "no directive has this id",
            where="directive",
            hint="hilum consents",
        )
    cid, held = CompartmentId(found[0]), found[1]
    at = node.clock()
    organization = {"display": node.settings.custodian}

    def end(conn: Connection) -> None:
        ended = end_directive(node, conn, directive, at=at)
        body = msgspec.json.encode(render_consent(ended, organization=organization))
        change = Update(cid, parse_resource(body), FhirId(directive), _NORMAL)
        node.record.apply(conn, [change], at)

    node.writer.write(end)
    node.gatekeeper.forget(cid)
    return {"directive": directive, "status": "revoked", "subject": held.subject}


def end_directive(node: Node, conn: Connection, directive: str, *, at: UnixMs) -> Directive:
    """Revoke a directive and close its cell, in the writer's transaction; return it as it is now.

    What comes next is sealed under new keys: the keys are durable before the revocation is, so that a
    crash between the two leaves keys that nobody needed.

    Raises:
        ConflictError: it is revoked already.
    """
    held = node.directives.find(conn, directive)
    if held is None or held[1].status is DirectiveStatus.REVOKED:
        raise ConflictError("already-revoked", "this directive is revoked already")
    segments = reduce(or_, (clause.segments for clause in held[1].terms.clauses))
    node.keyring.rotate(held[0], segments=segments)
    node.directives.revoke(conn, directive, at=at)
    if node.ledger.known(conn, _cell(directive)) is not None:
        node.ledger.close_cell(conn, node.signer, _cell(directive), at_unix_ms=at)
    found = node.directives.find(conn, directive)
    if found is None:
        raise ConflictError("already-revoked", "this directive is gone")
    return found[1]


def consents(node: Node, *, subject: str) -> list[dict[str, Any]]:
    """Return a subject's directives, oldest first, each with its plain sentence.

    Raises:
        MalformedInputError: no such subject.
    """
    conn = node.conn
    cid = compartment_of(node, conn, subject)
    names = _names(node)
    return [
        {
            "directive": directive.id,
            "status": _status(directive, node.clock()),
            "sentence": _sentence(directive, names),
            **_facts(directive, names),
        }
        for directive in node.directives.of_compartment(conn, cid)
    ]


def preview(
    node: Node,
    *,
    subject: str,
    reader: str,
    purpose: str,
    types: str | None = None,
    segments: str | None = None,
) -> dict[str, Any]:
    """Return how much a reader would see under a grant, beside what holds already.

    The same gate decides as for a real request; nothing is kept and no content is shown.

    Raises:
        MalformedInputError: something is unknown or malformed; names the option.
    """
    conn, now = node.conn, node.clock()
    cid = compartment_of(node, conn, subject)
    who = _reader(node, conn, reader)
    terms, names = grant_terms([_choice(who, purpose, types, segments, None)])
    trial = make_directive(SubjectId(subject), terms, names=names, salt=node.entropy(32), now=now)
    compiled = compile_directives(
        [*node.directives.active(conn, cid), trial],
        hash_code=node.record.hash_code,
        hash_reference=node.record.hash_reference,
    )
    request = Request(
        compartment=cid, purpose=parse_purpose(purpose), action=SEARCH, grantees=who.grantees,
        role=who.role, reader=who.reference,
    )  # fmt: skip
    decision = decide(compiled, node.policy, request=request, now=now)
    by_type: dict[str, int] = {}
    readings = 0
    if decision.access is not None:
        by_type = node.record.count_visible(conn, decision.access)
        readings = sum(each.count for each in node.series.summary(conn, decision.access))
    return {"total": sum(by_type.values()), "by_type": by_type, "readings": readings}


def _choice(
    reader: Reader, purpose: str, types: str | None, segments: str | None, until: str | None
) -> Choice:
    parse_purpose(purpose)
    text = segments or DEFAULT_SEGMENTS
    names = _words(types)
    for name in names:
        if name not in type_names():
            raise MalformedInputError("unknown-type", "not a FHIR R4 resource type", where="types")
    type_mask(names)
    return Choice(
        readers=(reader.reference,),
        purposes=(purpose,),
        types=names,
        segments=parse_segments([] if text.upper() == "ALL" else _words(text)),
        valid_until=None if not until else _end_of(until),
    )


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in (text or "").split(",") if word.strip())


def _end_of(text: str) -> UnixMs:
    interval = read_interval(text)
    if interval is None:
        raise MalformedInputError(
            "bad-date", "not a date", where="until", hint="2027-06-30, or 2027-06-30T12:00:00Z"
        )
    return UnixMs(interval.hi + 1)


def _reader(node: Node, conn: Connection, reader: str) -> Reader:
    found = node.identity.reader(conn, reader)
    if found is None:
        raise MalformedInputError(
            "unknown-reader", "no reader has this id", where="reader", hint="hilum reader list"
        )
    return found


def _names(node: Node) -> dict[str, str]:
    return {reader.reference: reader.name for reader in node.identity.readers(node.conn)}


def _cell(directive: str) -> str:
    return f"directive/{directive}"


def _status(directive: Directive, now: UnixMs) -> str:
    if directive.status is DirectiveStatus.REVOKED:
        return "revoked"
    ends = [clause.valid_until for clause in directive.terms.clauses]
    over = all(end is not None and end <= now for end in ends)
    return "expired" if over else "active"


def _sentence(directive: Directive, names: dict[str, str]) -> str:
    words = describe(directive, name_of=lambda reference: names.get(reference, reference))
    return " ".join(in_english(each) for each in words)


def _facts(directive: Directive, names: dict[str, str]) -> dict[str, Any]:
    """Return the first clause's facts for lists and forms; the sentence says all of it."""
    words = describe(directive)[0]
    reference = words.readers[0] if words.readers else None
    return {
        "effect": words.effect,
        "reader": None if reference is None else names.get(reference, reference),
        "reader_id": None if reference is None else reference.partition("/")[2],
        "purpose": ", ".join(words.purposes) or None,
        "types": list(words.types),
        "segments": list(words.segments),
        "until": words.validity[1],
    }
