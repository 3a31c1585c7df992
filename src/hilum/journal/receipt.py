"""A receipt: what was disclosed to whom, why, and on which directive.

The codec is exact: a receipt has one encoding, and every other byte string is refused. All integers
are big-endian.

```
version u8 = 1 | custodian 32 | number u64 | previous 32 | facts
facts: at_unix_ms u64 | parties u8 (mask: 1 person, 2 client, 4 organisation)
       per party:     grantee 32 | label (u8 length, UTF-8 ≤ 200 bytes)
       credential 32 | purpose (u8 length, ASCII 1-16) | action u8 | outcome u8
       directives:    u8 count ≤ 8, each: cell u32 (0xFFFFFFFF none) | seq u32 | id 16
       batch u32 | digest 32 | count u32 | segments u16 | duties u16
       only when the outcome is emergency: reason, nature, affiliation (u16 length, UTF-8 ≤ 500)
```

The journal's leaf is ``tagged("hilum/receipt/v1", salt 32 ‖ receipt)``: without the salt nobody can
guess a receipt from its leaf.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NoReturn

import msgspec

from hilum.base.hashes import tagged_hash
from hilum.errors import MalformedInputError
from hilum.journal.model import (
    DirectiveRef,
    Draft,
    Emergency,
    Facts,
    Outcome,
    Party,
    Receipt,
    ReceiptAction,
)

if TYPE_CHECKING:
    from hilum.base.ids import CompartmentId

__all__ = [
    "FIRST",
    "SALT_BYTES",
    "Frame",
    "draft_of",
    "encode_facts",
    "encode_receipt",
    "frame_of",
    "join_receipt",
    "parse_receipt",
    "receipt_id",
    "receipt_leaf",
]

VERSION: Final = 1
RECEIPT_TAG: Final = "hilum/receipt/v1"
SALT_BYTES: Final = 32
FIRST: Final = bytes(32)
"""`previous` of the first receipt of a subject."""
NO_CELL: Final = 0xFFFFFFFF
MAX_LABEL: Final = 200
MAX_WORDS: Final = 500
MAX_DIRECTIVES: Final = 8

_HEAD = struct.Struct(">B32sQ32s")
_DIRECTIVE = struct.Struct(">II16s")
_TAIL = struct.Struct(">I32sIHH")


def encode_receipt(receipt: Receipt) -> bytes:
    """Return the receipt's bytes.

    Raises:
        MalformedInputError: when a field does not fit the format.
    """
    return join_receipt(
        receipt.custodian, receipt.number, receipt.previous, encode_facts(receipt.facts)
    )


def join_receipt(custodian: bytes, number: int, previous: bytes, facts: bytes) -> bytes:
    """Return the bytes of a receipt from its place and its encoded facts.

    Args:
        custodian: 32 bytes.
        number: leaf number.
        previous: 32 bytes.
        facts: result of `encode_facts`.

    Raises:
        MalformedInputError: when a field does not fit the format.
    """
    if len(custodian) != 32 or len(previous) != 32:
        _refuse("receipt", "keys and hashes are 32 bytes")
    try:
        return _HEAD.pack(VERSION, custodian, number, previous) + facts
    except struct.error:
        _refuse("receipt.number", "not a 64-bit number")


def encode_facts(facts: Facts) -> bytes:
    """Return the bytes of the facts; they do not depend on the receipt's place.

    Raises:
        MalformedInputError: when a field does not fit the format.
    """
    if len(facts.digest) != 32:
        _refuse("receipt", "hashes are 32 bytes")
    if (facts.emergency is not None) != (facts.outcome == Outcome.EMERGENCY):
        _refuse("receipt.emergency", "belongs to the outcome emergency and to no other")
    parts = [_encode_time(facts.at_unix_ms), _encode_middle(facts), _encode_tail(facts)]
    if facts.emergency is not None:
        parts += [_encode_words(text) for text in msgspec.structs.astuple(facts.emergency)]
    return b"".join(parts)


def draft_of(cid: CompartmentId, facts: Facts) -> Draft:
    """Return the draft of a receipt.

    Args:
        cid: the compartment it speaks of.
        facts: what happened.

    Raises:
        MalformedInputError: when a field does not fit the format.
    """
    return Draft(cid, facts.at_unix_ms, encode_facts(facts))


class Frame(msgspec.Struct, frozen=True, gc=False):
    """What every receipt of one session, compartment, action and decision has in common.

    Attributes:
        cid: the compartment.
        middle: parties, credential, purpose, action, outcome and directives, encoded.
        duties: mask of the duties.
    """

    cid: CompartmentId
    middle: bytes
    duties: int

    def draft(self, at_unix_ms: int, batch: int, digest: bytes, shown: tuple[int, int]) -> Draft:
        """Return the draft of one receipt.

        Args:
            at_unix_ms: when.
            batch: last ledger batch the node knew.
            digest: Merkle root over the digests of what was disclosed, 32 bytes.
            shown: how many resources were disclosed, and the mask of their segments.

        Raises:
            MalformedInputError: when a field does not fit the format.
        """
        try:
            tail = _TAIL.pack(batch, digest, *shown, self.duties)
        except struct.error:
            _refuse("receipt", "batch, count, segments or duties out of range")
        return Draft(self.cid, at_unix_ms, _encode_time(at_unix_ms) + self.middle + tail)


def frame_of(cid: CompartmentId, facts: Facts) -> Frame:
    """Return what the receipts of one decision have in common.

    Args:
        cid: the compartment they speak of.
        facts: of one of them, of any outcome but an emergency.

    Raises:
        MalformedInputError: when a field does not fit the format, or it is an emergency, whose
            receipts end in what the reader declared.
    """
    if facts.outcome == Outcome.EMERGENCY:
        _refuse("receipt.emergency", "each emergency receipt is written whole")
    return Frame(cid, _encode_middle(facts), facts.duties)


def _encode_middle(facts: Facts) -> bytes:
    who = _encode_parties(facts.person, facts.client, facts.organisation)
    if len(facts.credential) != 32:
        _refuse("receipt", "hashes are 32 bytes")
    return b"".join((
        who,
        facts.credential,
        _encode_purpose(facts.purpose),
        _encode_marks(facts.action, facts.outcome),
        _encode_directives(facts.directives),
    ))  # fmt: skip


def parse_receipt(data: bytes) -> Receipt:
    """Return the receipt that has these bytes.

    Raises:
        MalformedInputError: when the bytes are not the encoding of any receipt.
    """
    cursor = _Cursor(data)
    version, custodian, number, previous = cursor.unpack(_HEAD)
    if version != VERSION:
        _refuse("receipt.version", "unknown version")
    facts = _parse_facts(cursor)
    if cursor.at != len(data):
        _refuse("receipt", "bytes after the end")
    return Receipt(custodian, number, previous, facts)


def receipt_leaf(salt: bytes, receipt: bytes) -> bytes:
    """Return the 32 bytes that stand for a receipt in the journal, the tree's leaf data.

    Args:
        salt: 32 random bytes.
        receipt: the receipt's bytes.
    """
    return tagged_hash(RECEIPT_TAG, salt, receipt)


def receipt_id(leaf: bytes) -> str:
    """Return the receipt's id: 32 hex digits of its leaf."""
    return leaf[:16].hex()


def _refuse(where: str, why: str) -> NoReturn:
    raise MalformedInputError("bad-receipt", why, where=where)


def _encode_time(at_unix_ms: int) -> bytes:
    try:
        return at_unix_ms.to_bytes(8, "big")
    except OverflowError:
        _refuse("receipt.at", "not a 64-bit instant")


@lru_cache(maxsize=4096)  # the same few readers come again and again
def _encode_parties(*parties: Party | None) -> bytes:
    named = [party for party in parties if party is not None]
    if not named:
        _refuse("receipt.parties", "at least one party is named")
    mask = sum(1 << n for n, party in enumerate(parties) if party is not None)
    return bytes((mask,)) + b"".join(_encode_party(party) for party in named)


def _encode_party(party: Party) -> bytes:
    label = _utf8(party.label, MAX_LABEL)
    if len(party.grantee) != 32:
        _refuse("receipt.parties", "a grantee id is 32 bytes")
    return party.grantee + bytes((len(label),)) + label


@lru_cache(maxsize=64)
def _encode_purpose(purpose: str) -> bytes:
    if not (1 <= len(purpose) <= 16 and purpose.isascii() and purpose.isprintable()):
        _refuse("receipt.purpose", "1 to 16 printable ASCII characters")
    return bytes((len(purpose),)) + purpose.encode("ascii")


@lru_cache(maxsize=64)
def _encode_marks(action: ReceiptAction, outcome: Outcome) -> bytes:
    try:
        return bytes((ReceiptAction(action), Outcome(outcome)))
    except ValueError:
        _refuse("receipt.action", "unknown action or outcome")


@lru_cache(maxsize=4096)  # as with the readers
def _encode_directives(refs: tuple[DirectiveRef, ...]) -> bytes:
    if len(refs) > MAX_DIRECTIVES:
        _refuse("receipt.directives", "at most 8 directives")
    return bytes((len(refs),)) + b"".join(_encode_directive(ref) for ref in refs)


def _encode_directive(ref: DirectiveRef) -> bytes:
    if len(ref.directive) != 16 or ref.cell == NO_CELL:
        _refuse("receipt.directives", "a directive id is 16 bytes")
    try:
        return _DIRECTIVE.pack(NO_CELL if ref.cell is None else ref.cell, ref.seq, ref.directive)
    except struct.error:
        _refuse("receipt.directives", "cell and seq are 32-bit numbers")


def _encode_tail(facts: Facts) -> bytes:
    try:
        return _TAIL.pack(facts.batch, facts.digest, facts.count, facts.segments, facts.duties)
    except struct.error:
        _refuse("receipt", "batch, count, segments or duties out of range")


def _encode_words(text: str) -> bytes:
    words = _utf8(text, MAX_WORDS)
    return len(words).to_bytes(2, "big") + words


def _utf8(text: str, limit: int) -> bytes:
    try:
        data = text.encode()
    except UnicodeEncodeError:
        _refuse("receipt", "a text is not valid Unicode")
    if len(data) > limit:
        _refuse("receipt", f"a text is longer than {limit} bytes")
    return data


class _Cursor:
    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        part = self.data[self.at : self.at + size]
        if len(part) != size:
            _refuse("receipt", "ends too early")
        self.at += size
        return part

    def unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        return layout.unpack(self.take(layout.size))

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def text(self, width: int, limit: int) -> str:
        size = self.number(width)
        if size > limit:
            _refuse("receipt", f"a text is longer than {limit} bytes")
        try:
            return self.take(size).decode()
        except UnicodeDecodeError:
            _refuse("receipt", "a text is not UTF-8")


def _parse_facts(cursor: _Cursor) -> Facts:
    at_unix_ms = cursor.number(8)
    mask = cursor.number(1)
    if not 1 <= mask <= 7:
        _refuse("receipt.parties", "mask of one to three parties")
    parties = [
        Party(cursor.take(32), cursor.text(1, MAX_LABEL)) if mask >> n & 1 else None
        for n in range(3)
    ]
    credential = cursor.take(32)
    purpose = _parse_purpose(cursor)
    action, outcome = _parse_marks(cursor)
    directives = _parse_directives(cursor)
    batch, digest, count, segments, duties = cursor.unpack(_TAIL)
    emergency = None
    if outcome is Outcome.EMERGENCY:
        emergency = Emergency(*(cursor.text(2, MAX_WORDS) for _ in range(3)))
    return Facts(
        at_unix_ms=at_unix_ms,
        person=parties[0],
        client=parties[1],
        organisation=parties[2],
        credential=credential,
        purpose=purpose,
        action=action,
        outcome=outcome,
        directives=directives,
        batch=batch,
        digest=digest,
        count=count,
        segments=segments,
        duties=duties,
        emergency=emergency,
    )


def _parse_purpose(cursor: _Cursor) -> str:
    purpose = cursor.text(1, 16)
    _encode_purpose(purpose)
    return purpose


def _parse_marks(cursor: _Cursor) -> tuple[ReceiptAction, Outcome]:
    action, outcome = cursor.take(2)
    try:
        return ReceiptAction(action), Outcome(outcome)
    except ValueError:
        _refuse("receipt.action", "unknown action or outcome")


def _parse_directives(cursor: _Cursor) -> tuple[DirectiveRef, ...]:
    count = cursor.number(1)
    if count > MAX_DIRECTIVES:
        _refuse("receipt.directives", "at most 8 directives")
    refs = []
    for _ in range(count):
        cell, seq, directive = cursor.unpack(_DIRECTIVE)
        refs.append(DirectiveRef(directive, None if cell == NO_CELL else cell, seq))
    return tuple(refs)
