"""A whole Bitcoin chain inside this process: consensus by Bitcoin Core's kernel, mining on demand.

For people who try or test Hilum. It proves nothing to outsiders (`hilum.bitcoin.EMBEDDED_BANNER`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Self

from hilum.base.ids import UnixMs
from hilum.base.units import unix_seconds
from hilum.bitcoin.adapters.active_chain import ActiveChain
from hilum.bitcoin.adapters.miner import Miner
from hilum.bitcoin.anchor import (
    AnchorResult,
    AnchorSigner,
    build_anchor,
    derive_anchor_keys,
    start_thread,
)
from hilum.bitcoin.block import COINBASE_MATURITY, parse_block
from hilum.bitcoin.events import ChainEvent
from hilum.bitcoin.holdings import Sighting
from hilum.bitcoin.spv import InclusionProof, prove_inclusion
from hilum.bitcoin.transaction import OutPoint, Transaction
from hilum.errors import (
    ConflictError,
    InsufficientDataError,
    UnavailableError,
)

__all__ = ["EmbeddedChain"]

_FEE_RATE = 1
"""sat/vB; the lowest that relays. Fees come back to the same wallet as the miner's reward."""
_SPACING = 600
"""Seconds between the blocks that are mined before the first start. Source: Bitcoin's target."""
_MINED_AT_ONCE = 500


class EmbeddedChain:
    """A regtest chain with its own miner, wallet and anchor thread; safe to use from threads.

    Args:
        directory: of the chain; made when absent. The first start mines 101 blocks.
        seed: at least 16 secret bytes; the same for the life of the chain.
        clock: the present, in milliseconds.
        entropy: returns so many random bytes.

    Raises:
        ConflictError: when another process has the chain open.
        VerificationError: when what is stored is damaged.
        UnavailableError: when the folder cannot be used.
    """

    def __init__(
        self,
        directory: Path,
        *,
        seed: bytes,
        clock: Callable[[], UnixMs],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._keys = derive_anchor_keys(seed)
        self._clock = clock
        self._entropy = entropy
        self._lock = RLock()
        # all below is guarded by the lock
        self._chain = ActiveChain(directory)
        self._closed = False
        try:
            self._miner = Miner(self._chain, self._keys)
            self._bootstrap()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Write the engine's state to disk and let go of the folder; a second call does nothing."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._chain.close()

    def _open(self) -> ActiveChain:
        if self._closed:
            raise UnavailableError("chain-closed", "the chain is closed", retryable=False)
        return self._chain

    # -- the chain -----------------------------------------------------------------------------

    def tip(self) -> tuple[int, bytes]:
        """Return height and hash (internal order) of the last block.

        Raises:
            UnavailableError: when closed.
        """
        with self._lock:
            chain = self._open()
            return chain.height, chain.hash_at(chain.height)

    def block_hash(self, height: int) -> bytes:
        """Return the hash of an active block, internal order.

        Raises:
            InsufficientDataError: when the chain does not reach that far.
            UnavailableError: when closed.
        """
        with self._lock:
            return self._open().hash_at(height)

    def header(self, height: int) -> bytes:
        """Return the 80 bytes of an active header.

        Raises:
            InsufficientDataError: when the chain does not reach that far.
            UnavailableError: when closed.
        """
        with self._lock:
            return self._open().header(height)

    def headers(self) -> bytes:
        """Return all active headers from the genesis block on, 80 bytes each.

        Raises:
            UnavailableError: when closed.
        """
        with self._lock:
            chain = self._open()
            return b"".join(chain.header(height) for height in range(chain.height + 1))

    def block(self, height: int) -> bytes:
        """Return an active block.

        Raises:
            InsufficientDataError: when the chain does not reach that far.
            UnavailableError: when closed or the disk fails.
        """
        with self._lock:
            chain = self._open()
            return chain.read(chain.hash_at(height))

    def blocks_from(self, height: int) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield height, hash (internal order) and bytes of the active blocks from a height on.

        Raises:
            ConflictError: when the chain is reorganised below while this runs; begin again.
            UnavailableError: when closed or the disk fails.
        """
        last = b""
        while True:
            with self._lock:
                chain = self._open()
                if height > chain.height:
                    return
                here = chain.hash_at(height)
                if last and chain.header(height)[4:36] != last:
                    raise ConflictError(
                        "reorganised", "the chain changed below", hint="begin again"
                    )
                raw = chain.read(here)
            yield height, here, raw
            height, last = height + 1, here

    def events(self, after: int = 0) -> tuple[ChainEvent, ...]:
        """Return which blocks joined and left since an event; numbers start anew with each opening.

        Args:
            after: number of the last event seen; 0 for none.

        Raises:
            InsufficientDataError: when some are no longer kept; compare block hashes instead.
            UnavailableError: when closed.
        """
        with self._lock:
            return self._open().events(after)

    def submit_block(self, raw: bytes) -> bytes:
        """Take a block from elsewhere; a longer branch makes the chain reorganise.

        Returns:
            The block's hash, internal order.

        Raises:
            MalformedInputError: when the bytes are not a block.
            ConflictError: when the block before is not known.
            VerificationError: when the block is invalid.
            UnavailableError: when closed or the disk fails; nothing has changed.
        """
        header = parse_block(raw).header
        with self._lock:
            chain = self._open()
            if not chain.is_known(header.previous):
                raise ConflictError("unknown-parent", "the block before this one is not known")
            if not chain.is_known(header.hash):
                self._miner.accept([raw])
            return header.hash

    # -- mining --------------------------------------------------------------------------------

    def mine(self, count: int = 1) -> tuple[int, bytes]:
        """Mine blocks; the first takes in what waits.

        Returns:
            Height and hash of the tip.

        Raises:
            UnavailableError: when the disk refuses or the clock is wrong; nothing has changed.
        """
        with self._lock:
            self._open()
            left = count
            while left > 0:
                self._miner.mine(min(left, _MINED_AT_ONCE), self._now_s())
                left -= _MINED_AT_ONCE
            return self.tip()

    def _now_s(self) -> int:
        return unix_seconds(self._clock())

    def _bootstrap(self) -> None:
        """Mine until a reward may be spent, dated back at Bitcoin's pace; then start the thread."""
        missing = COINBASE_MATURITY - self._chain.height
        if missing > 0:
            self._miner.mine(missing, self._now_s() - _SPACING, spacing=_SPACING)
        if self._miner.holdings.start is None:
            coins = self._miner.holdings.spendable(self._chain.height + 1)
            self._miner.mine_these([start_thread(self._signer(), coins)], self._now_s())

    # -- anchors -------------------------------------------------------------------------------

    def _signer(self) -> AnchorSigner:
        return AnchorSigner(self._keys, _FEE_RATE, self._entropy(32))

    def thread_start(self) -> OutPoint:
        """Return the output from which the thread of anchors is followed.

        Raises:
            UnavailableError: when closed.
        """
        with self._lock:
            self._open()
            start = self._miner.holdings.start
            if start is None:
                raise UnavailableError("no-thread", "the thread was reorganised away")
            return start

    def anchor(self, record: bytes, data: bytes) -> AnchorResult:
        """Anchor a batch record and mine it; one that the thread already carries is only found.

        Args:
            record: exactly 78 bytes.
            data: what the envelope carries, at most 390,000 bytes; ``b""`` for no envelope.

        Raises:
            MalformedInputError: when the record or the data has a wrong size.
            InsufficientDataError: when the wallet cannot pay.
            VerificationError: when other nodes would not relay it.
            UnavailableError: when closed, the disk refuses or the clock is wrong; nothing changed.
        """
        with self._lock:
            self._open()
            if self._miner.has_waiting:
                self._miner.mine(1, self._now_s())
            found = self.find_anchor(record)
            if found is not None:
                return found
            self._miner.mine_these(self._build(record, data), self._now_s())
            found = self.find_anchor(record)
            if found is None:
                raise UnavailableError("anchor-lost", "the anchor is not in the block just mined")
            return found

    def _build(self, record: bytes, data: bytes) -> tuple[Transaction, ...]:
        thread = self._miner.holdings.thread
        if thread is None:
            raise UnavailableError("no-thread", "the thread was reorganised away")
        coins = self._miner.holdings.spendable(self._chain.height + 1)
        return build_anchor(self._signer(), record, data=data, thread=thread, coins=coins)

    def find_anchor(self, record: bytes) -> AnchorResult | None:
        """Return the anchor that carries the record, if the thread has one.

        Raises:
            UnavailableError: when closed or the disk fails.
        """
        with self._lock:
            chain = self._open()
            sighting = self._miner.holdings.sighting(record)
            if sighting is None:
                return None
            for each in chain.block(sighting.height).transactions:
                if each.txid == sighting.txid:
                    return AnchorResult(
                        record,
                        sighting.txid,
                        sighting.height,
                        chain.hash_at(sighting.height),
                        each.serialize(),
                        each.strip(),
                    )
            return None

    def anchors(self) -> tuple[Sighting, ...]:
        """Return where the thread's anchors are, in order.

        Raises:
            UnavailableError: when closed.
        """
        with self._lock:
            self._open()
            return self._miner.holdings.sightings()

    def inclusion(self, txid: bytes) -> InclusionProof:
        """Return the proof that the active chain holds a transaction.

        Args:
            txid: 32 bytes, internal order; not a coinbase.

        Raises:
            InsufficientDataError: when the chain does not hold it.
            UnavailableError: when closed or the disk fails.
        """
        with self._lock:
            chain = self._open()
            height = self._miner.holdings.height_of(txid)
            if height is None:
                raise InsufficientDataError("no-transaction", "the chain does not hold it")
            return prove_inclusion(chain.block(height), txid, height=height)
