import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import ConflictError, MalformedInputError, UnavailableError, VerificationError
from hilum.record.access import Segment
from hilum.vault import Keyring
from hilum.vault.adapters.keyfile import SqliteKeyStore
from hilum.vault.adapters.nodekey import create_node_key, read_node_key
from hilum.vault.erasure import SealedSample, prove_shredded, verify_shredded
from hilum.vault.keyring import DIRECTIVE_SEGMENT, RECEIPT_SEGMENT, key_segment

PLACE = {"cid": 7, "type_number": 5, "id": "a-1", "ver": 2, "seg": 1}
NODE_KEY = bytes(range(32))


class Dice:
    """Deterministic entropy; never repeats."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, size: Any) -> Any:
        self.count += 1
        return self.count.to_bytes(8, "big").rjust(size, b"\x07")[:size]


@pytest.fixture
def store(tmp_path: Any) -> Any:
    store = SqliteKeyStore(tmp_path / "keys.db")
    yield store
    store.close()


@pytest.fixture
def ring(store: Any) -> Any:
    return Keyring(NODE_KEY, store, entropy=Dice())


@pytest.mark.parametrize("body", [b"", b"x", b'{"resourceType":"Patient"}' * 300])
def test_a_sealed_body_opens_to_the_same_bytes_and_hides_them(ring: Any, body: Any) -> None:
    sealed = ring.seal(body, **PLACE)
    assert ring.open(sealed, **PLACE) == body
    assert len(sealed) == 1 + 4 + 12 + len(body) + 16
    assert not body or body not in sealed


@pytest.mark.parametrize(
    ("key", "value"), [("cid", 8), ("type_number", 6), ("id", "a-2"), ("ver", 1), ("seg", 3)]
)
def test_a_sealed_body_does_not_open_in_another_place(ring: Any, key: Any, value: Any) -> None:
    sealed = ring.seal(b"body", **PLACE)
    ring.seal(b"other", **{**PLACE, key: value})
    with pytest.raises(VerificationError) as caught:
        ring.open(sealed, **{**PLACE, key: value})
    assert caught.value.step == "seal"


def test_every_single_bit_change_is_refused(ring: Any) -> None:
    sealed = ring.seal(b"body", **PLACE)
    for index in range(len(sealed) * 8):
        bent = bytearray(sealed)
        bent[index // 8] ^= 1 << (index % 8)
        with pytest.raises((VerificationError, UnavailableError)):
            ring.open(bytes(bent), **PLACE)
    for length in range(len(sealed)):
        with pytest.raises(VerificationError):
            ring.open(sealed[:length], **PLACE)


def test_keys_survive_a_restart_and_bodies_open_with_the_same_node_key_only(tmp_path: Any) -> None:
    store = SqliteKeyStore(tmp_path / "keys.db")
    sealed = Keyring(NODE_KEY, store, entropy=Dice()).seal(b"body", **PLACE)
    store.close()
    store = SqliteKeyStore(tmp_path / "keys.db")
    assert Keyring(NODE_KEY, store, entropy=Dice()).open(sealed, **PLACE) == b"body"
    with pytest.raises(VerificationError) as caught:
        Keyring(bytes(32), store, entropy=Dice()).open(sealed, **PLACE)
    assert caught.value.step == "wrap"
    store.close()


def test_rotation_seals_under_a_new_epoch_and_leaves_old_bodies_readable(ring: Any) -> None:
    old = ring.seal(b"old", **PLACE)
    other = ring.seal(b"psy", **{**PLACE, "seg": 2})
    assert ring.rotate(7, segments=1) == {1: 2}
    new = ring.seal(b"new", **PLACE)
    assert (old[1:5], new[1:5]) == (b"\0\0\0\1", b"\0\0\0\2")
    assert ring.open(old, **PLACE) == b"old"
    assert ring.open(new, **PLACE) == b"new"
    assert ring.seal(b"psy", **{**PLACE, "seg": 2})[1:5] == other[1:5]


def test_nothing_opens_after_shredding_and_the_key_file_keeps_no_trace(
    ring: Any, store: Any
) -> None:
    samples = [
        SealedSample(ring.seal(b"body", **{**PLACE, "seg": seg}), 5, "a-1", 2, seg)
        for seg in (1, 2, 128, RECEIPT_SEGMENT)
    ]
    neighbour = ring.seal(b"stays", **{**PLACE, "cid": 8})
    traces = store.wrapped(7)
    before = prove_shredded(ring, 7, samples=samples, traces=traces, raw=store.raw())
    assert (before.opened, before.residue, before.keys_left) == (4, 4, True)
    with pytest.raises(VerificationError):
        verify_shredded(before)

    assert ring.shred(7) == 4

    after = prove_shredded(ring, 7, samples=samples, traces=traces, raw=store.raw())
    assert (after.opened, after.residue, after.keys_left) == (0, 0, False)
    verify_shredded(after)
    with pytest.raises(UnavailableError) as caught:
        ring.open(samples[0].sealed, **PLACE)
    assert (caught.value.code, caught.value.retryable) == ("shredded", False)
    assert ring.open(neighbour, **{**PLACE, "cid": 8}) == b"stays"


def test_a_compartment_that_was_shredded_never_gets_a_key_again(ring: Any, store: Any) -> None:
    old = ring.seal(b"old", **PLACE)
    ring.shred(7)
    for act in (lambda: ring.seal(b"new", **PLACE), lambda: ring.open(old, **PLACE)):
        with pytest.raises(UnavailableError) as caught:
            act()
        assert (caught.value.code, caught.value.retryable) == ("shredded", False)
    assert store.wrapped(7) == ()
    assert store.next_epoch(7, 1) == 2


def test_a_key_is_durable_before_anything_is_sealed_under_it(tmp_path: Any) -> None:
    order = []

    class Watched(SqliteKeyStore):
        def add(self, cid: Any, segment: Any, epoch: Any, wrapped: Any) -> None:
            super().add(cid, segment, epoch, wrapped)
            with sqlite3.connect(f"file:{tmp_path}/keys.db?mode=ro&immutable=1", uri=True) as conn:
                order.append(conn.execute("select count(*) from wrapped_key").fetchone()[0])
            conn.close()

    store = Watched(tmp_path / "keys.db")
    Keyring(NODE_KEY, store, entropy=Dice()).seal(b"body", **PLACE)
    assert order == [1]
    store.close()


def test_threads_that_seal_at_once_agree_on_one_key_and_shredding_reaches_them_all(
    store: Any,
) -> Any:
    ring = Keyring(NODE_KEY, store, entropy=os.urandom)

    def work(number: Any) -> Any:
        return [ring.seal(b"body", **{**PLACE, "cid": cid}) for cid in range(100, 110)]

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(work, range(8)))
    for offset in range(10):
        place = {**PLACE, "cid": 100 + offset}
        assert len(store.wrapped(100 + offset)) == 1
        assert {ring.open(sealed[offset], **place) for sealed in made} == {b"body"}
        ring.shred(100 + offset)
        for sealed in made:
            with pytest.raises(UnavailableError):
                ring.open(sealed[offset], **place)


def test_a_key_that_was_being_opened_while_it_was_shredded_is_not_kept(tmp_path: Any) -> Any:
    class Slow(SqliteKeyStore):
        def find(self, cid: Any, segment: Any, epoch: Any) -> Any:
            found = super().find(cid, segment, epoch)
            if found:
                ring.shred(cid)
            return found

    store = Slow(tmp_path / "keys.db")
    sealed = Keyring(NODE_KEY, store, entropy=Dice()).seal(b"body", **PLACE)
    ring = Keyring(NODE_KEY, store, entropy=Dice())
    assert ring.open(sealed, **PLACE) == b"body"
    with pytest.raises(UnavailableError):
        ring.open(sealed, **PLACE)
    store.close()


def test_a_wrapped_key_moved_to_another_compartment_is_refused(ring: Any, store: Any) -> None:
    ring.seal(b"body", **PLACE)
    store.add(9, 1, 1, store.wrapped(7)[0])
    with pytest.raises(VerificationError) as caught:
        ring.seal(b"body", **{**PLACE, "cid": 9})
    assert caught.value.step == "wrap"


def test_an_epoch_cannot_get_a_second_key(store: Any) -> None:
    store.add(1, 1, 1, b"x" * 61)
    with pytest.raises(ConflictError):
        store.add(1, 1, 1, b"y" * 61)
    assert store.find(1, 1, 1) == b"x" * 61


def test_a_key_file_of_another_version_is_refused(tmp_path: Any) -> None:
    conn = sqlite3.connect(tmp_path / "keys.db")
    conn.execute("pragma user_version=9")
    conn.close()
    with pytest.raises(UnavailableError):
        SqliteKeyStore(tmp_path / "keys.db")


@given(mask=st.integers(1, 255))
def test_the_key_of_a_mask_is_its_most_sensitive_segment(mask: Any) -> None:
    order = [
        Segment.HIV, Segment.SUD, Segment.PSY, Segment.GEN,
        Segment.SEX, Segment.ETH, Segment.DEV, Segment.NORMAL,
    ]  # fmt: skip
    assert key_segment(mask) == next(bit for bit in order if bit & mask)


@pytest.mark.parametrize("mask", [0, -1, 1 << 8, 1 << 16, 1 | 1 << 9])
def test_a_mask_of_unknown_segments_is_refused(mask: Any) -> None:
    with pytest.raises(MalformedInputError):
        key_segment(mask)


def test_pseudo_segments_have_keys_of_their_own(ring: Any, store: Any) -> None:
    ring.seal(b"r", **{**PLACE, "seg": RECEIPT_SEGMENT})
    ring.seal(b"d", **{**PLACE, "seg": DIRECTIVE_SEGMENT})
    assert store.segments(7) == (DIRECTIVE_SEGMENT, RECEIPT_SEGMENT)


def test_the_node_key_is_private_and_never_overwritten(tmp_path: Any) -> None:
    path = tmp_path / "node.key"
    key = create_node_key(path, entropy=Dice())
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_node_key(path) == key
    with pytest.raises(ConflictError):
        create_node_key(path, entropy=Dice())
    path.chmod(0o640)
    with pytest.raises(UnavailableError):
        read_node_key(path)


@pytest.mark.parametrize(
    "text",
    [b"", b"hilum-node-key-v1:", b"hilum-node-key-v1:" + b"zz" * 32, b"\xff" * 80, b"ab" * 32],
)
def test_what_is_not_a_node_key_is_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "node.key"
    path.write_bytes(text)
    path.chmod(0o600)
    with pytest.raises(MalformedInputError):
        read_node_key(path)


def test_a_missing_node_key_is_unavailable(tmp_path: Any) -> None:
    with pytest.raises(UnavailableError):
        read_node_key(tmp_path / "none")
