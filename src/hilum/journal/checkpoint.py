"""The signed head of a journal: a checkpoint inside a signed note.

```
<origin>
<size>
<root, base64>
[extension lines]

— <key name> <base64 of key id 4 ‖ signature>   (one line or more)
```

Ed25519 signatures (type 1) are ours; witness cosignatures (type 4) can be checked as well.

Source: C2SP signed-note, tlog-checkpoint and tlog-cosignature (c2sp.org).
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from hilum.base.hashes import tagged_hash
from hilum.errors import MalformedInputError, VerificationError

__all__ = [
    "Checkpoint",
    "Note",
    "VerifierKey",
    "checkpoint_digest",
    "key_id",
    "origin_of",
    "parse_checkpoint",
    "parse_note",
    "parse_verifier_key",
    "sign_checkpoint",
    "verify_checkpoint",
]

STEP = "checkpoint"
ED25519 = 1
COSIGNATURE = 4


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log.

    Attributes:
        origin: the log's name.
        size: number of leaves.
        root: 32 bytes.
        extensions: further lines, kept as they are.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The signed text, ending with a newline."""
        root = b64encode(self.root).decode("ascii")
        return "".join(f"{line}\n" for line in (self.origin, self.size, root, *self.extensions))


@dataclass(frozen=True, slots=True)
class Note:
    """A signed note: its text and, per signature line, key name, key id (4 bytes), signature."""

    text: str
    signatures: tuple[tuple[str, bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key under a name.

    Attributes:
        name: without spaces or plus signs.
        kind: 1 for Ed25519, 4 for a witness cosignature.
        public: 32 bytes.
    """

    name: str
    kind: int
    public: bytes

    @property
    def text(self) -> str:
        """The key as signed-note writes it: ``name+id+base64``."""
        body = b64encode(bytes((self.kind,)) + self.public).decode("ascii")
        return f"{self.name}+{key_id(self).hex()}+{body}"


def key_id(key: VerifierKey) -> bytes:
    """Return the 4 bytes that stand for a key in signature lines."""
    return sha256(f"{key.name}\n".encode() + bytes((key.kind,)) + key.public).digest()[:4]


def checkpoint_digest(note: bytes) -> bytes:
    """Return the 32 bytes that the journal's cell commits to for a signed note."""
    return tagged_hash("hilum/checkpoint/v1", note)


def origin_of(custodian: str) -> str:
    """Return the origin and key name of a custodian's journal.

    Args:
        custodian: its DID, or the fingerprint of its key.
    """
    return f"hilum/{custodian}"


def sign_checkpoint(
    checkpoint: Checkpoint, *, public: bytes, sign: Callable[[bytes], bytes]
) -> bytes:
    """Return the checkpoint as a note signed under its origin as key name.

    Args:
        checkpoint: what to sign.
        public: the custodian's Ed25519 public key, 32 bytes.
        sign: returns the 64-byte Ed25519 signature of a message.
    """
    text = checkpoint.text
    name = VerifierKey(checkpoint.origin, ED25519, public)
    signature = b64encode(key_id(name) + sign(text.encode())).decode("ascii")
    return f"{text}\n\u2014 {checkpoint.origin} {signature}\n".encode()


def parse_note(data: bytes) -> Note:
    """Return the parts of a signed note; nothing is verified.

    Raises:
        MalformedInputError: when it is not one.
    """
    try:
        whole = data.decode()
    except UnicodeDecodeError as error:
        raise MalformedInputError("bad-note", "a note is UTF-8") from error
    text, gap, lines = whole.rpartition("\n\n")
    if not gap or not lines.endswith("\n") or any(ch < " " and ch != "\n" for ch in whole):
        raise MalformedInputError("bad-note", "text, empty line, signature lines")
    return Note(f"{text}\n", tuple(_parse_signature(line) for line in lines[:-1].split("\n")))


def parse_checkpoint(note: Note) -> Checkpoint:
    """Return the checkpoint a note carries; nothing is verified.

    Raises:
        MalformedInputError: when the text is not one.
    """
    origin, *rest = note.text[:-1].split("\n")
    if len(rest) < 2 or not origin:
        raise MalformedInputError("bad-checkpoint", "origin, size and root are needed")
    size = rest[0]
    if not (size.isascii() and size.isdigit() and len(size) < 20 and str(int(size)) == size):
        raise MalformedInputError("bad-checkpoint", "the size is a decimal number", where="line 2")
    root = _unbase64(rest[1])
    if len(root) != 32:
        raise MalformedInputError("bad-checkpoint", "the root is 32 bytes", where="line 3")
    return Checkpoint(origin, int(size), root, tuple(rest[2:]))


def parse_verifier_key(text: str) -> VerifierKey:
    """Return the key written as ``name+id+base64``.

    Raises:
        MalformedInputError: when it is not one, or its id does not fit.
    """
    parts = text.strip().split("+", 2)
    if len(parts) != 3 or not parts[0]:
        raise MalformedInputError("bad-key", "a verifier key is name+id+base64")
    body = _unbase64(parts[2])
    if len(body) != 33 or body[0] not in {ED25519, COSIGNATURE}:
        raise MalformedInputError("bad-key", "only Ed25519 keys and cosignature keys")
    key = VerifierKey(parts[0], body[0], body[1:])
    if key_id(key).hex() != parts[1]:
        raise MalformedInputError("bad-key", "the key id does not fit the key")
    return key


def verify_checkpoint(data: bytes, key: VerifierKey) -> Checkpoint:
    """Return the checkpoint of a note after checking a signature by this key on it.

    Args:
        data: the note.
        key: the log's key (the name must be the origin) or a witness's key.

    Raises:
        VerificationError: when the note carries no valid signature by the key.
    """
    try:
        note = parse_note(data)
        checkpoint = parse_checkpoint(note)
    except MalformedInputError as error:
        raise VerificationError(STEP, error.why) from error
    if key.kind == ED25519 and checkpoint.origin != key.name:
        raise VerificationError(STEP, "the checkpoint is of another log")
    wanted = key_id(key)
    mine = [sig for name, kid, sig in note.signatures if name == key.name and kid == wanted]
    if not mine:
        raise VerificationError(STEP, "not signed by this key")
    for signature in mine:
        _verify_signature(note.text, signature, key)
    return checkpoint


def _verify_signature(text: str, signature: bytes, key: VerifierKey) -> None:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # heavy: only where used
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415  # as above
        Ed25519PublicKey,
    )

    message = text.encode()
    if key.kind == COSIGNATURE:
        instant, signature = int.from_bytes(signature[:8], "big"), signature[8:]
        message = f"cosignature/v1\ntime {instant}\n".encode() + message
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise VerificationError(STEP, "the signature does not hold") from error


def _parse_signature(line: str) -> tuple[str, bytes, bytes]:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    if dash != "\u2014" or not name or "+" in name:
        raise MalformedInputError("bad-note", "a signature line is '— name base64'")
    body = _unbase64(encoded)
    if len(body) < 5:
        raise MalformedInputError("bad-note", "a signature is too short")
    return name, body[:4], body[4:]


def _unbase64(text: str) -> bytes:
    try:
        data = b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedInputError("bad-base64", "not base64") from error
    if b64encode(data).decode("ascii") != text:
        raise MalformedInputError("bad-base64", "not the canonical base64 of its bytes")
    return data
