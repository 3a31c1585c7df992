"""Readers, and the 32 bytes by which terms name them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hilum.base.hashes import tagged_hash
from hilum.base.ids import GranteeId, ReaderId, is_fhir_id
from hilum.errors import MalformedInputError

__all__ = ["Reader", "ReaderKind", "grantee_of", "parse_reader_name"]

NAME_LIMIT = 200


class ReaderKind(StrEnum):
    """What a reader is; it decides the FHIR type that stands for it."""

    PERSON = "person"
    ORGANIZATION = "organization"
    CLIENT = "client"


_TYPE_OF = {
    ReaderKind.PERSON: "Practitioner",
    ReaderKind.ORGANIZATION: "Organization",
    ReaderKind.CLIENT: "Device",
}


@dataclass(frozen=True, slots=True)
class Reader:
    """Who asks to read.

    Attributes:
        id: a FHIR id, unique among the readers of a node.
        name: for people to see.
        kind: person, organization or client.
        role: what base policies name (``physician``, ``nurse``, ``paramedic`` …), or None.
        organization: the id of the organization it belongs to, or None.

    Raises:
        MalformedInputError: when a field is out of its domain.
    """

    id: ReaderId
    name: str
    kind: ReaderKind
    role: str | None = None
    organization: ReaderId | None = None

    def __post_init__(self) -> None:
        if not is_fhir_id(self.id):
            raise MalformedInputError("bad-reader", "not an id", where="reader.id")
        parse_reader_name(self.name)
        if self.role is not None and not is_fhir_id(self.role):
            raise MalformedInputError("bad-reader", "not a role code", where="reader.role")
        if self.organization is not None and not is_fhir_id(self.organization):
            raise MalformedInputError("bad-reader", "not an id", where="reader.organization")

    @property
    def reference(self) -> str:
        """Return the FHIR reference that stands for the reader, e.g. ``Practitioner/house``."""
        return f"{_TYPE_OF[self.kind]}/{self.id}"

    @property
    def grantees(self) -> frozenset[GranteeId]:
        """Return the ids under which a clause may name this reader: its own, its organization's."""
        own = {grantee_of(self.reference)}
        if self.organization is not None:
            own.add(grantee_of(f"Organization/{self.organization}"))
        return frozenset(own)


def grantee_of(reference: str) -> GranteeId:
    """Return the 32 bytes by which terms name a party.

    Args:
        reference: relative FHIR reference (``Organization/clinic``) or a DID. The type is part of
            it, so that a consent for one kind of party never fits another with the same id.
    """
    return GranteeId(tagged_hash("hilum/grantee/v1", reference.encode()))


def parse_reader_name(name: str) -> str:
    """Return a name that people will see.

    Raises:
        MalformedInputError: when it is empty, too long or holds control characters.
    """
    if not name.strip() or len(name) > NAME_LIMIT or not name.isprintable():
        raise MalformedInputError(
            "bad-reader", f"a name is 1 to {NAME_LIMIT} printable characters", where="reader.name"
        )
    return name
