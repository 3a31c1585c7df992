"""The journal as files: hash tiles, entry bundles and the checkpoint, as tlog-tiles lays them out.

Everything here can be derived again from the leaves in the database; the files are what others
read. Order makes it safe to stop at any point: bundles and tiles first, the checkpoint last, each
file written beside its place, flushed and renamed. Full tiles never change; a partial tile is never
rewritten with other bytes, because its hashes are those of the same leaves.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from hilum.base.merkle import (
    Source,
    consistency_path,
    inclusion_path,
    leaf_hash,
    range_root,
    root_of_hashes,
)
from hilum.errors import MalformedInputError, UnavailableError
from hilum.journal.checkpoint import parse_checkpoint, parse_note
from hilum.journal.tiles import (
    HEIGHT,
    WIDTH,
    Tile,
    bundle_path,
    encode_bundle,
    new_tiles,
    parse_bundle,
    parse_tile,
    source_of_tiles,
    tile_path,
)

__all__ = ["TileStore"]

CHECKPOINT = "checkpoint"


class TileStore:
    """Tiles in a directory.

    Args:
        folder: created when it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def size(self) -> int:
        """Return the size of the tree that the checkpoint on disk signs; 0 without one.

        Raises:
            MalformedInputError: when the checkpoint on disk is damaged.
        """
        note = self.checkpoint()
        return 0 if note is None else parse_checkpoint(parse_note(note)).size

    def checkpoint(self) -> bytes | None:
        """Return the checkpoint on disk."""
        try:
            return (self._folder / CHECKPOINT).read_bytes()
        except FileNotFoundError:
            return None

    def integrate(self, leaves: Sequence[bytes], *, begin: int) -> bytes:
        """Write bundles and tiles for leaves that follow those on disk.

        Args:
            leaves: the 32-byte leaves numbered ``begin``, ``begin + 1``, …
            begin: how many leaves are already in tiles (at least `size`, tiles complete).

        Returns:
            The root over all leaves, 32 bytes; sign it and `publish` the checkpoint.

        Raises:
            UnavailableError: when a tile below `begin` is missing or the disk does not take a file.
        """
        end = begin + len(leaves)
        levels: dict[int, list[bytes]] = {0: [leaf_hash(leaf) for leaf in leaves]}
        self._write_bundles(leaves, begin, end)
        for tile in new_tiles(begin, end):
            fresh = levels.setdefault(tile.level, [])
            self._write_tile(tile, fresh, begin >> HEIGHT * tile.level, levels)
        return self.root(end)

    def publish(self, note: bytes) -> None:
        """Put a checkpoint in its place.

        Args:
            note: the signed note; its tiles must be on disk.

        Raises:
            UnavailableError: when the disk does not take it.
        """
        self._write(CHECKPOINT, note)

    def root(self, size: int) -> bytes:
        """Return the root of the first `size` leaves, 32 bytes.

        Raises:
            UnavailableError: when a tile is missing.
        """
        return range_root(self.source(size), 0, size)

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Return the audit path of a leaf in the tree of `size` leaves, deepest sibling first.

        Raises:
            MalformedInputError: when there is no such leaf.
            UnavailableError: when a tile is missing.
        """
        return inclusion_path(index, size, self.source(size))

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Return the proof that the tree of `new` leaves extends that of `old`.

        Raises:
            MalformedInputError: when the sizes are the wrong way round.
            UnavailableError: when a tile is missing.
        """
        return consistency_path(old, new, self.source(new))

    def source(self, size: int) -> Source:
        """Return the hashes of complete subtrees of the first `size` leaves, read from tiles."""
        return source_of_tiles(self._read_tile, size)

    def check(self, leaves: Iterable[bytes]) -> list[str]:
        """Derive everything from the leaves again and name what does not fit.

        Args:
            leaves: all 32-byte leaves in order, at least as many as the checkpoint signs.

        Returns:
            One line per problem; none when all is well.
        """
        try:
            note = self.checkpoint()
            if note is None:
                return []
            head = parse_checkpoint(parse_note(note))
        except MalformedInputError as error:
            return [f"journal checkpoint: {error.why}"]
        kept = list(leaves)[: head.size]
        if len(kept) < head.size:
            return [f"journal: {len(kept)} receipts, but the checkpoint signs {head.size}"]
        problems = []
        hashes = [leaf_hash(leaf) for leaf in kept]
        if root_of_hashes(hashes) != head.root:
            problems.append("journal checkpoint: its root is not that of the receipts")
        return problems + self._check_bundles(kept) + self._check_tiles(hashes)

    def _check_bundles(self, leaves: Sequence[bytes]) -> list[str]:
        problems = []
        for begin in range(0, len(leaves), WIDTH):
            part = list(leaves[begin : begin + WIDTH])
            name = bundle_path(begin // WIDTH, len(part))
            try:
                if parse_bundle((self._folder / name).read_bytes(), len(part)) != part:
                    problems.append(f"journal {name}: entries differ from the receipts")
            except FileNotFoundError:
                problems.append(f"journal {name}: missing")
            except MalformedInputError as error:
                problems.append(f"journal {name}: {error.why}")
        return problems

    def _check_tiles(self, hashes: Sequence[bytes]) -> list[str]:
        problems = []
        level, here = -1, list(hashes)
        for tile in new_tiles(0, len(hashes)):
            if tile.level > level:
                level = tile.level
                here = here if level == 0 else _roots(here)
            begin = tile.number * WIDTH
            try:
                if self._read_tile(tile) != here[begin : begin + tile.width]:
                    problems.append(f"journal {tile_path(tile)}: hashes differ from the receipts")
            except UnavailableError as error:
                problems.append(f"journal {tile_path(tile)}: {error.why}")
        return problems

    def _write_bundles(self, leaves: Sequence[bytes], begin: int, end: int) -> None:
        for number in range(begin // WIDTH, -(-end // WIDTH)):
            first = number * WIDTH
            part = list(leaves[max(0, first - begin) : first + WIDTH - begin])
            if first < begin:
                part = self._read_bundle(number, begin - first) + part
            self._write(bundle_path(number, len(part)), encode_bundle(part))

    def _write_tile(
        self, tile: Tile, fresh: list[bytes], begin: int, levels: dict[int, list[bytes]]
    ) -> None:
        first = tile.number * WIDTH
        part = fresh[max(0, first - begin) : first + tile.width - begin]
        if first < begin:
            part = self._read_tile(Tile(tile.level, tile.number, begin - first)) + part
        self._write(tile_path(tile), b"".join(part))
        if tile.width == WIDTH:
            levels.setdefault(tile.level + 1, []).append(root_of_hashes(part))

    def _read_bundle(self, number: int, width: int) -> list[bytes]:
        return parse_bundle(self._read(bundle_path(number, width)), width)

    def _read_tile(self, tile: Tile) -> list[bytes]:
        try:
            return parse_tile(self._read(tile_path(tile)), tile.width)
        except MalformedInputError as error:
            raise UnavailableError(
                "journal-tile", "damaged", where=tile_path(tile), retryable=False
            ) from error

    def _read(self, name: str) -> bytes:
        path = self._folder / name
        try:
            return path.read_bytes()
        except FileNotFoundError as error:
            raise UnavailableError(
                "journal-tile", "missing", where=name, retryable=False
            ) from error

    def _write(self, name: str, data: bytes) -> None:
        path = self._folder / name
        beside = path.with_name(f"{path.name}.new")
        try:
            _make_folder(path.parent)
            with beside.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
            _sync_folder(path.parent)
        except OSError as error:
            raise UnavailableError(
                "journal-write", "the disk does not take the file", where=name,
                hint="check free space and permissions of the data directory",
            ) from error  # fmt: skip


def _roots(hashes: Sequence[bytes]) -> list[bytes]:
    whole = len(hashes) // WIDTH * WIDTH
    return [root_of_hashes(hashes[at : at + WIDTH]) for at in range(0, whole, WIDTH)]


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
