"""The only place that picks adapters: a data directory in, a node out."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from hilum.base.adapters.server import PostgresServer
from hilum.base.ids import UnixMs
from hilum.base.sql import Connection
from hilum.bitcoin.adapters.embedded import EmbeddedChain
from hilum.consent.adapters.sqlite import SCHEMA as DIRECTIVES_SCHEMA
from hilum.consent.adapters.sqlite import SqliteDirectives
from hilum.consent.policy import load_policy
from hilum.errors import UnavailableError
from hilum.exchange.datadir import (
    DataDirectory,
    Lock,
    Settings,
    check_database,
    database_password,
)
from hilum.exchange.depositing import Entry, write_entries
from hilum.exchange.disk import disk_errors
from hilum.exchange.erasing import finish_erasures
from hilum.exchange.gatekeeping import Gatekeeper
from hilum.exchange.node import GENESIS, Node, Readers
from hilum.exchange.reindexing import renew_indexes
from hilum.exchange.storage import EmbeddedStorage, Storage
from hilum.exchange.turns import Memory
from hilum.exchange.writer import Writer
from hilum.identity.adapters.sqlite import SCHEMA as IDENTITY_SCHEMA
from hilum.identity.adapters.sqlite import SqliteIdentity
from hilum.identity.custodian import CustodianKey
from hilum.identity.session import Sessions
from hilum.journal.adapters.sqlite import SCHEMA as JOURNAL_SCHEMA
from hilum.journal.adapters.sqlite import SCHEMA_NAMES as JOURNAL_NAMES
from hilum.journal.adapters.sqlite import SqliteJournal
from hilum.journal.adapters.tiles import TileStore
from hilum.ledger.adapters.sqlite import SCHEMA as LEDGER_SCHEMA
from hilum.ledger.adapters.sqlite import SqliteLedger
from hilum.ledger.genesis import Genesis, encode_genesis, parse_genesis
from hilum.ledger.keys import Signer
from hilum.record.adapters.sqlite import SCHEMA_1 as RECORD_SCHEMA
from hilum.record.adapters.sqlite import SCHEMA_2 as RECORD_SCHEMA_2
from hilum.record.adapters.sqlite import SqliteRecord
from hilum.signals.adapters.sqlite import SCHEMA as SERIES_SCHEMA
from hilum.signals.adapters.sqlite import SqliteSeries
from hilum.vault.adapters.keyfile import SqliteKeyStore
from hilum.vault.adapters.keytable import TableKeyStore
from hilum.vault.adapters.nodekey import create_node_key, read_node_key
from hilum.vault.adapters.originals import SCHEMA as ORIGINALS_SCHEMA
from hilum.vault.adapters.originals import Originals
from hilum.vault.keyring import Keyring
from hilum.vault.keys import KeyPurpose, derive

__all__ = ["MIGRATIONS", "initialise", "now", "open_node"]

MIGRATIONS = (
    IDENTITY_SCHEMA
    + RECORD_SCHEMA
    + SERIES_SCHEMA
    + DIRECTIVES_SCHEMA
    + JOURNAL_SCHEMA
    + LEDGER_SCHEMA
    + ORIGINALS_SCHEMA,
    JOURNAL_NAMES,
    RECORD_SCHEMA_2,
)
"""SQL of schema version 1, 2, …: released entries never change."""


def now() -> UnixMs:
    """Return the present, ms since 1970."""
    return UnixMs(time.time_ns() // 1_000_000)


def initialise(root: Path, *, custodian: str, policy: str, database: str = "") -> dict[str, Any]:
    """Make a node in a data directory; a node that is already there is left as it is.

    Args:
        root: the data directory.
        custodian: who operates the node, in words.
        policy: name of the base policy.
        database: ``postgresql://user@host:port/name``, or ``""`` for the embedded one. A database that
            a node uses already is joined: the node's key must be there before.

    Returns:
        ``{"data", "custodian", "did", "policy", "chain"}``.

    Raises:
        MalformedInputError: there is no such policy, or the database is not named as one.
        UnavailableError: the directory is taken or cannot be written, or the database refuses.
    """
    load_policy(policy)
    check_database(database)
    directory = DataDirectory(root)
    made = Settings(custodian=custodian, policy=policy, database=database)
    with disk_errors(str(root)), Lock(directory):
        joins = bool(database) and _is_made(directory, made)
        if not directory.key_file.exists():
            if directory.record.exists() or joins:
                raise UnavailableError(
                    "key-missing",
                    "the node key is gone but the record is there; nothing opens without it",
                    where=str(directory.key_file),
                    hint="restore the key file from its own backup, or copy it from where the node runs",
                    retryable=False,
                )
            directory.key_file.parent.mkdir(parents=True, exist_ok=True)
            create_node_key(directory.key_file, entropy=os.urandom)
        directory.write_settings(replace(made, seal_every_s=0) if joins else made)
        with open_node(directory) as node:
            seals = node.settings.seals
            chain = f"embedded, height {node.chain.tip()[0]}" if seals else "kept elsewhere"
            return {
                "data": str(root),
                "custodian": node.settings.custodian,
                "did": node.custodian.did,
                "policy": node.settings.policy,
                "chain": chain,
            }


@contextmanager
def open_node(directory: DataDirectory) -> Iterator[Node]:
    """Open the node of a data directory whose lock the caller holds.

    Raises:
        UnavailableError: the key or a file is missing or unreadable.
        VerificationError: what is stored was altered.
    """
    with disk_errors(str(directory.root)):
        settings = directory.read_settings()
        key = read_node_key(directory.key_file)
        storage = _storage(directory, settings)
        try:
            storage.prepare()
            node = _assemble(directory, settings, key, storage)
        except BaseException:
            storage.close()
            raise
    try:
        with disk_errors(str(directory.root)):
            finish_erasures(node)
            renew_indexes(node)
        yield node
    finally:
        node.close()


def _storage(directory: DataDirectory, settings: Settings) -> Storage:
    if settings.database:
        return PostgresServer(settings.database, database_password(), MIGRATIONS)
    return EmbeddedStorage(directory.record, MIGRATIONS)


def _assemble(directory: DataDirectory, settings: Settings, key: bytes, storage: Storage) -> Node:
    index_key = derive(key, KeyPurpose.INDEX)
    identity = SqliteIdentity()
    ledger = SqliteLedger(_genesis(storage, identity, key))
    keystore = (
        TableKeyStore(storage.writer) if settings.database else SqliteKeyStore(directory.keys)
    )
    keyring = Keyring(key, keystore, entropy=os.urandom)
    seal, open_ = keyring.seal, keyring.open
    record = SqliteRecord(seal, open_, index_key)
    series = SqliteSeries(
        seal, open_, index_key=index_key,
        hash_code=record.hash_code,
        hash_reference=record.hash_reference,
        subject_of=lambda conn, cid: record.subject_of(conn, cid) or "",
    )  # fmt: skip
    directives = SqliteDirectives(seal, open_)
    custodian = CustodianKey(derive(key, KeyPurpose.CHECKPOINT))
    journal = SqliteJournal(custodian.public, keyring)
    policy = load_policy(settings.policy)

    def append(conn: Connection, entries: Sequence[Entry]) -> list[tuple[int, str]]:
        return write_entries((record, journal), conn, entries, entropy=os.urandom)

    readers = Readers(storage)
    memory = Memory(readers.connection, time.monotonic)
    renew = memory.renew if settings.database else None
    writer: Writer[Entry, tuple[int, str]] = Writer(
        lambda: storage.writer(memory.take_turn), append, memory.forget
    )
    gatekeeper = Gatekeeper(directives, record, policy, renew)
    sessions = Sessions(lambda token_hash: identity.find(readers.connection(), token_hash), renew)
    memory.rows = (journal.forget, ledger.forget)
    memory.decisions = (gatekeeper.forget_all, keyring.forget)
    memory.sessions = sessions.forget
    memory.changed = gatekeeper.forget
    memory.gone = keyring.forget_compartment
    node = Node(
        directory=directory,
        settings=settings,
        clock=now,
        entropy=os.urandom,
        writer=writer,
        readers=readers,
        gatekeeper=gatekeeper,
        record=record,
        series=series,
        identity=identity,
        sessions=sessions,
        directives=directives,
        policy=policy,
        keyring=keyring,
        keystore=keystore,
        storage=storage,
        originals=Originals(directory.objects, seal=seal, open_=open_, key=index_key),
        custodian=custodian,
        journal=journal,
        tiles=TileStore(directory.journal),
        ledger=ledger,
        signer=Signer(derive(key, KeyPurpose.LEDGER_ROOT), ledger.ledger),
        paging_key=derive(key, KeyPurpose.PAGING),
        open_chain=lambda: _open_chain(directory, settings, key),
    )
    node.batch = ledger.last_batch(readers.connection())
    node.demo = identity.fact(readers.connection(), "demo") is not None
    return node


def _open_chain(directory: DataDirectory, settings: Settings, key: bytes) -> EmbeddedChain:
    if not settings.seals:
        raise UnavailableError(
            "not-the-sealer", "another process of this node keeps the chain", retryable=False,
            hint="ask where the node was first made",
        )  # fmt: skip
    seed = derive(key, KeyPurpose.LEDGER_ROOT)
    return EmbeddedChain(directory.chain, seed=seed, clock=now, entropy=os.urandom)


def _is_made(directory: DataDirectory, settings: Settings) -> bool:
    """Tell whether a node uses the database already."""
    storage = _storage(directory, settings)
    try:
        storage.prepare()
        conn = storage.reader()
        try:
            return SqliteIdentity().fact(conn, GENESIS) is not None
        finally:
            conn.close()
    finally:
        storage.close()


def _genesis(storage: Storage, identity: SqliteIdentity, key: bytes) -> Genesis:
    """Return the ledger's genesis, made once and kept in the record's database.

    Raises:
        UnavailableError: it was made under another node key (code ``wrong-key``).
    """
    conn = storage.writer()
    try:
        sequencer = Signer(derive(key, KeyPurpose.LEDGER_ROOT), bytes(32)).owner(0)
        known = identity.fact(conn, GENESIS)
        if known is not None:
            genesis = parse_genesis(known)
            if genesis.sequencer != sequencer:
                raise UnavailableError(
                    "wrong-key", "the record was made under another node key", retryable=False,
                    hint="each process of a node has the same key file",
                )  # fmt: skip
            return genesis
        genesis = Genesis(now(), sequencer, os.urandom(32))
        conn.execute("begin immediate")
        identity.set_first_fact(conn, GENESIS, encode_genesis(genesis))
        conn.execute("commit")
        return parse_genesis(identity.fact(conn, GENESIS) or b"")  # another process may be first
    finally:
        conn.close()
