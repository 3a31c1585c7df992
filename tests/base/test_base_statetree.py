"""The depth-32 tree against a naive model that hashes every level anew."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hilum.base.statetree import ZERO, StateTree, root_from_path, verify_path
from hilum.errors import MalformedInputError, VerificationError


def naive_root(leaves: list[bytes]) -> bytes:
    level, zero = list(leaves), bytes(32)
    for _ in range(32):
        if len(level) % 2:
            level.append(zero)
        level = [sha256(b"\1" + level[n] + level[n + 1]).digest() for n in range(0, len(level), 2)]
        zero = sha256(b"\1" + zero + zero).digest()
    return level[0] if level else zero


class TreeMachine(RuleBasedStateMachine):
    """Appends, changes, marks and rollbacks keep the tree equal to a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.tree = StateTree()
        self.leaves: list[bytes] = []
        self.marked: list[bytes] | None = None

    @rule(leaf=st.binary(min_size=32, max_size=32), count=st.integers(1, 9))
    def append(self, leaf: bytes, count: int) -> None:
        for n in range(count):
            self.tree.set(len(self.leaves), sha256(leaf + bytes([n])).digest())
            self.leaves.append(sha256(leaf + bytes([n])).digest())

    @precondition(lambda self: self.leaves)
    @rule(data=st.data(), leaf=st.binary(min_size=32, max_size=32))
    def change(self, data: st.DataObject, leaf: bytes) -> None:
        index = data.draw(st.integers(0, len(self.leaves) - 1))
        self.tree.set(index, leaf)
        self.leaves[index] = leaf

    @rule()
    def mark(self) -> None:
        self.tree.mark()
        self.marked = list(self.leaves)

    @precondition(lambda self: self.marked is not None)
    @rule()
    def rollback(self) -> None:
        assert self.marked is not None
        self.tree.rollback()
        self.leaves = list(self.marked)

    @rule()
    def ask_root(self) -> None:
        assert self.tree.root() == naive_root(self.leaves)

    @precondition(lambda self: self.leaves)
    @rule(data=st.data())
    def prove(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.leaves) - 1))
        path = self.tree.path(index)
        verify_path(self.leaves[index], path, index=index, root=naive_root(self.leaves))

    @invariant()
    def size_agrees(self) -> None:
        assert len(self.tree) == len(self.leaves)


TestTreeMachine = TreeMachine.TestCase


def test_empty_tree_is_the_zero_subtree() -> None:
    assert StateTree().root() == ZERO[32] == naive_root([])


@given(st.integers(1, 40), st.data())
def test_a_changed_path_or_position_is_refused(size: int, data: st.DataObject) -> None:
    tree = StateTree()
    for n in range(size):
        tree.set(n, sha256(bytes([n])).digest())
    index = data.draw(st.integers(0, size - 1))
    leaf, path, root = sha256(bytes([index])).digest(), tree.path(index), tree.root()
    level = data.draw(st.integers(0, 31))
    bent = list(path)
    bent[level] = sha256(bent[level]).digest()
    for siblings, at in (
        (bent, index),
        (path[:-1], index),
        ([*path, ZERO[0]], index),
        (path, index ^ (1 << level)),
        (path, index + (1 << 32)),
        (path, index - (1 << 32)),
    ):
        with pytest.raises(VerificationError):
            verify_path(leaf, siblings, index=at, root=root)
    assert root_from_path(leaf, path, index=index) == root


def test_gaps_wrong_lengths_and_absent_marks_are_refused() -> None:
    tree = StateTree()
    for index, leaf in ((1, bytes(32)), (-1, bytes(32)), (0, bytes(31))):
        with pytest.raises(MalformedInputError):
            tree.set(index, leaf)
    with pytest.raises(MalformedInputError):
        tree.path(0)
    with pytest.raises(MalformedInputError):
        tree.rollback()
