"""Units as exact factors over base units, as far as FHIRPath needs them at once.

Source: The Unified Code for Units of Measure, tables 1 to 4 (prefixes, base and derived units).
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

__all__ = ["CALENDAR", "calendar_unit", "canonical"]

CALENDAR = {
    "year": "a",
    "month": "mo",
    "week": "wk",
    "day": "d",
    "hour": "h",
    "minute": "min",
    "second": "s",
    "millisecond": "ms",
}
"""Calendar words and the UCUM codes nearest to them."""


def calendar_unit(word: str) -> str:
    """Return the singular of a calendar word (``days`` → ``day``), or ``""``."""
    single = word.removesuffix("s") if word != "s" else word
    return single if single in CALENDAR else ""


_BASE = {
    "m": (Fraction(1), "m"),
    "g": (Fraction(1), "g"),
    "s": (Fraction(1), "s"),
    "min": (Fraction(60), "s"),
    "h": (Fraction(3600), "s"),
    "d": (Fraction(86_400), "s"),
    "wk": (Fraction(604_800), "s"),
    "mo": (Fraction(2_629_800), "s"),
    "a": (Fraction(31_557_600), "s"),
    "mol": (Fraction(1), "mol"),
    "l": (Fraction(1, 1000), "m3"),
    "L": (Fraction(1, 1000), "m3"),
    "[lb_av]": (Fraction("453.59237"), "g"),
    "[oz_av]": (Fraction("28.349523125"), "g"),
    "[in_i]": (Fraction("0.0254"), "m"),
    "[ft_i]": (Fraction("0.3048"), "m"),
    "%": (Fraction(1, 100), ""),
    "1": (Fraction(1), ""),
}
_PREFIXES = {"k": 3, "h": 2, "d": -1, "c": -2, "m": -3, "u": -6, "n": -9, "p": -12, "f": -15}
_FACTOR = re.compile(r"([./])?([^./\d]*(?:\[[^\]]*\])?|1)(-?\d+)?")


@lru_cache(maxsize=2048)
def canonical(code: str) -> tuple[Fraction, str] | None:
    """Return the factor and the canonical base units of a unit, or None when unknown.

    Args:
        code: a UCUM code of products and quotients, e.g. ``g/m``.
    """
    factor, powers, end = Fraction(1), dict[str, int](), 0
    for match in _FACTOR.finditer(code):
        sign, atom, power = match.groups()
        if not match[0] or match.start() != end:
            break
        end = match.end()
        found = _atom(atom or "1")
        if found is None:
            return None
        exponent = int(power or 1) * (-1 if sign == "/" else 1)
        factor *= found[0] ** exponent
        base, cubed = found[1].rstrip("3"), 3 if found[1].endswith("3") else 1
        powers[base] = powers.get(base, 0) + exponent * cubed
    if end != len(code) or not code:
        return None
    return factor, ".".join(f"{u}{n}" for u, n in sorted(powers.items()) if u and n)


def _atom(atom: str) -> tuple[Fraction, str] | None:
    if atom in _BASE:
        return _BASE[atom]
    stem = _BASE.get(atom[1:])
    if stem is None or atom[0] not in _PREFIXES or atom[1:] not in {"m", "g", "s", "mol", "l", "L"}:
        return None
    return stem[0] * Fraction(10) ** _PREFIXES[atom[0]], stem[1]
