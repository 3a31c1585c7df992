"""A naive reader of R4's search text: it looks at every tree, with lists and loops, and knows no index."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from hilum.record.dates import read_interval

Tree = dict[str, Any]

TYPES = ("Patient", "Observation", "Encounter")
PATHS: dict[str, dict[str, tuple[str, str]]] = {
    "Patient": {
        "gender": ("token", "gender"), "identifier": ("token", "identifier"),
        "birthdate": ("date", "birthDate"),
        "family": ("string", "name.family"), "given": ("string", "name.given"),
        "general-practitioner": ("reference", "generalPractitioner"),
        "organization": ("reference", "managingOrganization"),
    },
    "Observation": {
        "code": ("token", "code"), "category": ("token", "category"), "status": ("token", "status"),
        "date": ("date", "effectiveDateTime"), "value-quantity": ("quantity", "valueQuantity"),
        "value-string": ("string", "valueString"), "subject": ("reference", "subject"),
        "encounter": ("reference", "encounter"), "identifier": ("token", "identifier"),
        "component-code": ("token", "component.code"),
    },
    "Encounter": {
        "status": ("token", "status"), "class": ("token", "class"), "type": ("token", "type"),
        "subject": ("reference", "subject"), "date": ("date", "period"),
    },
}  # fmt: skip
METRIC = {"g": Fraction(1), "kg": Fraction(1000), "mg": Fraction(1, 1000)}
UCUM = "http://unitsofmeasure.org"


def values(tree: Any, path: str) -> Iterator[Any]:
    """Yield what a path leads to, lists opened."""
    if isinstance(tree, list):
        for each in tree:
            yield from values(each, path)
    elif not path:
        yield tree
    elif isinstance(tree, dict):
        head, _, rest = path.partition(".")
        if head in tree:
            yield from values(tree[head], rest)


def plain(text: str) -> str:
    folded = unicodedata.normalize("NFKD", text).casefold()
    letters = "".join(c for c in folded if not unicodedata.combining(c))
    return " ".join(re.sub(r"[^\w]|_", " ", letters).split())


def codings(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield "", value
    elif "coding" in value:
        for each in value["coding"]:
            yield each.get("system", ""), each.get("code", "")
    elif "value" in value:
        yield value.get("system", ""), value["value"]
    elif "code" in value:
        yield value.get("system", ""), value["code"]


def token(value: Any, wanted: str) -> bool:
    system, bar, code = wanted.rpartition("|")
    for own_system, own_code in codings(value):
        bare = isinstance(value, str)
        if code and own_code != code:
            continue
        if bar and not bare and own_system != system:
            continue
        return True
    return False


def split(wanted: str) -> tuple[str, str]:
    return (wanted[:2], wanted[2:]) if wanted[:2].isalpha() else ("eq", wanted)


def date(value: Any, wanted: str) -> bool:
    prefix, text = split(wanted)
    target, search = read_interval(value), read_interval(text)
    if target is None or search is None:
        return False
    wall = not search.zoned
    lo, hi = (target.wall_lo, target.wall_hi) if wall else (target.lo, target.hi)
    first, last = (search.wall_lo, search.wall_hi) if wall else (search.lo, search.hi)
    width = last - first + 1
    inside = first <= lo and hi <= last
    return {
        "eq": inside, "ne": not inside, "gt": hi > last, "lt": lo < first, "ge": hi > last or inside,
        "le": lo < first or inside, "sa": lo > last, "eb": hi < first,
        "ap": lo <= last + width and hi >= first - width,
    }[prefix]  # fmt: skip


def compare(number: Fraction, prefix: str, text: str, factor: Fraction = Fraction(1)) -> bool:
    value = Fraction(text)
    digits = len(text.partition(".")[2])
    half = Fraction(1, 2 * 10**digits)
    inside = (value - half) * factor <= number < (value + half) * factor
    value *= factor
    near = abs(value) / 10
    return {
        "eq": inside, "ne": not inside, "gt": number > value, "lt": number < value, "ge": number >= value,
        "le": number <= value, "sa": number > value, "eb": number < value,
        "ap": value - near <= number <= value + near,
    }[prefix]  # fmt: skip


def quantity(value: Any, wanted: str) -> bool:
    prefix, rest = split(wanted)
    text, *unit = rest.split("|")
    number = Fraction(str(value["value"]))
    if not unit:
        return compare(number, prefix, text)
    system, code = unit
    if system == UCUM and code in METRIC:
        if value.get("system") != UCUM or value.get("code") not in METRIC:
            return False
        return compare(number * METRIC[value["code"]], prefix, text, METRIC[code])
    if system and (value.get("system"), value.get("code")) != (system, code):
        return False
    if not system and code not in {value.get("code"), value.get("unit")}:
        return False
    return compare(number, prefix, text)


def reference(value: Any, wanted: str) -> bool:
    text = value.get("reference", "")
    return bool(text == wanted or ("/" not in wanted and text.partition("/")[2] == wanted))


def string(value: str, wanted: str, how: str) -> bool:
    if how == "exact":
        return value == wanted
    own, needle = plain(value), plain(wanted)
    return needle in own if how == "contains" else own.startswith(needle)


SIMPLE: dict[str, Callable[[Any, str], bool]] = {
    "token": token, "date": date, "quantity": quantity, "reference": reference,
}  # fmt: skip


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key in ("text", "display"):
            if key in value:
                yield value[key]
        for each in value.get("coding", ()):
            yield from texts(each)
        yield from texts(value.get("type", ""))


def is_pointed_to(tree: Tree, key: str, wanted: str, world: list[Tree]) -> bool:
    _, source, name, rest = key.split(":", 3)
    me = f"{tree['resourceType']}/{tree['id']}"
    return any(
        other["resourceType"] == source
        and any(v.get("reference") == me for v in values(other, PATHS[source][name][1]))
        and holds(other, rest, wanted, world)
        for other in world
    )


def holds(tree: Tree, key: str, wanted: str, world: list[Tree]) -> bool:
    """Tell whether one pair of a search holds on a tree, among the visible trees of its world."""
    own = tree["resourceType"]
    if key.startswith("_has:"):
        return is_pointed_to(tree, key, wanted, world)
    head, dot, rest = key.partition(".")
    name, _, how = head.partition(":")
    if name == "_id":
        return tree["id"] in wanted.split(",")
    kind, path = PATHS[own][name]
    found = [v for v in values(tree, path) if v not in (None, "")]
    if dot:
        return points_to(found, (how, rest), wanted, world)
    if how == "missing":
        return (not found) == (wanted == "true")
    return has_value(kind, how, found, wanted)


def has_value(kind: str, how: str, found: list[Any], wanted: str) -> bool:
    each = wanted.split(",")
    if how == "not":
        return not any(token(v, text) for v in found for text in each)
    if how == "text":
        return any(string(t, text, "starts") for v in found for t in texts(v) for text in each)
    if kind == "string":
        return any(string(v, text, how) for v in found for text in each)
    return any(SIMPLE[kind](v, text) for v in found for text in each)


def points_to(found: list[Any], ask: tuple[str, str], wanted: str, world: list[Tree]) -> bool:
    target, rest = ask
    names = {v.get("reference") for v in found}
    return any(
        f"{other['resourceType']}/{other['id']}" in names
        and other["resourceType"] == target
        and holds(other, rest, wanted, world)
        for other in world
    )


def search(world: list[Tree], type: str, pairs: list[tuple[str, str]]) -> set[str]:
    """Return the ids that a search finds among trees that are all visible."""
    return {
        tree["id"]
        for tree in world
        if tree["resourceType"] == type
        and all(holds(tree, key, value, world) for key, value in pairs)
    }
