"""Who looked at a record: every receipt of a subject, in the words that scripts rely on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hilum.exchange.disclosing import OWN_LABEL
from hilum.exchange.people import compartment_of
from hilum.identity.reader import grantee_of
from hilum.journal.model import Facts, Outcome, ReceiptAction
from hilum.journal.receipt import parse_receipt, receipt_id

if TYPE_CHECKING:
    from hilum.exchange.node import Node

__all__ = ["describe", "receipts"]

_PAGE = 1000


def receipts(node: Node, *, subject: str) -> list[dict[str, Any]]:
    """Return the receipts of a subject, oldest first, those of an imported record before our own.

    Each is ``{"receipt", "at", "reader", "purpose", "action", "outcome", "count", …}``; an
    emergency also names reason, nature and affiliation, a receipt of another custodian ``foreign``.

    Raises:
        MalformedInputError: no such subject.
    """
    conn = node.conn
    cid = compartment_of(node, conn, subject)
    own = grantee_of(f"Patient/{subject}")
    found = [
        {**describe(foreign.id, parse_receipt(foreign.data).facts, own=own), "foreign": True}
        for foreign in node.journal.foreign(conn, cid)
    ]
    after = -1
    while page := node.journal.of_compartment(conn, cid, after=after, limit=_PAGE):
        found += [
            describe(receipt_id(stored.leaf), stored.receipt.facts, own=own) for stored in page
        ]
        after = page[-1].receipt.number
    return found


def describe(name: str, facts: Facts, *, own: bytes) -> dict[str, Any]:
    """Return one receipt as the log shows it.

    Args:
        name: the receipt's id.
        facts: what it says.
        own: the subject's grantee id; whoever merely is called "subject" is not the subject.
    """
    instant = datetime.fromtimestamp(facts.at_unix_ms / 1000, UTC)
    party = facts.person or facts.organisation or facts.client
    row: dict[str, Any] = {
        "receipt": name,
        "at": instant.strftime("%Y-%m-%dT%H:%M:%S.") + f"{facts.at_unix_ms % 1000:03d}Z",
        "reader": OWN_LABEL if party is None else party.label,
        "purpose": facts.purpose,
        "action": ReceiptAction(facts.action).name.lower(),
        "outcome": Outcome(facts.outcome).name.lower(),
        "count": facts.count,
        "own": facts.person is not None and facts.person.grantee == own,
    }
    if facts.emergency is not None:
        row["reason"] = facts.emergency.reason
        row["nature"] = facts.emergency.nature
        row["affiliation"] = facts.emergency.affiliation
    return row
