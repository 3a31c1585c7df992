"""What the blocks give one node: spendable coins, the thread, and where its anchors are.

A machine without undo: after a reorganisation the shell builds a new one from the blocks that
remain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hilum.base.units import Sat
from hilum.bitcoin.anchor import AnchorKeys, Coin, read_record
from hilum.bitcoin.block import COINBASE_MATURITY
from hilum.bitcoin.transaction import OutPoint, Transaction, TxOut

__all__ = ["Holdings", "Sighting"]

_WORTH_KEEPING = Sat(1_000)
"""Coins below cost more to spend than they bring: 58 vB per P2TR input at up to 17 sat/vB."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """Where an anchor is.

    Attributes:
        record: the 78 bytes.
        txid: 32 bytes, internal order.
        height: of the block.
    """

    record: bytes
    txid: bytes
    height: int


@dataclass(frozen=True, slots=True)
class _Kept:
    output: TxOut
    matures_at: int


class Holdings:
    """Follow the chain for one pair of keys.

    Args:
        keys: whose coins and thread are followed; the thread starts at the first output 0 that pays
            the thread script.
    """

    def __init__(self, keys: AnchorKeys) -> None:
        self._wallet_script = keys.wallet_script
        self._thread_script = keys.thread_script
        self._coins: dict[OutPoint, _Kept] = {}
        self._heights: dict[bytes, int] = {}
        self._sightings: dict[bytes, Sighting] = {}
        self._start: OutPoint | None = None
        self._thread: Coin | None = None

    @property
    def start(self) -> OutPoint | None:
        """The first thread output, or None before there is one."""
        return self._start

    @property
    def thread(self) -> Coin | None:
        """The unspent thread output, or None before there is one."""
        return self._thread

    def connect(self, height: int, transactions: Sequence[Transaction]) -> None:
        """Take in the block that follows.

        Args:
            height: of the block.
            transactions: of the block, in its order.
        """
        for transaction in transactions:
            self._take(height, transaction)

    def _take(self, height: int, transaction: Transaction) -> None:
        txid = transaction.txid
        if not transaction.is_coinbase:
            self._heights[txid] = height
        matures_at = height + (COINBASE_MATURITY if transaction.is_coinbase else 0)
        for spent in transaction.inputs:
            self._coins.pop(spent.outpoint, None)
        for index, output in enumerate(transaction.outputs):
            if output.script == self._wallet_script and output.value >= _WORTH_KEEPING:
                self._coins[OutPoint(txid, index)] = _Kept(output, matures_at)
        self._follow(height, txid, transaction=transaction)

    def _follow(self, height: int, txid: bytes, *, transaction: Transaction) -> None:
        first = Coin(OutPoint(txid, 0), transaction.outputs[0])
        if self._thread is None:
            if first.output.script == self._thread_script:
                self._start, self._thread = first.outpoint, first
        elif any(spent.outpoint == self._thread.outpoint for spent in transaction.inputs):
            self._thread = first
            record = read_record(transaction)
            if record:
                self._sightings.setdefault(record, Sighting(record, txid, height))

    def spendable(self, height: int) -> list[Coin]:
        """Return the wallet coins that a block may spend, largest first.

        Args:
            height: of that block.
        """
        ready = [
            Coin(outpoint, kept.output)
            for outpoint, kept in self._coins.items()
            if kept.matures_at <= height
        ]
        # the txid breaks ties, so that the same chain always yields the same choice
        return sorted(ready, key=lambda coin: (-coin.output.value, coin.outpoint))

    def output_of(self, outpoint: OutPoint, height: int) -> TxOut | None:
        """Return an unspent output of ours that a block may spend, or None.

        Args:
            outpoint: which.
            height: of that block.
        """
        if self._thread is not None and self._thread.outpoint == outpoint:
            return self._thread.output
        kept = self._coins.get(outpoint)
        return kept.output if kept is not None and kept.matures_at <= height else None

    def height_of(self, txid: bytes) -> int | None:
        """Return the height of the block that holds a transaction (coinbases apart), or None."""
        return self._heights.get(txid)

    def sighting(self, record: bytes) -> Sighting | None:
        """Return where the thread carries this record first, or None."""
        return self._sightings.get(record)

    def sightings(self) -> tuple[Sighting, ...]:
        """Return the anchors of the thread in order."""
        return tuple(self._sightings.values())
