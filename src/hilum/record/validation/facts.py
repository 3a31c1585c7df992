"""Rules of R4, US Core and IPS as compiled by ``scripts/compile_profiles.py``, read at first use."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from hilum.record.outcome import Severity

__all__ = [
    "PREFIX",
    "Binding",
    "Constraint",
    "ProfileRow",
    "Rule",
    "constraint_keys",
    "constraint_of",
    "make_binding",
    "profile_row",
    "profile_urls",
    "rule_of",
]

PREFIX = "http://hl7.org/fhir/StructureDefinition/"

_RuleRow = tuple[str, list[str], list[str]]


class _Rules(msgspec.Struct, frozen=True):
    v: int
    source: str
    constraints: dict[str, tuple[str, str]]
    structures: dict[str, dict[str, _RuleRow]]


class ProfileRow(msgspec.Struct, frozen=True):
    """One profile as stored: what it demands beyond its base type.

    Attributes:
        type: the type it constrains.
        base: url of the profile or type that it is made from.
        elements: (element id, demands) in the order of the snapshot.
        constraints: key → (severity, expression) of its own invariants.
        context: where an extension may stand: (kind, expression).
        most: highest cardinality of an extension: ``"1"``, ``"*"`` and the like.
        modifier: True for a modifier extension.
    """

    type: str
    base: str
    elements: list[tuple[str, dict[str, Any]]]
    constraints: dict[str, tuple[str, str]]
    context: list[tuple[str, str]] = []
    most: str = "*"
    modifier: bool = False


class _Profiles(msgspec.Struct, frozen=True):
    v: int
    source: str
    profiles: dict[str, ProfileRow]


@dataclass(frozen=True, slots=True)
class Constraint:
    """One invariant: its key, how its breach is rated, its FHIRPath."""

    key: str
    severity: Severity
    expression: str


@dataclass(frozen=True, slots=True)
class Binding:
    """Which codes an element takes.

    Attributes:
        strength: ``required``, ``extensible`` or ``preferred``.
        value_set: url.
        largest: url of the value set that nothing may leave, or ``""``.
    """

    strength: str
    value_set: str
    largest: str


@dataclass(frozen=True, slots=True)
class Rule:
    """What R4 demands of one element beyond its type and cardinality.

    Attributes:
        keys: its invariants.
        binding: which codes it takes, or None.
        targets: type names that a reference may point at; empty = any.
    """

    keys: tuple[str, ...] = ()
    binding: Binding | None = None
    targets: tuple[str, ...] = ()


_NO_RULE = Rule()


def _read(name: str) -> bytes:
    return gzip.decompress(files("hilum.record").joinpath("definitions/" + name).read_bytes())


@cache
def _rules() -> _Rules:
    return msgspec.json.decode(_read("rules.json.gz"), type=_Rules)


@cache
def _profiles() -> dict[str, ProfileRow]:
    return msgspec.json.decode(_read("profiles.json.gz"), type=_Profiles).profiles


def make_binding(row: list[str]) -> Binding | None:
    """Return a stored binding; None for an empty row."""
    if not row:
        return None
    return Binding(row[0], row[1], row[2] if len(row) > 2 else "")


def rule_of(structure: str, leaf: str) -> Rule:
    """Return the rule of an element; leaf ``""`` is the structure itself.

    Args:
        structure: a type name or a nested path such as ``Observation.component``.
        leaf: the element as snapshots write it, a choice with ``[x]``.
    """
    row = _rules().structures.get(structure, {}).get(leaf)
    if row is None:
        return _NO_RULE
    return Rule(tuple(row[0].split()), make_binding(row[1]), tuple(row[2]))


def constraint_of(key: str) -> Constraint:
    """Return an invariant of R4 by its key."""
    severity, expression = _rules().constraints[key]
    return Constraint(key.partition("@")[0], Severity(severity), expression)


def constraint_keys() -> tuple[str, ...]:
    """Return the keys of all invariants of R4."""
    return tuple(_rules().constraints)


def profile_row(url: str) -> ProfileRow | None:
    """Return a profile by its url or bare R4 name, a version after ``|`` put aside; None if unknown."""
    plain = url.partition("|")[0]
    found = _profiles().get(plain)
    return found if found is not None or ":" in plain else _profiles().get(PREFIX + plain)


def profile_urls() -> tuple[str, ...]:
    """Return the urls of all known profiles and extensions."""
    return tuple(_profiles())
