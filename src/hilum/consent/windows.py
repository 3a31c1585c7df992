"""From clauses to windows, and fewer windows that admit exactly the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from hilum.base.ids import UnixMs
from hilum.consent.terms import Clause
from hilum.errors import VerificationError
from hilum.record.access import Window

__all__ = ["HashCode", "HashReference", "merge", "remove_denied", "windows_of"]

HashCode = Callable[[str, str], int]
"""The store's keyed 64-bit hash of (system, code)."""
HashReference = Callable[[str], int]
"""The store's keyed 64-bit hash of a reference."""

_SETS = ("codes", "authors", "encounters", "instances")
_EARLIEST, _LATEST = -(1 << 63), 1 << 63


def windows_of(
    clause: Clause,
    names: Mapping[bytes, str],
    *,
    hash_code: HashCode,
    hash_reference: HashReference,
) -> tuple[Window, ...]:
    """Return the windows of a clause; two when it speaks of encounters (theirs, they themselves).

    Raises:
        VerificationError: when an id of the clause has no text (step ``directive-names``).
    """

    def resolve(digests: frozenset[bytes]) -> frozenset[int]:
        try:
            return frozenset(hash_reference(names[digest]) for digest in digests)
        except KeyError:
            raise VerificationError("directive-names", "an id of the terms has no text") from None

    try:
        codes = [names[digest].rpartition("|") for digest in clause.codes]
    except KeyError:
        raise VerificationError("directive-names", "a code of the terms has no text") from None
    window = Window(
        segments=clause.segments,
        types=clause.types,
        codes=frozenset(hash_code(system, code) for system, _, code in codes),
        data_from=clause.data_from,
        data_until=clause.data_until,
        authors=resolve(clause.authors),
        encounters=resolve(clause.encounters),
        instances=resolve(clause.instances),
    )
    if not clause.encounters:
        return (window,)
    themselves = window.encounters & window.instances if window.instances else window.encounters
    if not themselves:
        return (window,)
    return window, replace(window, encounters=frozenset(), instances=themselves)


def merge(windows: Iterable[Window], *, enough: int) -> tuple[Window, ...]:
    """Return as few windows as lossless steps allow, ordered by their content only.

    Steps: equal windows; a window inside another; types, code sets, id sets and touching periods of
    windows that agree in everything else. Segments are never united: a row in two segments is
    admitted by neither of two windows that name one each.

    Args:
        windows: permits or denies.
        enough: stop when no more than this are left.
    """
    left = set(windows)
    if len(left) > enough:
        left = {one for one in left if not any(one != two and _is_inside(one, two) for two in left)}
        for unite in _STEPS:
            if len(left) <= enough:
                break
            left = set(unite(left))
    return tuple(sorted(left, key=_order)) if len(left) > 1 else tuple(left)


def remove_denied(permits: Iterable[Window], denies: Iterable[Window]) -> list[Window]:
    """Return the permits without those of which every row is denied."""
    blocks = list(denies)
    if not blocks:
        return list(permits)
    return [permit for permit in permits if not any(_is_inside(permit, deny) for deny in blocks)]


def _is_inside(inner: Window, outer: Window) -> bool:
    """Tell whether all that `inner` admits, `outer` admits or (as a deny) touches."""
    if inner.segments & ~outer.segments or inner.types & ~outer.types:
        return False
    if _start(inner) < _start(outer) or _end(inner) > _end(outer):
        return False
    return (
        _is_within(inner.codes, outer.codes)
        and _is_within(inner.authors, outer.authors)
        and _is_within(inner.encounters, outer.encounters)
        and _is_within(inner.instances, outer.instances)
    )


def _is_within(narrow: frozenset[int], wide: frozenset[int]) -> bool:
    return not wide or (bool(narrow) and narrow <= wide)


def _unite_types(windows: Iterable[Window]) -> Iterable[Window]:
    found: dict[Window, int] = {}
    for window in windows:
        rest = replace(window, types=1)
        found[rest] = found.get(rest, 0) | window.types
    return [replace(rest, types=types) for rest, types in found.items()]


def _unite_set(name: str) -> Callable[[Iterable[Window]], Iterable[Window]]:
    def unite(windows: Iterable[Window]) -> Iterable[Window]:
        found: dict[Window, frozenset[int]] = {}
        whole: list[Window] = []
        for window in windows:
            ids: frozenset[int] = getattr(window, name)
            if ids:
                rest = _with_set(window, name, frozenset())
                found[rest] = found.get(rest, frozenset()) | ids
            else:
                whole.append(window)
        return whole + [_with_set(rest, name, ids) for rest, ids in found.items()]

    return unite


def _with_set(window: Window, name: str, ids: frozenset[int]) -> Window:
    changed: dict[str, Any] = {name: ids}
    return replace(window, **changed)


def _unite_periods(windows: Iterable[Window]) -> Iterable[Window]:
    groups: dict[Window, list[Window]] = {}
    for window in windows:
        groups.setdefault(replace(window, data_from=None, data_until=None), []).append(window)
    united: list[Window] = []
    for rest, group in groups.items():
        group.sort(key=_start)
        start, end = _start(group[0]), _end(group[0])
        for window in group[1:]:
            if _start(window) > end:
                united.append(_with_period(rest, start, end))
                start, end = _start(window), _end(window)
            end = max(end, _end(window))
        united.append(_with_period(rest, start, end))
    return united


_STEPS = (_unite_types, *map(_unite_set, _SETS), _unite_periods)


def _with_period(window: Window, start: int, end: int) -> Window:
    return replace(
        window,
        data_from=None if start == _EARLIEST else UnixMs(start),
        data_until=None if end == _LATEST else UnixMs(end),
    )


def _start(window: Window) -> int:
    return _EARLIEST if window.data_from is None else window.data_from


def _end(window: Window) -> int:
    return _LATEST if window.data_until is None else window.data_until


def _order(window: Window) -> tuple[object, ...]:
    sets = (tuple(sorted(getattr(window, name))) for name in _SETS)
    return (window.segments, window.types, _start(window), _end(window), *sets)
