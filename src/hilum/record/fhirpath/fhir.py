"""The functions that FHIR adds, and those that look at the clock.

Source: HL7 FHIR R4, "FHIRPath", "Additional functions"; HL7 FHIRPath N1, "Utility Functions".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hilum.record.fhirpath.frame import Frame, Step, refuse
from hilum.record.fhirpath.items import EMPTY, Item, Items, boolean, made, root_item, type_info
from hilum.record.fhirpath.kinds import Kind, kind_named
from hilum.record.fhirpath.narrative import is_clean_narrative
from hilum.record.fhirpath.signature import Arguments, Function, Make, plain_step
from hilum.record.fhirpath.temporal import parse_temporal
from hilum.record.fhirpath.values import single

__all__ = ["FHIR"]

_DEFINITION = "http://hl7.org/fhir/StructureDefinition/"


def _extension(arguments: Arguments, offset: int) -> Step:
    def step(items: Items, frame: Frame) -> Items:
        url = single(arguments[0](frame), offset)
        if url is None:
            return EMPTY
        return [
            found
            for item in items
            for found in item.child("extension")
            if found.value.get("url") == url
        ]

    return step


def _resolve(_arguments: Arguments, _offset: int) -> Step:
    def step(items: Items, frame: Frame) -> Items:
        found: Items = []
        for item in items:
            target = _target(item, frame)
            if target is not None:
                found.append(target)
        return found

    return step


def _target(item: Item, frame: Frame) -> Item | None:
    value = item.value.get("reference") if isinstance(item.value, dict) else item.value
    if not isinstance(value, str) or not value:
        return None
    if value.startswith("#"):
        return _contained(item.root_resource(), value[1:])
    found = _entry(item, value, frame)
    if found is None and frame.environment.resolve is not None:
        tree = frame.environment.resolve(value)
        found = None if tree is None else _root(tree)
    return found


def _contained(root: Item, id_: str) -> Item | None:
    if not id_:
        return root
    for item in root.child("contained"):
        if item.value.get("id") == id_:
            return item
    return None


def _entry(item: Item, reference: str, frame: Frame) -> Item | None:
    """Return what an entry of the Bundle that holds the item says it is."""
    holder: Item | None = item.root_resource()
    while holder is not None and holder.kind.name != "Bundle":
        holder = holder.parent
    if holder is None:
        return None
    entries = holder.child("entry")
    frame.spend(len(entries))
    for entry in entries:
        full = entry.value.get("fullUrl")
        if isinstance(full, str) and (full == reference or full.endswith("/" + reference)):
            return next(iter(entry.child("resource")), None)
    return None


def _root(tree: Mapping[str, Any]) -> Item | None:
    try:
        return root_item(tree)
    except KeyError:
        return None


def _member_of(arguments: Arguments, offset: int) -> Step:
    def step(items: Items, frame: Frame) -> Items:
        url = single(arguments[0](frame), offset)
        if not items or url is None:
            return EMPTY
        if len(items) > 1 or not isinstance(url, str):
            refuse("one value and one value set are needed", offset)
        asked = frame.environment.member_of
        return boolean(None if asked is None else asked(items[0], url))

    return step


def _conforms_to(arguments: Arguments, offset: int) -> Step:
    def step(items: Items, frame: Frame) -> Items:
        url = single(arguments[0](frame), offset)
        if not items or url is None:
            return EMPTY
        if len(items) > 1 or not isinstance(url, str):
            refuse("one value and one profile are needed", offset)
        asked = frame.environment.conforms_to
        answer = None if asked is None else asked(items[0], url)
        if answer is None:
            answer = _is_of_base(items[0], url)
        if answer is None:
            refuse("the profile is not known", offset)
        return boolean(answer)

    return step


def _is_of_base(item: Item, url: str) -> bool | None:
    name = url.removeprefix(_DEFINITION)
    try:
        known: Kind = kind_named(name)
    except KeyError:
        return None
    return item.kind.is_a(known.name) if url.startswith(_DEFINITION) else None


def _html_checks(items: Items, _frame: Frame) -> Items:
    if not items:
        return EMPTY
    texts = [item.value for item in items]
    return boolean(all(isinstance(text, str) and is_clean_narrative(text) for text in texts))


def _clock(kind: str) -> Make:
    def make(_arguments: Arguments, offset: int) -> Step:
        def step(_items: Items, frame: Frame) -> Items:
            now = frame.environment.now
            if now is None:
                refuse("the evaluation was given no time", offset)
            found = parse_temporal(_clock_text(now, kind), kind)
            return EMPTY if found is None else made(found)

        return step

    return make


def _clock_text(now: datetime, kind: str) -> str:
    text = now.isoformat(timespec="milliseconds")
    if kind == "Date":
        return text[:10]
    return text[11:23] if kind == "Time" else text


def _type(items: Items, _frame: Frame) -> Items:
    return [type_info(item) for item in items]


FHIR = {
    "extension": Function(_extension, 1, 1),
    "resolve": Function(_resolve),
    "memberOf": Function(_member_of, 1, 1, gives="Boolean"),
    "conformsTo": Function(_conforms_to, 1, 1, gives="Boolean"),
    "htmlChecks": Function(plain_step(_html_checks), gives="Boolean"),
    "type": Function(plain_step(_type)),
    "now": Function(_clock("DateTime"), gives="DateTime"),
    "today": Function(_clock("Date"), gives="Date"),
    "timeOfDay": Function(_clock("Time"), gives="Time"),
}
"""By name."""
