"""A Merkle tree of depth 32 over cells that are numbered without gaps.

Cell n's leaf hash sits at position n; every position not yet used hashes to 32 zero bytes, and a
subtree of unused positions has a hash known beforehand. Levels are dense byte arrays (64 bytes per
cell in all), changes are collected and hashed together when the root is asked for, and everything
since `mark` can be taken back.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from hilum.base.merkle import node_hash
from hilum.errors import MalformedInputError, VerificationError

__all__ = ["DEPTH", "ZERO", "StateTree", "root_from_path", "verify_path"]

DEPTH = 32


def _zeros() -> tuple[bytes, ...]:
    hashes = [bytes(32)]
    for _ in range(DEPTH):
        hashes.append(node_hash(hashes[-1], hashes[-1]))
    return tuple(hashes)


ZERO = _zeros()
"""Hash of an unused subtree by height: ``ZERO[0]`` an unused leaf, ``ZERO[32]`` the empty tree."""


class StateTree:
    """The tree with all its nodes in memory."""

    __slots__ = ("_dirty", "_levels", "_size", "_undo", "_undo_size")

    def __init__(self) -> None:
        self._levels = [bytearray() for _ in range(DEPTH + 1)]
        self._size = 0
        self._dirty: set[int] = set()
        self._undo: dict[int, bytes] | None = None
        self._undo_size = 0

    def __len__(self) -> int:
        """Return the number of leaves in use."""
        return self._size

    def set(self, index: int, leaf: bytes) -> None:
        """Put a leaf hash at an index that is in use or the next free one.

        Args:
            index: 0 to ``len(self)``.
            leaf: 32 bytes.

        Raises:
            MalformedInputError: when the index would leave a gap or the hash has another length.
        """
        if not 0 <= index <= self._size or len(leaf) != 32 or index >> DEPTH:
            raise MalformedInputError("bad-leaf", "leaves are 32 bytes and have no gaps")
        level = self._levels[0]
        at = index * 32
        if index == self._size:
            level += leaf
            self._size += 1
        else:
            if self._undo is not None and index < self._undo_size:
                self._undo.setdefault(index, bytes(level[at : at + 32]))
            level[at : at + 32] = leaf
        self._dirty.add(index)

    def root(self) -> bytes:
        """Return the root over all leaves, 32 bytes."""
        if self._dirty:
            self._rehash()
        return bytes(self._levels[DEPTH]) or ZERO[DEPTH]

    def path(self, index: int) -> list[bytes]:
        """Return the 32 siblings of a leaf, deepest first.

        Raises:
            MalformedInputError: when the index is not in use.
        """
        if not 0 <= index < self._size:
            raise MalformedInputError("no-such-leaf", f"leaf {index} is not in use")
        self.root()
        siblings = []
        for height in range(DEPTH):
            at = ((index >> height) ^ 1) * 32
            siblings.append(bytes(self._levels[height][at : at + 32]) or ZERO[height])
        return siblings

    def mark(self) -> None:
        """Remember this state; a later `rollback` returns to it. An earlier mark is dropped."""
        self._undo = {}
        self._undo_size = self._size

    def rollback(self) -> None:
        """Return to the last mark and keep it.

        Raises:
            MalformedInputError: when there is no mark.
        """
        if self._undo is None:
            raise MalformedInputError("no-mark", "nothing to return to")
        undo, size = self._undo, self._undo_size
        # The last leaf kept is hashed anew: it may have had a right neighbour that goes away.
        self._dirty = {index for index in self._dirty if index < size} | set(undo)
        if size < self._size and size:
            self._dirty.add(size - 1)
        for index, leaf in undo.items():
            self._levels[0][index * 32 : index * 32 + 32] = leaf
        self._size = size
        for height, level in enumerate(self._levels):
            del level[-(-size >> height) * 32 :]
        self._undo = {}

    def _rehash(self) -> None:
        dirty = self._dirty
        for height in range(DEPTH):
            below, above = self._levels[height], self._levels[height + 1]
            end, zero = len(below), ZERO[height]
            parents = {index >> 1 for index in dirty}
            for parent in sorted(parents):
                at = parent * 64
                if at + 64 <= end:
                    digest = sha256(b"\x01" + below[at : at + 64]).digest()
                else:
                    digest = sha256(b"\x01" + below[at:end] + zero).digest()
                above[parent * 32 : parent * 32 + 32] = digest
            dirty = parents
        self._dirty = set()


def root_from_path(leaf: bytes, siblings: Sequence[bytes], *, index: int) -> bytes:
    """Return the root that a leaf and its 32 siblings lead to, 32 bytes.

    Args:
        leaf: leaf hash, 32 bytes.
        siblings: 32 hashes, deepest first.
        index: the leaf's position, 0 to 2^32 - 1.
    """
    here = leaf
    for sibling in siblings:
        here = node_hash(sibling, here) if index & 1 else node_hash(here, sibling)
        index >>= 1
    return here


def verify_path(
    leaf: bytes, siblings: Sequence[bytes], *, index: int, root: bytes, step: str = "cell-path"
) -> None:
    """Check that a leaf stands at a position of the tree with this root.

    Args:
        leaf: leaf hash, 32 bytes.
        siblings: 32 hashes, deepest first.
        index: the leaf's position.
        root: 32 bytes.
        step: name put into the error.

    Raises:
        VerificationError: when it does not.
    """
    if len(siblings) != DEPTH or index >> DEPTH or index < 0:
        raise VerificationError(step, "a path has 32 siblings and an index of 32 bits")
    if root_from_path(leaf, siblings, index=index) != root:
        raise VerificationError(step, "the path does not lead to the state root")
