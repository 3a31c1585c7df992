"""The accesses of one reader to very many records, as few groups of equal windows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hilum.base.ids import CompartmentId
from hilum.record.access import Access

__all__ = ["MAX_GROUPS", "Crowd", "Scope"]

MAX_GROUPS = 64
"""Most kinds of access in one statement; a crowd with more is asked in parts."""


class Crowd:
    """Which compartments may be looked into, and under which windows.

    A group is all compartments whose accesses are equal but for the compartment.

    Args:
        accesses: one per compartment; those that show nothing are left out.
    """

    def __init__(self, accesses: Iterable[Access] = ()) -> None:
        self._group_of: dict[int, int] = {}
        self._numbers: dict[tuple[object, ...], int] = {}
        self._kinds: dict[int, Access] = {}
        self._changes = 0
        for access in accesses:
            self.put(access)

    def put(self, access: Access) -> None:
        """Take in, or change, the access to one compartment."""
        self._changes += 1
        if not access.permits:
            self._group_of.pop(access.compartment, None)
            return
        kind = (access.actions, access.permits, access.denies)
        number = self._numbers.get(kind)
        if number is None:
            number = self._numbers[kind] = len(self._numbers) + 1
            self._kinds[number] = access
        self._group_of[access.compartment] = number

    def drop(self, cid: int) -> None:
        """Forget a compartment."""
        self._changes += 1
        self._group_of.pop(cid, None)

    def group_of(self, cid: int) -> int | None:
        """Return the group of a compartment, or None: what ``permitted(cid)`` says in SQL."""
        return self._group_of.get(cid)

    @property
    def state(self) -> tuple[int, int]:
        """Return what differs whenever the compartments or their groups do, while this crowd lives."""
        return id(self), self._changes

    def access_to(self, cid: CompartmentId) -> Access | None:
        """Return the access to one compartment, or None."""
        number = self._group_of.get(cid)
        if number is None:
            return None
        kind = self._kinds[number]
        return Access(cid, kind.actions, kind.permits, kind.denies)

    def groups(self) -> Iterator[tuple[int, Access]]:
        """Yield (number, one access of it) of every group."""
        yield from self._kinds.items()

    def parts(self) -> list[Crowd]:
        """Return crowds of at most `MAX_GROUPS` groups that are this one together."""
        if len(self._kinds) <= MAX_GROUPS:
            return [self]
        numbers = sorted(self._kinds)
        found = []
        for start in range(0, len(numbers), MAX_GROUPS):
            chosen = set(numbers[start : start + MAX_GROUPS])
            part = Crowd()
            part._kinds = {n: self._kinds[n] for n in chosen}
            part._group_of = {c: g for c, g in self._group_of.items() if g in chosen}
            found.append(part)
        return found

    def __len__(self) -> int:
        return len(self._group_of)

    def __iter__(self) -> Iterator[int]:
        yield from self._group_of


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a search may look.

    Attributes:
        accesses: to the compartments in which results are looked for, one by one.
        crowd: those in which they are looked for together, or None.
        directory: what chains may see of the shared directory, or None.
    """

    accesses: tuple[Access, ...] = ()
    crowd: Crowd | None = None
    directory: Access | None = None
