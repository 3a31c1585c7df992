"""A receipt as a FHIR R4 AuditEvent of IHE Basic Audit Log Patterns.

Reads, searches, contributions and exports claim the BALP profile they follow; other actions are
plain AuditEvents. A receipt keeps no query text, so the ``query`` of a search says what is kept
instead: number and digest of the resources found.

Source: IHE ITI Basic Audit Log Patterns 1.1, profiles PatientRead, PatientQuery, PatientCreate and
PrivacyDisclosure.Source, and their examples.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hilum.journal.model import DirectiveRef, Emergency, Facts, Outcome, Party, ReceiptAction
from hilum.journal.model import Receipt as ReceiptModel

__all__ = ["render_audit_event"]

Json = dict[str, Any]

PROFILE = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
ENTITY_TYPE = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
INTERACTION = "http://hl7.org/fhir/restful-interaction"
DICOM = "http://dicom.nema.org/resources/ontology/DCM"
REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
OBJECT_TYPE = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
OBJECT_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
SOURCE_ROLE = ("110153", "Source Role ID")
DESTINATION_ROLE = ("110152", "Destination Role ID")


@dataclass(frozen=True, slots=True)
class _Pattern:
    """How one action is told: profile name, FHIR action, subtype, and where the data flows."""

    profile: str
    action: str
    subtype: tuple[str, str]
    serves: bool = True
    kind: tuple[str, str, str] = (
        "http://terminology.hl7.org/CodeSystem/audit-event-type",
        "rest",
        "Restful Operation",
    )


PATTERNS = {
    ReceiptAction.READ: _Pattern("PatientRead", "R", (INTERACTION, "read")),
    ReceiptAction.SEARCH: _Pattern("PatientQuery", "E", (INTERACTION, "search"), serves=False),
    ReceiptAction.HISTORY: _Pattern("PatientRead", "R", (INTERACTION, "history-instance")),
    ReceiptAction.CONTRIBUTE: _Pattern("PatientCreate", "C", (INTERACTION, "create"), serves=False),
    ReceiptAction.EXPORT: _Pattern(
        "PrivacyDisclosure.Source",
        "R",
        ("http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle", "disclose"),
        kind=(DICOM, "110106", "Export"),
    ),
    ReceiptAction.SUBSCRIBE: _Pattern("", "E", (INTERACTION, "operation")),
    ReceiptAction.AGGREGATE: _Pattern("", "E", (INTERACTION, "operation")),
}


def render_audit_event(receipt: ReceiptModel, *, receipt_id: str, subject: str) -> Json:
    """Return the AuditEvent of a receipt.

    Args:
        receipt: what happened.
        receipt_id: its id, which becomes the resource's id.
        subject: id of the subject's Patient resource.
    """
    facts = receipt.facts
    pattern = PATTERNS[facts.action]
    instant = datetime.fromtimestamp(facts.at_unix_ms / 1000, UTC)
    event: Json = {"resourceType": "AuditEvent", "id": receipt_id}
    if pattern.profile:
        event["meta"] = {"profile": [PROFILE + pattern.profile]}
    system, code, display = pattern.kind
    event["type"] = {"system": system, "code": code, "display": display}
    event["subtype"] = [{"system": pattern.subtype[0], "code": pattern.subtype[1]}]
    event["action"] = pattern.action
    event["recorded"] = instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    event |= _outcome(facts)
    event["purposeOfEvent"] = [{"coding": [{"system": REASON, "code": facts.purpose}]}]
    custodian = {"identifier": _identifier("custodian", receipt.custodian)}
    event["agent"] = _agents(facts, pattern, custodian)
    event["source"] = {
        "observer": custodian,
        "type": [
            {
                "system": "http://terminology.hl7.org/CodeSystem/security-source-type",
                "code": "4",
                "display": "Application Server",
            }
        ],
    }
    event["entity"] = _entities(facts, receipt_id, subject)
    return event


def _outcome(facts: Facts) -> Json:
    if facts.outcome is Outcome.ABSENT:
        return {"outcome": "4", "outcomeDesc": "Answered as if nothing were there"}
    if facts.outcome is Outcome.EMERGENCY:
        return {"outcome": "0", "outcomeDesc": "Emergency access"}
    return {"outcome": "0"}


def _agents(facts: Facts, pattern: _Pattern, custodian: Json) -> list[Json]:
    server, client = SOURCE_ROLE, DESTINATION_ROLE
    if not pattern.serves:
        server, client = client, server
    agents = [{"type": _concept(DICOM, *server), "who": custodian, "requestor": False}]
    if facts.client is not None:
        agents.append({"type": _concept(DICOM, *client), "who": _who(facts.client)})
    if facts.person is not None:
        kind = _concept(
            "http://terminology.hl7.org/CodeSystem/v3-ParticipationType",
            "IRCP",
            "information recipient",
        )
        agents.append({"type": kind, "who": _who(facts.person)})
    if facts.organisation is not None:
        kind = _concept(
            "http://terminology.hl7.org/CodeSystem/v3-RoleClass", "PROV", "healthcare provider"
        )
        agents.append({"type": kind, "who": _who(facts.organisation)})
    requestor = 1 if facts.person is None or facts.client is None else 2
    for n, agent in enumerate(agents):
        agent["requestor"] = n == requestor
    return agents


def _entities(facts: Facts, receipt_id: str, subject: str) -> list[Json]:
    entities: list[Json] = [
        {
            "what": {"reference": f"Patient/{subject}"},
            "type": {"system": OBJECT_TYPE, "code": "1", "display": "Person"},
            "role": {"system": OBJECT_ROLE, "code": "1", "display": "Patient"},
        },
        _data(facts),
    ]
    entities += [_consent(ref) for ref in facts.directives]
    entities.append(
        {
            "what": {"identifier": {"value": receipt_id}},
            "type": {"system": ENTITY_TYPE, "code": "XrequestId"},
        }
    )
    if facts.emergency is not None:
        entities[-1]["detail"] = _declared(facts.emergency)
    return entities


def _data(facts: Facts) -> Json:
    kept = f"count={facts.count}&digest={facts.digest.hex()}"
    entity: Json = {
        "what": {"identifier": _identifier("digest", facts.digest)},
        "type": {"system": OBJECT_TYPE, "code": "2", "display": "System Object"},
        "detail": [
            {"type": "count", "valueString": str(facts.count)},
            {"type": "segments", "valueString": str(facts.segments)},
            {"type": "duties", "valueString": str(facts.duties)},
        ],
    }
    if facts.action is ReceiptAction.SEARCH:
        entity["role"] = {"system": OBJECT_ROLE, "code": "24", "display": "Query"}
        entity["description"] = "The query's text is not kept; number and digest of the answer are."
        entity["query"] = b64encode(kept.encode()).decode("ascii")
        del entity["what"]
    else:
        entity["role"] = {"system": OBJECT_ROLE, "code": "4", "display": "Domain Resource"}
    return entity


def _consent(ref: DirectiveRef) -> Json:
    cell = "" if ref.cell is None else f"{ref.cell}:{ref.seq}"
    entity: Json = {
        "what": {"identifier": _identifier("directive", ref.directive)},
        "type": {
            "system": "http://hl7.org/fhir/resource-types",
            "code": "Consent",
            "display": "Consent",
        },
    }
    if cell:
        entity["detail"] = [{"type": "ledger-cell", "valueString": cell}]
    return entity


def _declared(emergency: Emergency) -> list[Json]:
    said = (
        ("reason", emergency.reason),
        ("nature", emergency.nature),
        ("affiliation", emergency.affiliation),
    )
    return [{"type": name, "valueString": text} for name, text in said if text]


def _who(party: Party) -> Json:
    who: Json = {"identifier": _identifier("grantee", party.grantee)}
    if party.label:
        who["display"] = party.label
    return who


def _identifier(kind: str, value: bytes) -> Json:
    return {"system": f"urn:hilum:{kind}", "value": value.hex()}


def _concept(system: str, code: str, display: str) -> Json:
    return {"coding": [{"system": system, "code": code, "display": display}]}
