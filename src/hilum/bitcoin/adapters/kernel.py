"""Bitcoin Core's consensus engine in this process, on a regtest chain.

Traps that shape this file: `process_block` returns True for invalid blocks too, so the callback
decides; a callback's state is valid only while it runs; the engine's state reaches the disk only
when the manager is destroyed.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import pbk

from hilum.bitcoin.events import EventKind
from hilum.errors import UnavailableError

__all__ = ["Kernel", "Outcome", "Verdict"]


class Verdict(Enum):
    """What became of a block."""

    CONNECTED = "connected"
    STORED = "stored"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(slots=True)
class Outcome:
    """What one block did to the chain.

    Attributes:
        verdict: the block itself.
        reason: the kernel's category, e.g. ``"CONSENSUS"`` or ``"TIME_FUTURE"``; empty when fine.
        changes: what happened to the active chain, in order.
    """

    verdict: Verdict = Verdict.STORED
    reason: str = ""
    changes: list[tuple[EventKind, bytes]] = field(default_factory=list)


class Kernel:
    """The consensus engine on one folder. Not thread-safe: the owner holds a lock.

    Args:
        folder: for the engine's databases; made when absent.

    Raises:
        UnavailableError: when the folder cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._outcome = Outcome()
        self._callbacks = pbk.ValidationInterfaceCallbacks(
            block_checked=self._on_checked,
            block_connected=self._on_connected,
            block_disconnected=self._on_disconnected,
        )
        try:
            self._manager = self._open()
        except UnavailableError:
            # damaged by a crash; the owner replays all blocks into an empty one
            self._clear()
            self._manager = self._open()

    def _clear(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _open(self) -> pbk.ChainstateManager:
        try:
            folder = str(self._folder.absolute())
            context = pbk.make_context(pbk.ChainType.REGTEST, self._callbacks)
            options = pbk.ChainstateManagerOptions(context, folder, f"{folder}/blocks")
            # one block at a time with few inputs: helper threads would only cost memory
            options.set_worker_threads_num(0)
            return pbk.ChainstateManager(options)
        except RuntimeError as error:
            raise UnavailableError(
                "kernel-unavailable", "the consensus engine does not open",
                hint="it needs 50 MB of free space", retryable=False,
            ) from error  # fmt: skip

    def _on_checked(
        self, _data: object, _block: pbk.Block, state: pbk.BlockValidationState
    ) -> None:
        mode = state.validation_mode
        if mode == pbk.ValidationMode.INVALID:
            self._outcome.verdict = Verdict.REFUSED
            self._outcome.reason = state.block_validation_result.name
        elif mode == pbk.ValidationMode.INTERNAL_ERROR:
            self._outcome.verdict = Verdict.FAILED
            self._outcome.reason = "INTERNAL_ERROR"

    def _on_connected(self, _data: object, block: pbk.Block, _entry: pbk.BlockTreeEntry) -> None:
        self._outcome.changes.append((EventKind.CONNECTED, bytes(block.block_hash)))

    def _on_disconnected(self, _data: object, block: pbk.Block, _entry: pbk.BlockTreeEntry) -> None:
        self._outcome.changes.append((EventKind.DISCONNECTED, bytes(block.block_hash)))

    def process(self, raw: bytes) -> Outcome:
        """Hand a block to the engine.

        Args:
            raw: the serialized block.
        """
        self._outcome = outcome = Outcome()
        try:
            block = pbk.Block(raw)
            self._manager.process_block(block)
        except (pbk.ProcessBlockException, RuntimeError):
            # refused before the callback: bad encoding, bad header, unknown parent
            if outcome.verdict is Verdict.STORED:
                outcome.verdict, outcome.reason = Verdict.REFUSED, "NOT_ACCEPTED"
            return outcome
        joined = (EventKind.CONNECTED, bytes(block.block_hash))
        if outcome.verdict is Verdict.STORED and joined in outcome.changes:
            outcome.verdict = Verdict.CONNECTED
        return outcome

    def knows(self, block_hash: bytes) -> bool:
        """Tell whether the engine has this block's header."""
        return pbk.BlockHash(block_hash) in self._manager.block_tree_entries

    def tip(self) -> bytes:
        """Return the hash of the active chain's last block, internal order."""
        chain = self._manager.get_active_chain()
        return bytes(chain.block_tree_entries[chain.height].block_hash)

    def genesis_block(self) -> bytes:
        """Return the first block."""
        entries = self._manager.get_active_chain().block_tree_entries
        return bytes(self._manager.blocks[entries[0]])

    def reset(self) -> None:
        """Forget everything and begin at the genesis block.

        Raises:
            UnavailableError: when the folder cannot be used.
        """
        self.close()
        self._clear()
        self._manager = self._open()

    def close(self) -> None:
        """Write the state to disk and let go of the folder."""
        # the library has no other way to destroy at a certain moment
        self._manager.__exit__(None, None, None)
