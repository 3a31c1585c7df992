"""The capability that every reading function of the store demands.

Only the gate (`hilum.consent`) makes one; an import contract keeps it so. An `Access` speaks of one
compartment. A row is visible when some permit window admits it and no deny window touches it.
"""

from __future__ import annotations

from enum import IntFlag

import msgspec

from hilum.base.ids import CompartmentId, UnixMs

__all__ = ["ANY_TYPE", "Access", "Action", "Segment", "Window"]


class Action(IntFlag):
    """What a reader may do; the values are the mask of a clause."""

    READ = 1
    SEARCH = 2
    HISTORY = 4
    CONTRIBUTE = 8
    EXPORT = 16
    SUBSCRIBE = 32
    AGGREGATE = 64


class Segment(IntFlag):
    """Sensitivity partitions of a record; each has its own key."""

    NORMAL = 1
    PSY = 2
    SUD = 4
    HIV = 8
    SEX = 16
    ETH = 32
    GEN = 64
    DEV = 128


ANY_TYPE = (1 << 192) - 1
"""Type mask that admits every resource type; bit n is the type number n of `hilum.record.types`."""


class Window(msgspec.Struct, frozen=True, cache_hash=True):
    """One conjunction over a row's facts.

    A permit window admits a row when ALL its segments lie inside `segments`; a deny window touches
    a row when ANY of its segments lies inside. Empty `codes`, `authors`, `encounters` mean "any".

    Attributes:
        segments: mask of `Segment`.
        types: mask of resource types (bit = type number).
        codes: 64-bit keyed hashes of ``system|code`` as the store's token index holds them.
        data_from: first clinical instant (inclusive) or None.
        data_until: first clinical instant no longer covered (exclusive) or None.
        authors: 64-bit keyed hashes of the author reference.
        encounters: 64-bit keyed hashes of the encounter reference.
        instances: 64-bit keyed hashes of ``Type/id`` (PCF "specific data"); empty = any.
    """

    segments: int
    types: int = ANY_TYPE
    codes: frozenset[int] = frozenset()
    data_from: UnixMs | None = None
    data_until: UnixMs | None = None
    authors: frozenset[int] = frozenset()
    encounters: frozenset[int] = frozenset()
    instances: frozenset[int] = frozenset()


class Access(msgspec.Struct, frozen=True, cache_hash=True):
    """What may be seen of one compartment.

    Attributes:
        compartment: the record's number; 0 is the shared directory.
        actions: mask of `Action`.
        permits: at most 64 windows, 8 without merging; none means nothing is visible.
        denies: windows that take away from the permits.
    """

    compartment: CompartmentId
    actions: Action
    permits: tuple[Window, ...]
    denies: tuple[Window, ...] = ()

    def admits(self, action: Action) -> bool:
        """Tell whether the action is among those permitted and any window is open."""
        return bool(self.permits) and action in self.actions
