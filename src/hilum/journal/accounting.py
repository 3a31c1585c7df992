"""A receipt as a row of an accounting of disclosures.

Source: 45 CFR 164.528(b)(2): date, recipient, brief description of what was disclosed, purpose.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from hilum.journal.model import Outcome, Receipt

__all__ = ["AccountingRow", "render_row"]


@dataclass(frozen=True, slots=True)
class AccountingRow:
    """One disclosure in plain words.

    Attributes:
        receipt: the receipt's id.
        date: ISO 8601 instant in UTC, to the second.
        recipient: who received it: person, organisation, client.
        what: how much of what kind of access.
        purpose: v3 PurposeOfUse code, with the declared reason in an emergency.
    """

    receipt: str
    date: str
    recipient: str
    what: str
    purpose: str


def render_row(receipt: Receipt, *, receipt_id: str) -> AccountingRow:
    """Return the accounting row of a receipt.

    Args:
        receipt: what happened.
        receipt_id: its id.
    """
    facts = receipt.facts
    parties = (facts.person, facts.organisation, facts.client)
    names = [party.label or party.grantee.hex() for party in parties if party is not None]
    noun = "resource" if facts.count == 1 else "resources"
    nothing = facts.outcome is Outcome.ABSENT
    what = "nothing" if nothing else f"{facts.count} {noun}"
    purpose = facts.purpose
    if facts.emergency is not None:
        purpose = f"{purpose} (emergency: {facts.emergency.reason})"
    instant = datetime.fromtimestamp(facts.at_unix_ms // 1000, UTC)
    return AccountingRow(
        receipt=receipt_id,
        date=instant.strftime("%Y-%m-%dT%H:%M:%SZ"),
        recipient=", ".join(names),
        what=f"{what} by {facts.action.name.lower()}",
        purpose=purpose,
    )
