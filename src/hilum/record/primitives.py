r"""The R4 primitive types: JSON kind, pattern and range.

Source: HL7 FHIR R4, datatypes. The patterns are the specification's, with ``\s`` and ``\S`` spelt
    out (so that two regex engines agree), and with days bounded by their month.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["PRIMITIVES", "Primitive"]

_YEAR = "(?:[0-9](?:[0-9](?:[0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)"
_DAY28 = "(?:0[1-9]|[12][0-9])"
_MONTH_DAY = f"(?:(?:0[13578]|1[02])-(?:{_DAY28}|3[01])|(?:0[469]|11)-(?:{_DAY28}|30)|02-{_DAY28})"
_MONTH = "(?:0[1-9]|1[0-2])"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_ZONE = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_DATE = f"{_YEAR}(?:-(?:{_MONTH_DAY}|{_MONTH}))?"
_TEXT = r"[^\x00-\x08\x0b\x0c\x0e-\x1f]+"
_NO_SPACE = r"[^\x00-\x20]*"


@dataclass(frozen=True, slots=True)
class Primitive:
    """One primitive type.

    Attributes:
        json: ``string``, ``integer``, ``number`` or ``boolean``.
        pattern: regular expression for the whole string, or ``""``.
        least: lowest number or None.
        most: highest number or None.
    """

    json: str
    pattern: str = ""
    least: int | None = None
    most: int | None = None

    def admits(self, value: object) -> bool:
        """Tell whether a decoded JSON value is of this type."""
        if self.json == "boolean":
            return isinstance(value, bool)
        if self.json == "string":
            return isinstance(value, str) and (
                not self.pattern or re.fullmatch(self.pattern, value) is not None
            )
        if isinstance(value, bool):
            return False
        if self.json == "integer":
            if not isinstance(value, int):
                return False
            return (self.least is None or value >= self.least) and (
                self.most is None or value <= self.most
            )
        return not isinstance(value, (str, dict, list)) and value is not None


_MAX_INT = 2**31 - 1

PRIMITIVES = {
    "base64Binary": Primitive("string", r"[ \t\r\n]*(?:[0-9A-Za-z+/=]{4}[ \t\r\n]*)+"),
    "boolean": Primitive("boolean"),
    "canonical": Primitive("string", _NO_SPACE),
    "code": Primitive("string", r"[^\x00-\x20]+(?: [^\x00-\x20]+)*"),
    "date": Primitive("string", _DATE),
    "dateTime": Primitive("string", f"{_YEAR}(?:-(?:{_MONTH_DAY}(?:T{_CLOCK}{_ZONE})?|{_MONTH}))?"),
    "decimal": Primitive("number"),
    "id": Primitive("string", r"[A-Za-z0-9\-.]{1,64}"),
    "instant": Primitive("string", f"{_YEAR}-{_MONTH_DAY}T{_CLOCK}{_ZONE}"),
    "integer": Primitive("integer", least=-(2**31), most=_MAX_INT),
    "markdown": Primitive("string", _TEXT),
    "oid": Primitive("string", r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+"),
    "positiveInt": Primitive("integer", least=1, most=_MAX_INT),
    "string": Primitive("string", _TEXT),
    "time": Primitive("string", _CLOCK),
    "unsignedInt": Primitive("integer", least=0, most=_MAX_INT),
    "uri": Primitive("string", _NO_SPACE),
    "url": Primitive("string", _NO_SPACE),
    "uuid": Primitive(
        "string", "urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    ),
    "xhtml": Primitive("string", r"[^\x00-\x08\x0b\x0c\x0e-\x1f]+"),
}
"""By type name."""
