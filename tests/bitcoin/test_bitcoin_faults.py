"""Kills and failing disks at every write boundary of the embedded chain.

The child process kills itself with SIGKILL at a named point, or is killed from outside while it
works; what it had acknowledged must be there afterwards, and nothing half-done may show.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hilum.bitcoin.adapters.active_chain import ActiveChain
from hilum.bitcoin.adapters.embedded import EmbeddedChain
from hilum.bitcoin.adapters.kernel import Kernel, Outcome, Verdict
from hilum.bitcoin.anchor import scan
from hilum.bitcoin.block import parse_block
from hilum.bitcoin.spv import verify_headers
from hilum.errors import UnavailableError, VerificationError

Open = Callable[..., EmbeddedChain]

CHILD = r"""
import os, signal, sys, time
from pathlib import Path
from hilum.bitcoin.adapters import block_log, kernel
from hilum.bitcoin.adapters.embedded import EmbeddedChain

folder, point, skip = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
left = [skip]

def die_here(name):
    if name == point:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

real_pwrite, real_fsync, real_process = os.pwrite, os.fsync, kernel.Kernel.process

def pwrite(fd, data, at):
    die_here("before-write")
    if point == "half-written" and left[0] == 0:
        real_pwrite(fd, data[: len(data) // 2], at)
    die_here("half-written")
    done = real_pwrite(fd, data, at)
    die_here("written")
    return done

def fsync(fd):
    real_fsync(fd)
    die_here("synced")

def process(self, raw):
    die_here("before-kernel")
    outcome = real_process(self, raw)
    die_here("after-kernel")
    return outcome

os.pwrite, os.fsync, kernel.Kernel.process = pwrite, fsync, process
chain = EmbeddedChain(
    folder, seed=b"seed of a chain for tests only..",
    clock=lambda: time.time_ns() // 1_000_000, entropy=os.urandom,
)
print("open", flush=True)
for number in range(250):
    record = b"HLM1" + number.to_bytes(2, "big") * 37
    if chain.find_anchor(record) is None:
        chain.anchor(record, bytes([number]) * 700)
        print(number, flush=True)
"""


def start(folder: Path, point: str, skip: int) -> subprocess.Popen[str]:
    source = Path(__file__).resolve().parents[2] / "src"
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), point, str(skip)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(source)},
    )


def record(number: int) -> bytes:
    return b"HLM1" + number.to_bytes(2, "big") * 37


def check(chain: EmbeddedChain, acknowledged: list[int]) -> int:
    """Check that all acknowledged anchors are there, in order, whole; return how many there are."""
    verify_headers(chain.headers())
    thread, found = chain.thread_start(), []
    for _, _, raw in chain.blocks_from(0):
        for anchor in scan(parse_block(raw).transactions, thread):
            found.append((anchor.record, anchor.data))
            thread = anchor.next
    assert found == [(record(n), bytes([n]) * 700) for n in range(len(found))]
    assert acknowledged == list(range(len(acknowledged)))
    assert len(acknowledged) <= len(found) <= len(acknowledged) + 1
    assert all(chain.find_anchor(record(number)) is not None for number in acknowledged)
    return len(found)


POINTS = ["before-write", "half-written", "written", "synced", "before-kernel", "after-kernel"]


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_while_anchoring_loses_nothing_acknowledged(
    open_chain: Open, tmp_path: Path, point: str
) -> None:
    folder = tmp_path / "chain"
    open_chain(folder).close()
    with start(folder, point, skip=3) as child:
        assert child.stdout is not None
        lines = child.stdout.read().split()
    assert child.returncode == -signal.SIGKILL
    acknowledged = [int(line) for line in lines[1:]]
    chain = open_chain(folder)
    there = check(chain, acknowledged)
    assert (there > len(acknowledged)) is (
        point in {"written", "synced", "before-kernel", "after-kernel"}
    )
    chain.anchor(record(there), bytes([there]) * 700)
    check(chain, list(range(there + 1)))


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("skip", [0, 2])
def test_a_kill_during_the_first_start_is_made_good_by_the_next(
    open_chain: Open, tmp_path: Path, point: str, skip: int
) -> None:
    folder = tmp_path / "chain"
    with start(folder, point, skip) as child:
        assert child.wait() == -signal.SIGKILL
    chain = open_chain(folder)
    assert chain.tip()[0] == 101
    chain.anchor(record(0), bytes(700))
    check(chain, [0])


def test_kills_from_outside_at_any_moment_lose_nothing_acknowledged(
    open_chain: Open, tmp_path: Path
) -> None:
    folder = tmp_path / "chain"
    acknowledged: list[int] = []
    for lines_before_the_kill in (1, 8, 23):
        with start(folder, "never", 0) as child:
            assert child.stdout is not None
            lines = [child.stdout.readline() for _ in range(lines_before_the_kill)]
            child.kill()
            lines += child.stdout.readlines()
        whole = [line.strip() for line in lines if line.endswith("\n")]
        acknowledged += [int(line) for line in whole if line.strip() != "open"]
        chain = open_chain(folder)
        there = check(chain, acknowledged)
        acknowledged = list(range(there))
        chain.close()


# -- failing disk and engine -----------------------------------------------------------------------


@pytest.mark.parametrize("spare", [0, 5, 500])
def test_a_full_disk_refuses_the_anchor_and_leaves_the_chain_as_it_was(
    open_chain: Open, tmp_path: Path, spare: int
) -> None:
    log = tmp_path / "chain" / "blocks.log"
    chain = open_chain()
    chain.anchor(record(0), bytes(700))
    before = chain.tip(), log.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + spare, hard))
    try:
        with pytest.raises(UnavailableError) as caught:
            chain.anchor(record(1), b"\x01" * 700)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.code == "block-log-full"
    assert caught.value.retryable
    assert (chain.tip(), log.read_bytes()) == before
    chain.anchor(record(1), b"\x01" * 700)
    check(chain, [0, 1])


def test_an_engine_that_fails_on_a_block_leaves_the_chain_as_it_was(
    open_chain: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "chain" / "blocks.log"
    chain = open_chain()
    before = chain.tip(), log.read_bytes()
    real, calls = Kernel.process, [0]

    def fail_after_connecting(kernel: Kernel, raw: bytes) -> Outcome:
        outcome = real(kernel, raw)
        calls[0] += 1
        return Outcome(Verdict.FAILED, changes=outcome.changes) if calls[0] == 1 else outcome

    with monkeypatch.context() as patch:
        patch.setattr(Kernel, "process", fail_after_connecting)
        with pytest.raises(UnavailableError) as caught:
            chain.anchor(record(0), bytes(700))
    assert caught.value.code == "kernel-failed"
    assert (chain.tip(), log.read_bytes()) == before
    chain.anchor(record(0), bytes(700))
    check(chain, [0])
    chain.close()
    check(open_chain(), [0])


def test_damaged_engine_files_are_made_anew_from_the_log(open_chain: Open, tmp_path: Path) -> None:
    chain = open_chain()
    chain.anchor(record(0), bytes(700))
    chain.close()
    for part in ("chainstate", "blocks/index"):
        for file in (tmp_path / "chain" / "kernel" / part).iterdir():
            if file.name.startswith("MANIFEST"):
                file.write_bytes(b"\xff" * 100)
    check(open_chain(), [0])


def test_a_log_with_a_block_out_of_place_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "chain"
    folder.mkdir()
    chain = ActiveChain(folder)
    chain._log.append([b"\x07" * 100])
    chain.close()
    with pytest.raises(VerificationError):
        ActiveChain(folder)
