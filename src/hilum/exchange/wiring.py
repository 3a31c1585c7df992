"""The only place that picks adapters: a data directory in, a node out."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hilum.base.ids import UnixMs
from hilum.base.sql import Connection
from hilum.bitcoin.adapters.embedded import EmbeddedChain
from hilum.consent.adapters.sqlite import SCHEMA as DIRECTIVES_SCHEMA
from hilum.consent.adapters.sqlite import SqliteDirectives
from hilum.consent.policy import load_policy
from hilum.errors import UnavailableError
from hilum.exchange.datadir import DataDirectory, Lock, Settings
from hilum.exchange.disk import disk_errors
from hilum.exchange.erasing import finish_erasures
from hilum.exchange.gatekeeping import Gatekeeper
from hilum.exchange.node import GENESIS, Node, Readers
from hilum.exchange.schema import migrate
from hilum.exchange.writer import Writer
from hilum.identity.adapters.sqlite import SCHEMA as IDENTITY_SCHEMA
from hilum.identity.adapters.sqlite import SqliteIdentity
from hilum.identity.custodian import CustodianKey
from hilum.identity.session import Sessions
from hilum.journal.adapters.sqlite import SCHEMA as JOURNAL_SCHEMA
from hilum.journal.adapters.sqlite import SCHEMA_NAMES as JOURNAL_NAMES
from hilum.journal.adapters.sqlite import SqliteJournal
from hilum.journal.adapters.tiles import TileStore
from hilum.journal.model import Draft
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

_PAGES_KIB = 64 * 1024
_CHECKPOINT_PAGES = 4000
_BUSY_MS = 5000


def now() -> UnixMs:
    """Return the present, ms since 1970."""
    return UnixMs(time.time_ns() // 1_000_000)


def initialise(root: Path, *, custodian: str, policy: str) -> dict[str, Any]:
    """Make a node in a data directory; a node that is already there is left as it is.

    Args:
        root: the data directory.
        custodian: who operates the node, in words.
        policy: name of the base policy.

    Returns:
        ``{"data", "custodian", "did", "policy", "chain"}``.

    Raises:
        MalformedInputError: there is no such policy.
        UnavailableError: the directory is taken or cannot be written.
    """
    load_policy(policy)
    directory = DataDirectory(root)
    with disk_errors(str(root)), Lock(directory):
        if not directory.key_file.exists():
            if directory.record.exists():
                raise UnavailableError(
                    "key-missing",
                    "the node key is gone but the record is there; nothing opens without it",
                    where=str(directory.key_file),
                    hint="restore the key file from its own backup",
                    retryable=False,
                )
            directory.key_file.parent.mkdir(parents=True, exist_ok=True)
            create_node_key(directory.key_file, entropy=os.urandom)
        directory.write_settings(Settings(custodian=custodian, policy=policy))
        with open_node(directory) as node:
            height, _hash = node.chain.tip()
            return {
                "data": str(root),
                "custodian": node.settings.custodian,
                "did": node.custodian.did,
                "policy": node.settings.policy,
                "chain": f"embedded, height {height}",
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
        _prepare(directory.record)
        node = _assemble(directory, settings, key)
    try:
        with disk_errors(str(directory.root)):
            finish_erasures(node)
        yield node
    finally:
        node.close()


def _assemble(directory: DataDirectory, settings: Settings, key: bytes) -> Node:
    index_key = derive(key, KeyPurpose.INDEX)
    identity = SqliteIdentity()
    ledger = SqliteLedger(_genesis(directory, identity, key))
    keystore = SqliteKeyStore(directory.keys)
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

    def append(conn: Connection, drafts: Sequence[Draft]) -> list[tuple[int, str]]:
        return journal.append(conn, drafts, entropy=os.urandom)

    def forget() -> None:
        journal.forget()
        ledger.forget()
        gatekeeper.forget_all()
        sessions.forget()

    writer: Writer[Draft, tuple[int, str]] = Writer(
        lambda: _connect(directory.record), append, forget
    )
    readers = Readers(lambda: _connect(directory.record, read_only=True))
    gatekeeper = Gatekeeper(directives, record, policy)
    sessions = Sessions(lambda token_hash: identity.find(readers.connection(), token_hash))
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
        originals=Originals(directory.objects, seal=seal, open_=open_, key=index_key),
        custodian=custodian,
        journal=journal,
        tiles=TileStore(directory.journal),
        ledger=ledger,
        signer=Signer(derive(key, KeyPurpose.LEDGER_ROOT), ledger.ledger),
        paging_key=derive(key, KeyPurpose.PAGING),
        open_chain=lambda: EmbeddedChain(
            directory.chain,
            seed=derive(key, KeyPurpose.LEDGER_ROOT),
            clock=now,
            entropy=os.urandom,
        ),
    )
    node.batch = ledger.last_batch(readers.connection())
    node.demo = identity.fact(readers.connection(), "demo") is not None
    return node


def _genesis(directory: DataDirectory, identity: SqliteIdentity, key: bytes) -> Genesis:
    """Return the ledger's genesis, made once and kept in the record's database."""
    conn = _connect(directory.record)
    try:
        known = identity.fact(conn, GENESIS)
        if known is not None:
            return parse_genesis(known)
        sequencer = Signer(derive(key, KeyPurpose.LEDGER_ROOT), bytes(32)).owner(0)
        genesis = Genesis(now(), sequencer, os.urandom(32))
        conn.execute("begin immediate")
        identity.set_fact(conn, GENESIS, encode_genesis(genesis))
        conn.execute("commit")
        return genesis
    finally:
        conn.close()


def _prepare(path: Path) -> None:
    try:
        conn = _connect(path)
        try:
            migrate(conn, MIGRATIONS)
        finally:
            conn.close()
    except sqlite3.OperationalError:
        raise  # the disk, not what is on it
    except sqlite3.DatabaseError as error:
        raise UnavailableError(
            "record-unreadable", "the record's database cannot be opened", where=str(path),
            retryable=False,
        ) from error  # fmt: skip


def _connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    conn = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=512
    )
    conn.execute("pragma journal_mode=wal")
    conn.execute(f"pragma busy_timeout={_BUSY_MS}")
    conn.execute(f"pragma cache_size=-{_PAGES_KIB if not read_only else _PAGES_KIB // 4}")
    conn.execute("pragma mmap_size=1073741824")
    if read_only:
        conn.execute("pragma query_only=on")
        return conn
    conn.execute("pragma synchronous=full")
    conn.execute("pragma secure_delete=on")
    conn.execute("pragma foreign_keys=off")
    conn.execute(f"pragma wal_autocheckpoint={_CHECKPOINT_PAGES}")
    path.chmod(0o600)
    return conn
