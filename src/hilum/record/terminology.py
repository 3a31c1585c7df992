"""Codes and value sets that this node knows: those of R4, HL7 v2 and v3, US Core and IPS.

Three answers are possible: yes, no, and cannot be told, since systems such as SNOMED CT and LOINC are
not shipped. A version after ``|`` is not looked at: there is one version of each here.

Source: HL7 FHIR R4 (4.0.1), ValueSet.compose; compiled by ``scripts/compile_terminology.py``.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

import msgspec

from hilum.record.ucum import UCUM, is_unit

__all__ = [
    "ancestors",
    "codes_of",
    "descendants",
    "is_code",
    "is_in",
    "is_known_system",
    "is_known_value_set",
]

_SystemRow = tuple[int, int, str, dict[str, list[int]]]
_Filter = tuple[str, str, str]
_Rule = tuple[str, str | None, list[_Filter], list[str]]


class _Stored(msgspec.Struct, frozen=True):
    v: int
    source: str
    systems: dict[str, _SystemRow]
    sets: dict[str, tuple[list[_Rule], list[_Rule]]]


@dataclass(frozen=True, slots=True)
class _System:
    codes: frozenset[str]
    folded: dict[str, str]
    is_complete: bool
    above: dict[str, tuple[str, ...]]
    below: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Expansion:
    """What a value set holds: listed codes, whole systems that are not shipped, and the rest.

    Attributes:
        codes: (system, code) of everything that can be listed.
        wholes: systems of which every code is in, whatever they are.
        unclear: systems of which it cannot be told what is in.
        is_open: True when even the systems are not known.
    """

    codes: frozenset[tuple[str, str]] = frozenset()
    wholes: frozenset[str] = frozenset()
    unclear: frozenset[str] = frozenset()
    is_open: bool = False
    plain: frozenset[str] = field(default=frozenset())


_GRAMMARS = {
    "urn:ietf:bcp:13": re.compile(r"[\w.+!#$&^-]+/[\w.+!#$&^*-]+(?:\s*;.*)?", re.ASCII),
    "urn:ietf:bcp:47": re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*", re.ASCII),
    "urn:iso:std:iso:3166": re.compile(r"[A-Z]{2,3}|[0-9]{3}"),
    "urn:iso:std:iso:4217": re.compile(r"[A-Z]{3}"),
}
"""What codes of systems without a list look like: media types, language tags, countries, money."""

_FORMS = {
    "http://snomed.info/sct": re.compile(r"[1-9][0-9]{5,17}|.*[:+{(|=<].*", re.ASCII),
}
"""What codes of systems that are not shipped look like: another form is wrong, this one unproven."""


@cache
def _stored() -> _Stored:
    packed = files("hilum.record").joinpath("definitions/terminology.json.gz").read_bytes()
    return msgspec.json.decode(gzip.decompress(packed), type=_Stored)


@cache
def _system(url: str) -> _System | None:
    row = _stored().systems.get(url)
    if row is None or not row[2]:
        return None
    is_sensitive, is_complete, text, parents = row
    codes = text.split("\n")
    above = {codes[int(n)]: tuple(codes[each] for each in up) for n, up in parents.items()}
    below: dict[str, list[str]] = {}
    for code, up in above.items():
        for each in up:
            below.setdefault(each, []).append(code)
    return _System(
        codes=frozenset(codes),
        folded={} if is_sensitive else {code.casefold(): code for code in codes},
        is_complete=bool(is_complete),
        above=above,
        below={code: tuple(down) for code, down in below.items()},
    )


def _plain(url: str) -> str:
    return url.partition("|")[0]


def is_known_system(url: str) -> bool:
    """Tell whether all codes of a code system are known here."""
    found = _system(_plain(url))
    return found is not None and found.is_complete


def is_known_value_set(url: str) -> bool:
    """Tell whether the rule of a value set is known here; its codes may still be unknown."""
    return _plain(url) in _stored().sets


def is_code(system: str, code: str) -> bool | None:
    """Tell whether a code belongs to a system; None when that cannot be told.

    Args:
        system: url of the code system.
        code: the code, compared as the system's case rule says.
    """
    if _plain(system) == UCUM:
        return is_unit(code)
    known = _system(_plain(system))
    if known is not None:
        if code in known.codes or code.casefold() in known.folded:
            return True
        return False if known.is_complete else None
    form = _FORMS.get(_plain(system))
    if form is not None:
        return None if form.fullmatch(code) else False
    grammar = _GRAMMARS.get(_plain(system))
    return None if grammar is None else grammar.fullmatch(code) is not None


def _closure(start: str, steps: dict[str, tuple[str, ...]]) -> frozenset[str]:
    found: set[str] = set()
    waiting = list(steps.get(start, ()))
    while waiting:
        code = waiting.pop()
        if code not in found:
            found.add(code)
            waiting += steps.get(code, ())
    return frozenset(found)


def ancestors(system: str, code: str) -> frozenset[str]:
    """Return the codes above a code, without itself; empty when the system or code is not known."""
    known = _system(_plain(system))
    return frozenset() if known is None else _closure(code, known.above)


def descendants(system: str, code: str) -> frozenset[str]:
    """Return the codes below a code, without itself; empty when the system or code is not known."""
    known = _system(_plain(system))
    return frozenset() if known is None else _closure(code, known.below)


def codes_of(value_set: str) -> frozenset[tuple[str, str]] | None:
    """Return the (system, code) pairs of a value set; None when they cannot all be listed."""
    found = _expansion(_plain(value_set))
    if found is None or found.is_open or found.wholes or found.unclear:
        return None
    return found.codes


def is_in(value_set: str, system: str | None, code: str) -> bool | None:
    """Tell whether a code is in a value set; None when that cannot be told.

    Args:
        value_set: its url, with or without a version.
        system: url of the code's system; None when the element carries a bare code, which is then
            looked for in all systems of the value set.
        code: the code.
    """
    found = _expansion(_plain(value_set))
    if found is None:
        return None
    return _is_bare_in(found, code) if system is None else _is_pair_in(found, system, code)


def _is_pair_in(found: _Expansion, system: str, code: str) -> bool | None:
    if (system, code) in found.codes:
        return True
    known = _system(system)
    if known is not None and known.folded:
        written = known.folded.get(code.casefold())
        if written is not None and (system, written) in found.codes:
            return True
    if system in found.wholes:
        return is_code(system, code)
    return None if found.is_open or system in found.unclear else False


def _is_bare_in(found: _Expansion, code: str) -> bool | None:
    if code in found.plain:
        return True
    answers = [is_code(system, code) for system in found.wholes]
    if True in answers:
        return True
    return None if found.is_open or found.unclear or None in answers else False


@cache
def _expansion(url: str, _above: tuple[str, ...] = ()) -> _Expansion | None:
    rules = _stored().sets.get(url)
    if rules is None or url in _above:
        return None
    included = _union(_include(rule, (*_above, url)) for rule in rules[0])
    excluded = _union(_include(rule, (*_above, url)) for rule in rules[1])
    if not rules[0]:
        return _Expansion(is_open=True)
    codes = included.codes - excluded.codes
    return _Expansion(
        codes=codes,
        wholes=included.wholes - excluded.wholes,
        unclear=included.unclear | excluded.unclear | (included.wholes & excluded.wholes),
        is_open=included.is_open or excluded.is_open,
        plain=frozenset(code for _system_url, code in codes),
    )


def _union(parts: Iterable[_Expansion]) -> _Expansion:
    listed = list(parts)
    return _Expansion(
        codes=frozenset().union(*(each.codes for each in listed)),
        wholes=frozenset().union(*(each.wholes for each in listed)),
        unclear=frozenset().union(*(each.unclear for each in listed)),
        is_open=any(each.is_open for each in listed),
    )


def _include(rule: _Rule, above: tuple[str, ...]) -> _Expansion:
    system, listed, filters, sets = rule
    own = _own_codes(_plain(system), listed, filters) if system else None
    for url in sets:
        other = _expansion(url, above) or _Expansion(is_open=True)
        own = other if own is None else _both(own, other)
    return own or _Expansion(is_open=True)


def _both(one: _Expansion, other: _Expansion) -> _Expansion:
    """Return what stands in both; a system that either cannot tell stays unclear."""
    vague = one.wholes | one.unclear | other.wholes | other.unclear
    return _Expansion(
        codes=one.codes & other.codes,
        unclear=vague,
        is_open=one.is_open or other.is_open,
    )


def _own_codes(system: str, listed: str | None, filters: list[_Filter]) -> _Expansion:
    if listed is not None and listed != "?":
        return _Expansion(codes=frozenset((system, code) for code in listed.split("\n")))
    known = _system(system)
    if known is None or not known.is_complete:
        whole = listed is None and not filters
        vague = frozenset({system})
        return _Expansion(wholes=vague) if whole else _Expansion(unclear=vague)
    codes = known.codes
    for each in filters:
        passed = _filtered(system, known, each)
        if passed is None:
            return _Expansion(unclear=frozenset({system}))
        codes &= passed
    return _Expansion(codes=frozenset((system, code) for code in codes))


def _filtered(system: str, known: _System, rule: _Filter) -> frozenset[str] | None:
    """Return the codes that pass one filter; None for a filter that is not understood."""
    prop, operation, value = rule
    if prop == "parent" and operation == "=":
        return frozenset(known.below.get(value, ()))
    if prop == "code" and operation == "regex":
        return frozenset(code for code in known.codes if re.fullmatch(value, code))
    if prop != "concept":
        return None
    below = descendants(system, value)
    passed = {
        "is-a": below | {value},
        "descendent-of": below,
        "is-not-a": known.codes - below - {value},
    }
    return passed.get(operation)
