"""The Merkle tree of RFC 6962: roots, inclusion and consistency proofs, and a frontier that grows.

Leaves are hashed with prefix 0x00, nodes with 0x01, so that a leaf cannot pass for a node. A tree
of n leaves splits at the largest power of two below n; the empty tree hashes to SHA-256 of nothing.

Stored trees are read through a `Source`: ``source(level, index)`` is the hash of the complete
subtree over leaves ``[index << level, (index + 1) << level)``. Tiles and lists both offer one.

Source: RFC 6962 section 2.1; RFC 9162 sections 2.1.3 and 2.1.4 for the verifying loops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

from hilum.errors import MalformedInputError, VerificationError

__all__ = [
    "EMPTY_ROOT",
    "Frontier",
    "Source",
    "consistency_path",
    "inclusion_path",
    "leaf_hash",
    "node_hash",
    "range_root",
    "root",
    "root_from_inclusion",
    "root_of_hashes",
    "source_of_hashes",
    "verify_consistency",
    "verify_inclusion",
]

EMPTY_ROOT = sha256(b"").digest()
Source = Callable[[int, int], bytes]


def leaf_hash(data: bytes) -> bytes:
    """Return SHA-256(0x00 ‖ data), 32 bytes."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return SHA-256(0x01 ‖ left ‖ right), 32 bytes."""
    return sha256(b"\x01" + left + right).digest()


def root(leaves: Iterable[bytes]) -> bytes:
    """Return the root over leaf data (each leaf is hashed here), 32 bytes."""
    return root_of_hashes([leaf_hash(leaf) for leaf in leaves])


def root_of_hashes(hashes: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes, 32 bytes; `EMPTY_ROOT` for none.

    Pairing level by level and carrying an odd last node upwards gives the same tree as the
    recursive definition.
    """
    level = list(hashes)
    if not level:
        return EMPTY_ROOT
    while len(level) > 1:
        odd = level[-1:] if len(level) % 2 else []
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
        level += odd
    return level[0]


def source_of_hashes(hashes: Sequence[bytes]) -> Source:
    """Return a `Source` over leaf hashes held in memory; complete subtrees are computed once."""
    levels: list[list[bytes]] = [list(hashes)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        pairs = zip(below[::2], below[1::2], strict=False)
        levels.append([node_hash(left, right) for left, right in pairs])
    return lambda level, index: levels[level][index]


def range_root(source: Source, begin: int, end: int) -> bytes:
    """Return the root over leaves ``[begin, end)``, 32 bytes.

    Args:
        source: hashes of complete subtrees.
        begin: first leaf; a multiple of the smallest power of two that is at least ``end - begin``.
        end: one past the last leaf; the empty range hashes to `EMPTY_ROOT`.
    """
    peaks: list[bytes] = []
    at = begin
    for level in reversed(range((end - begin).bit_length())):
        if (end - begin) >> level & 1:
            peaks.append(source(level, at >> level))
            at += 1 << level
    return _fold(peaks)


def inclusion_path(index: int, size: int, source: Source) -> list[bytes]:
    """Return the audit path of leaf `index` in the tree of `size` leaves, deepest sibling first.

    Args:
        index: leaf number from 0.
        size: number of leaves of the tree the proof is for.
        source: hashes of complete subtrees.

    Raises:
        MalformedInputError: when there is no such leaf.
    """
    if not 0 <= index < size:
        raise MalformedInputError("no-such-leaf", f"leaf {index} is not in a tree of {size}")
    path: list[bytes] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append(range_root(source, middle, end))
            end = middle
        else:
            path.append(range_root(source, begin, middle))
            begin = middle
    path.reverse()
    return path


def consistency_path(old: int, new: int, source: Source) -> list[bytes]:
    """Return the proof that the tree of `new` leaves extends the tree of `old` leaves.

    Args:
        old: size of the earlier tree; 0 gives the empty proof.
        new: size of the later tree.
        source: hashes of complete subtrees of the later tree.

    Raises:
        MalformedInputError: when ``0 <= old <= new`` does not hold.
    """
    if not 0 <= old <= new:
        raise MalformedInputError("bad-sizes", f"no consistency from size {old} to {new}")
    if old in {0, new}:
        return []
    path: list[bytes] = []
    begin, end, whole = 0, new, True
    while end != old:
        middle = begin + _split(end - begin)
        if old <= middle:
            path.append(range_root(source, middle, end))
            end = middle
        else:
            path.append(range_root(source, begin, middle))
            begin, whole = middle, False
    if not whole:
        path.append(range_root(source, begin, end))
    path.reverse()
    return path


def root_from_inclusion(
    leaf: bytes, path: Sequence[bytes], *, index: int, size: int, step: str = "inclusion-path"
) -> bytes:
    """Return the root that an audit path leads to, 32 bytes.

    Args:
        leaf: the leaf's hash, 32 bytes.
        path: siblings, deepest first, 32 bytes each.
        index: leaf number from 0.
        size: number of leaves.
        step: name put into the error.

    Raises:
        VerificationError: when index, size and the path's length cannot belong together.
    """
    if not 0 <= index < size:
        raise VerificationError(step, "the leaf number is not below the tree size")
    at, last, here = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise VerificationError(step, "the path is longer than the tree is deep")
        if at & 1 or at == last:
            here = node_hash(sibling, here)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            here = node_hash(here, sibling)
        at, last = at >> 1, last >> 1
    if last:
        raise VerificationError(step, "the path is shorter than the tree is deep")
    return here


def verify_inclusion(
    leaf: bytes,
    path: Sequence[bytes],
    *,
    index: int,
    size: int,
    root: bytes,
    step: str = "inclusion-path",
) -> None:
    """Check that a leaf is in a tree.

    Args:
        leaf: the leaf's hash, 32 bytes.
        path: siblings, deepest first, 32 bytes each.
        index: leaf number from 0.
        size: number of leaves.
        root: the tree's root, 32 bytes.
        step: name put into the error.

    Raises:
        VerificationError: when the path does not lead to the root.
    """
    if root_from_inclusion(leaf, path, index=index, size=size, step=step) != root:
        raise VerificationError(step, "the path does not lead to the root")


def verify_consistency(
    path: Sequence[bytes],
    *,
    old: int,
    new: int,
    old_root: bytes,
    new_root: bytes,
    step: str = "consistency-path",
) -> None:
    """Check that a later tree only appended to an earlier one.

    Args:
        path: the proof, 32 bytes each.
        old: size of the earlier tree.
        new: size of the later tree.
        old_root: its root, 32 bytes.
        new_root: the later root, 32 bytes.
        step: name put into the error.

    Raises:
        VerificationError: when the later tree does not extend the earlier one.
    """
    if not 0 <= old <= new:
        raise VerificationError(step, "the tree shrank")
    if old in {0, new}:
        expected = new_root if old == new else EMPTY_ROOT
        if path or old_root != expected:
            raise VerificationError(step, "equal sizes need equal roots and no path")
        return
    if _roots_from_consistency(path, old, new, old_root, step=step) != (old_root, new_root):
        raise VerificationError(step, "the path does not join the two roots")


def _roots_from_consistency(
    path: Sequence[bytes], old: int, new: int, old_root: bytes, *, step: str
) -> tuple[bytes, bytes]:
    nodes = [old_root, *path] if old & (old - 1) == 0 else list(path)
    if not nodes:
        raise VerificationError(step, "the path is empty")
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    first = second = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            raise VerificationError(step, "the path is longer than the tree is deep")
        if at & 1 or at == last:
            first, second = node_hash(node, first), node_hash(node, second)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            second = node_hash(second, node)
        at, last = at >> 1, last >> 1
    if last:
        raise VerificationError(step, "the path is shorter than the tree is deep")
    return first, second


class Frontier:
    """The right edge of a growing tree: O(log n) memory, appends in amortised O(1).

    Args:
        size: number of leaves so far.
        peaks: roots of the complete subtrees that make up the tree, largest first; one per set bit
            of `size`.

    Raises:
        MalformedInputError: when the number of peaks does not fit the size.
    """

    __slots__ = ("_peaks", "size")

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        if size < 0 or len(peaks) != size.bit_count():
            raise MalformedInputError("bad-frontier", "as many peaks as set bits in the size")
        self.size = size
        self._peaks = list(peaks)

    @property
    def peaks(self) -> tuple[bytes, ...]:
        """Roots of the complete subtrees, largest first."""
        return tuple(self._peaks)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash (32 bytes)."""
        carry = leaf
        size = self.size
        peaks = self._peaks
        while size & 1:
            carry = sha256(b"\x01" + peaks.pop() + carry).digest()
            size >>= 1
        peaks.append(carry)
        self.size += 1

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add leaf hashes in order."""
        for leaf in leaves:
            self.append(leaf)

    def root(self) -> bytes:
        """Return the root of the tree so far, 32 bytes."""
        return _fold(self._peaks)


def _split(size: int) -> int:
    """Return the largest power of two below `size` (which is at least 2)."""
    return 1 << (size - 1).bit_length() - 1


def _fold(peaks: Sequence[bytes]) -> bytes:
    if not peaks:
        return EMPTY_ROOT
    here = peaks[-1]
    for peak in reversed(peaks[:-1]):
        here = node_hash(peak, here)
    return here
