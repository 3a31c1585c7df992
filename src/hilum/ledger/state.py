"""The state of a ledger: its cells under one root; and a light copy to try operations on."""

from __future__ import annotations

from typing import Protocol

from hilum.base.merkle import leaf_hash
from hilum.base.statetree import StateTree
from hilum.errors import ConflictError
from hilum.ledger.cell import LEAF_BYTES, Cell, encode_cell, parse_cell

__all__ = ["Cells", "State", "Trial"]


class Cells(Protocol):
    """What `apply` needs: cells by number, and which owner keys have served."""

    @property
    def ledger(self) -> bytes:
        """The ledger's id, 32 bytes."""
        ...

    def __len__(self) -> int:
        """Return how many cells there are, closed ones included."""
        ...

    def cell(self, index: int) -> Cell:
        """Return a cell; raise ConflictError when there is none."""
        ...

    def has_owner(self, owner: bytes) -> bool:
        """Tell whether a key owns a cell or ever did."""
        ...

    def put(self, cell: Cell, *, owner_is_new: bool) -> None:
        """Replace a cell or add the next one."""
        ...


class State:
    """All cells in memory: 85 bytes per leaf, 64 of tree, and the set of keys that have served.

    Args:
        ledger: the ledger's id, 32 bytes.

    Attributes:
        batches: number of the last valid batch; 0 before the first.
        seen_height: Bitcoin height that batch had seen.
    """

    __slots__ = (
        "_leaves",
        "_marked",
        "_owners",
        "_tree",
        "_undo",
        "batches",
        "ledger",
        "seen_height",
    )

    def __init__(self, ledger: bytes) -> None:
        self.ledger = ledger
        self.batches = 0
        self.seen_height = 0
        self._leaves = bytearray()
        self._tree = StateTree()
        # As integers: 16 bytes less per key than as bytes.
        self._owners: set[int] = set()
        self._undo: list[tuple[int, bytes, bytes | None]] | None = None
        self._marked = (0, 0)

    def __len__(self) -> int:
        """Return how many cells there are, closed ones included."""
        return len(self._leaves) // LEAF_BYTES

    def cell(self, index: int) -> Cell:
        """Return a cell.

        Raises:
            ConflictError: when there is none of this number.
        """
        return parse_cell(self.leaf(index))

    def leaf(self, index: int) -> bytes:
        """Return the 85 bytes of a cell.

        Raises:
            ConflictError: when there is none of this number.
        """
        if not 0 <= index < len(self):
            raise ConflictError("no-such-cell", f"there is no cell {index}")
        at = index * LEAF_BYTES
        return bytes(self._leaves[at : at + LEAF_BYTES])

    def has_owner(self, owner: bytes) -> bool:
        """Tell whether a key owns a cell or ever did."""
        return int.from_bytes(owner, "big") in self._owners

    def put(self, cell: Cell, *, owner_is_new: bool) -> None:
        """Replace a cell or add the next one.

        Args:
            cell: its new state.
            owner_is_new: True when its owner key has not served before.
        """
        leaf, at = encode_cell(cell), cell.index * LEAF_BYTES
        if self._undo is not None:
            before = bytes(self._leaves[at : at + LEAF_BYTES])
            self._undo.append((cell.index, before, cell.owner if owner_is_new else None))
        self._leaves[at : at + LEAF_BYTES] = leaf
        self._tree.set(cell.index, leaf_hash(leaf))
        if owner_is_new:
            self._owners.add(int.from_bytes(cell.owner, "big"))

    def root(self) -> bytes:
        """Return the state root, 32 bytes."""
        return self._tree.root()

    def path(self, index: int) -> list[bytes]:
        """Return the 32 siblings of a cell, deepest first.

        Raises:
            MalformedInputError: when there is no such cell.
        """
        return self._tree.path(index)

    def mark(self) -> None:
        """Remember this state for `rollback`; an earlier mark is dropped."""
        self._tree.mark()
        self._undo = []
        self._marked = (self.batches, self.seen_height)

    def rollback(self) -> None:
        """Return to the last `mark`.

        Raises:
            MalformedInputError: when there was none.
        """
        self._tree.rollback()
        for index, before, owner in reversed(self._undo or []):
            at = index * LEAF_BYTES
            self._leaves[at : at + LEAF_BYTES] = before
            if owner is not None:
                self._owners.discard(int.from_bytes(owner, "big"))
        self._undo = []
        self.batches, self.seen_height = self._marked


class Trial:
    """Cells over other cells: what is put here does not reach them.

    Args:
        base: what lies below; it must not change while the trial is used.
    """

    __slots__ = ("_base", "_changed", "_owners", "_size")

    def __init__(self, base: Cells) -> None:
        self._base = base
        self._changed: dict[int, Cell] = {}
        self._owners: set[bytes] = set()
        self._size = len(base)

    @property
    def ledger(self) -> bytes:
        """The ledger's id, 32 bytes."""
        return self._base.ledger

    def __len__(self) -> int:
        """Return how many cells there are, closed ones included."""
        return self._size

    def cell(self, index: int) -> Cell:
        """Return a cell.

        Raises:
            ConflictError: when there is none of this number.
        """
        found = self._changed.get(index)
        return self._base.cell(index) if found is None else found

    def has_owner(self, owner: bytes) -> bool:
        """Tell whether a key owns a cell or ever did."""
        return owner in self._owners or self._base.has_owner(owner)

    def put(self, cell: Cell, *, owner_is_new: bool) -> None:
        """Replace a cell or add the next one, here only.

        Args:
            cell: its new state.
            owner_is_new: True when its owner key has not served before.
        """
        self._changed[cell.index] = cell
        self._size = max(self._size, cell.index + 1)
        if owner_is_new:
            self._owners.add(cell.owner)
