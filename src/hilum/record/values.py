"""What the values of one data type are in indexes: hashes and numbers, without parameter or row.

Each method returns a function from a decoded value to what is compared of it; composites and plain
parameters are made of the same functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import lru_cache
from typing import Any

from hilum.record.dates import Interval, read_interval
from hilum.record.decimals import HIGHEST, double_of
from hilum.record.keyed import NO_SYSTEM, UCUM_CANONICAL, KeyedHash
from hilum.record.ucum import UCUM, CanonicalUnit, canonical

__all__ = [
    "Quantities",
    "Token",
    "ValueReader",
    "read_dates",
    "read_numbers",
    "read_strings",
    "reference_of",
]

Token = tuple[int, int]
"""(code, system)."""
Quantities = list[tuple[int, int, float, float]]
"""(system, code, lo, hi) of one quantity in each unit it can be looked for in."""

_CURRENCY = "urn:iso:std:iso:4217"
_NAME_PARTS = ("family", "given", "prefix", "suffix", "text")
_ADDRESS_PARTS = ("line", "city", "district", "state", "postalCode", "country", "text")


def read_strings(leaf: str) -> Callable[[Any], list[str]]:
    """Return what gives the strings of a value of a type.

    A HumanName or an Address gives each part; a name also its given names and family name in one, so
    that a whole name is found.

    Source: HL7 FHIR R4, search, "string".
    """
    if leaf == "HumanName":
        return _name
    if leaf == "Address":
        return lambda value: list(_parts(value, _ADDRESS_PARTS))
    return lambda value: [value] if isinstance(value, str) and value else []


def _name(value: Any) -> list[str]:  # noqa: ANN401 - a decoded JSON value
    found = list(_parts(value, _NAME_PARTS))
    spoken = list(_parts(value, ("given", "family")))
    if len(spoken) > 1:
        found.append(" ".join(spoken))
    return found


def _parts(value: Any, names: tuple[str, ...]) -> Iterator[str]:  # noqa: ANN401 - a decoded JSON value
    for name in names:
        part = value.get(name)
        for text in part if isinstance(part, list) else (part,):
            if isinstance(text, str) and text:
                yield text


def read_dates(leaf: str) -> Callable[[Any], Interval | None]:
    """Return what gives the interval of a date, a Period, or the outer limits of a Timing."""
    return _timing if leaf == "Timing" else read_interval


def _timing(value: Any) -> Interval | None:  # noqa: ANN401 - a decoded JSON value
    # "only the outer limits matter": HL7 FHIR R4, search, "date"
    said = [*value.get("event", ()), value.get("repeat", {}).get("boundsPeriod")]
    spans = [span for span in map(read_interval, said) if span is not None]
    if not spans:
        return None
    return Interval(
        min(span.lo for span in spans),
        max(span.hi for span in spans),
        min(span.wall_lo for span in spans),
        max(span.wall_hi for span in spans),
    )


def read_numbers(leaf: str) -> Callable[[Any], tuple[float, float] | None]:
    """Return what gives (lo, hi) of a number or a Range."""
    return _range if leaf == "Range" else _number


def _number(value: Any) -> tuple[float, float] | None:  # noqa: ANN401 - a decoded JSON value
    if not isinstance(value, (int, Decimal, float)) or isinstance(value, bool):
        return None
    exact = double_of(value)
    return exact, exact


def _range(value: Any) -> tuple[float, float] | None:  # noqa: ANN401 - a decoded JSON value
    low, high = value.get("low", {}).get("value"), value.get("high", {}).get("value")
    if low is None and high is None:
        return None
    return (
        -HIGHEST if low is None else double_of(low),
        HIGHEST if high is None else double_of(high),
    )


def reference_of(value: Any) -> str | None:  # noqa: ANN401 - a decoded JSON value
    """Return the text of a Reference or of a canonical; None for a contained or missing one."""
    text = value.get("reference") if isinstance(value, dict) else value
    if not isinstance(text, str) or not text or text[0] == "#":
        return None
    return text.partition("/_history/")[0] if "/_history/" in text else text


_COMPARATORS = {
    "<": (-HIGHEST, None),
    "<=": (-HIGHEST, None),
    ">": (None, HIGHEST),
    ">=": (None, HIGHEST),
}


class ValueReader:
    """Reads the values that need the node's hash functions.

    Args:
        keyed: the hash functions.
    """

    def __init__(self, keyed: KeyedHash) -> None:
        self._keyed = keyed
        # one value is read by several parameters, and common values by many resources
        self._rows = lru_cache(maxsize=1 << 12)(self._make_rows)

    def tokens(self, leaf: str) -> Callable[[Any], list[Token]]:
        """Return what gives the tokens of a value of a type."""
        code_of, system_of = self._keyed.code, self._keyed.system

        def coding(value: Any) -> list[Token]:  # noqa: ANN401 - a decoded JSON value
            code, system = value.get("code", ""), value.get("system", "")
            return [(code_of(code), system_of(system))] if code or system else []

        def concept(value: Any) -> list[Token]:  # noqa: ANN401 - a decoded JSON value
            return [token for item in value.get("coding", ()) for token in coding(item)]

        def identifier(value: Any) -> list[Token]:  # noqa: ANN401 - a decoded JSON value
            text = value.get("value")
            return [(code_of(text), system_of(value.get("system", "")))] if text else []

        def plain(value: Any) -> list[Token]:  # noqa: ANN401 - a decoded JSON value
            if isinstance(value, bool):
                value = "true" if value else "false"
            return [(code_of(value), NO_SYSTEM)] if isinstance(value, str) and value else []

        by_leaf = {
            "CodeableConcept": concept,
            "Coding": coding,
            "Identifier": identifier,
            "ContactPoint": lambda value: plain(value.get("value")),
        }
        return by_leaf.get(leaf, plain)

    def quantities(self, leaf: str) -> Callable[[Any], Quantities]:
        """Return what gives a quantity in each unit that it can be looked for in."""
        by_leaf = {"Money": self._money, "Range": self._range, "SampledData": self._samples}
        return by_leaf.get(leaf, self._quantity)

    def _quantity(self, value: Any) -> Quantities:  # noqa: ANN401 - a decoded JSON value
        number = value.get("value")
        if number is None:
            return []
        low, high = _COMPARATORS.get(value.get("comparator", ""), (None, None))
        return self._rows(
            _unit(value), number if low is None else None, number if high is None else None
        )

    def _range(self, value: Any) -> Quantities:  # noqa: ANN401 - a decoded JSON value
        low, high = value.get("low", {}), value.get("high", {})
        units = {
            (end.get("system"), end.get("code"), end.get("unit")) for end in (low, high) if end
        }
        if len(units) == 1:
            return self._rows(_unit(low or high), low.get("value"), high.get("value"))
        # two units in one range: only what they have in common is comparable
        ends = [canonical(end.get("code", "")) if _is_ucum(end) else None for end in (low, high)]
        if None in ends or not ends[0] or not ends[1] or ends[0].expression != ends[1].expression:
            return []
        lo, hi = (
            _end(unit, end.get("value"), open_end)
            for unit, end, open_end in zip(ends, (low, high), (-HIGHEST, HIGHEST), strict=True)
        )
        return [(UCUM_CANONICAL, self._keyed.code(ends[0].expression), lo, hi)]

    def _samples(self, value: Any) -> Quantities:  # noqa: ANN401 - a decoded JSON value
        origin = value.get("origin", {})
        start = origin.get("value")
        low, high = value.get("lowerLimit", start), value.get("upperLimit", start)
        if low is None and high is None:
            return []
        return self._rows(_unit(origin), low, high)

    def _money(self, value: Any) -> Quantities:  # noqa: ANN401 - a decoded JSON value
        number, currency = value.get("value"), value.get("currency")
        if number is None:
            return []
        exact = double_of(number)
        if not currency:
            return [(NO_SYSTEM, NO_SYSTEM, exact, exact)]
        return [(self._keyed.system(_CURRENCY), self._keyed.code(currency), exact, exact)]

    def _make_rows(
        self,
        unit: tuple[str, str, str],
        low: Decimal | int | None,
        high: Decimal | int | None,
    ) -> Quantities:
        lo = -HIGHEST if low is None else double_of(low)
        hi = HIGHEST if high is None else double_of(high)
        code, text, system = unit
        code_of = self._keyed.code
        given = code or text
        rows: Quantities = [
            (
                self._keyed.system(system) if code else NO_SYSTEM,
                code_of(given) if given else NO_SYSTEM,
                lo,
                hi,
            )
        ]
        if text and code and text != code:
            rows.append((NO_SYSTEM, code_of(text), lo, hi))
        exact = canonical(code) if system == UCUM else None
        if exact is not None:
            first, last = _end(exact, low, -HIGHEST), _end(exact, high, HIGHEST)
            rows.append((UCUM_CANONICAL, code_of(exact.expression), first, last))
        return rows


def _unit(value: Any) -> tuple[str, str, str]:  # noqa: ANN401 - a decoded JSON value
    return value.get("code", ""), value.get("unit", ""), value.get("system", "")


def _is_ucum(value: Any) -> bool:  # noqa: ANN401 - a decoded JSON value
    return bool(value.get("system") == UCUM)


def _end(unit: CanonicalUnit | None, value: Decimal | int | None, otherwise: float) -> float:
    return otherwise if value is None or unit is None else unit.convert(value)
