"""Units of measure in one canonical form, so that 5 mg and 5000 ug are found as the same.

Exact: factors are fractions. Temperature scales are converted; units on a logarithm (``[pH]``,
``B`` …) have no canonical form and are compared as written.

Source: The Unified Code for Units of Measure 2.2, §§2-22; the table is compiled by
``scripts/compile_units.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple

import msgspec

from hilum.record.decimals import double_of

__all__ = ["UCUM", "Atom", "CanonicalUnit", "canonical", "is_unit", "reduce_unit"]

UCUM = "http://unitsofmeasure.org"
"""The code system of units."""

_LONGEST = 128
_TOKEN = re.compile(
    r"(?P<open>\()|(?P<close>\))|(?P<op>[./])|(?P<note>\{[\x21-\x7a|~]*\})"
    r"|(?P<unit>10[*^]|(?:\[[^\[\]\s]*\]|[^\s\d.+\-/(){}\[\]])+)(?P<power>[+-]?\d{1,2}(?!\d))?"
    r"|(?P<number>\d{1,18}(?!\d))",
    re.ASCII,
)


class CanonicalUnit(NamedTuple):
    """A unit in base units: ``value in unit × factor + offset = value in expression``."""

    expression: str
    factor: Fraction
    offset: Fraction

    def convert(self, value: Decimal | int) -> float:
        """Return a value of the unit in canonical units, as the nearest double."""
        return double_of(value, self.factor.as_integer_ratio(), self.offset.as_integer_ratio())


class Atom(NamedTuple):
    """One unit symbol: factor and offset to base units, their powers, whether it takes prefixes.

    An atom without a linear form has the factor 0.
    """

    factor: Fraction
    powers: tuple[tuple[str, int], ...]
    metric: bool
    offset: Fraction = Fraction(0)


class _Stored(msgspec.Struct, frozen=True):
    v: int
    source: str
    prefixes: dict[str, str]
    atoms: dict[str, tuple[str, str, int, str]]


@cache
def _table() -> tuple[dict[str, Fraction], dict[str, Atom]]:
    data = files("hilum.record").joinpath("definitions/units.json").read_bytes()
    stored = msgspec.json.decode(data, type=_Stored)
    prefixes = {code: Fraction(value) for code, value in stored.prefixes.items()}
    atoms = {
        code: Atom(Fraction(factor), _powers(powers), bool(metric), Fraction(offset))
        for code, (factor, powers, metric, offset) in stored.atoms.items()
    }
    return prefixes, atoms


def _powers(text: str) -> tuple[tuple[str, int], ...]:
    pairs = (part.rpartition("^") for part in text.split())
    return tuple((base, int(power)) for base, _, power in pairs)


@lru_cache(maxsize=4096)
def canonical(code: str) -> CanonicalUnit | None:
    """Return the canonical form of a unit; None when it is no UCUM unit or has none.

    Args:
        code: as in ``Quantity.code``, e.g. ``mmol/L``.
    """
    if not code or len(code) > _LONGEST or not code.isascii():
        return None
    atom = reduce_unit(code, *_table())
    if atom is None or not atom.factor:
        return None
    expression = ".".join(base + (str(n) if n != 1 else "") for base, n in atom.powers)
    return CanonicalUnit(expression or "1", atom.factor, atom.offset)


@lru_cache(maxsize=4096)
def is_unit(code: str) -> bool:
    """Tell whether a code is a UCUM unit, those without a canonical form included."""
    is_short = 0 < len(code) <= _LONGEST and code.isascii()
    return is_short and reduce_unit(code, *_table()) is not None


def reduce_unit(
    code: str, prefixes: Mapping[str, Fraction], atoms: Mapping[str, Atom]
) -> Atom | None:
    """Return a whole unit expression as if it were one atom; None when it is not well formed."""
    parser = _Parser(code, prefixes, atoms)
    atom = parser.term()
    return atom if parser.at_end() else None


_NOTHING = Atom(Fraction(1), (), metric=False)


class _Parser:
    def __init__(
        self, code: str, prefixes: Mapping[str, Fraction], atoms: Mapping[str, Atom]
    ) -> None:
        self._code = code
        self._prefixes = prefixes
        self._atoms = atoms
        self._at = 0

    def at_end(self) -> bool:
        """Tell whether everything was read."""
        return self._at == len(self._code)

    def _take(self, *kinds: str) -> re.Match[str] | None:
        match = _TOKEN.match(self._code, self._at)
        if match is None or not any(match[kind] for kind in kinds):
            return None
        self._at = match.end()
        return match

    def term(self) -> Atom | None:
        """Read components from left to right, each multiplied or divided."""
        leading = self._code.startswith("/", self._at)
        result: Atom | None = _NOTHING
        if not leading:
            result = self._component()
        while result is not None:
            operator = self._take("op")
            if operator is None:
                break
            factor = self._component()
            if factor is None:
                return None
            result = _times(result, factor, 1 if operator["op"] == "." else -1)
        return result

    def _component(self) -> Atom | None:
        if self._take("open"):
            inner = self.term()
            return inner if inner is not None and self._take("close") else None
        if self._take("note"):
            return _NOTHING
        match = self._take("unit", "number")
        if match is None:
            return None
        if match["number"]:
            found: Atom | None = Atom(Fraction(int(match["number"])), (), metric=False)
        else:
            found = self._symbol(match["unit"])
            if found is not None and match["power"]:
                found = _times(_NOTHING, found, int(match["power"]))
        self._take("note")
        return found

    def _symbol(self, symbol: str) -> Atom | None:
        atom = self._atoms.get(symbol)
        if atom is not None:
            return atom
        for length in (1, 2):
            prefix, rest = self._prefixes.get(symbol[:length]), self._atoms.get(symbol[length:])
            if prefix is not None and rest is not None and rest.metric:
                return rest._replace(factor=rest.factor * prefix)
        return None


def _times(left: Atom, right: Atom, power: int) -> Atom | None:
    if (left.offset or right.offset) and (left, power) != (_NOTHING, 1):
        return None  # a scale with its own zero stands alone
    if not right.factor:
        return right if power > 0 else None
    powers = dict(left.powers)
    for base, count in right.powers:
        powers[base] = powers.get(base, 0) + count * power
    kept = tuple(sorted((base, count) for base, count in powers.items() if count))
    return Atom(left.factor * right.factor**power, kept, metric=False, offset=right.offset)
