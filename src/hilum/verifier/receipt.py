"""Step `payload`: what a receipt says, read independently of the journal's own codec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hilum.verifier.reading import Cursor, fail

__all__ = ["ReceiptFacts", "read_receipt"]

STEP: Final = "payload"
ACTIONS: Final = {
    1: "read",
    2: "search",
    4: "history",
    8: "contribute",
    16: "export",
    32: "subscribe",
    64: "aggregate",
}
OUTCOMES: Final = {1: "permit", 2: "emergency", 3: "absent"}


@dataclass(frozen=True, slots=True)
class ReceiptFacts:
    """What a receipt says, as far as a reader of a proof needs it.

    Attributes:
        custodian: the custodian's Ed25519 key, 32 bytes.
        number: leaf number in the custodian's journal.
        at_unix_ms: when, milliseconds since 1970.
        person: label of the person who read, or "".
        client: label of the program, or "".
        organisation: label of the organisation, or "".
        purpose: v3 PurposeOfUse code.
        action: e.g. ``read``.
        outcome: ``permit``, ``emergency`` or ``absent``.
        count: how many resources were disclosed.
    """

    custodian: bytes
    number: int
    at_unix_ms: int
    person: str
    client: str
    organisation: str
    purpose: str
    action: str
    outcome: str
    count: int


def read_receipt(data: bytes) -> ReceiptFacts:
    """Return what the bytes of a receipt say.

    Raises:
        VerificationError: step ``payload``, when they are not a receipt.
    """
    cursor = Cursor(data, STEP)
    if cursor.number(1) != 1:
        fail(STEP, "unknown version of receipt")
    custodian, number = cursor.take(32), cursor.number(8)
    cursor.take(32)
    at_unix_ms = cursor.number(8)
    labels = _read_parties(cursor)
    cursor.take(32)
    purpose = _read_purpose(cursor)
    action, outcome = ACTIONS.get(cursor.number(1)), OUTCOMES.get(cursor.number(1))
    if action is None or outcome is None:
        fail(STEP, "unknown action or outcome")
    directives = cursor.number(1)
    if directives > 8:
        fail(STEP, "too many directives")
    cursor.take(24 * directives + 4 + 32)
    count = cursor.number(4)
    cursor.take(4)
    if outcome == "emergency":
        for _ in range(3):
            cursor.text(2, 500)
    cursor.end()
    return ReceiptFacts(custodian, number, at_unix_ms, *labels, purpose, action, outcome, count)


def _read_parties(cursor: Cursor) -> tuple[str, str, str]:
    mask = cursor.number(1)
    if not 1 <= mask <= 7:
        fail(STEP, "not one to three parties")
    labels = ["", "", ""]
    for n in range(3):
        if mask >> n & 1:
            cursor.take(32)
            labels[n] = cursor.text(1, 200)
    return labels[0], labels[1], labels[2]


def _read_purpose(cursor: Cursor) -> str:
    purpose = cursor.text(1, 16)
    if not purpose or any(not " " <= letter <= "~" for letter in purpose):
        fail(STEP, "not a purpose code")
    return purpose
