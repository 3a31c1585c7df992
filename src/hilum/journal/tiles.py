"""Paths and contents of a tiled log: hash tiles and entry bundles.

A tile of level L holds up to 256 hashes of complete subtrees over ``256^L`` leaves; a bundle holds
up to 256 entries. Full ones never change; the right-most of a level may be partial and carries its
width in its path.

Source: C2SP tlog-tiles (c2sp.org/tlog-tiles), "Merkle Tree" and "Log Entries".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from hilum.base.merkle import Source, root_of_hashes
from hilum.errors import MalformedInputError

__all__ = [
    "WIDTH",
    "Tile",
    "bundle_path",
    "encode_bundle",
    "new_tiles",
    "parse_bundle",
    "parse_tile",
    "source_of_tiles",
    "tile_path",
    "width_at",
]

WIDTH = 256
HEIGHT = 8


class Tile(NamedTuple):
    """Which tile: its level, its number in the level, and how many hashes it holds (1 to 256)."""

    level: int
    number: int
    width: int


def tile_path(tile: Tile) -> str:
    """Return the path of a hash tile, e.g. ``tile/0/x001/234.p/17``."""
    return f"tile/{tile.level}/{_number(tile.number)}{_partial(tile.width)}"


def bundle_path(number: int, width: int) -> str:
    """Return the path of an entry bundle, e.g. ``tile/entries/000.p/5``."""
    return f"tile/entries/{_number(number)}{_partial(width)}"


def width_at(level: int, number: int, size: int) -> int:
    """Return how many hashes a tile holds in a tree of `size` leaves; 0 when it does not exist."""
    return max(0, min(WIDTH, (size >> HEIGHT * level) - number * WIDTH))


def new_tiles(old: int, new: int) -> Iterator[Tile]:
    """Yield the hash tiles to write when a tree grows from `old` to `new` leaves, lowest first."""
    level = 0
    while new >> HEIGHT * level:
        have, want = old >> HEIGHT * level, new >> HEIGHT * level
        if want > have:
            for number in range(have // WIDTH, (want - 1) // WIDTH + 1):
                yield Tile(level, number, width_at(level, number, new))
        level += 1


def parse_tile(data: bytes, width: int) -> list[bytes]:
    """Return the hashes of a tile.

    Args:
        data: the file's bytes.
        width: how many hashes it must hold.

    Raises:
        MalformedInputError: when it does not.
    """
    if len(data) != 32 * width:
        raise MalformedInputError("bad-tile", f"a tile of width {width} has {32 * width} bytes")
    return [data[at : at + 32] for at in range(0, len(data), 32)]


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Return the bytes of an entry bundle: each entry behind its length as u16.

    Raises:
        MalformedInputError: when an entry is longer than 65,535 bytes.
    """
    if any(len(entry) > 0xFFFF for entry in entries):
        raise MalformedInputError("bad-bundle", "an entry is longer than 65535 bytes")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def parse_bundle(data: bytes, width: int) -> list[bytes]:
    """Return the entries of a bundle.

    Args:
        data: the file's bytes.
        width: how many entries it must hold.

    Raises:
        MalformedInputError: when it does not.
    """
    entries = []
    at = 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if at + 2 > len(data) or end > len(data):
            raise MalformedInputError("bad-bundle", "an entry ends too early")
        entries.append(data[at + 2 : end])
        at = end
    if len(entries) != width:
        raise MalformedInputError("bad-bundle", f"{len(entries)} entries instead of {width}")
    return entries


def source_of_tiles(read: Callable[[Tile], list[bytes]], size: int) -> Source:
    """Return a `Source` of subtree hashes that reads tiles.

    Args:
        read: gives the hashes of a tile; called once per tile.
        size: leaves of the tree whose tiles are read.
    """
    kept: dict[tuple[int, int], list[bytes]] = {}

    def hashes(level: int, number: int) -> list[bytes]:
        if (level, number) not in kept:
            kept[level, number] = read(Tile(level, number, width_at(level, number, size)))
        return kept[level, number]

    def source(height: int, index: int) -> bytes:
        level, rest = divmod(height, HEIGHT)
        first = index << rest
        tile = hashes(level, first // WIDTH)
        at = first % WIDTH
        return root_of_hashes(tile[at : at + (1 << rest)])

    return source


def _number(number: int) -> str:
    groups = [f"{number % 1000:03}"]
    while number := number // 1000:
        groups.append(f"x{number % 1000:03}")
    return "/".join(reversed(groups))


def _partial(width: int) -> str:
    return "" if width == WIDTH else f".p/{width}"
