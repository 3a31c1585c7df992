"""The log and the kernel as one: what is on disk, what is valid, what is the active chain.

Order of every change: log synced → kernel asked → our view moved. A block that the kernel refuses
is taken back from the log, so that a later replay cannot see it first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from hilum.bitcoin.adapters.block_log import BlockLog, Place
from hilum.bitcoin.adapters.kernel import Kernel, Outcome, Verdict
from hilum.bitcoin.block import HEADER_SIZE, MEDIAN_SPAN, Block, parse_block, parse_header
from hilum.bitcoin.events import ChainEvent, EventKind
from hilum.bitcoin.wire import hash256
from hilum.errors import InsufficientDataError, UnavailableError, VerificationError

__all__ = ["ActiveChain"]

_EVENTS_KEPT = 4096
_LOG_NAME = "blocks.log"
_KERNEL_NAME = "kernel"


class ActiveChain:
    """The stored blocks and which of them count. Not thread-safe: the owner holds a lock.

    Args:
        directory: of the chain; made when absent.

    Raises:
        ConflictError: when another process has it open.
        VerificationError: when what is stored is damaged.
        UnavailableError: when it cannot be opened.
    """

    def __init__(self, directory: Path) -> None:
        self._log = _open_log(directory)
        try:
            self._kernel = Kernel(directory / _KERNEL_NAME)
        except UnavailableError:
            self._log.close()
            raise
        self._genesis = self._kernel.genesis_block()
        root = hash256(self._genesis[:HEADER_SIZE])
        self._heights = {root: 0}
        self._places: dict[bytes, Place] = {}
        self._hashes = [root]
        self._events: deque[ChainEvent] = deque(maxlen=_EVENTS_KEPT)
        self._event_count = 0
        try:
            self._restore()
        except BaseException:
            self.close()
            raise

    def _restore(self) -> None:
        for place in self._log.places:
            self._index(place)
        self._replay()
        if not self._fits():
            # a kill may leave the kernel anywhere; the log is the truth
            self._kernel.reset()
            self._replay()
        if self._kernel.tip() not in self._heights:
            raise VerificationError(
                "block-log", "the stored blocks do not lead to the kernel's tip"
            )
        self._hashes = self._walk(self._kernel.tip())

    def _index(self, place: Place) -> bytes:
        found = hash256(place.header)
        parent = self._heights.get(place.header[4:36])
        if parent is None:
            raise VerificationError(
                "block-log",
                "a stored block follows none that is stored",
                where=f"byte {place.offset}",
            )
        self._places[found] = place
        self._heights[found] = parent + 1
        return found

    def _replay(self) -> None:
        for block_hash, place in self._places.items():
            if not self._kernel.knows(block_hash):
                self._kernel.process(self._log.read(place))

    def _fits(self) -> bool:
        """Blocks have equal work here, so the kernel's tip must be among the highest stored."""
        tip = self._heights.get(self._kernel.tip())
        return tip is not None and tip == max(self._heights.values())

    def _walk(self, tip: bytes) -> list[bytes]:
        found = [tip]
        while found[-1] in self._places:
            found.append(self._places[found[-1]].header[4:36])
        return found[::-1]

    @property
    def height(self) -> int:
        """Of the tip."""
        return len(self._hashes) - 1

    def hash_at(self, height: int) -> bytes:
        """Return the hash of an active block.

        Raises:
            InsufficientDataError: when the chain does not reach that far.
        """
        if not 0 <= height <= self.height:
            raise InsufficientDataError("no-block", "the chain does not reach this height")
        return self._hashes[height]

    def height_of(self, block_hash: bytes) -> int:
        """Return the height of a stored block."""
        return self._heights[block_hash]

    def is_known(self, block_hash: bytes) -> bool:
        """Tell whether the block is stored, on the active chain or beside it."""
        return block_hash in self._heights

    def header(self, height: int) -> bytes:
        """Return 80 bytes.

        Raises:
            InsufficientDataError: when the chain does not reach that far.
        """
        place = self._places.get(self.hash_at(height))
        return self._genesis[:HEADER_SIZE] if place is None else place.header

    def read(self, block_hash: bytes) -> bytes:
        """Return a stored block.

        Raises:
            UnavailableError: when the disk does not give it.
        """
        place = self._places.get(block_hash)
        return self._genesis if place is None else self._log.read(place)

    def block(self, height: int) -> Block:
        """Return an active block, decoded.

        Raises:
            InsufficientDataError: when the chain does not reach that far.
            UnavailableError: when the disk does not give it.
        """
        return parse_block(self.read(self.hash_at(height)))

    def recent_times(self) -> list[int]:
        """Return the times of the last 11 headers, oldest first, in seconds."""
        first = max(0, self.height + 1 - MEDIAN_SPAN)
        return [parse_header(self.header(at)).time for at in range(first, self.height + 1)]

    def accept(self, blocks: Sequence[bytes]) -> list[Outcome]:
        """Store blocks and let the kernel judge them, all or none.

        Args:
            blocks: each the child of one that is stored or stands before it here.

        Returns:
            What each did to the chain.

        Raises:
            VerificationError: when the kernel refuses one.
            UnavailableError: when disk or kernel fail; nothing has changed.
        """
        places = self._log.append(blocks)
        outcomes: list[Outcome] = []
        for raw in blocks:
            outcome = self._kernel.process(raw)
            outcomes.append(outcome)
            if outcome.verdict in {Verdict.REFUSED, Verdict.FAILED}:
                self._take_back(outcomes, len(blocks))
                _refuse(outcome)
        for place in places:
            self._index(place)
        for outcome in outcomes:
            self._move(outcome)
        return outcomes

    def _take_back(self, outcomes: Sequence[Outcome], count: int) -> None:
        self._log.drop_last(count)
        if outcomes[-1].verdict is Verdict.FAILED or any(each.changes for each in outcomes):
            # the kernel went further than the log says
            self._kernel.reset()
            self._replay()

    def _move(self, outcome: Outcome) -> None:
        for kind, block_hash in outcome.changes:
            if kind is EventKind.CONNECTED:
                self._hashes.append(block_hash)
                height = self.height
            else:
                height = self.height
                self._hashes.pop()
            self._event_count += 1
            self._events.append(ChainEvent(self._event_count, kind, height, block_hash))

    def events(self, after: int) -> tuple[ChainEvent, ...]:
        """Return what happened after an event.

        Args:
            after: number of the last event seen; 0 for none.

        Raises:
            InsufficientDataError: when some are no longer kept; compare block hashes instead.
        """
        if self._events and after + 1 < self._events[0].number:
            raise InsufficientDataError("events-gone", "too long ago", hint="compare block hashes")
        return tuple(event for event in self._events if event.number > after)

    def close(self) -> None:
        """Let the kernel write its state, then give up the folder."""
        self._kernel.close()
        self._log.close()


def _open_log(directory: Path) -> BlockLog:
    path = directory / _LOG_NAME
    if not path.exists() and (directory / _KERNEL_NAME).exists():
        raise VerificationError(
            "block-log", "the stored blocks are gone", hint="restore the chain folder from a copy"
        )
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UnavailableError("chain-folder", "the chain's folder cannot be made") from error
    return BlockLog(path)


def _refuse(outcome: Outcome) -> NoReturn:
    if outcome.verdict is Verdict.FAILED:
        raise UnavailableError("kernel-failed", "the consensus engine failed on a block")
    raise VerificationError("block", f"the consensus engine refuses the block: {outcome.reason}")
