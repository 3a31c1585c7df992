"""What is asked of the store, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import msgspec

from hilum.base.ids import CompartmentId, FhirId, UnixMs
from hilum.record.resource import Resource

__all__ = [
    "Change",
    "Create",
    "Delete",
    "Gone",
    "Located",
    "Method",
    "Row",
    "StoredVersion",
    "Update",
    "Version",
]


class Method(IntEnum):
    """What made a version; stored in rows, so numbers do not change."""

    CREATE = 1
    UPDATE = 2
    DELETE = 3


@dataclass(frozen=True, slots=True)
class Create:
    """Store a new resource.

    Attributes:
        cid: the compartment.
        resource: parsed and validated.
        id: the id to give it.
        seg: mask of its segments.
        author: reference of who contributed it, or None.
        security: JSON of Codings to add to ``meta.security``.
    """

    cid: CompartmentId
    resource: Resource
    id: FhirId
    seg: int
    author: str | None = None
    security: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Update:
    """Store a new version of a resource, or bring a deleted one back.

    Attributes:
        cid: the compartment that the resource must be in.
        resource: parsed and validated.
        id: which one.
        seg: mask of its segments from now on.
        if_match: the version that must be current, or None for any.
        author: reference of who contributed it, or None.
        security: JSON of Codings to add to ``meta.security``.
    """

    cid: CompartmentId
    resource: Resource
    id: FhirId
    seg: int
    if_match: int | None = None
    author: str | None = None
    security: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a resource; its versions stay readable by number."""

    cid: CompartmentId
    type: str
    id: FhirId
    if_match: int | None = None


Change = Create | Update | Delete


class Version(msgspec.Struct, frozen=True):
    """What a change made.

    Attributes:
        body: the stored bytes with id, version and time; empty for a deletion.
        changed: False when there was nothing to do (a second deletion).
    """

    cid: CompartmentId
    rid: int
    type: str
    id: FhirId
    ver: int
    seg: int
    ts: UnixMs
    updated: UnixMs
    method: Method
    body: bytes
    changed: bool = True


class Row(msgspec.Struct, frozen=True):
    """One visible resource version.

    Attributes:
        ts: clinical instant, ms.
        last_updated: when this version was stored, ms.
        body: the resource as bytes, ready to be spliced into an answer; empty for a deletion.
        method: what made the version.
    """

    cid: CompartmentId
    rid: int
    type: str
    id: FhirId
    ver: int
    seg: int
    ts: UnixMs
    last_updated: UnixMs
    body: bytes
    method: Method = Method.UPDATE


@dataclass(frozen=True, slots=True)
class Gone:
    """A version that says: deleted."""

    ver: int
    at: UnixMs


class Located(msgspec.Struct, frozen=True, gc=False):
    """Where a resource is, for the gate; tells nothing of its content.

    Attributes:
        seg: segment mask.
        ver: current version.
        deleted: True when the current version is a deletion.
    """

    cid: CompartmentId
    rid: int
    seg: int
    ver: int
    deleted: bool


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """One version for a lossless export.

    Attributes:
        author: keyed facts do not travel; the reference of the contributor does, or None.
        body: the stored bytes; empty for a deletion.
    """

    type: str
    id: FhirId
    ver: int
    method: Method
    at: UnixMs
    seg: int
    body: bytes
    author: str | None = None
