"""Functions from one System type to another.

Source: HL7 FHIRPath N1, "Conversion".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from hilum.record.fhirpath.frame import Frame, Step
from hilum.record.fhirpath.items import EMPTY, Items, boolean, made
from hilum.record.fhirpath.quantity import Amount, converted, parse_amount
from hilum.record.fhirpath.signature import Arguments, Function, Make, of_single
from hilum.record.fhirpath.temporal import Temporal, parse_temporal
from hilum.record.fhirpath.values import single

__all__ = ["CONVERTING", "text_of"]

_INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?\d{1,64}(?:\.\d{1,64})?", re.ASCII)
_TRUE = frozenset({"true", "t", "yes", "y", "1", "1.0"})
_FALSE = frozenset({"false", "f", "no", "n", "0", "0.0"})


def text_of(value: Any) -> str | None:  # noqa: ANN401 - any System value
    """Return the text of a System value; None for structures."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}" if abs(value.adjusted()) < 400 else str(value)
    return str(value) if isinstance(value, (int, Temporal, Amount)) else None


def _to_boolean(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, Decimal)):
        return bool(value) if value in {0, 1} else None
    if isinstance(value, str):
        word = value.lower()
        return True if word in _TRUE else False if word in _FALSE else None
    return None


def _to_integer(value: object) -> int | None:
    if isinstance(value, (bool, int)):
        return int(value)
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    return None


def _to_decimal(value: object) -> Decimal | None:
    if isinstance(value, Decimal):
        return value
    if isinstance(value, (bool, int)):
        return Decimal(int(value))
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return Decimal(value)
    return None


def _to_quantity(value: object) -> Amount | None:
    if isinstance(value, Amount):
        return value
    if isinstance(value, (bool, int, Decimal)):
        return Amount(Decimal(value), "1")
    return parse_amount(value) if isinstance(value, str) and len(value) < 200 else None


def _to_date(value: object) -> Temporal | None:
    if isinstance(value, Temporal) and value.kind != "Time":
        return parse_temporal(str(value)[:10], "Date")
    if isinstance(value, str) and parse_temporal(value, "DateTime") is not None:
        return parse_temporal(value[:10], "Date")
    return None


def _to_date_time(value: object) -> Temporal | None:
    if isinstance(value, Temporal) and value.kind != "Time":
        return parse_temporal(str(value), "DateTime")
    return parse_temporal(value, "DateTime") if isinstance(value, str) else None


def _to_time(value: object) -> Temporal | None:
    if isinstance(value, Temporal):
        return value if value.kind == "Time" else None
    return parse_temporal(value, "Time") if isinstance(value, str) else None


def _converter(convert: Callable[[Any], Any]) -> Make:
    return of_single(lambda value, **_offset: convert(value))


def _tester(convert: Callable[[Any], Any]) -> Make:
    def make(_arguments: Arguments, offset: int) -> Step:
        def step(items: Items, _frame: Frame) -> Items:
            value = single(items, offset)
            return EMPTY if value is None else boolean(convert(value) is not None)

        return step

    return make


def _quantity(*, tests: bool) -> Make:
    """Compile `toQuantity` or `convertsToQuantity`, with the unit that the result must have."""

    def make(arguments: Arguments, offset: int) -> Step:
        def convert(value: object, unit: str | None) -> Amount | None:
            found = _to_quantity(value)
            if found is None or unit is None:
                return found
            return converted(found, unit)

        def step(items: Items, frame: Frame) -> Items:
            value = single(items, offset)
            if value is None:
                return EMPTY
            unit = single(arguments[0](frame), offset) if arguments else None
            found = convert(value, unit if isinstance(unit, str) else None)
            if tests:
                return boolean(found is not None)
            return EMPTY if found is None else made(found)

        return step

    return make


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "Boolean": _to_boolean,
    "Integer": _to_integer,
    "Decimal": _to_decimal,
    "String": text_of,
    "Date": _to_date,
    "DateTime": _to_date_time,
    "Time": _to_time,
}
CONVERTING = {
    **{f"to{n}": Function(_converter(c), gives=n) for n, c in _CONVERSIONS.items()},
    **{f"convertsTo{n}": Function(_tester(c), gives="Boolean") for n, c in _CONVERSIONS.items()},
    "toQuantity": Function(_quantity(tests=False), 0, 1, gives="Quantity"),
    "convertsToQuantity": Function(_quantity(tests=True), 0, 1, gives="Boolean"),
}
"""By name."""
