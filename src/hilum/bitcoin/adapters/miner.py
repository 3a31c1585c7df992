"""The miner and its memory pool: blocks on demand, on the tip of the active chain.

What pays us is followed in `Holdings`; a transaction waits in the pool until a block holds it, and
returns there when that block leaves the chain.
"""

from __future__ import annotations

from collections.abc import Sequence

from hilum.base.units import Sat
from hilum.bitcoin.adapters.active_chain import ActiveChain
from hilum.bitcoin.anchor import AnchorKeys
from hilum.bitcoin.block import MEDIAN_SPAN, build_block, median_time, parse_block, subsidy
from hilum.bitcoin.events import EventKind
from hilum.bitcoin.holdings import Holdings
from hilum.bitcoin.standard import verify_standard
from hilum.bitcoin.transaction import OutPoint, Transaction, TxOut
from hilum.errors import UnavailableError, VerificationError

__all__ = ["Miner"]


class Miner:
    """Mine for one pair of keys. Not thread-safe: the owner holds a lock.

    Args:
        chain: on which blocks are mined.
        keys: who is paid, and whose thread is followed.

    Raises:
        UnavailableError: when the disk does not give the blocks.
    """

    def __init__(self, chain: ActiveChain, keys: AnchorKeys) -> None:
        self._chain = chain
        self._keys = keys
        self._payee = keys.wallet_script
        self._pool: list[Transaction] = []
        self._holdings = self._gather()

    @property
    def holdings(self) -> Holdings:
        """What the active chain gives us."""
        return self._holdings

    @property
    def has_waiting(self) -> bool:
        """Whether a transaction waits for a block."""
        return bool(self._pool)

    def mine(self, count: int, now_s: int, *, spacing: int = 0) -> None:
        """Mine so many blocks in one go; the first takes in what waits.

        Args:
            count: at least 1.
            now_s: time of the last one, in seconds.
            spacing: seconds between them.

        Raises:
            UnavailableError: when the disk refuses or the clock is wrong; nothing has changed.
        """
        chain = self._chain
        transactions, fees = self._pick(chain.height + 1)
        times, previous = chain.recent_times(), chain.hash_at(chain.height)
        raws: list[bytes] = []
        for step in range(count):
            height = chain.height + 1 + step
            time = max(median_time(times) + 1, now_s - (count - 1 - step) * spacing)
            reward = TxOut(Sat(subsidy(height) + fees), self._payee)
            block = build_block(
                previous, height=height, time=time, reward=reward, transactions=transactions
            )
            raws.append(block.serialize())
            times, previous = [*times[1 - MEDIAN_SPAN :], time], block.header.hash
            transactions, fees = [], 0
        try:
            self.accept(raws)
        except VerificationError as error:
            self._pool = []
            raise UnavailableError(
                "mining-failed", error.why, hint="is the machine's clock right?"
            ) from error
        self._pool = []

    def mine_these(self, transactions: Sequence[Transaction], now_s: int) -> None:
        """Mine one block that holds these; where that fails, they are forgotten.

        Args:
            transactions: in an order in which each spends only what is before it or ours.
            now_s: time of the block, in seconds.

        Raises:
            VerificationError: when one of them is not standard.
            UnavailableError: when the disk refuses or the clock is wrong; nothing has changed.
        """
        self._verify(transactions)
        self._pool = list(transactions)
        try:
            self.mine(1, now_s)
        except UnavailableError:
            self._pool = []
            raise

    def _verify(self, transactions: Sequence[Transaction]) -> None:
        made: dict[OutPoint, TxOut] = {}
        for each in transactions:
            spent = self._resolve(each, made, height=self._chain.height + 1)
            verify_standard(each, spent=spent)
            made |= _outputs(each)

    def _resolve(
        self, transaction: Transaction, made: dict[OutPoint, TxOut], *, height: int
    ) -> list[TxOut]:
        """Return what the inputs spend, as far as it is known and may be spent at this height."""
        spends = [each.outpoint for each in transaction.inputs]
        found = [made.get(each) or self._holdings.output_of(each, height) for each in spends]
        return [output for output in found if output is not None]

    def _pick(self, height: int) -> tuple[list[Transaction], int]:
        """Return the waiting transactions that a block may hold, and their fees in satoshi."""
        made: dict[OutPoint, TxOut] = {}
        gone: set[OutPoint] = set()
        picked: list[Transaction] = []
        fees = 0
        for waiting in self._pool:
            spends = [each.outpoint for each in waiting.inputs]
            known = self._resolve(waiting, made, height=height)
            if len(known) < len(spends) or not gone.isdisjoint(spends):
                continue
            picked.append(waiting)
            gone.update(spends)
            made |= _outputs(waiting)
            fees += sum(output.value for output in known)
            fees -= sum(output.value for output in waiting.outputs)
        return picked, fees

    def accept(self, raws: Sequence[bytes]) -> None:
        """Take blocks into the chain and follow what that does to it.

        Args:
            raws: each the child of one that is stored or stands before it here.

        Raises:
            VerificationError: when one of them is invalid.
            UnavailableError: when disk or kernel fail; nothing has changed.
        """
        outcomes = self._chain.accept(raws)
        changes = [change for each in outcomes for change in each.changes]
        gone = [found for kind, found in changes if kind is EventKind.DISCONNECTED]
        if not gone:
            for _, found in changes:
                block = parse_block(self._chain.read(found))
                self._holdings.connect(self._chain.height_of(found), block.transactions)
            return
        self._holdings = self._gather()
        for found in reversed(gone):
            # what was in a block that left may go into the next one, as in any node's memory pool
            self._pool += parse_block(self._chain.read(found)).transactions[1:]

    def _gather(self) -> Holdings:
        holdings = Holdings(self._keys)
        for height in range(1, self._chain.height + 1):
            holdings.connect(height, self._chain.block(height).transactions)
        return holdings


def _outputs(transaction: Transaction) -> dict[OutPoint, TxOut]:
    txid = transaction.txid
    return {OutPoint(txid, vout): output for vout, output in enumerate(transaction.outputs)}
