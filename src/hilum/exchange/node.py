"""A node: its wired parts, its clock and its connections. Use cases take one as first argument."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hilum.base.ids import CompartmentId, UnixMs
from hilum.base.sql import Connection

if TYPE_CHECKING:
    from hilum.bitcoin.adapters.embedded import EmbeddedChain
    from hilum.consent.adapters.sqlite import SqliteDirectives
    from hilum.consent.decision import Decision
    from hilum.consent.policy import BasePolicy
    from hilum.exchange.datadir import DataDirectory, Settings
    from hilum.exchange.depositing import Entry
    from hilum.exchange.gatekeeping import Gatekeeper
    from hilum.exchange.storage import Storage
    from hilum.exchange.writer import Writer
    from hilum.identity.adapters.sqlite import SqliteIdentity
    from hilum.identity.custodian import CustodianKey
    from hilum.identity.session import Sessions
    from hilum.journal.adapters.sqlite import SqliteJournal
    from hilum.journal.adapters.tiles import TileStore
    from hilum.journal.receipt import Frame
    from hilum.ledger.adapters.sqlite import SqliteLedger
    from hilum.ledger.keys import Signer
    from hilum.record.adapters.sqlite import SqliteRecord
    from hilum.signals.adapters.sqlite import SqliteSeries
    from hilum.vault.adapters.keyfile import SqliteKeyStore
    from hilum.vault.adapters.keytable import TableKeyStore
    from hilum.vault.adapters.originals import Originals
    from hilum.vault.keyring import Keyring

    Frames = dict[tuple[int, bytes, int], tuple[Decision, Frame]]

__all__ = ["DIRECTORY", "GENESIS", "NODE_CHAIN", "Node", "Readers"]

GENESIS = "ledger-genesis"
"""Name of the node fact that holds the ledger's genesis."""
DIRECTORY = CompartmentId(0)
"""The shared directory of organisations and practitioners."""
NODE_CHAIN = CompartmentId(0)
"""Receipts of what concerns no subject (nothing there, directory reads) chain here."""


class Readers:
    """Read-only connections, one per thread.

    Args:
        storage: opens them.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._local = threading.local()
        self._lock = threading.Lock()
        self._open: list[Connection] = []  # guarded by the lock; only for closing

    def connection(self) -> Connection:
        """Return the calling thread's connection."""
        found: Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = self._local.connection = self._storage.reader()
            with self._lock:
                self._open.append(found)
        return found

    def checkpoint(self) -> None:
        """See that nothing deleted stays in a log that the storage keeps."""
        self._storage.settle(self.connection())

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            for connection in self._open:
                connection.close()
            self._open.clear()


@dataclass(slots=True)
class Node:
    """The parts of one running node.

    Attributes:
        clock: the present, ms since 1970.
        entropy: returns so many random bytes.
        writer: the only writer.
        readers: connections for reading.
        gatekeeper: decisions, cached.
        demo: True when the node serves the demo family.
        frames: what receipts of one (compartment, token, action) have in common, beside the decision
            that it is right for; plain dict reads and writes, safe between threads.
    """

    directory: DataDirectory
    settings: Settings
    clock: Callable[[], UnixMs]
    entropy: Callable[[int], bytes]
    writer: Writer[Entry, tuple[int, str]]
    readers: Readers
    gatekeeper: Gatekeeper
    record: SqliteRecord
    series: SqliteSeries
    identity: SqliteIdentity
    sessions: Sessions
    directives: SqliteDirectives
    policy: BasePolicy
    keyring: Keyring
    keystore: SqliteKeyStore | TableKeyStore
    storage: Storage
    originals: Originals
    custodian: CustodianKey
    journal: SqliteJournal
    tiles: TileStore
    ledger: SqliteLedger
    paging_key: bytes
    signer: Signer
    open_chain: Callable[[], EmbeddedChain]
    demo: bool = False
    batch: int = 0
    frames: Frames = field(default_factory=dict)
    _chain: EmbeddedChain | None = None
    _chain_lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def conn(self) -> Connection:
        """The calling thread's reading connection."""
        return self.readers.connection()

    @property
    def chain(self) -> EmbeddedChain:
        """The embedded Bitcoin chain, opened when it is first needed."""
        with self._chain_lock:
            if self._chain is None:
                self._chain = self.open_chain()
            return self._chain

    def close(self) -> None:
        """Finish what is queued and let go of every file."""
        self.writer.close()
        self.readers.close()
        with self._chain_lock:
            if self._chain is not None:
                self._chain.close()
                self._chain = None
        self.keystore.close()
        self.storage.close()
