"""What the journal speaks of: receipts, the parties in them, and drafts of them."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from hilum.base.ids import CompartmentId

__all__ = [
    "DirectiveRef",
    "Draft",
    "Emergency",
    "Facts",
    "Outcome",
    "Party",
    "Receipt",
    "ReceiptAction",
    "StoredReceipt",
]


class Outcome(IntEnum):
    """How the gate decided."""

    PERMIT = 1
    EMERGENCY = 2
    ABSENT = 3


class ReceiptAction(IntEnum):
    """What was done; the numbers are those of the gate's actions."""

    READ = 1
    SEARCH = 2
    HISTORY = 4
    CONTRIBUTE = 8
    EXPORT = 16
    SUBSCRIBE = 32
    AGGREGATE = 64


class Party(msgspec.Struct, frozen=True):
    """One who took part.

    Attributes:
        grantee: 32 bytes, the id a clause names.
        label: short text for people, at most 200 bytes of UTF-8.
    """

    grantee: bytes
    label: str


class DirectiveRef(msgspec.Struct, frozen=True):
    """A directive that permitted.

    Attributes:
        directive: 16 bytes.
        cell: index of its cell in the ledger, or None when it has none.
        seq: the cell's sequence number.
    """

    directive: bytes
    cell: int | None = None
    seq: int = 0


class Emergency(msgspec.Struct, frozen=True):
    """What a break-glass reader declared; each text at most 500 bytes of UTF-8."""

    reason: str
    nature: str
    affiliation: str


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a receipt says beside its place in the journal.

    Attributes:
        at_unix_ms: when, in milliseconds since 1970.
        person: who read, or None.
        client: through which program, or None.
        organisation: on whose behalf, or None; at least one of the three is there.
        credential: 32-byte hash of what the reader proved itself with.
        purpose: v3 PurposeOfUse code, 1 to 16 ASCII characters.
        action: what was done.
        outcome: how the gate decided.
        directives: at most 8.
        batch: last ledger batch the node knew.
        digest: Merkle root over the digests of what was disclosed, 32 bytes.
        count: how many resources were disclosed.
        segments: mask of the segments disclosed, 16 bits.
        duties: mask of the duties, 16 bits.
        emergency: there exactly when the outcome is EMERGENCY.
    """

    at_unix_ms: int
    purpose: str
    action: ReceiptAction
    outcome: Outcome
    credential: bytes
    person: Party | None = None
    client: Party | None = None
    organisation: Party | None = None
    directives: tuple[DirectiveRef, ...] = ()
    batch: int = 0
    digest: bytes = bytes(32)
    count: int = 0
    segments: int = 0
    duties: int = 0
    emergency: Emergency | None = None


class Receipt(msgspec.Struct, frozen=True):
    """A receipt in its place.

    Attributes:
        custodian: the custodian's Ed25519 public key, 32 bytes; the key that signs its checkpoints.
        number: leaf number in the custodian's journal, from 0.
        previous: leaf of the subject's receipt before this one, or 32 zero bytes.
        facts: what happened.
    """

    custodian: bytes
    number: int
    previous: bytes
    facts: Facts


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A receipt that has no place yet (see `receipt.draft_of` and `receipt.Frame`).

    Attributes:
        cid: the compartment it speaks of; never part of the receipt's bytes.
        at_unix_ms: when, as in the facts.
        facts: the encoded facts.
    """

    cid: CompartmentId
    at_unix_ms: int
    facts: bytes


class StoredReceipt(msgspec.Struct, frozen=True):
    """A receipt as the journal keeps it.

    Attributes:
        receipt: what the bytes say.
        data: the receipt's bytes.
        salt: 32 bytes.
        leaf: the 32 bytes that stand for it in the tree.
        cid: the compartment.
    """

    receipt: Receipt
    data: bytes
    salt: bytes
    leaf: bytes
    cid: CompartmentId
