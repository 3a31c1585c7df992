"""FHIR R4 Consent → terms, for the IHE PCF profiles; what cannot be said in terms is refused by name.

How provisions become clauses: the base provision is a clause; a nested one inherits what it leaves out.
Under a base ``deny``, nested permits are cut out of the denial, so that deny can override permit everywhere.
``data`` of meaning ``related`` names encounters. Labels: N is NORMAL, R is every sensitive segment.
Without ``action`` a permit is for reading (read, search, history), a denial for everything.

Source: IHE ITI Privacy Consent on FHIR (PCF), repository of 2024-10-21; FHIR R4 Consent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hilum.base.ids import SubjectId, is_fhir_id
from hilum.consent.fhir_codes import (
    ACTIONS,
    CLASS_SYSTEM,
    RECIPIENT,
    SCOPE,
    SEGMENTS,
    mask_of,
)
from hilum.consent.grant import READING, Naming
from hilum.consent.instants import parse_period
from hilum.consent.subtract import subtract
from hilum.consent.terms import (
    ALL_ACTIONS,
    Clause,
    Effect,
    Terms,
)
from hilum.errors import MalformedInputError
from hilum.identity.purpose import PURPOSE_SYSTEM
from hilum.record.types import is_resource_type, type_mask

__all__ = ["ParsedConsent", "parse_consent"]

_ACTIVE = "active"
_ENDED = ("inactive", "entered-in-error")
_APART = {"resourceType", "id", "meta", "status", "provision"}
_PROVISION = {
    "type", "period", "actor", "action", "securityLabel", "purpose", "class", "code", "dataPeriod",
    "data", "provision",
}  # fmt: skip
_GRANTEE_TYPES = (
    "CareTeam", "Device", "Group", "Organization", "Patient", "Practitioner", "PractitionerRole",
    "RelatedPerson",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ParsedConsent:
    """A FHIR Consent as the gate can use it.

    Attributes:
        subject: whose record.
        terms: what it says.
        names: digest → text for every id in the terms.
        frame: what it says beside its provisions, verbatim.
        is_in_force: True when its status is active; False when it has ended.
    """

    subject: SubjectId
    terms: Terms
    names: dict[bytes, str]
    frame: dict[str, Any]
    is_in_force: bool


def parse_consent(resource: Mapping[str, Any]) -> ParsedConsent:
    """Return what a Consent says.

    Args:
        resource: a FHIR R4 Consent as parsed JSON, structurally valid.

    Raises:
        MalformedInputError: when something in it cannot be said in terms; `where` is its FHIRPath.
    """
    _check_head(resource)
    naming = Naming()
    clauses = _clauses(resource.get("provision"), naming)
    return ParsedConsent(
        subject=SubjectId(_reference(resource.get("patient"), "Consent.patient", ("Patient",))[8:]),
        terms=Terms(tuple(clauses)),
        names=naming.names,
        frame={name: value for name, value in resource.items() if name not in _APART},
        is_in_force=resource["status"] == _ACTIVE,
    )


def _check_head(resource: Mapping[str, Any]) -> None:
    if resource.get("resourceType") != "Consent":
        raise _refused("Consent", "not a Consent")
    for name in ("implicitRules", "modifierExtension"):
        if name in resource:
            raise _refused(f"Consent.{name}", "would change the meaning")
    if resource.get("status") not in {_ACTIVE, *_ENDED}:
        raise _refused("Consent.status", "neither active nor ended")
    if SCOPE not in _codings(resource.get("scope"), "Consent.scope"):
        raise _refused("Consent.scope", "not patient-privacy")


def _clauses(base: object, naming: Naming) -> list[Clause]:
    where = "Consent.provision"
    first = _clause(base, naming, where=where, above=None)
    nested: list[Clause] = []
    inside = base.get("provision") if isinstance(base, Mapping) else None
    for at, inner in enumerate(_list(inside, f"{where}.provision")):
        place = f"{where}.provision[{at}]"
        if isinstance(inner, Mapping) and "provision" in inner:
            raise _refused(f"{place}.provision", "nested deeper than one")
        nested.append(_clause(inner, naming, where=place, above=first))
        if first.effect is Effect.DENY and nested[-1].effect is Effect.DENY:
            raise _refused(f"{place}.type", "a denial inside a denial says nothing")
    if first.effect is Effect.PERMIT or not nested:
        return [first, *nested]
    return [*nested, *subtract(first, nested, where=where)]


def _clause(data: object, naming: Naming, *, where: str, above: Clause | None) -> Clause:
    if not isinstance(data, Mapping):
        raise _refused(where, "missing")
    for name in data:
        if name not in _PROVISION:
            raise _refused(f"{where}.{name}", "terms have no word for it")
    effects = {"permit": Effect.PERMIT, "deny": Effect.DENY}
    if data.get("type") not in effects:
        raise _refused(f"{where}.type", "neither permit nor deny")
    effect = effects[data["type"]]
    actions = READING if effect is Effect.PERMIT else ALL_ACTIONS
    if above is None:
        clause = Clause(effect=effect, actions=actions)
    else:
        clause = replace(above, effect=effect, actions=actions)
    return replace(clause, **_stated(data, naming, where))


def _stated(data: Mapping[str, Any], naming: Naming, where: str) -> dict[str, Any]:
    """Return the fields of a clause that the provision states itself."""
    stated: dict[str, Any] = {}
    if "period" in data:
        period = parse_period(data["period"], where=f"{where}.period")
        stated["valid_from"], stated["valid_until"] = period
    if "dataPeriod" in data:
        period = parse_period(data["dataPeriod"], where=f"{where}.dataPeriod")
        stated["data_from"], stated["data_until"] = period
    if "actor" in data:
        stated["grantees"] = naming.grantees(_actors(data["actor"], f"{where}.actor"))
    if "purpose" in data:
        stated["purposes"], stated["further_purposes"] = _purposes(data["purpose"], naming, where)
    if "action" in data:
        codings = _concepts(data["action"], f"{where}.action")
        stated["actions"] = mask_of(codings, ACTIONS, where=f"{where}.action")
    if "securityLabel" in data:
        labels = _labels(data["securityLabel"], f"{where}.securityLabel")
        stated["segments"] = mask_of(labels, SEGMENTS, where=f"{where}.securityLabel")
    if "class" in data:
        stated["types"] = _types(data["class"], f"{where}.class")
    if "code" in data:
        codes = _concepts(data["code"], f"{where}.code")
        stated["codes"] = naming.codes(f"{system}|{code}" for system, code in codes)
    if "data" in data:
        stated |= _data(data["data"], naming, f"{where}.data")
    return stated


def _purposes(data: object, naming: Naming, where: str) -> tuple[int, frozenset[bytes]]:
    codings = _labels(data, f"{where}.purpose")
    texts = [code if system == PURPOSE_SYSTEM else f"{system}|{code}" for system, code in codings]
    try:
        return naming.purposes(texts)
    except MalformedInputError as error:
        raise _refused(f"{where}.purpose", error.why) from None


def _actors(data: object, where: str) -> list[str]:
    found = []
    for at, actor in enumerate(_list(data, where)):
        place = f"{where}[{at}]"
        if not isinstance(actor, Mapping) or set(actor) - {"role", "reference"}:
            raise _refused(place, "only role and reference")
        if _codings(actor.get("role"), f"{place}.role") != [RECIPIENT]:
            raise _refused(f"{place}.role", "not an information recipient (IRCP)")
        found.append(_reference(actor.get("reference"), f"{place}.reference", _GRANTEE_TYPES))
    return found


def _types(data: object, where: str) -> int:
    names = []
    for at, (system, code) in enumerate(_labels(data, where)):
        if system != CLASS_SYSTEM or not is_resource_type(code):
            raise _refused(f"{where}[{at}]", "not a FHIR resource type")
        names.append(code)
    return type_mask(names)


def _data(data: object, naming: Naming, where: str) -> dict[str, frozenset[bytes]]:
    found: dict[str, list[str]] = {}
    for at, item in enumerate(_list(data, where)):
        place = f"{where}[{at}]"
        if not isinstance(item, Mapping) or set(item) - {"meaning", "reference"}:
            raise _refused(place, "only meaning and reference")
        meaning = item.get("meaning")
        types = ("Encounter",) if meaning == "related" else ()
        reference = _reference(item.get("reference"), f"{place}.reference", types)
        field = {"instance": "instances", "related": "encounters", "authoredby": "authors"}
        if meaning not in field:
            raise _refused(f"{place}.meaning", "not instance, related or authoredby")
        found.setdefault(field[meaning], []).append(reference)
    if len(found) > 1:
        raise _refused(where, "several meanings in one provision")
    return {name: naming.references(references) for name, references in found.items()}


def _reference(data: object, where: str, types: Sequence[str]) -> str:
    text = data.get("reference") if isinstance(data, Mapping) else None
    name, _, rest = text.partition("/") if isinstance(text, str) else ("", "", "")
    if not is_resource_type(name) or not is_fhir_id(rest):
        raise _refused(where, "not a relative reference Type/id")
    if types and name not in types:
        raise _refused(where, f"not a reference to {' or '.join(types)}")
    return f"{name}/{rest}"


def _list(data: object, where: str) -> list[Any]:
    if data is None:
        return []
    if not isinstance(data, list) or not data:
        raise _refused(where, "not a list")
    return data


def _labels(data: object, where: str) -> list[tuple[str, str]]:
    return [_coding(one, f"{where}[{at}]") for at, one in enumerate(_list(data, where))]


def _concepts(data: object, where: str) -> list[tuple[str, str]]:
    concepts = enumerate(_list(data, where))
    return [pair for at, one in concepts for pair in _codings(one, f"{where}[{at}]")]


def _codings(data: object, where: str) -> list[tuple[str, str]]:
    codings = data.get("coding") if isinstance(data, Mapping) else None
    if not isinstance(codings, list) or not codings:
        raise _refused(where, "no coding")
    return [_coding(one, f"{where}.coding[{at}]") for at, one in enumerate(codings)]


def _coding(data: object, where: str) -> tuple[str, str]:
    if not isinstance(data, Mapping) or not isinstance(data.get("code"), str):
        raise _refused(where, "no code")
    return str(data.get("system", "")), data["code"]


def _refused(where: str, why: str) -> MalformedInputError:
    return MalformedInputError("not-expressible", why, where=where)
