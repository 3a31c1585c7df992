"""Bulk exports: what was asked for, for how long it may be fetched, and how it is divided into files.

An export keeps no copy of anything. It is a sealed note of what was asked and of where each file begins
and ends; a file is read from the record when it is fetched, under the gate of that moment. So a
revocation holds for everything that has not left yet, an erased record is in no file, and a node that
was killed has nothing to clear away.

Source: FHIR Bulk Data Access 2.0.0, export.html.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hilum.errors import UnavailableError
from hilum.record.query import parse_query
from hilum.record.types import is_directory_type

if TYPE_CHECKING:
    from hilum.base.ids import UnixMs
    from hilum.base.sql import Connection
    from hilum.exchange.node import Node
    from hilum.identity.session import Session
    from hilum.record.query import Query

__all__ = [
    "LIFE_MS",
    "Export",
    "ExportFile",
    "Wanted",
    "drop_export",
    "is_of_level",
    "load_export",
    "new_export",
    "queries_of",
    "save_files",
]

LIFE_MS = 86_400_000
"""How long an export may be fetched: a day."""
MAX_LIVE = 64
"""Most exports of a node that may be fetched at one time."""
_FACT = "export:"
_DOMAIN = b"hilum/export/v1|"
_NONCE = 12

Place = tuple[int, int]


class Wanted(msgspec.Struct, frozen=True):
    """One resource type of an export.

    Attributes:
        type: its name.
        filters: searches of which one must hold, as pairs; none = all of the type.
    """

    type: str
    filters: tuple[tuple[tuple[str, str], ...], ...] = ()


class ExportFile(msgspec.Struct, frozen=True):
    """Where one file begins and ends.

    Attributes:
        wanted: number of the type in the export.
        first: first compartment.
        last: last compartment.
        after: the place in its only compartment after which the file begins, or None.
        until: the place of its last row there, or None.
    """

    wanted: int
    first: int
    last: int
    after: Place | None = None
    until: Place | None = None


class Export(msgspec.Struct, frozen=True):
    """One export.

    Attributes:
        id: its name in URLs.
        token: hash of the token that asked; no other one may look at it.
        url: what was asked.
        at: the instant that it speaks of, ms.
        wanted: types and filters.
        since: only what was stored since then (FHIR instant), or ``""``.
        members: compartments that were named, or None for all that the token may export.
        is_system: with the shared directory.
        files: None until the export is divided.
        v: version of this note.
    """

    id: str
    token: bytes
    url: str
    at: int
    wanted: tuple[Wanted, ...]
    since: str = ""
    members: tuple[int, ...] | None = None
    is_system: bool = False
    files: tuple[ExportFile, ...] | None = None
    v: int = 1

    @property
    def expires(self) -> int:
        """The first instant at which it is gone, ms."""
        return self.at + LIFE_MS


def new_export(node: Node, session: Session, *, url: str, wanted: Export) -> Export:
    """Return the export with a name of its own, kept on disk.

    Args:
        node: where.
        session: who asks.
        url: what was asked.
        wanted: types, filters, times and members.

    Raises:
        UnavailableError: too many exports are waiting to be fetched, or the disk refuses.
    """
    made = msgspec.structs.replace(
        wanted, id=node.entropy(16).hex(), token=session.token_hash, url=url, at=node.clock()
    )
    _make_room(node)
    sealed = _seal(node, made)
    node.writer.write(lambda conn: node.identity.set_fact(conn, _FACT + made.id, sealed))
    return made


def _make_room(node: Node) -> None:
    now = node.clock()
    live = 0
    for name in node.identity.fact_names(node.conn, _FACT):
        known = _load(node, name)
        if known is None or known.expires <= now:
            drop_export(node, name.removeprefix(_FACT))
        else:
            live += 1
    if live >= MAX_LIVE:
        raise UnavailableError(
            "too-many-exports", "too many exports wait to be fetched",
            hint="fetch or delete one of them, or try again later",
        )  # fmt: skip


def save_files(node: Node, export: Export, files: tuple[ExportFile, ...]) -> None:
    """Keep how an export is divided, unless it was deleted meanwhile.

    Raises:
        UnavailableError: the disk refuses.
    """
    name = _FACT + export.id
    sealed = _seal(node, msgspec.structs.replace(export, files=files))

    def job(conn: Connection) -> None:
        if node.identity.fact(conn, name) is not None:
            node.identity.set_fact(conn, name, sealed)

    node.writer.write(job)


def load_export(node: Node, session: Session, id: str, *, now: UnixMs) -> Export | None:
    """Return an export that a session may look at; None when there is none, or no more."""
    known = _load(node, _FACT + id)
    if known is None or known.token != session.token_hash or known.expires <= now:
        return None
    return known


def drop_export(node: Node, id: str) -> None:
    """Forget an export.

    Raises:
        UnavailableError: the disk refuses.
    """
    node.writer.write(lambda conn: node.identity.drop_fact(conn, _FACT + id))


def _seal(node: Node, export: Export) -> bytes:
    nonce = node.entropy(_NONCE)
    context = (_FACT + export.id).encode()
    return nonce + _cipher(node).encrypt(nonce, msgspec.msgpack.encode(export), context)


def _load(node: Node, name: str) -> Export | None:
    sealed = node.identity.fact(node.conn, name)
    if sealed is None:
        return None
    try:
        plain = _cipher(node).decrypt(sealed[:_NONCE], sealed[_NONCE:], name.encode())
        return msgspec.msgpack.decode(plain, type=Export)
    except (InvalidTag, msgspec.MsgspecError):
        return None  # of another key or another version: gone


def _cipher(node: Node) -> AESGCM:
    return AESGCM(sha256(_DOMAIN + node.paging_key).digest())


def queries_of(export: Export, wanted: Wanted) -> list[Query]:
    """Return the searches of which one must hold.

    Raises:
        MalformedInputError: a filter or an instant is not one.
    """
    since = [("_lastUpdated", f"ge{export.since}")] if export.since else []
    filters: Sequence[tuple[tuple[str, str], ...]] = wanted.filters or ((),)
    return [parse_query(wanted.type, [*pairs, *since], strict=True) for pairs in filters]


def is_of_level(export: Export, type: str) -> bool:
    """Tell whether resources of a type can be in an export: the directory is the system's alone."""
    return export.is_system or not is_directory_type(type)
