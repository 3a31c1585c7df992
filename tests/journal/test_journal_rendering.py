"""Receipts as IHE BALP AuditEvents and as accounting rows."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hilum.journal.accounting import render_row
from hilum.journal.balp import PROFILE, render_audit_event
from hilum.journal.model import (
    DirectiveRef,
    Emergency,
    Facts,
    Outcome,
    Party,
    Receipt,
    ReceiptAction,
)

PERSON = Party(b"\1" * 32, "Dr. A")
CLIENT = Party(b"\2" * 32, "Clinic app")
CLINIC = Party(b"\3" * 32, "")
FACTS = Facts(
    at_unix_ms=1_800_000_000_123,
    purpose="TREAT",
    action=ReceiptAction.READ,
    outcome=Outcome.PERMIT,
    credential=bytes(32),
    person=PERSON,
    client=CLIENT,
    organisation=CLINIC,
    directives=(DirectiveRef(b"\4" * 16, 7, 2), DirectiveRef(b"\5" * 16)),
    digest=b"\6" * 32,
    count=1,
    segments=5,
)


def receipt(**changes: object) -> Receipt:
    return Receipt(b"\x0c" * 32, 12, bytes(32), msgspec.structs.replace(FACTS, **changes))


def event(**changes: object) -> dict[str, Any]:
    return render_audit_event(receipt(**changes), receipt_id="r1", subject="ann")


def codes(examples: Path, name: str, path: str) -> set[str]:
    """Return the codes that BALP's own examples give to a path, e.g. ``agent[server].type``."""
    found = re.findall(
        rf"^\* {re.escape(path)} = \S*?#(\S+)", (examples / name).read_text(), flags=re.MULTILINE
    )
    return set(found)


@pytest.mark.parametrize(
    ("action", "file", "profile"),
    [
        (ReceiptAction.READ, "ex-patientRead.fsh", "PatientRead"),
        (ReceiptAction.SEARCH, "ex-patientQuery.fsh", "PatientQuery"),
        (ReceiptAction.CONTRIBUTE, "ex-patientCreate.fsh", "PatientCreate"),
    ],
)
def test_codes_are_those_of_the_published_examples(
    action: ReceiptAction, file: str, profile: str, material: Callable[[str], Path]
) -> None:
    examples = material("ihe-balp")
    shown = event(action=action)
    assert shown["meta"]["profile"] == [PROFILE + profile]
    assert shown["action"] in codes(examples, file, "action")
    assert shown["type"]["code"] in codes(examples, file, "type")
    agents = {agent["type"]["coding"][0]["code"]: agent for agent in shown["agent"]}
    server, client = shown["agent"][0], shown["agent"][1]
    assert server["type"]["coding"][0]["code"] in codes(examples, file, "agent[server].type")
    assert client["type"]["coding"][0]["code"] in codes(examples, file, "agent[client].type")
    assert agents["IRCP"]["who"]["display"] == "Dr. A"
    patient = shown["entity"][0]
    assert patient["type"]["code"] in codes(examples, file, "entity[patient].type")
    assert patient["role"]["code"] in codes(examples, file, "entity[patient].role")
    slice_name = "query" if action is ReceiptAction.SEARCH else "data"
    data = shown["entity"][1]
    assert data["type"]["code"] in codes(examples, file, f"entity[{slice_name}].type")
    assert data["role"]["code"] in codes(examples, file, f"entity[{slice_name}].role")


@pytest.mark.parametrize("action", ReceiptAction)
@pytest.mark.parametrize("outcome", Outcome)
def test_every_event_has_what_fhir_demands(action: ReceiptAction, outcome: Outcome) -> None:
    words = Emergency("unconscious", "accident", "") if outcome is Outcome.EMERGENCY else None
    shown = event(action=action, outcome=outcome, emergency=words)
    assert shown["resourceType"] == "AuditEvent"
    assert {"type", "recorded", "agent", "source"} <= shown.keys()
    assert shown["recorded"] == "2027-01-15T08:00:00.123Z"
    assert shown["source"]["observer"]["identifier"]["value"] == "0c" * 32
    assert [agent["requestor"] for agent in shown["agent"]].count(True) == 1
    requestor = next(agent for agent in shown["agent"] if agent["requestor"])
    assert requestor["who"]["identifier"]["value"] == PERSON.grantee.hex()
    assert shown["entity"][0]["what"] == {"reference": "Patient/ann"}
    for entity in shown["entity"]:
        assert not {"name", "query"} <= entity.keys()  # sev-1 of the R4 AuditEvent
    assert (shown["outcome"] == "4") == (outcome is Outcome.ABSENT)
    assert shown["purposeOfEvent"][0]["coding"][0]["code"] == "TREAT"


def test_the_requestor_is_who_there_is() -> None:
    for changes, grantee in (
        ({"person": None}, CLIENT),
        ({"person": None, "client": None}, CLINIC),
        ({"client": None}, PERSON),
        ({"client": None, "organisation": None}, PERSON),
    ):
        shown = event(**changes)
        requestor = next(agent for agent in shown["agent"] if agent["requestor"])
        assert requestor["who"]["identifier"]["value"] == grantee.grantee.hex()


def test_directives_search_and_emergency_are_told() -> None:
    shown = event()
    consents = [entity for entity in shown["entity"] if entity["type"]["code"] == "Consent"]
    assert [one["what"]["identifier"]["value"] for one in consents] == ["04" * 16, "05" * 16]
    assert consents[0]["detail"][0]["valueString"] == "7:2"
    assert "detail" not in consents[1]
    search = event(action=ReceiptAction.SEARCH)["entity"][1]
    assert b64decode(search["query"]) == b"count=1&digest=" + b"06" * 32
    said = event(outcome=Outcome.EMERGENCY, emergency=Emergency("why", "what", ""))
    assert said["entity"][-1]["detail"] == [
        {"type": "reason", "valueString": "why"},
        {"type": "nature", "valueString": "what"},
    ]


def test_accounting_rows_name_date_recipient_content_and_purpose() -> None:
    row = render_row(receipt(), receipt_id="r1")
    assert (row.receipt, row.date) == ("r1", "2027-01-15T08:00:00Z")
    assert row.recipient == f"Dr. A, {'03' * 32}, Clinic app"
    assert (row.what, row.purpose) == ("1 resource by read", "TREAT")
    absent = render_row(receipt(outcome=Outcome.ABSENT, count=0), receipt_id="r")
    assert absent.what == "nothing by read"
    urgent = receipt(
        outcome=Outcome.EMERGENCY,
        count=3,
        action=ReceiptAction.SEARCH,
        emergency=Emergency("unconscious", "b", "c"),
    )
    told = render_row(urgent, receipt_id="r")
    assert (told.what, told.purpose) == ("3 resources by search", "TREAT (emergency: unconscious)")
