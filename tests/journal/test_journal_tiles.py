"""Tiles and checkpoints against the files of Tessera and Sunlight, and against the plain tree."""

from __future__ import annotations

import json
import shutil
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.base import merkle
from hilum.errors import MalformedInputError, UnavailableError, VerificationError
from hilum.journal.adapters.tiles import TileStore
from hilum.journal.checkpoint import (
    Checkpoint,
    VerifierKey,
    origin_of,
    parse_checkpoint,
    parse_note,
    parse_verifier_key,
    sign_checkpoint,
    verify_checkpoint,
)
from hilum.journal.tiles import (
    Tile,
    bundle_path,
    encode_bundle,
    new_tiles,
    parse_bundle,
    parse_tile,
    source_of_tiles,
    tile_path,
    width_at,
)

KEY = Ed25519PrivateKey.from_private_bytes(b"\x11" * 32)
PUBLIC = KEY.public_key().public_bytes_raw()
ORIGIN = origin_of("did:key:z6Mkexample")
Material = Callable[[str], Path]


def leaves(size: int) -> list[bytes]:
    return [sha256(n.to_bytes(4, "big")).digest() for n in range(size)]


def publish(store: TileStore, size: int) -> None:
    begin = store.size()
    root = store.integrate(leaves(size)[begin:], begin=begin)
    store.publish(sign_checkpoint(Checkpoint(ORIGIN, size, root), public=PUBLIC, sign=KEY.sign))


@pytest.mark.parametrize("size", range(16))
def test_tessera_checkpoints_and_tiles_are_read(size: int, material: Material) -> None:
    folder = material("tlog/tessera")
    key = parse_verifier_key((folder / "public-key.txt").read_text())
    checkpoint = verify_checkpoint((folder / f"checkpoint.{size}").read_bytes(), key)
    assert checkpoint.size == size
    source = source_of_tiles(
        lambda tile: parse_tile((folder / tile_path(tile)).read_bytes(), tile.width), size
    )
    assert merkle.range_root(source, 0, size) == checkpoint.root
    if size:
        entries = parse_bundle((folder / bundle_path(0, size)).read_bytes(), size)
        assert merkle.root(entries) == checkpoint.root
        assert encode_bundle(entries) == (folder / bundle_path(0, size)).read_bytes()


def test_sunlight_witness_checkpoints_and_tiles_are_read(material: Material) -> None:
    folder = material("tlog/sunlight")
    notes = sorted(folder.glob("witness*/*/checkpoint"))
    assert len(notes) == 2
    for note in notes:
        facts = json.loads((note.parents[1] / "witness.v0.json").read_text())
        key = parse_verifier_key(facts["verifier_keys"][0])
        assert verify_checkpoint(note.read_bytes(), key).size == 300
    mirror = folder / "witness" / "mirror"
    log = next(path for path in mirror.iterdir() if path.is_dir())
    key = parse_verifier_key(
        json.loads((mirror / "mirror.v0.json").read_text())["verifier_keys"][0]
    )
    checkpoint = verify_checkpoint((log / "checkpoint").read_bytes(), key)
    first = parse_tile((log / "tile/0/000").read_bytes(), 256)
    rest = parse_tile((log / "tile/0/001.p/44").read_bytes(), 44)
    assert merkle.root_of_hashes(first + rest) == checkpoint.root


def test_our_checkpoints_are_read_by_their_key_and_no_other() -> None:
    checkpoint = Checkpoint(ORIGIN, 7, sha256(b"root").digest(), ("extension",))
    note = sign_checkpoint(checkpoint, public=PUBLIC, sign=KEY.sign)
    key = VerifierKey(ORIGIN, 1, PUBLIC)
    assert verify_checkpoint(note, key) == checkpoint
    assert parse_verifier_key(key.text) == key
    other = Ed25519PrivateKey.from_private_bytes(b"\x12" * 32).public_key().public_bytes_raw()
    for wrong in (
        VerifierKey(ORIGIN, 1, other),
        VerifierKey("hilum/other", 1, PUBLIC),
        VerifierKey(ORIGIN, 4, PUBLIC),
    ):
        with pytest.raises(VerificationError):
            verify_checkpoint(note, wrong)


@given(st.data())
def test_a_note_with_one_byte_changed_is_refused(data: st.DataObject) -> None:
    note = sign_checkpoint(Checkpoint(ORIGIN, 7, bytes(32)), public=PUBLIC, sign=KEY.sign)
    at = data.draw(st.integers(0, len(note) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != note[at]))
    with pytest.raises(VerificationError):
        verify_checkpoint(
            note[:at] + bytes([byte]) + note[at + 1 :], VerifierKey(ORIGIN, 1, PUBLIC)
        )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "a\n1\n",
        "a\n1\nAA==\n\n\u2014 a AAAAAAA=\n",
        "a\n01\n" + "A" * 43 + "=\n\n\u2014 a AAAAAAA=\n",
        "a\n" + "9" * 5000 + "\n" + "A" * 43 + "=\n\n\u2014 a AAAAAAA=\n",
        "a\n1\n" + "A" * 42 + "B=\n\n\u2014 a AAAAAAA=\n",
        "a\n1\n" + "A" * 43 + "=\n\n- a AAAAAAA=\n",
        "a\n1\n" + "A" * 43 + "=\n\n\u2014 a AAAA\n",
        "a\n1\n" + "A" * 43 + "=\n\n\u2014 a AAAAAAA=",
        "a\r\n1\n" + "A" * 43 + "=\n\n\u2014 a AAAAAAA=\n",
        "\n1\n" + "A" * 43 + "=\n\n\u2014 a AAAAAAA=\n",
    ],
)
def test_other_notes_are_malformed(text: str) -> None:
    with pytest.raises(MalformedInputError):
        parse_checkpoint(parse_note(text.encode()))


def test_other_keys_are_malformed() -> None:
    good = VerifierKey(ORIGIN, 1, PUBLIC).text
    odd = b64encode(b"\x02" + PUBLIC).decode()
    for text in ("", "a+b", good[:-1], good.replace("+", "+0", 1), f"a+00000000+{odd}"):
        with pytest.raises(MalformedInputError):
            parse_verifier_key(text)
    with pytest.raises(MalformedInputError):
        parse_note(b"\xff\n\n\n")


def test_paths_are_spelled_as_the_specification_spells_them() -> None:
    # Source: C2SP tlog-tiles, "Merkle Tree": tile 1234067 is x001/x234/067.
    assert tile_path(Tile(0, 1234067, 256)) == "tile/0/x001/x234/067"
    assert tile_path(Tile(1, 0, 1)) == "tile/1/000.p/1"
    assert bundle_path(1000, 5) == "tile/entries/x001/000.p/5"
    # Source: the same, worked example: 70,000 entries.
    tiles = list(new_tiles(0, 70_000))
    assert sum(tile.level == 0 and tile.width == 256 for tile in tiles) == 273
    assert Tile(0, 273, 112) in tiles
    assert [tile for tile in tiles if tile.level > 0] == [
        Tile(1, 0, 256),
        Tile(1, 1, 17),
        Tile(2, 0, 1),
    ]
    assert width_at(0, 274, 70_000) == 0


@given(steps=st.lists(st.integers(1, 700), min_size=1, max_size=4))
@settings(max_examples=15, deadline=None)
def test_a_tree_grown_in_steps_has_the_tiles_of_one_grown_at_once(
    steps: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("tiles")
    store = TileStore(folder)
    sizes = [sum(steps[: n + 1]) for n in range(len(steps))]
    for size in sizes:
        publish(store, size)
        assert store.root(size) == merkle.root(leaves(size))
    whole = leaves(sizes[-1])
    assert store.check(whole) == []
    for size in sizes:
        index = size * 2 // 3
        path = store.inclusion(index, size)
        root = merkle.root(whole[:size])
        leaf = merkle.leaf_hash(whole[index])
        merkle.verify_inclusion(leaf, path, index=index, size=size, root=root)
    merkle.verify_consistency(
        store.consistency(sizes[0], sizes[-1]),
        old=sizes[0],
        new=sizes[-1],
        old_root=merkle.root(whole[: sizes[0]]),
        new_root=merkle.root(whole),
    )
    shutil.rmtree(folder)


def test_a_second_level_of_tiles_is_built_in_steps(tmp_path: Path) -> None:
    store = TileStore(tmp_path)
    for size in (65_000, 65_536, 66_000):
        publish(store, size)
    assert (tmp_path / "tile/1/000").stat().st_size == 256 * 32
    assert (tmp_path / "tile/2/000.p/1").stat().st_size == 32
    assert store.check(leaves(66_000)) == []


def test_a_stop_before_the_checkpoint_is_made_good_by_the_next_run(tmp_path: Path) -> None:
    store = TileStore(tmp_path / "log")
    publish(store, 300)
    store.integrate(leaves(700)[300:], begin=300)  # and then the process dies
    again = TileStore(tmp_path / "log")
    assert again.size() == 300
    publish(again, 900)
    assert again.check(leaves(900)) == []
    once = TileStore(tmp_path / "other")
    publish(once, 900)
    for path in (tmp_path / "other").rglob("*"):
        if path.is_file():
            twin = tmp_path / "log" / path.relative_to(tmp_path / "other")
            assert twin.read_bytes() == path.read_bytes()


def test_check_names_what_does_not_fit(tmp_path: Path) -> None:
    store = TileStore(tmp_path)
    assert store.check([]) == []
    publish(store, 600)
    all_leaves = leaves(600)
    assert store.check(leaves(700)) == []
    assert "599 receipts" in store.check(all_leaves[:599])[0]
    swapped = [all_leaves[1], all_leaves[0], *all_leaves[2:]]
    assert len(store.check(swapped)) == 4  # root, one bundle, one tile, one tile above
    tile = tmp_path / "tile/0/001"
    good = tile.read_bytes()
    tile.write_bytes(good[:-1])
    assert store.check(all_leaves) == ["journal tile/0/001: damaged"]
    tile.unlink()
    assert store.check(all_leaves) == ["journal tile/0/001: missing"]
    with pytest.raises(UnavailableError):
        store.inclusion(256, 600)
    tile.write_bytes(good)
    bundle = tmp_path / "tile/entries/002.p/88"
    bundle.write_bytes(bundle.read_bytes()[:-1])
    assert store.check(all_leaves) == ["journal tile/entries/002.p/88: an entry ends too early"]
    bundle.unlink()
    assert store.check(all_leaves) == ["journal tile/entries/002.p/88: missing"]
    (tmp_path / "checkpoint").write_bytes(b"x")
    assert store.check(all_leaves)[0].startswith("journal checkpoint")


def test_a_disk_that_refuses_is_reported_and_nothing_is_published(tmp_path: Path) -> None:
    store = TileStore(tmp_path)
    publish(store, 10)
    (tmp_path / "tile/0/000.p/20").mkdir()
    with pytest.raises(UnavailableError):
        publish(store, 20)
    assert store.size() == 10


def test_bundles_and_tiles_of_another_width_are_malformed() -> None:
    bundle = encode_bundle([b"a", b"", b"ccc"])
    assert parse_bundle(bundle, 3) == [b"a", b"", b"ccc"]
    for data, width in ((bundle, 2), (bundle[:-1], 3), (bundle + b"\0", 3), (b"", 1)):
        with pytest.raises(MalformedInputError):
            parse_bundle(data, width)
    with pytest.raises(MalformedInputError):
        parse_tile(bytes(33), 1)
    with pytest.raises(MalformedInputError):
        encode_bundle([bytes(65_536)])
