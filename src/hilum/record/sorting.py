"""Sorting of opened resources: strings, tokens, references and uris have an order only when opened.

Strings are compared in their normalised form, tokens by display, text or code, references and uris as
written. Rows without a value come last either way, equal ones newest first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cmp_to_key, lru_cache
from typing import Any

from hilum.record.dates import read_interval
from hilum.record.decimals import double_of
from hilum.record.expressions import Path, collector
from hilum.record.parameters import parameters_of
from hilum.record.query_tree import Place, SortKey, SortSource
from hilum.record.resource import Tree
from hilum.record.strings import normalise
from hilum.record.ucum import UCUM, canonical

__all__ = ["compare_places", "is_in_sql", "order_key", "place_of"]

Value = int | float | str | None


def is_in_sql(keys: Sequence[SortKey]) -> bool:
    """Tell whether a store can sort by the keys without opening a resource."""
    return all(key.source is not SortSource.TEXT for key in keys)


def place_of(keys: Sequence[SortKey], type: str, tree: Tree, updated: int) -> Place:
    """Return the values of the sort keys of one resource.

    Args:
        keys: of the search.
        type: of the resource.
        tree: opened.
        updated: when the version was stored, ms.
    """
    return tuple(_value(key, type, tree, updated) for key in keys)


def compare_places(keys: Sequence[SortKey], one: Place, other: Place) -> int:
    """Return −1, 0 or 1: how two places stand to each other; both end in (instant, row number)."""
    for key, a, b in zip(keys, one, other, strict=False):
        if a == b:
            continue
        if a is None or b is None:
            return 1 if a is None else -1
        before = a < b  # type: ignore[operator]  # values of one key are of one type
        return -1 if before != key.is_descending else 1
    mine, others = one[-2:], other[-2:]
    return 0 if mine == others else -1 if mine > others else 1


def order_key(keys: Sequence[SortKey]) -> Callable[[Place], Any]:
    """Return the key function that sorts places."""
    return cmp_to_key(lambda a, b: compare_places(keys, a, b))


def _value(key: SortKey, type: str, tree: Tree, updated: int) -> Value:
    if key.source is SortSource.UPDATED:
        return updated
    if key.source is SortSource.ID:
        return str(tree.get("id", ""))
    found: list[Any] = []
    for path, collect in _collectors(type, key.name):
        member = tree.get(path.steps[0].key)
        if member is None:
            continue
        for item in collect(member):
            value = _READERS[key.source](item, path)
            found += [] if value is None else [value]
    if not found:
        return None
    least: Value = max(found) if key.is_descending else min(found)
    return least


@lru_cache(maxsize=512)
def _collectors(type: str, name: str) -> tuple[tuple[Path, Any], ...]:
    return tuple((path, collector(path)) for path in parameters_of(type)[name].paths)


def _date(item: Any, _path: Path) -> Value:  # noqa: ANN401 - a decoded JSON value
    if isinstance(item, dict) and "repeat" in item:
        item = item["repeat"].get("boundsPeriod")
    span = read_interval(item)
    return None if span is None else span.lo


def _number(item: Any, _path: Path) -> Value:  # noqa: ANN401 - a decoded JSON value
    if not isinstance(item, dict):
        return double_of(item)
    value = item.get("value")
    if value is None:
        return None
    unit = canonical(item.get("code", "")) if item.get("system") == UCUM else None
    return double_of(value) if unit is None else unit.convert(value)


_NAMED = ("family", "given", "text", "line", "city", "state", "country", "postalCode")


def _text(item: Any, _path: Path) -> Value:  # noqa: ANN401 - a decoded JSON value
    if not isinstance(item, dict):
        return normalise("true" if item is True else "false" if item is False else str(item))
    for coding in item.get("coding", ()):
        if coding.get("display") or coding.get("code"):
            return normalise(coding.get("display") or coding["code"])
    for key in ("display", "text", "code", "reference", "value"):
        if isinstance(item.get(key), str):
            return normalise(item[key])
    words: list[str] = []
    for key in _NAMED:
        value = item.get(key, ())
        words += [value] if isinstance(value, str) else value
    return normalise(" ".join(words)) or None


_READERS: dict[SortSource, Callable[[Any, Path], Value]] = {
    SortSource.DATE: _date,
    SortSource.NUMBER: _number,
    SortSource.TEXT: _text,
}
