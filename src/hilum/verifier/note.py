"""Steps `journal-path` and `checkpoint`: the signed head that a receipt's path must lead to."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from hilum.verifier.reading import fail

__all__ = ["Head", "read_note", "verify_note"]

STEP: Final = "checkpoint"
_NOTE = re.compile(
    "(?P<text>(?P<origin>[!-*,-~]{1,200})\n(?P<size>0|[1-9][0-9]{0,14})\n"
    "(?P<root>[A-Za-z0-9+/]{43}=)\n)"
    "\n\u2014 (?P<name>[!-*,-~]{1,200}) (?P<signature>[A-Za-z0-9+/]{91}=)\n"
)


@dataclass(frozen=True, slots=True)
class Head:
    """A checkpoint as its note spells it; not yet verified.

    Attributes:
        text: the signed text.
        origin: the journal's name.
        size: leaves.
        root: 32 bytes.
        name: of the key.
        signature: key id (4 bytes) and Ed25519 signature (64 bytes).
    """

    text: str
    origin: str
    size: int
    root: bytes
    name: str
    signature: bytes


def read_note(note: str) -> Head:
    """Return the checkpoint that a note spells.

    Raises:
        VerificationError: step ``checkpoint``, when it is not a note with one Ed25519 signature.
    """
    found = _NOTE.fullmatch(note)
    if found is None:
        fail(STEP, "not a checkpoint with one signature")
    return Head(
        text=found["text"],
        origin=found["origin"],
        size=int(found["size"]),
        root=_unbase64(found["root"]),
        name=found["name"],
        signature=_unbase64(found["signature"]),
    )


def verify_note(head: Head, custodian: bytes) -> None:
    """Check that the custodian signed the checkpoint.

    Args:
        head: what the note spells.
        custodian: the Ed25519 key that the receipt names, 32 bytes.

    Raises:
        VerificationError: step ``checkpoint``, when the signature is not by that key.

    Source: C2SP signed-note (key ids) and tlog-checkpoint.
    """
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # heavy: only where used
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415  # as above
        Ed25519PublicKey,
    )

    if head.name != head.origin:
        fail(STEP, "signed under another name than the journal's")
    key_id = sha256(f"{head.name}\n".encode() + b"\x01" + custodian).digest()[:4]
    if head.signature[:4] != key_id:
        fail(STEP, "signed by another key than the receipt's custodian")
    try:
        key = Ed25519PublicKey.from_public_bytes(custodian)
        key.verify(head.signature[4:], head.text.encode())
    except (InvalidSignature, ValueError):
        fail(STEP, "the signature does not hold")


def _unbase64(text: str) -> bytes:
    data = b64decode(text)
    if b64encode(data).decode("ascii") != text:
        fail(STEP, "not the canonical base64 of its bytes")
    return data
