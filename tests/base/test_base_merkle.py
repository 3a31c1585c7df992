"""RFC 6962 trees against the recursive definition and the published roots."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.base import merkle
from hilum.errors import MalformedInputError, VerificationError

# Source: certificate-transparency reference implementation, cpp/merkletree/merkle_tree_test.cc
# (inputs and roots); the same table is in google/trillian and transparency-dev/merkle.
CT_LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
SIZES = st.integers(1, 70)


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """The definition of RFC 6962 section 2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\1" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m < k:
        return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


def naive_consistency(m: int, leaves: Sequence[bytes], whole: bool = True) -> list[bytes]:
    n = len(leaves)
    if m == n:
        return [] if whole else [naive_root(leaves)]
    k = 1
    while k * 2 < n:
        k *= 2
    if m <= k:
        return [*naive_consistency(m, leaves[:k], whole), naive_root(leaves[k:])]
    return [*naive_consistency(m - k, leaves[k:], False), naive_root(leaves[:k])]


def data(size: int) -> list[bytes]:
    return [bytes([i % 251, i // 251]) for i in range(size)]


def hashes(size: int) -> list[bytes]:
    return [merkle.leaf_hash(leaf) for leaf in data(size)]


def test_published_roots_are_reproduced() -> None:
    for size, text in enumerate(CT_ROOTS):
        assert merkle.root(CT_LEAVES[:size]).hex() == text


def test_published_inclusion_path_is_reproduced() -> None:
    # Source: as above, path of leaf 0 in the tree of 8.
    source = merkle.source_of_hashes([merkle.leaf_hash(leaf) for leaf in CT_LEAVES])
    assert [node.hex() for node in merkle.inclusion_path(0, 8, source)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]


@given(SIZES)
def test_level_wise_root_equals_the_recursive_definition(size: int) -> None:
    assert merkle.root(data(size)) == naive_root(data(size))


@given(SIZES)
def test_frontier_has_the_root_of_every_prefix(size: int) -> None:
    frontier = merkle.Frontier()
    for n, leaf in enumerate(hashes(size)):
        assert frontier.root() == naive_root(data(n))
        frontier.append(leaf)
    again = merkle.Frontier(frontier.size, frontier.peaks)
    again.extend(hashes(3))
    assert again.root() == merkle.root_of_hashes(hashes(size) + hashes(3))


@given(st.data())
def test_inclusion_paths_equal_the_definition_and_verify(draw: st.DataObject) -> None:
    size = draw.draw(SIZES)
    stored = draw.draw(st.integers(size, size + 20))
    index = draw.draw(st.integers(0, size - 1))
    path = merkle.inclusion_path(index, size, merkle.source_of_hashes(hashes(stored)))
    assert path == naive_path(index, data(size))
    root = naive_root(data(size))
    leaf = merkle.leaf_hash(data(size)[index])
    merkle.verify_inclusion(leaf, path, index=index, size=size, root=root)


@given(st.data())
def test_any_change_to_an_inclusion_proof_is_refused(draw: st.DataObject) -> None:
    size = draw.draw(st.integers(2, 70))
    index = draw.draw(st.integers(0, size - 1))
    path = naive_path(index, data(size))
    leaf, root = merkle.leaf_hash(data(size)[index]), naive_root(data(size))
    spot = draw.draw(st.integers(0, len(path) - 1))
    bent = [bytes([node[0] ^ 1]) + node[1:] if n == spot else node for n, node in enumerate(path)]
    # Another size with the same path shape and root cannot be told apart by the path alone;
    # checkpoints sign the size. Another leaf number always differs in shape or hashing order.
    other = draw.draw(st.integers(0, size - 1).filter(lambda n: n != index))
    for broken_path, at, n in (
        (bent, index, size),
        (path[:-1], index, size),
        ([*path, root], index, size),
        (path, other, size),
        (path, index, index),
        (path, -1, size),
    ):
        with pytest.raises(VerificationError) as refused:
            merkle.verify_inclusion(leaf, broken_path, index=at, size=n, root=root, step="here")
        assert refused.value.step == "here"
    with pytest.raises(VerificationError):
        merkle.verify_inclusion(merkle.leaf_hash(b"x"), path, index=index, size=size, root=root)


@given(st.data())
def test_consistency_paths_equal_the_definition_and_verify(draw: st.DataObject) -> None:
    new = draw.draw(SIZES)
    old = draw.draw(st.integers(0, new))
    path = merkle.consistency_path(old, new, merkle.source_of_hashes(hashes(new)))
    assert path == (naive_consistency(old, data(new)) if old else [])
    old_root, new_root = naive_root(data(old)), naive_root(data(new))
    merkle.verify_consistency(path, old=old, new=new, old_root=old_root, new_root=new_root)


@given(st.data())
def test_a_rewritten_history_is_refused(draw: st.DataObject) -> None:
    new = draw.draw(st.integers(2, 70))
    old = draw.draw(st.integers(1, new - 1))
    path = naive_consistency(old, data(new))
    other = data(old)
    other[draw.draw(st.integers(0, old - 1))] = b"rewritten"
    new_root = naive_root(data(new))
    old_root = naive_root(data(old))
    cases = [
        (path, old, naive_root(other)),
        (path[:-1], old, old_root),
        ([*path, old_root], old, old_root),
        (path, new + 1, old_root),
        (path, 0, old_root),
        (path, new, old_root),
        ([], old, old_root),
    ]
    for bad_path, bad_old, bad_root in cases:
        with pytest.raises(VerificationError):
            merkle.verify_consistency(
                bad_path, old=bad_old, new=new, old_root=bad_root, new_root=new_root
            )


def test_impossible_requests_are_malformed() -> None:
    source = merkle.source_of_hashes(hashes(4))
    for index, size in ((4, 4), (-1, 4), (0, 0)):
        with pytest.raises(MalformedInputError):
            merkle.inclusion_path(index, size, source)
    for old, new in ((5, 4), (-1, 4)):
        with pytest.raises(MalformedInputError):
            merkle.consistency_path(old, new, source)
    with pytest.raises(MalformedInputError):
        merkle.Frontier(3, [b"\0" * 32])
