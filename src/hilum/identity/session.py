"""The one seam where a request becomes somebody: SMART, passkeys and credentials plug in here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from hilum.base.ids import GranteeId, SubjectId, UnixMs
from hilum.identity.purpose import Purpose, parse_purpose
from hilum.identity.reader import Reader, grantee_of
from hilum.identity.token import Token, hash_of_text

__all__ = ["Lookup", "Session", "Sessions", "authenticate"]

Lookup = Callable[[bytes], tuple[Token, Reader | None] | None]
"""Finds a token by its hash, with the reader that holds it."""

_SCHEME = b"bearer "
_LONGEST_HEADER = 512
_CACHE_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Session:
    """Who asks, and for what.

    Attributes:
        token_hash: 32 bytes.
        reader: the reader, or None when a subject uses the own token.
        subject: the subject whose own session it is, or None.
        purpose: why.
        starts_unix_ms: first instant at which it holds.
        expires_unix_ms: first instant at which it no longer holds.
        for_subject: the only subject it may be used for, or None.
        grantees: ids under which a clause may name who asks.
    """

    token_hash: bytes
    reader: Reader | None
    subject: SubjectId | None
    purpose: Purpose
    starts_unix_ms: UnixMs
    expires_unix_ms: UnixMs
    for_subject: SubjectId | None
    grantees: frozenset[GranteeId]

    @property
    def reference(self) -> str:
        """Return the FHIR reference of who asks."""
        return f"Patient/{self.subject}" if self.reader is None else self.reader.reference


def authenticate(authorization: bytes | None, lookup: Lookup, now: UnixMs) -> Session | None:
    """Return the session of an Authorization header, or None.

    None means: no header, another scheme, not a token, unknown, early, expired or revoked; a caller
    cannot tell these apart, and neither can who sent it.
    """
    if authorization is None or len(authorization) > _LONGEST_HEADER:
        return None
    if authorization[:7].lower() != _SCHEME:
        return None
    token_hash = hash_of_text(authorization[7:].decode("latin-1"))
    found = None if token_hash is None else lookup(token_hash)
    if found is None:
        return None
    token, reader = found
    if not token.holds(now) or token.hash != token_hash:
        return None
    return _session(token, reader)


def _session(token: Token, reader: Reader | None) -> Session | None:
    if token.subject is not None:
        grantees = frozenset({grantee_of(f"Patient/{token.subject}")})
    elif reader is not None and reader.id == token.reader:
        grantees = reader.grantees
    else:
        return None
    return Session(
        token_hash=token.hash,
        reader=None if token.subject is not None else reader,
        subject=token.subject,
        purpose=parse_purpose(token.purpose),
        starts_unix_ms=token.issued_unix_ms,
        expires_unix_ms=token.expires_unix_ms,
        for_subject=token.subject or token.for_subject,
        grantees=grantees,
    )


class Sessions:
    """Sessions found before, forgotten as soon as any token or reader changes.

    A plain dict read per request, safe between threads; whoever commits a change calls `forget`.

    Args:
        lookup: finds a token by its hash.
        renew: called before anything remembered is trusted, where other processes write too.
    """

    def __init__(self, lookup: Lookup, renew: Callable[[], None] | None = None) -> None:
        self._lookup = lookup
        self._renew = renew
        self._version = 0
        self._known: dict[bytes, tuple[int, Session]] = {}

    def forget(self) -> None:
        """Trust nothing found so far: a token or a reader changed."""
        self._version += 1

    def authenticate(self, authorization: bytes | None, now: UnixMs) -> Session | None:
        """Return the session of an Authorization header, or None; as `authenticate`."""
        if authorization is None:
            return None
        if self._renew is not None:
            self._renew()
        key = sha256(authorization).digest()
        version = self._version
        known = self._known.get(key)
        if known is not None and known[0] == version:
            session = known[1]
            return session if session.starts_unix_ms <= now < session.expires_unix_ms else None
        found = authenticate(authorization, self._lookup, now)
        if found is not None:
            if len(self._known) >= _CACHE_LIMIT:
                self._known = {}
            self._known[key] = (version, found)
        return found
