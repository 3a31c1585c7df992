"""Values of a search: alternatives, escapes, tokens, references, positions.

Commas separate alternatives, ``|`` the parts of a token or quantity, ``$`` the parts of a composite;
a backslash takes the meaning away from each of them.

Source: HL7 FHIR R4, search, "escaping search parameters".
"""

from __future__ import annotations

import math
import re

from hilum.errors import MalformedInputError
from hilum.record.numbers import split_bars
from hilum.record.query_tree import TokenValue
from hilum.record.types import is_resource_type

__all__ = [
    "MAX_VALUES",
    "own_reference",
    "parse_flag",
    "parse_of_type",
    "parse_position",
    "parse_references",
    "parse_token",
    "split_alternatives",
    "split_parts",
    "unescape",
]

MAX_VALUES = 200
"""Most alternatives in one parameter."""
_VALUE = re.compile(r"(?:\\.|[^\\,]|\\\Z)+", re.DOTALL)
_PART = re.compile(r"(?:\\.|[^\\$]|\\\Z)+", re.DOTALL)
_BAR = re.compile(r"((?:\\.|[^\\|])*)\|(.*)", re.DOTALL)
_DEGREES = re.compile(r"[-+]?\d{1,3}(?:\.\d{1,20})?\Z", re.ASCII)
_DISTANCE = re.compile(r"\d{1,9}(?:\.\d{1,20})?\Z", re.ASCII)
_METRES = {"": 1000.0, "km": 1000.0, "m": 1.0, "[mi_i]": 1609.344, "[mi_us]": 1609.347, "[ft_i]": 0.3048,
           "mi": 1609.344}  # fmt: skip
_FAR_KM = "50"
"""How near "near" is where a search does not say."""


def split_alternatives(text: str, *, where: str) -> list[str]:
    """Return the values between commas that are not escaped; other escapes stay.

    Raises:
        MalformedInputError: there is none, or more than `MAX_VALUES`.
    """
    values = _VALUE.findall(text)
    if not values:
        raise MalformedInputError("value", "no value given", where=where)
    if len(values) > MAX_VALUES:
        raise MalformedInputError("value", f"more than {MAX_VALUES} values", where=where)
    return values


def split_parts(text: str, count: int, *, where: str) -> list[str]:
    """Return the parts of a composite value; other escapes stay.

    Raises:
        MalformedInputError: not so many parts.
    """
    parts = _PART.findall(text)
    if len(parts) != count:
        raise MalformedInputError(
            "value",
            f"not {count} parts",
            where=where,
            hint="join them with $; escape others as \\$",
        )
    return parts


def unescape(text: str) -> str:
    r"""Return the text with ``\,`` ``\|`` ``\$`` ``\\`` read."""
    return re.sub(r"\\([,|$\\])", r"\1", text) if "\\" in text else text


def parse_token(text: str, *, where: str) -> TokenValue:
    """Read ``code``, ``system|code``, ``|code`` or ``system|``.

    Raises:
        MalformedInputError: neither system nor code.
    """
    match = _BAR.fullmatch(text)
    if match is None:
        return TokenValue(None, unescape(text))
    system, code = match[1], unescape(match[2]) or None
    if not system and code is None:
        raise MalformedInputError("value", "neither system nor code given", where=where)
    return TokenValue(unescape(system), code)


def parse_of_type(text: str, *, where: str) -> tuple[str, str, str]:
    """Read ``system|code|value`` of an identifier's type and value.

    Raises:
        MalformedInputError: a part is missing.
    """
    parts = split_bars(text)
    if len(parts) != 3 or not parts[1] or not parts[2]:
        raise MalformedInputError(
            "value", "not an identifier with its type", where=where, hint="system|code|value"
        )
    return parts[0], parts[1], parts[2]


def own_reference(text: str, base: str) -> str:
    """Return a reference on this node without the node's own address.

    Args:
        text: any reference.
        base: ``http://host/fhir`` or ``""``.
    """
    return text.removeprefix(base + "/") if base else text


def parse_references(text: str, targets: tuple[str, ...]) -> list[str]:
    """Return what a reference value can mean: one reference, or an id under each target type.

    Args:
        text: id, ``Type/id`` (with a version or not) or an absolute URL.
        targets: types that the parameter may point to.
    """
    if "/" in text or ":" in text:
        head, _, tail = text.partition("/")
        if is_resource_type(head) and "/" in tail:
            return [f"{head}/{tail.partition('/')[0]}"]
        return [text]
    return [f"{target}/{text}" for target in targets]


def parse_flag(text: str, *, where: str) -> bool:
    """Read ``true`` or ``false``.

    Raises:
        MalformedInputError: something else.
    """
    if text not in {"true", "false"}:
        raise MalformedInputError("value", "neither true nor false", where=where)
    return text == "true"


def parse_position(text: str, *, where: str) -> tuple[float, float, float]:
    """Read ``latitude|longitude[|distance[|unit]]``; without a distance 50 km.

    Returns:
        Latitude and longitude in degrees, distance in metres.

    Raises:
        MalformedInputError: when it is not one.
    """
    parts = [*split_bars(text), "", ""][:4]
    distance = parts[2] or _FAR_KM
    if not (
        2 <= len(split_bars(text)) <= 4
        and _DEGREES.match(parts[0])
        and _DEGREES.match(parts[1])
        and _DISTANCE.match(distance)
        and parts[3] in _METRES
    ):
        raise MalformedInputError(
            "value", "not a position", where=where,
            hint="latitude|longitude|distance|unit, the unit one of km m [mi_us] [mi_i] [ft_i]",
        )  # fmt: skip
    latitude, longitude = float(parts[0]), float(parts[1])
    metres = float(distance) * _METRES[parts[3]]
    if abs(latitude) > 90 or abs(longitude) > 180 or not math.isfinite(metres):
        raise MalformedInputError("value", "not on the globe", where=where)
    return latitude, longitude, metres
