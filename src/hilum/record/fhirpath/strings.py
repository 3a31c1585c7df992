"""Functions on texts.

Source: HL7 FHIRPath N1, "String Manipulation"; FHIRPath 3.0, "Additional String Functions".
"""

from __future__ import annotations

import base64
import binascii
import html
import json
from collections.abc import Callable

from hilum.record.fhirpath.frame import Frame, Step, refuse
from hilum.record.fhirpath.items import EMPTY, Items, made
from hilum.record.fhirpath.patterns import MAX_COST, MAX_TEXT, cost, is_match, limited, replaced
from hilum.record.fhirpath.signature import Arguments, Function, Make
from hilum.record.fhirpath.values import single

__all__ = ["STRINGS"]


def _text(items: Items, offset: int) -> str | None:
    value = single(items, offset)
    if value is None or isinstance(value, str):
        return value
    if items[0].kind.system in {"Date", "DateTime", "Time"}:
        return str(items[0].value)
    return refuse("a text is needed", offset)


def _of_texts(compute: Callable[..., bool | int | str | None]) -> Make:
    """Compile a function from one text and texts or integers to one value."""

    def make(arguments: Arguments, offset: int) -> Step:
        def step(items: Items, frame: Frame) -> Items:
            text = _text(items, offset)
            if text is None:
                return EMPTY
            given = [single(argument(frame), offset) for argument in arguments]
            if None in given:
                return EMPTY
            frame.spend(1 + len(text) // 64)
            found = compute(text, *given, offset=offset)
            return EMPTY if found is None else made(found)

        return step

    return make


def _needed(value: object, offset: int) -> str:
    if not isinstance(value, str):
        refuse("a text is needed", offset)
    return value


def _index_of(text: str, part: object, *, offset: int) -> int:
    return text.find(_needed(part, offset))


def _last_index_of(text: str, part: object, *, offset: int) -> int:
    return text.rfind(_needed(part, offset))


def _starts_with(text: str, part: object, *, offset: int) -> bool:
    return text.startswith(_needed(part, offset))


def _ends_with(text: str, part: object, *, offset: int) -> bool:
    return text.endswith(_needed(part, offset))


def _contains(text: str, part: object, *, offset: int) -> bool:
    return _needed(part, offset) in text


def _replace(text: str, pattern: object, substitution: object, *, offset: int) -> str:
    old, new = _needed(pattern, offset), _needed(substitution, offset)
    if (text.count(old) + 1) * len(new) > MAX_TEXT:
        refuse("the text grows too long", offset)
    return text.replace(old, new)


def _matches(text: str, pattern: object, *, offset: int) -> bool:
    found = is_match(_needed(pattern, offset), text)
    if found is None:
        refuse("the pattern cannot be used", offset, hint="no look-around, no references")
    return found


def _matches_full(text: str, pattern: object, *, offset: int) -> bool:
    found = is_match(_needed(pattern, offset), text, whole=True)
    if found is None:
        refuse("the pattern cannot be used", offset, hint="no look-around, no references")
    return found


def _replace_matches(arguments: Arguments, offset: int) -> Step:
    def step(items: Items, frame: Frame) -> Items:
        text = _text(items, offset)
        regex, substitution = (_text(argument(frame), offset) for argument in arguments)
        if text is None or regex is None or substitution is None:
            return EMPTY
        # an empty pattern replaces nothing, as the official tests have it
        frame.spend(1 + min(cost(regex, len(text)), MAX_COST) // 64)
        found = replaced(regex, text, substitution) if regex else text
        if found is None:
            refuse("the pattern cannot be used on this text", offset, hint="fewer repetitions")
        return made(limited(found, offset))

    return step


def _substring(arguments: Arguments, offset: int) -> Step:
    def step(items: Items, frame: Frame) -> Items:
        text = _text(items, offset)
        start = single(arguments[0](frame), offset)
        if text is None or start is None:
            return EMPTY
        count = single(arguments[1](frame), offset) if len(arguments) > 1 else len(text)
        if not isinstance(start, int) or not isinstance(count, (int, type(None))):
            refuse("an integer is needed", offset)
        if not 0 <= start < len(text):
            return EMPTY
        return made(text[start : start + max(0, len(text) if count is None else count)])

    return step


def _to_chars(_arguments: Arguments, offset: int) -> Step:
    def step(items: Items, frame: Frame) -> Items:
        text = _text(items, offset) or ""
        frame.spend(len(text))
        return [item for char in text for item in made(char)]

    return step


def _split(arguments: Arguments, offset: int) -> Step:
    def step(items: Items, frame: Frame) -> Items:
        text, separator = _text(items, offset), _text(arguments[0](frame), offset)
        if text is None or separator is None:
            return EMPTY
        parts = text.split(separator) if separator else list(text)
        frame.spend(len(parts))
        return [item for part in parts for item in made(part)]

    return step


def _join(arguments: Arguments, offset: int) -> Step:
    def step(items: Items, frame: Frame) -> Items:
        separator = _text(arguments[0](frame), offset) if arguments else ""
        frame.spend(len(items))
        if not items or separator is None:
            return EMPTY
        texts = [_text([item], offset) or "" for item in items]
        if sum(map(len, texts)) + len(separator) * len(texts) > MAX_TEXT:
            refuse("the text grows too long", offset)
        return made(separator.join(texts))

    return step


def _encode(text: str, form: object, *, offset: int) -> str:
    data = text.encode("utf-8", "surrogatepass")
    if form == "hex":
        return data.hex()
    if form == "base64":
        return base64.b64encode(data).decode()
    if form == "urlbase64":
        return base64.urlsafe_b64encode(data).decode()
    return refuse("the encoding is hex, base64 or urlbase64", offset)


def _decode(text: str, form: object, *, offset: int) -> str | None:
    readers: dict[object, Callable[[str], bytes]] = {
        "hex": bytes.fromhex,
        "base64": lambda value: base64.b64decode(value, validate=True),
        "urlbase64": lambda value: base64.b64decode(value, altchars=b"-_", validate=True),
    }
    if not isinstance(form, str) or form not in readers:
        refuse("the encoding is hex, base64 or urlbase64", offset)
    try:
        return readers[form](text).decode()
    except (ValueError, binascii.Error):
        return None


def _escape(text: str, form: object, *, offset: int) -> str:
    if form == "html":
        return html.escape(text)
    if form == "json":
        return json.dumps(text, ensure_ascii=False)[1:-1]
    return refuse("the target is html or json", offset)


def _unescape(text: str, form: object, *, offset: int) -> str | None:
    if form == "html":
        return html.unescape(text)
    if form != "json":
        refuse("the target is html or json", offset)
    try:
        found = json.loads(f'"{text}"', strict=False)
    except ValueError:
        # a quotation mark need not be escaped here
        return text
    return found if isinstance(found, str) else None


def _upper(text: str, **_offset: int) -> str:
    return text.upper()


def _lower(text: str, **_offset: int) -> str:
    return text.lower()


def _trim(text: str, **_offset: int) -> str:
    return text.strip()


def _length(text: str, **_offset: int) -> int:
    return len(text)


def _row(compute: Callable[..., bool | int | str | None], count: int, gives: str) -> Function:
    return Function(_of_texts(compute), count, count, gives=gives, takes="String")


STRINGS = {
    "indexOf": _row(_index_of, 1, "Integer"),
    "lastIndexOf": _row(_last_index_of, 1, "Integer"),
    "startsWith": _row(_starts_with, 1, "Boolean"),
    "endsWith": _row(_ends_with, 1, "Boolean"),
    "contains": _row(_contains, 1, "Boolean"),
    "upper": _row(_upper, 0, "String"),
    "lower": _row(_lower, 0, "String"),
    "trim": _row(_trim, 0, "String"),
    "length": _row(_length, 0, "Integer"),
    "replace": _row(_replace, 2, "String"),
    "matches": _row(_matches, 1, "Boolean"),
    "matchesFull": _row(_matches_full, 1, "Boolean"),
    "replaceMatches": Function(_replace_matches, 2, 2, gives="String", takes="String"),
    "encode": _row(_encode, 1, "String"),
    "decode": _row(_decode, 1, "String"),
    "escape": _row(_escape, 1, "String"),
    "unescape": _row(_unescape, 1, "String"),
    "substring": Function(_substring, 1, 2, gives="String", takes="String"),
    "toChars": Function(_to_chars, gives="String", takes="String"),
    "split": Function(_split, 1, 1, gives="String", takes="String"),
    "join": Function(_join, 0, 1, gives="String"),
}
"""By name."""
