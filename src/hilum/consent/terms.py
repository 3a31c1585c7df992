"""Terms: a small total language over finite domains, and its only spelling in bytes.

```
terms  = version u8 | count u8 (1..64) | clause…
clause = effect u8 | flags u8 | actions u16 | segments u16 | purposes 16 | types 24
         | data from, until i64 | validity from, until i64 | uses u32 | price u64
         | per set (grantees, purposes of other systems, codes, authors, encounters, instances):
           count u8 | 32-byte ids, strictly ascending
flags  = 1 grantees excluded · 2 data from · 4 data until · 8 valid from · 16 valid until
```

All integers big-endian; an absent instant is zero bytes without its flag. `decode(encode(x)) == x`,
and every other byte string is refused, so that one meaning has one root.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import pairwise
from typing import Any

from hilum.base.ids import UnixMs
from hilum.errors import MalformedInputError
from hilum.identity.purpose import ALL_PURPOSES
from hilum.record.access import ANY_TYPE, Action

__all__ = [
    "ALL_ACTIONS",
    "ALL_SEGMENTS",
    "ANY_PURPOSE",
    "Clause",
    "Effect",
    "Terms",
    "decode_terms",
    "encode_clause",
    "encode_terms",
]

TERMS_VERSION = 1
MAX_CLAUSES = 64
ALL_SEGMENTS = 0xFF
ALL_ACTIONS = Action(0x7F)
ANY_PURPOSE = (1 << 128) - 1
"""Every purpose: v3, later v3 and those of other code systems."""
OTHER_PURPOSES = ANY_PURPOSE & ~ALL_PURPOSES
"""The part of a purpose mask that stands for whatever is no v3 code of today; all set or none."""

_HEAD = struct.Struct(">BBHH16s24sqqqqIQ")
_INSTANT_MIN, _INSTANT_MAX = -(1 << 62), 1 << 62
_SETS = ("grantees", "further_purposes", "codes", "authors", "encounters", "instances")
_SET_LIMITS = (16, 16, 32, 16, 16, 16)
_INSTANTS = ("data_from", "data_until", "valid_from", "valid_until")
_NOTHING: frozenset[bytes] = frozenset()


class Effect(IntEnum):
    """What a clause does where it applies."""

    PERMIT = 1
    DENY = 2


@dataclass(frozen=True, slots=True)
class Clause:
    """One conjunction. An empty set means "any", except `further_purposes`.

    Attributes:
        effect: permit or deny.
        actions: mask of `Action`; a permit must name every action asked, a deny any of them.
        purposes: mask of v3 purposes, closed downwards by who makes it.
        further_purposes: digests of purposes of other code systems.
        grantees: ids of those meant.
        grantees_excluded: True when all but the `grantees` are meant.
        segments: mask of `Segment`; a permit must name all of a row's segments, a deny any of them.
        types: mask of resource types.
        codes: digests of ``system|code``.
        data_from: first clinical instant (inclusive), or None.
        data_until: first clinical instant no longer covered, or None.
        valid_from: first instant at which the clause holds, or None.
        valid_until: first instant at which it no longer holds, or None.
        authors: digests of the author's reference.
        encounters: digests of an encounter's reference: what belongs to it, and it itself.
        instances: digests of ``Type/id``.
        uses: how often it may be used; 0 = without limit.
        price_msat: what one use costs; 0 = free.

    Raises:
        MalformedInputError: when a field is out of its domain.
    """

    effect: Effect
    actions: Action
    purposes: int = ANY_PURPOSE
    further_purposes: frozenset[bytes] = _NOTHING
    grantees: frozenset[bytes] = _NOTHING
    grantees_excluded: bool = False
    segments: int = ALL_SEGMENTS
    types: int = ANY_TYPE
    codes: frozenset[bytes] = _NOTHING
    data_from: UnixMs | None = None
    data_until: UnixMs | None = None
    valid_from: UnixMs | None = None
    valid_until: UnixMs | None = None
    authors: frozenset[bytes] = _NOTHING
    encounters: frozenset[bytes] = _NOTHING
    instances: frozenset[bytes] = _NOTHING
    uses: int = 0
    price_msat: int = 0

    def __post_init__(self) -> None:
        for broken, place in _broken(self):
            if broken:
                raise MalformedInputError("bad-clause", "out of its domain", where=place)


@dataclass(frozen=True, slots=True)
class Terms:
    """The machine form of a directive: 1 to 64 clauses in the order they were written.

    Raises:
        MalformedInputError: when there are none or too many.
    """

    clauses: tuple[Clause, ...] = field()

    def __post_init__(self) -> None:
        if not 1 <= len(self.clauses) <= MAX_CLAUSES:
            raise MalformedInputError(
                "bad-terms", f"terms have 1 to {MAX_CLAUSES} clauses", where="terms"
            )


def encode_clause(clause: Clause) -> bytes:
    """Return the only byte string of a clause."""
    flags = int(clause.grantees_excluded)
    instants = [getattr(clause, name) for name in _INSTANTS]
    for place, instant in enumerate(instants):
        flags |= (instant is not None) << (place + 1)
    head = _HEAD.pack(
        clause.effect,
        flags,
        clause.actions,
        clause.segments,
        clause.purposes.to_bytes(16, "big"),
        clause.types.to_bytes(24, "big"),
        *(instant or 0 for instant in instants),
        clause.uses,
        clause.price_msat,
    )
    parts = [head]
    for name in _SETS:
        ids = sorted(getattr(clause, name))
        parts.append(bytes([len(ids)]))
        parts.extend(ids)
    return b"".join(parts)


def encode_terms(terms: Terms) -> bytes:
    """Return the only byte string of the terms."""
    body = b"".join(map(encode_clause, terms.clauses))
    return bytes([TERMS_VERSION, len(terms.clauses)]) + body


def decode_terms(data: bytes) -> Terms:
    """Return the terms of a byte string.

    Raises:
        MalformedInputError: when it is not the encoding of any terms.
    """
    if len(data) < 2 or data[0] != TERMS_VERSION:
        raise MalformedInputError("bad-terms", "not terms of this version", where="terms")
    clauses, at = [], 2
    for number in range(data[1]):
        clause, at = _decode_clause(data, at, f"terms.clause[{number}]")
        clauses.append(clause)
    if at != len(data):
        raise MalformedInputError("bad-terms", "bytes after the last clause", where="terms")
    return Terms(tuple(clauses))


def _decode_clause(data: bytes, at: int, where: str) -> tuple[Clause, int]:
    if len(data) < at + _HEAD.size:
        raise MalformedInputError("bad-terms", "the clause is cut short", where=where)
    effect, flags, actions, segments, purposes, types, *rest = _HEAD.unpack_from(data, at)
    at += _HEAD.size
    if effect not in {1, 2} or flags >> 5:
        raise MalformedInputError("bad-terms", "unknown effect or flag", where=where)
    fields: dict[str, Any] = {}
    for place, name in enumerate(_INSTANTS):
        present = flags >> (place + 1) & 1
        if not present and rest[place]:
            raise MalformedInputError("bad-terms", "an absent instant has bytes", where=where)
        fields[name] = UnixMs(rest[place]) if present else None
    for name in _SETS:
        fields[name], at = _decode_set(data, at, f"{where}.{name}")
    clause = Clause(
        effect=Effect(effect),
        actions=Action(actions),
        purposes=int.from_bytes(purposes, "big"),
        grantees_excluded=bool(flags & 1),
        segments=segments,
        types=int.from_bytes(types, "big"),
        uses=rest[4],
        price_msat=rest[5],
        **fields,
    )
    return clause, at


def _decode_set(data: bytes, at: int, where: str) -> tuple[frozenset[bytes], int]:
    end = at + 1 + 32 * data[at] if at < len(data) else at + 1
    if end > len(data):
        raise MalformedInputError("bad-terms", "the clause is cut short", where=where)
    ids = [data[start : start + 32] for start in range(at + 1, end, 32)]
    if any(left >= right for left, right in pairwise(ids)):
        raise MalformedInputError("bad-terms", "ids do not ascend", where=where)
    return frozenset(ids), end


def _broken(clause: Clause) -> Iterator[tuple[bool, str]]:
    known = clause.purposes & OTHER_PURPOSES in {0, OTHER_PURPOSES}
    yield not known or not 0 <= clause.purposes <= ANY_PURPOSE, "clause.purposes"
    yield not clause.purposes and not clause.further_purposes, "clause.purposes"
    yield clause.purposes & OTHER_PURPOSES != 0 and bool(clause.further_purposes), "clause.purposes"
    yield not 0 < clause.actions <= ALL_ACTIONS, "clause.actions"
    yield not 0 < clause.segments <= ALL_SEGMENTS, "clause.segments"
    yield not 0 < clause.types <= ANY_TYPE, "clause.types"
    yield clause.grantees_excluded and not clause.grantees, "clause.grantees"
    yield not 0 <= clause.uses < 1 << 32, "clause.uses"
    yield not 0 <= clause.price_msat < 1 << 63, "clause.price"
    yield clause.effect is Effect.DENY and bool(clause.uses or clause.price_msat), "clause.uses"
    yield _is_empty_period(clause.data_from, clause.data_until), "clause.data"
    yield _is_empty_period(clause.valid_from, clause.valid_until), "clause.validity"
    for name, limit in zip(_SETS, _SET_LIMITS, strict=True):
        ids: frozenset[bytes] = getattr(clause, name)
        yield len(ids) > limit or any(len(one) != 32 for one in ids), f"clause.{name}"


def _is_empty_period(start: UnixMs | None, end: UnixMs | None) -> bool:
    for instant in (start, end):
        if instant is not None and not _INSTANT_MIN <= instant <= _INSTANT_MAX:
            return True
    return start is not None and end is not None and start >= end
