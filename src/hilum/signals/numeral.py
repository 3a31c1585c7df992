"""Decimals kept to the last digit: text ⇄ (unscaled, scale), and exact unit factors.

Source: HL7 FHIR R4 datatypes, `decimal` ("the precision of the decimal value has significance").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from hilum.errors import MalformedInputError

__all__ = ["IDENTITY", "Factor", "numeral_text", "parse_factor", "parse_numeral"]

_NUMERAL = re.compile(r"([+-]?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,3}))?\Z", re.ASCII)
_MAX_UNSCALED = 10**18
_MAX_SCALE = 60


@dataclass(frozen=True, slots=True)
class Factor:
    """An exact multiplier ``times * 10**-shift``."""

    times: int
    shift: int

    def apply(self, unscaled: int, scale: int) -> tuple[int, int]:
        """Return the value multiplied by this factor, as (unscaled, scale), exactly."""
        return unscaled * self.times, scale + self.shift


IDENTITY = Factor(1, 0)


def parse_factor(text: str, *, where: str) -> Factor:
    """Return an exact decimal factor from text such as ``100``, ``0.45359237`` or ``1/8``.

    Raises:
        MalformedInputError: when it is no positive rational with a finite decimal expansion.
    """
    try:
        ratio = Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise MalformedInputError("bad-factor", "not a rational number", where=where) from error
    if ratio <= 0:
        raise MalformedInputError("bad-factor", "a unit factor is positive", where=where)
    shift = 0
    while ratio.denominator != 1:
        ratio *= 10
        shift += 1
        if shift > 30:
            raise MalformedInputError(
                "inexact-factor",
                "the factor has no finite decimal expansion",
                where=where,
                hint="keep the source unit instead",
            )
    times = ratio.numerator
    while times % 10 == 0:
        times //= 10
        shift -= 1
    return Factor(times, shift)


def parse_numeral(text: str) -> tuple[int, int]:
    """Return (unscaled, scale) of a decimal numeral, keeping trailing zeros.

    Args:
        text: ``72``, ``0.970``, ``-1.5e-3``; ASCII digits, a point as the separator.

    Raises:
        MalformedInputError: when it is no numeral or has more digits than 64 bits keep.
    """
    if text.isdigit() and text.isascii() and len(text) < 18:
        return int(text), 0
    found = _NUMERAL.match(text)
    if found is None:
        raise MalformedInputError("bad-number", "not a decimal number")
    sign, whole, fraction, exponent = found.groups(default="")
    unscaled = int(whole + fraction)
    scale = len(fraction) - (int(exponent) if exponent else 0)
    if unscaled >= _MAX_UNSCALED or abs(scale) > _MAX_SCALE:
        raise MalformedInputError("number-too-long", "more than 18 digits cannot be kept exactly")
    return (-unscaled if sign == "-" else unscaled), scale


def numeral_text(unscaled: int, scale: int) -> str:
    """Return the value as a JSON number, with exactly the digits that came in."""
    if scale <= 0:
        return str(unscaled * 10**-scale)
    digits = str(abs(unscaled)).rjust(scale + 1, "0")
    sign = "-" if unscaled < 0 else ""
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}"
