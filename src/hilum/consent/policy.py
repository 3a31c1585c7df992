"""Base policies: what a jurisdiction says where the subject says nothing, as data with sources."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import msgspec

from hilum.errors import MalformedInputError
from hilum.identity.purpose import EMERGENCY_PURPOSES, purpose_mask
from hilum.record.access import Action, Segment
from hilum.record.types import type_mask

__all__ = ["BasePolicy", "BreakGlass", "Implied", "load_policy", "parse_policy", "policy_names"]

POLICY_VERSION = 1
LONGEST_EMERGENCY_HOURS = 4
_SHIPPED = ("eu-ehds", "us-hipaa", "cn-pipl")


@dataclass(frozen=True, slots=True)
class Implied:
    """What holds without any directive (opt-out); a directive that denies takes it away."""

    purposes: int
    actions: Action
    segments: int
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class BreakGlass:
    """When the glass may be broken, by whom, and what is seen then.

    Attributes:
        roles: roles of readers that may; empty = nobody.
        purposes: mask, within ETREAT and what lies below it.
        hours: how long it stays open, at most 4.
        first_types: mask of the emergency subset.
        first_segments: mask of segments of the emergency subset.
        full_segments: mask of segments after a second reason.
        overrides_denials: True when a denial that does not speak of emergencies gives way.
    """

    roles: frozenset[str]
    purposes: int
    hours: int
    first_types: int
    first_segments: int
    full_segments: int
    overrides_denials: bool


@dataclass(frozen=True, slots=True)
class BasePolicy:
    """One jurisdiction.

    Attributes:
        id: ``us-hipaa``, ``eu-ehds``, ``cn-pipl`` or a node's own.
        version: of the data, counted up.
        title: for people.
        implied: what holds without a directive; empty means opt-in.
        break_glass: the emergency rules.
        notice: ``at-once``, ``daily`` or ``none``: when the subject hears of an access.
        part2_segments: mask; a permit that covers any of them owes the Part-2 notice.
        receipts_years: how long receipts are kept at least.
        majority_age: from when a subject decides alone, years.
        sources: key → where the law says so; one for every key of the data.
    """

    id: str
    version: int
    title: str
    implied: tuple[Implied, ...]
    break_glass: BreakGlass
    notice: str
    part2_segments: int
    receipts_years: int
    majority_age: int
    sources: Mapping[str, str]


def policy_names() -> tuple[str, ...]:
    """Return the ids of the policies in the package; the first is the default."""
    return _SHIPPED


@lru_cache(maxsize=8)
def load_policy(name: str) -> BasePolicy:
    """Return a policy of the package.

    Raises:
        MalformedInputError: when there is none of that name.
    """
    if name not in _SHIPPED:
        raise MalformedInputError(
            "unknown-policy", "no such base policy", where="policy", hint=", ".join(_SHIPPED)
        )
    return parse_policy(files("hilum.consent").joinpath(f"policies/{name}.toml").read_text("utf-8"))


def parse_policy(text: str) -> BasePolicy:
    """Return the base policy of a TOML text.

    Raises:
        MalformedInputError: when it is not one; names the key.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MalformedInputError("bad-policy", "not TOML", where="policy") from error
    try:
        found = msgspec.convert(data, _Policy)
    except msgspec.ValidationError as error:
        raise MalformedInputError("bad-policy", str(error), where="policy") from None
    if found.version_of_format != POLICY_VERSION:
        raise MalformedInputError("bad-policy", "another version", where="policy.version_of_format")
    _check_sources(data)
    return BasePolicy(
        id=found.id,
        version=found.version,
        title=found.title,
        implied=tuple(
            _implied(one, f"policy.implied[{at}]") for at, one in enumerate(found.implied)
        ),
        break_glass=_break_glass(found.break_glass),
        notice=found.notice.subject,
        part2_segments=_segments(found.part2.segments, "policy.part2.segments"),
        receipts_years=found.retention.receipts_years,
        majority_age=found.minors.majority_age,
        sources=found.sources,
    )


class _ImpliedData(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    purposes: list[str]
    actions: list[str]
    segments: list[str]
    roles: list[str]


class _BreakGlassData(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    roles: list[str]
    purposes: list[str]
    hours: int
    first_types: list[str]
    first_segments: list[str]
    full_segments: list[str]
    overrides_denials: bool


class _NoticeData(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    subject: str


class _Part2Data(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    segments: list[str]


class _RetentionData(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    receipts_years: int


class _MinorsData(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    majority_age: int


class _Policy(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    version_of_format: int
    id: str
    version: int
    title: str
    break_glass: _BreakGlassData
    notice: _NoticeData
    part2: _Part2Data
    retention: _RetentionData
    minors: _MinorsData
    sources: dict[str, str]
    implied: list[_ImpliedData] = []


def _break_glass(data: _BreakGlassData) -> BreakGlass:
    where = "policy.break_glass"
    purposes = purpose_mask(data.purposes, where=f"{where}.purposes")
    if purposes & ~EMERGENCY_PURPOSES:
        raise MalformedInputError(
            "bad-policy", "not a purpose of emergencies", where=f"{where}.purposes"
        )
    if not 1 <= data.hours <= LONGEST_EMERGENCY_HOURS:
        raise MalformedInputError("bad-policy", "1 to 4 hours", where=f"{where}.hours")
    return BreakGlass(
        roles=frozenset(data.roles),
        purposes=purposes,
        hours=data.hours,
        first_types=type_mask(data.first_types),
        first_segments=_segments(data.first_segments, f"{where}.first_segments"),
        full_segments=_segments(data.full_segments, f"{where}.full_segments"),
        overrides_denials=data.overrides_denials,
    )


def _implied(data: _ImpliedData, where: str) -> Implied:
    actions = Action(0)
    for name in data.actions:
        if name.upper() not in Action.__members__:
            raise MalformedInputError("bad-policy", "unknown action", where=f"{where}.actions")
        actions |= Action[name.upper()]
    return Implied(
        purposes=purpose_mask(data.purposes, where=f"{where}.purposes"),
        actions=actions,
        segments=_segments(data.segments, f"{where}.segments"),
        roles=frozenset(data.roles),
    )


def _segments(names: list[str], where: str) -> int:
    mask = 0
    for name in names:
        if name not in Segment.__members__:
            raise MalformedInputError("bad-policy", "unknown segment", where=where)
        mask |= int(Segment[name])
    return mask


def _check_sources(data: Mapping[str, Any]) -> None:
    needed = {"implied"} if data.get("implied") else set()
    for table in ("break_glass", "notice", "part2", "retention", "minors"):
        needed |= {f"{table}.{key}" for key in data[table]}
    sources = data["sources"]
    for key in sorted(needed | set(sources)):
        if key not in sources or not sources[key].strip():
            raise MalformedInputError("bad-policy", "a line without its source", where=key)
        if key not in needed and key != "consent":
            raise MalformedInputError("bad-policy", "a source without its line", where=key)
    if "consent" not in sources:
        raise MalformedInputError("bad-policy", "a line without its source", where="consent")
