"""What an access leaves visible of one series: spans of time, and single readings by id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hilum.record.access import Window

__all__ = ["EVER", "NEVER", "Sight", "make_sight", "overlap"]

EVER = 1 << 61
NEVER = -EVER
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Scope:
    lo: int
    hi: int
    instances: frozenset[int]

    def covers(self, t_unix_ms: int, ids: Callable[[], Sequence[int]]) -> bool:
        if not self.lo <= t_unix_ms < self.hi:
            return False
        return not self.instances or not self.instances.isdisjoint(ids())


@dataclass(frozen=True, slots=True)
class Sight:
    """What may be seen of one series.

    Attributes:
        spans: half-open intervals of start instants (ms), ascending, that hold everything visible.
        permits: scopes of which one must admit; empty when `spans` alone decide.
        denies: scopes that take away by instance; empty when `spans` alone decide.
    """

    spans: tuple[Span, ...]
    permits: tuple[_Scope, ...] = ()
    denies: tuple[_Scope, ...] = ()

    def admits(self, t_unix_ms: int, ids: Callable[[], Sequence[int]]) -> bool:
        """Tell whether a reading that starts then is visible.

        Args:
            t_unix_ms: its start.
            ids: gives the keyed hashes of the references that name it; called only where needed.
        """
        if not any(lo <= t_unix_ms < hi for lo, hi in self.spans):
            return False
        if self.permits and not any(p.covers(t_unix_ms, ids) for p in self.permits):
            return False
        return not any(d.covers(t_unix_ms, ids) for d in self.denies)

    def contains(self, lo: int, hi: int) -> bool:
        """Tell whether all readings that start in lo…hi (inclusive) are visible."""
        if self.permits or self.denies:
            return False
        return any(start <= lo and hi < end for start, end in self.spans)


def overlap(spans: Iterable[Span], lo: int, hi: int) -> bool:
    """Tell whether any half-open span meets lo…hi (inclusive)."""
    return any(start <= hi and lo < end for start, end in spans)


def _scope(window: Window) -> _Scope:
    lo = NEVER if window.data_from is None else int(window.data_from)
    hi = EVER if window.data_until is None else int(window.data_until)
    return _Scope(lo, hi, window.instances)


def _union(scopes: Iterable[_Scope]) -> list[Span]:
    spans: list[Span] = []
    for lo, hi in sorted((s.lo, s.hi) for s in scopes if s.lo < s.hi):
        if spans and lo <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(hi, spans[-1][1]))
        else:
            spans.append((lo, hi))
    return spans


def _minus(spans: list[Span], holes: list[Span]) -> list[Span]:
    for lo, hi in holes:
        cut = []
        for start, end in spans:
            cut += [(a, b) for a, b in ((start, min(end, lo)), (max(start, hi), end)) if a < b]
        spans = cut
    return spans


def make_sight(permits: Iterable[Window], denies: Iterable[Window]) -> Sight:
    """Return what windows that speak of a series leave visible of it.

    Args:
        permits: permit windows whose segments, types, codes, authors and encounters admit the
            series.
        denies: deny windows whose segments, types, codes, authors and encounters touch it.
    """
    admit, refuse = [_scope(w) for w in permits], [_scope(w) for w in denies]
    whole = [s for s in refuse if not s.instances]
    spans = tuple(_minus(_union(admit), _union(whole)))
    by_id = any(s.instances for s in admit)
    return Sight(spans, tuple(admit) if by_id else (), tuple(s for s in refuse if s.instances))
