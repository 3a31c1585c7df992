"""Terms → FHIR R4 Consent in the shape of IHE PCF; refused when the way back gives other terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import reduce
from typing import Any

from hilum.base.ids import UnixMs
from hilum.consent.directive import Directive, DirectiveStatus
from hilum.consent.fhir import parse_consent
from hilum.consent.fhir_codes import (
    ACTIONS,
    CATEGORY,
    CLASS_SYSTEM,
    RECIPIENT,
    SCOPE,
    SEGMENTS,
    Coding,
    codings_of,
)
from hilum.consent.grant import READING
from hilum.consent.instants import render_period
from hilum.consent.subtract import subtract
from hilum.consent.terms import ALL_ACTIONS, ALL_SEGMENTS, Clause, Effect
from hilum.errors import MalformedInputError
from hilum.identity.purpose import ALL_PURPOSES, PURPOSE_SYSTEM, purpose_codes
from hilum.record.access import ANY_TYPE, Action
from hilum.record.types import type_names

__all__ = ["recorded_frame", "render_consent"]


def render_consent(directive: Directive, *, organization: Mapping[str, Any]) -> dict[str, Any]:
    """Return the FHIR Consent of a directive.

    Args:
        directive: made by `grant`, or from a FHIR Consent whose other elements come back verbatim.
        organization: Reference to the custodian, used when the directive has no frame of its own.

    Raises:
        MalformedInputError: when FHIR has no words for the terms (counted or priced use, for one).
    """
    is_active = directive.status is DirectiveStatus.ACTIVE
    frame = dict(directive.frame) or _frame(directive, organization)
    consent = {
        "resourceType": "Consent",
        "id": directive.id,
        "status": "active" if is_active else "inactive",
        **frame,
        "provision": _provision(directive.terms.clauses, directive.names),
    }
    if parse_consent(consent).terms != directive.terms:
        raise MalformedInputError(
            "not-expressible",
            "FHIR Consent has no words for these terms",
            where="Consent.provision",
        )
    return consent


def recorded_frame(
    subject: str, *, at: UnixMs, recorder: str, organization: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the frame of a consent that somebody else wrote down for the subject.

    Args:
        subject: whose record.
        at: when.
        recorder: FHIR reference of who wrote it down.
        organization: Reference to the custodian.

    Returns:
        What the Consent says beside its provisions: performed by the recorder and not yet verified
        with the patient. Source: HL7 FHIR R4, Consent.performer, Consent.verification.
    """
    frame = _said_by(subject, recorder, at, organization)
    return {**frame, "verification": [{"verified": False}]}


def _frame(directive: Directive, organization: Mapping[str, Any]) -> dict[str, Any]:
    patient = f"Patient/{directive.subject}"
    return _said_by(directive.subject, patient, directive.created_unix_ms, organization)


def _said_by(
    subject: str, performer: str, at: UnixMs, organization: Mapping[str, Any]
) -> dict[str, Any]:
    period = render_period(at, None)
    patient = {"reference": f"Patient/{subject}"}
    return {
        "scope": _concept(SCOPE),
        "category": [_concept(CATEGORY)],
        "patient": patient,
        "dateTime": "" if period is None else period["start"],
        "performer": [{"reference": performer}],
        "organization": [dict(organization)],
        "policy": [{"uri": "urn:hilum:terms:1"}],
    }


def _provision(clauses: tuple[Clause, ...], names: Mapping[bytes, str]) -> dict[str, Any]:
    base, nested = _base_of(clauses)
    provision = _stated(base, None, names)
    if nested:
        provision["provision"] = [_stated(clause, base, names) for clause in nested]
    return provision


def _base_of(clauses: tuple[Clause, ...]) -> tuple[Clause, tuple[Clause, ...]]:
    """Return the base provision and those nested in it; finds a denial that exceptions were cut out of."""
    permits = tuple(clause for clause in clauses if clause.effect is Effect.PERMIT)
    denials = [clause for clause in clauses if clause.effect is Effect.DENY]
    if permits and denials and clauses[0].effect is Effect.PERMIT:
        whole = reduce(_hull, denials, replace(permits[0], effect=Effect.DENY, actions=ALL_ACTIONS))
        try:
            if subtract(whole, permits, where="Consent.provision") == denials:
                return whole, permits
        except MalformedInputError:
            pass
    return clauses[0], clauses[1:]


def _hull(one: Clause, two: Clause) -> Clause:
    is_any = one.grantees_excluded or two.grantees_excluded or not (one.grantees and two.grantees)
    return replace(
        one,
        actions=one.actions | two.actions,
        purposes=one.purposes | two.purposes,
        grantees=frozenset() if is_any else one.grantees | two.grantees,
        grantees_excluded=False,
        segments=ALL_SEGMENTS,
        types=one.types | two.types,
        data_from=_wider(one.data_from, two.data_from, min),
        data_until=_wider(one.data_until, two.data_until, max),
        valid_from=_wider(one.valid_from, two.valid_from, min),
        valid_until=_wider(one.valid_until, two.valid_until, max),
    )


def _wider(
    one: UnixMs | None, two: UnixMs | None, choose: Callable[[UnixMs, UnixMs], UnixMs]
) -> UnixMs | None:
    return None if one is None or two is None else choose(one, two)


def _stated(clause: Clause, above: Clause | None, names: Mapping[bytes, str]) -> dict[str, Any]:
    """Return the provision of a clause, without what it inherits."""
    plain = Clause(effect=clause.effect, actions=_default_actions(clause))
    base = plain if above is None else replace(above, actions=plain.actions)
    provision: dict[str, Any] = {"type": "permit" if clause.effect is Effect.PERMIT else "deny"}
    for part in (_periods, _parties, _kinds, _data):
        provision |= part(clause, base, names)
    return provision


def _periods(clause: Clause, base: Clause, _: Mapping[bytes, str]) -> dict[str, Any]:
    found = {}
    validity = (clause.valid_from, clause.valid_until)
    data = (clause.data_from, clause.data_until)
    if validity != (base.valid_from, base.valid_until):
        found["period"] = render_period(*validity) or {}
    if data != (base.data_from, base.data_until):
        found["dataPeriod"] = render_period(*data) or {}
    return found


def _parties(clause: Clause, base: Clause, names: Mapping[bytes, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if clause.grantees != base.grantees:
        found["actor"] = [
            {"role": _concept(RECIPIENT), "reference": {"reference": reference}}
            for reference in _texts(clause.grantees, names)
        ]
    if clause.actions != base.actions:
        found["action"] = [_concept(coding) for coding in codings_of(clause.actions, ACTIONS)]
    if (clause.purposes, clause.further_purposes) != (base.purposes, base.further_purposes):
        if clause.purposes & ~ALL_PURPOSES:
            raise MalformedInputError(
                "not-expressible", "any purpose but some", where="Consent.provision.purpose"
            )
        codes = [(PURPOSE_SYSTEM, code) for code in purpose_codes(clause.purposes)]
        further = [_split(text) for text in _texts(clause.further_purposes, names)]
        found["purpose"] = [_coding(coding) for coding in codes + further]
    return found


def _kinds(clause: Clause, base: Clause, names: Mapping[bytes, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if clause.segments != base.segments:
        found["securityLabel"] = [_coding(one) for one in codings_of(clause.segments, SEGMENTS)]
    if clause.types != base.types:
        if clause.types == ANY_TYPE:
            raise MalformedInputError(
                "not-expressible", "any type within some", where="Consent.provision.class"
            )
        found["class"] = [
            _coding((CLASS_SYSTEM, name))
            for number, name in enumerate(type_names())
            if clause.types >> number & 1
        ]
    if clause.codes != base.codes:
        found["code"] = [_concept(_split(text)) for text in _texts(clause.codes, names)]
    return found


def _data(clause: Clause, base: Clause, names: Mapping[bytes, str]) -> dict[str, Any]:
    meanings = {"instance": "instances", "related": "encounters", "authoredby": "authors"}
    items = [
        {"meaning": meaning, "reference": {"reference": reference}}
        for meaning, name in meanings.items()
        if getattr(clause, name) != getattr(base, name)
        for reference in _texts(getattr(clause, name), names)
    ]
    return {"data": items} if items else {}


def _default_actions(clause: Clause) -> Action:
    return READING if clause.effect is Effect.PERMIT else ALL_ACTIONS


def _texts(digests: frozenset[bytes], names: Mapping[bytes, str]) -> list[str]:
    return sorted(names[digest] for digest in digests)


def _split(text: str) -> Coding:
    system, _, code = text.rpartition("|")
    return system, code


def _concept(coding: Coding) -> dict[str, Any]:
    return {"coding": [_coding(coding)]}


def _coding(coding: Coding) -> dict[str, str]:
    system, code = coding
    return {"system": system, "code": code} if system else {"code": code}
