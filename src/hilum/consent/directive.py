"""Directives: terms, the salt that hides them, and the words behind their digests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from hilum.base import merkle
from hilum.base.hashes import tagged_hash
from hilum.base.ids import SubjectId, UnixMs
from hilum.consent.terms import Clause, Terms, decode_terms, encode_clause, encode_terms
from hilum.errors import MalformedInputError, VerificationError

__all__ = [
    "Directive",
    "DirectiveStatus",
    "RevealedClause",
    "code_digest",
    "decode_directive",
    "encode_directive",
    "make_directive",
    "reference_digest",
    "reveal",
    "root_of",
    "verify_revealed",
]

BODY_VERSION = 1


class DirectiveStatus(StrEnum):
    """Whether a directive still speaks."""

    ACTIVE = "active"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Directive:
    """A subject's signed consent statement.

    Attributes:
        id: made from the root; also the id of the FHIR Consent.
        subject: whose record.
        terms: what it says.
        salt: 32 random bytes; deleting them makes the root unlinkable.
        created_unix_ms: when it was made.
        names: digest → the text it was made from (``system|code``, reference, purpose).
        frame: what a FHIR Consent says beside its provisions, verbatim; empty when made by `grant`.
        status: active or revoked.
        revoked_unix_ms: when it was revoked, or None.
        cell: index of its ledger cell, or None until it has one.
    """

    id: str
    subject: SubjectId
    terms: Terms
    salt: bytes
    created_unix_ms: UnixMs
    names: Mapping[bytes, str] = field(default_factory=dict)
    frame: Mapping[str, Any] = field(default_factory=dict)
    status: DirectiveStatus = DirectiveStatus.ACTIVE
    revoked_unix_ms: UnixMs | None = None
    cell: int | None = None

    @property
    def root(self) -> bytes:
        """Return the Merkle root over the salted clauses, 32 bytes: what its cell commits to."""
        return root_of(self.terms, self.salt)


@dataclass(frozen=True, slots=True)
class RevealedClause:
    """One clause of a directive with the path to its root, without the others."""

    clause: bytes
    salt: bytes
    index: int
    count: int
    path: tuple[bytes, ...]


def make_directive(
    subject: SubjectId,
    terms: Terms,
    *,
    names: Mapping[bytes, str],
    salt: bytes,
    now: UnixMs,
    frame: Mapping[str, Any] | None = None,
) -> Directive:
    """Return a new active directive.

    Args:
        subject: whose record.
        terms: what it says.
        names: digest → text for every id in the terms.
        salt: 32 random bytes.
        now: when.
        frame: what a FHIR Consent says beside its provisions.

    Raises:
        MalformedInputError: when the salt is not 32 bytes or an id of the terms has no text.
    """
    if len(salt) != 32:
        raise MalformedInputError("bad-salt", "a salt is 32 bytes", where="directive.salt")
    missing = [digest for clause in terms.clauses for digest in _ids(clause) if digest not in names]
    if missing:
        raise MalformedInputError(
            "unnamed-id", "an id of the terms has no text", where="directive.names"
        )
    directive_id = tagged_hash("hilum/directive/v1", root_of(terms, salt))[:16].hex()
    return Directive(directive_id, subject, terms, salt, now, names=names, frame=frame or {})


def code_digest(system: str, code: str) -> bytes:
    """Return the 32 bytes by which terms name a code, the same on every node."""
    return tagged_hash("hilum/code/v1", f"{system}|{code}".encode())


def reference_digest(reference: str) -> bytes:
    """Return the 32 bytes by which terms name a resource, the same on every node."""
    return tagged_hash("hilum/reference/v1", reference.encode())


def root_of(terms: Terms, salt: bytes) -> bytes:
    """Return the Merkle root over the salted clauses, 32 bytes.

    Source: RFC 6962 section 2.1, with leaf = salt 32 | index u8 | count u8 | clause.
    """
    return merkle.root(_leaves(terms, salt))


def reveal(directive: Directive, index: int) -> RevealedClause:
    """Return one clause with its path, so that it can be shown without the others.

    Raises:
        MalformedInputError: when there is no such clause.
    """
    leaves = _leaves(directive.terms, directive.salt)
    if not 0 <= index < len(leaves):
        raise MalformedInputError("no-clause", "no clause has this index", where="index")
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
    path = merkle.inclusion_path(index, len(leaves), merkle.source_of_hashes(hashes))
    clause = encode_clause(directive.terms.clauses[index])
    return RevealedClause(
        clause, _clause_salt(directive.salt, index), index, len(leaves), tuple(path)
    )


def verify_revealed(revealed: RevealedClause, root: bytes) -> Clause:
    """Return the clause after checking that the directive of that root holds it.

    Raises:
        VerificationError: when it does not (step ``directive-path``).
        MalformedInputError: when the bytes are not a clause.
    """
    found = decode_terms(b"\x01\x01" + revealed.clause).clauses[0]
    leaf = _leaf(revealed.salt, revealed.index, revealed.count, revealed.clause)
    merkle.verify_inclusion(
        merkle.leaf_hash(leaf),
        revealed.path,
        index=revealed.index,
        size=revealed.count,
        root=root,
        step="directive-path",
    )
    return found


def encode_directive(directive: Directive) -> bytes:
    """Return the body to seal: terms, salt, names, frame (status and cell live in columns)."""
    body = {
        "terms": encode_terms(directive.terms).hex(),
        "salt": directive.salt.hex(),
        "names": {digest.hex(): text for digest, text in sorted(directive.names.items())},
        "frame": directive.frame,
        "subject": directive.subject,
    }
    return bytes([BODY_VERSION]) + msgspec.json.encode(body)


def decode_directive(
    data: bytes, *, id: str, created: UnixMs, revoked: UnixMs | None, cell: int | None
) -> Directive:
    """Return the directive of an opened body.

    Raises:
        VerificationError: when the id was not made from this body (step ``directive``).
    """
    if data[:1] != bytes([BODY_VERSION]):
        raise VerificationError("directive", "not a directive of this version")
    try:
        body = msgspec.json.decode(data[1:], type=_Body)
        terms, salt = decode_terms(bytes.fromhex(body.terms)), bytes.fromhex(body.salt)
        names = {bytes.fromhex(digest): text for digest, text in body.names.items()}
        made = make_directive(
            SubjectId(body.subject), terms, names=names, salt=salt, now=created, frame=body.frame
        )
    except (ValueError, msgspec.DecodeError):
        raise VerificationError("directive", "not a directive of this version") from None
    if made.id != id:
        raise VerificationError("directive", "the terms are not those of this directive")
    status = DirectiveStatus.ACTIVE if revoked is None else DirectiveStatus.REVOKED
    return Directive(
        id, made.subject, terms, salt, created,
        names=names, frame=body.frame, status=status, revoked_unix_ms=revoked, cell=cell,
    )  # fmt: skip


class _Body(msgspec.Struct):
    terms: str
    salt: str
    names: dict[str, str]
    frame: dict[str, Any]
    subject: str


def _ids(clause: Clause) -> frozenset[bytes]:
    return (
        clause.grantees | clause.further_purposes | clause.codes
        | clause.authors | clause.encounters | clause.instances
    )  # fmt: skip


def _leaves(terms: Terms, salt: bytes) -> list[bytes]:
    count = len(terms.clauses)
    return [
        _leaf(_clause_salt(salt, index), index, count, encode_clause(clause))
        for index, clause in enumerate(terms.clauses)
    ]


def _leaf(salt: bytes, index: int, count: int, clause: bytes) -> bytes:
    return salt + bytes([index, count]) + clause


def _clause_salt(salt: bytes, index: int) -> bytes:
    return tagged_hash("hilum/clause-salt/v1", salt, bytes([index]))
