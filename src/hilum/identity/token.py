"""Opaque bearer tokens: ``hlm_`` and 32 random bytes; the node keeps a hash only."""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass

from hilum.base.hashes import tagged_hash
from hilum.base.ids import ReaderId, SubjectId, UnixMs
from hilum.errors import MalformedInputError
from hilum.identity.purpose import parse_purpose

__all__ = ["SUBJECT_PURPOSE", "Token", "hash_of_text", "issue", "parse_ttl"]

PREFIX = "hlm_"
SUBJECT_PURPOSE = "PATRQT"
"""The purpose of a subject's own token."""
DEFAULT_TTL_MS = 12 * 3_600_000
LONGEST_TTL_MS = 366 * 86_400_000

_TTL = re.compile(r"([1-9][0-9]{0,9})([smhd]?)\Z")
_UNIT_MS = {"": 1_000, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_TEXT = re.compile(r"hlm_[A-Za-z0-9_-]{43}\Z")


@dataclass(frozen=True, slots=True)
class Token:
    """What the node keeps of a token; exactly one of `reader` and `subject` is set.

    Attributes:
        hash: 32 bytes; the token's text cannot be found from it.
        reader: who reads with it.
        subject: whose own token it is.
        purpose: v3 code or ``system|code``.
        issued_unix_ms: when it was made.
        expires_unix_ms: first instant at which it no longer holds.
        for_subject: the only subject it may be used for, or None.
        revoked_unix_ms: when it was taken back, or None.
    """

    hash: bytes
    reader: ReaderId | None
    subject: SubjectId | None
    purpose: str
    issued_unix_ms: UnixMs
    expires_unix_ms: UnixMs
    for_subject: SubjectId | None = None
    revoked_unix_ms: UnixMs | None = None

    def holds(self, now: UnixMs) -> bool:
        """Tell whether the token is neither early, expired nor revoked."""
        return self.issued_unix_ms <= now < self.expires_unix_ms and self.revoked_unix_ms is None


def issue(
    holder: ReaderId | SubjectId,
    purpose: str | None,
    *,
    now: UnixMs,
    ttl_ms: int = DEFAULT_TTL_MS,
    for_subject: SubjectId | None = None,
    entropy: Callable[[int], bytes],
) -> tuple[str, Token]:
    """Return a fresh token's text (shown once, kept nowhere) and what to keep of it.

    Args:
        holder: the reader's id, or the subject's when `purpose` is None.
        purpose: v3 code or ``system|code``; None makes the subject's own token.
        now: when.
        ttl_ms: how long it holds.
        for_subject: the only subject it may be used for.
        entropy: returns random bytes.

    Raises:
        MalformedInputError: when the purpose is unknown or the time out of range.
    """
    if not 0 < ttl_ms <= LONGEST_TTL_MS:
        raise MalformedInputError("bad-ttl", "a token holds 1 ms to 366 days", where="ttl")
    secret = entropy(32)
    text = PREFIX + urlsafe_b64encode(secret).rstrip(b"=").decode()
    own = purpose is None
    token = Token(
        hash=_hash(secret),
        reader=None if own else ReaderId(holder),
        subject=SubjectId(holder) if own else None,
        purpose=SUBJECT_PURPOSE if purpose is None else parse_purpose(purpose).code,
        issued_unix_ms=now,
        expires_unix_ms=UnixMs(now + ttl_ms),
        for_subject=for_subject,
    )
    return text, token


def hash_of_text(text: str) -> bytes | None:
    """Return the 32-byte hash of a token's text; None when the text is no token.

    Unused bits of the last character must be zero, so that one token has one text.
    """
    if _TEXT.match(text) is None:
        return None
    try:
        secret = urlsafe_b64decode(text[4:] + "=")
    except binascii.Error:
        return None
    if urlsafe_b64encode(secret)[:-1] != text[4:].encode():
        return None
    return _hash(secret)


def parse_ttl(text: str) -> int:
    """Return milliseconds of ``3600``, ``90s``, ``15m``, ``12h`` or ``30d``.

    Raises:
        MalformedInputError: when it is none of these or longer than 366 days.
    """
    match = _TTL.match(text)
    ttl_ms = int(match[1]) * _UNIT_MS[match[2]] if match else 0
    if not 0 < ttl_ms <= LONGEST_TTL_MS:
        raise MalformedInputError(
            "bad-ttl", "not a length of time", where="ttl", hint="3600, 15m, 12h, 30d; up to 366d"
        )
    return ttl_ms


def _hash(secret: bytes) -> bytes:
    return tagged_hash("hilum/token/v1", secret)
