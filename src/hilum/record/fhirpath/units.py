"""The calendar words of durations.

Source: HL7 FHIRPath N1, "Time-valued Quantities".
"""

from __future__ import annotations

__all__ = ["CALENDAR", "calendar_unit"]

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
