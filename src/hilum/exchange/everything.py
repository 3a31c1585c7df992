"""Everything of one record that the asker may see, page by page (Patient/[id]/$everything).

The record is walked type by type, the Patient first, each newest first; device readings come as they
do in searches. What a page's resources refer to in the shared directory comes with that page. AuditEvents
come when they are asked for by their type.

Source: HL7 FHIR R4, patient-operation-everything.html.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hilum.consent.asking import READ, SEARCH
from hilum.consent.gate import directory_access
from hilum.errors import MalformedInputError
from hilum.exchange.answering import Shown, ask, chain_of, shown_of, whose
from hilum.exchange.auditing import AUDIT_TYPE
from hilum.exchange.disclosing import draft_receipt
from hilum.exchange.node import DIRECTORY
from hilum.exchange.searching import page
from hilum.record.parameters import Kind, parameters_of
from hilum.record.query import parse_query
from hilum.record.references import list_references
from hilum.record.resource import parse_json
from hilum.record.types import is_directory_type, is_resource_type, type_names

if TYPE_CHECKING:
    from hilum.base.sql import Connection
    from hilum.exchange.node import Node
    from hilum.identity.session import Session
    from hilum.journal.model import Draft
    from hilum.record.query import Query

__all__ = ["Everything", "Part", "Place", "look_up_everything", "wanted_types"]

Place = tuple[str, int, int]
"""Where a page ends: type, instant and key of its last row."""

_CARE_DATES = {
    "MedicationAdministration": "effective-time",
    "MedicationDispense": "whenhandedover",
    "MedicationRequest": "authoredon",
    "MedicationStatement": "effective",
    "ServiceRequest": "occurrence",
}
"""The parameter of a type's time of care, where it is not called ``date``."""
_UNDATED = frozenset({"Patient", "AllergyIntolerance", "Consent"})
"""Whose dates say when something was written down, not when care was given."""


@dataclass(frozen=True, slots=True)
class Everything:
    """What is asked for.

    Attributes:
        types: names of resource types, in the order of the answer.
        since: only versions stored since then (FHIR dateTime), or ``""``.
        start: only care given since then (FHIR date), or ``""``; types without a time of care
            always come.
        end: only care given until then, or ``""``.
        count: at most so many resources on a page, from 1.
    """

    types: tuple[str, ...]
    since: str = ""
    start: str = ""
    end: str = ""
    count: int = 100

    def query(self, type: str) -> Query:
        """Return the search for one type.

        Raises:
            MalformedInputError: a date is not one.
        """
        pairs = [("_lastUpdated", f"ge{self.since}")] if self.since else []
        dated = _care_date(type)
        if dated is not None:
            pairs += [(dated, f"ge{self.start}")] if self.start else []
            pairs += [(dated, f"le{self.end}")] if self.end else []
        return parse_query(type, pairs, strict=True)


@dataclass(frozen=True, slots=True)
class Part:
    """One page.

    Attributes:
        rows: resources of the record.
        included: what they refer to in the shared directory.
        drafts: receipts that must be durable first.
        following: where the next page begins, or None.
        is_absent: True when there is no such patient for who asks.
    """

    rows: tuple[Shown, ...]
    included: tuple[Shown, ...]
    drafts: tuple[Draft, ...]
    following: Place | None
    is_absent: bool = False


def wanted_types(names: Sequence[str]) -> tuple[str, ...]:
    """Return the types of a record in the order of an answer; no name means all but AuditEvents.

    Raises:
        MalformedInputError: not a resource type.
    """
    for name in names:
        if not is_resource_type(name):
            raise MalformedInputError("bad-search", "not a FHIR R4 resource type", where="_type")
    wanted = frozenset(names) or frozenset(type_names()) - {AUDIT_TYPE}
    others = [name for name in type_names() if name != "Patient" and name in wanted]
    return (("Patient",) if "Patient" in wanted else ()) + tuple(others)


def look_up_everything(
    node: Node, session: Session, id: str, wanted: Everything, *, after: Place | None
) -> Part:
    """Return one page of a patient's record.

    Raises:
        MalformedInputError: a date of the request is not one.
    """
    conn, now = node.conn, node.clock()
    cid = whose(node, conn, "Patient", id)
    decision, access = ask(node, conn, session, cid, SEARCH, now)
    rows: list[Shown] = []
    begun = wanted.types if after is None else wanted.types[wanted.types.index(after[0]) :]
    for name in begun:
        if is_directory_type(name):
            continue
        place = after[1:] if after is not None and after[0] == name else None
        limit = wanted.count + 1 - len(rows)
        rows += page(node, conn, wanted.query(name), [access], after=place, limit=limit)
        if len(rows) > wanted.count:
            break
    is_absent = not rows and after is None and node.record.read(conn, access, "Patient", id) is None
    shown = rows[: wanted.count]
    last = shown[-1] if len(rows) > wanted.count else None
    disclosed = [(row.body, row.seg) for row in shown]
    drafts = [
        draft_receipt(
            node, conn, session, cid=chain_of(cid), action=SEARCH, decision=decision,
            disclosed=disclosed, now=now,
        )
    ]  # fmt: skip
    included = _referred(node, conn, shown, frozenset(wanted.types))
    if included:
        decision, _access = ask(node, conn, session, DIRECTORY, READ, now)
        drafts.append(
            draft_receipt(
                node, conn, session, cid=DIRECTORY, action=READ, decision=decision,
                disclosed=[(row.body, row.seg) for row in included], now=now,
            )
        )  # fmt: skip
    following = None if last is None else (last.type, last.ts, last.key)
    return Part(tuple(shown), tuple(included), tuple(drafts), following, is_absent)


def _referred(
    node: Node, conn: Connection, rows: Sequence[Shown], types: frozenset[str]
) -> list[Shown]:
    """Return the resources of the shared directory that rows refer to, each once."""
    names: dict[tuple[str, str], None] = {}
    for row in rows:
        if row.cid == DIRECTORY or b'"reference"' not in row.body:
            continue
        for _path, reference in list_references(parse_json(row.body, max_bytes=len(row.body))):
            kind, _slash, own_id = reference.partition("/")
            if is_directory_type(kind) and kind in types:
                names[kind, own_id.partition("/")[0]] = None
    access = directory_access()
    found = [node.record.read(conn, access, kind, own_id) for kind, own_id in names]
    return [shown_of(row) for row in found if row is not None]


def _care_date(type: str) -> str | None:
    if type in _UNDATED:
        return None
    name = _CARE_DATES.get(type, "date")
    parameter = parameters_of(type).get(name)
    return name if parameter is not None and parameter.kind is Kind.DATE else None
