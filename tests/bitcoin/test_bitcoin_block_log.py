"""The file of blocks: what a crash, a full disk or a damaged byte does to it."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hilum.bitcoin.adapters.block_log import BlockLog
from hilum.errors import ConflictError, UnavailableError, VerificationError

BLOCKS = [bytes([number]) * (100 + number) for number in range(5)]
FRAME_OVERHEAD = 12 + 2 + 4


def fill(path: Path) -> None:
    log = BlockLog(path)
    log.append(BLOCKS[:2])
    log.append(BLOCKS[2:3])
    log.close()


def contents(path: Path) -> list[bytes]:
    log = BlockLog(path)
    try:
        return [log.read(place) for place in log.places]
    finally:
        log.close()


@contextmanager
def full_disk(path: Path, *, spare: int) -> Iterator[None]:
    """Let files grow to this file's size and a few bytes more, no further."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + spare, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_blocks_are_there_again_after_opening(tmp_path: Path) -> None:
    path = tmp_path / "blocks"
    fill(path)
    assert contents(path) == BLOCKS[:3]
    log = BlockLog(path)
    assert [place.header for place in log.places] == [block[:80] for block in BLOCKS[:3]]
    log.append(BLOCKS[3:])
    log.close()
    assert contents(path) == BLOCKS


def test_a_tail_torn_at_any_byte_is_cut_and_the_rest_kept(tmp_path: Path) -> None:
    path = tmp_path / "blocks"
    fill(path)
    whole = path.read_bytes()
    frame = FRAME_OVERHEAD + len(BLOCKS[2])
    for cut in range(1, frame + 1):
        path.write_bytes(whole[:-cut])
        assert contents(path) == BLOCKS[:2]
        assert path.read_bytes() == whole[:-frame]


@pytest.mark.parametrize("zeros", [1, 12, 500])
def test_a_tail_of_zeros_is_cut(tmp_path: Path, zeros: int) -> None:
    path = tmp_path / "blocks"
    fill(path)
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(zeros))
    assert contents(path) == BLOCKS[:3]
    assert path.read_bytes() == whole


def test_a_tail_of_the_right_length_but_other_bytes_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "blocks"
    fill(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9] + bytes(9))
    assert contents(path) == BLOCKS[:2]


def test_damage_before_the_end_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "blocks"
    fill(path)
    whole = path.read_bytes()
    last_frame = len(whole) - FRAME_OVERHEAD - len(BLOCKS[2])
    for at in range(last_frame):
        damaged = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        path.write_bytes(damaged)
        with pytest.raises(VerificationError) as caught:
            BlockLog(path)
        assert caught.value.step == "block-log"
        assert path.read_bytes() == damaged


@pytest.mark.parametrize("data", [b"X", b"HLMA\x01", b"HLMB\x02", b"something else entirely"])
def test_a_file_of_another_format_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "blocks"
    path.write_bytes(data)
    with pytest.raises(VerificationError):
        BlockLog(path)
    assert path.read_bytes() == data


@pytest.mark.parametrize("length", range(5))
def test_a_file_torn_while_it_was_made_is_made_again(tmp_path: Path, length: int) -> None:
    path = tmp_path / "blocks"
    path.write_bytes(b"HLMB\x01"[:length])
    assert contents(path) == []
    assert path.read_bytes() == b"HLMB\x01"


def test_only_one_can_have_it_open(tmp_path: Path) -> None:
    path = tmp_path / "blocks"
    log = BlockLog(path)
    with pytest.raises(ConflictError):
        BlockLog(path)
    log.close()
    BlockLog(path).close()


@pytest.mark.parametrize("spare", [0, 1, 30, 119])
def test_a_full_disk_leaves_it_as_it_was(tmp_path: Path, spare: int) -> None:
    path = tmp_path / "blocks"
    fill(path)
    before = path.read_bytes()
    log = BlockLog(path)
    with full_disk(path, spare=spare), pytest.raises(UnavailableError) as caught:
        log.append(BLOCKS[3:4])
    assert caught.value.retryable
    assert path.read_bytes() == before
    log.append(BLOCKS[3:])
    log.close()
    assert contents(path) == BLOCKS


def test_a_write_that_cannot_be_taken_back_stops_all_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "blocks"
    fill(path)
    log = BlockLog(path)

    def refuse(*_: object) -> None:
        raise OSError(5, "input/output error")

    with monkeypatch.context() as patch, full_disk(path, spare=20):
        patch.setattr(os, "ftruncate", refuse)
        with pytest.raises(UnavailableError) as caught:
            log.append(BLOCKS[3:4])
        assert not caught.value.retryable
    with pytest.raises(UnavailableError):
        log.append(BLOCKS[3:4])
    log.close()
    assert contents(path) == BLOCKS[:3]


def test_the_last_frame_can_be_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "blocks"
    fill(path)
    before = path.read_bytes()
    log = BlockLog(path)
    log.append(BLOCKS[3:])
    log.drop_last(2)
    assert path.read_bytes() == before
    assert len(log.places) == 3
    log.append(BLOCKS[4:])
    log.close()
    assert contents(path) == [*BLOCKS[:3], BLOCKS[4]]


def test_a_folder_that_is_not_there_is_named_as_unavailable(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError):
        BlockLog(tmp_path / "none" / "blocks")
