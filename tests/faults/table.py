"""The fault table: every use case with the points at which it makes something durable, in order.

`test_faults_table` runs each use case once without a fault and compares; a write that is not in this
table fails there, and one that the source can reach but no use case does fails in
`test_faults_registry` unless it is named in `ELSEWHERE` with the reason.
"""

from __future__ import annotations

POINTS: dict[str, tuple[str, ...]] = {
    "read": ("commit exchange.reading:deliver",),
    "read of nothing": (
        "commit vault.adapters.keyfile:SqliteKeyStore._change",
        "commit exchange.reading:deliver",
    ),
    "summary of measurements": ("commit exchange.reading:_write_summary_receipt",),
    "create": ("commit exchange.settling:write",),
    "create refused": (
        "commit vault.adapters.keyfile:SqliteKeyStore._change",
        "commit exchange.preparing:_note_refusal",
    ),
    "update": ("commit exchange.settling:write",),
    "delete": ("commit exchange.settling:write",),
    "transaction": ("commit exchange.settling:write",),
    "enrolment": (
        "commit vault.adapters.keyfile:SqliteKeyStore._change",
        "commit vault.adapters.keyfile:SqliteKeyStore._change",
        "commit vault.adapters.keyfile:SqliteKeyStore._change",
        "commit exchange.enrolling:enrol",
    ),
    "subject add": (
        "commit vault.adapters.keyfile:SqliteKeyStore._change",
        "commit exchange.people:add_subject",
    ),
    "reader add": ("commit exchange.people:add_reader",),
    "token": ("commit exchange.people:issue_token",),
    "grant": ("commit exchange.sharing:grant",),
    "revoke": (
        "commit vault.adapters.keyfile:SqliteKeyStore._change",
        "commit exchange.sharing:revoke",
    ),
    "break-glass": ("commit exchange.emergency:break_glass",),
    "review done": (
        "commit exchange.emergency:break_glass",
        "commit exchange.emergency:mark_reviewed",
    ),
    "import of a record": (
        "commit exchange.clinical:_new_subject",
        "commit vault.adapters.keyfile:SqliteKeyStore._change",
        "commit exchange.clinical:_store",
        "commit exchange.clinical:_store",
        "commit exchange.clinical:_store",
        "commit vault.adapters.keyfile:SqliteKeyStore._change",
        "fsync vault.adapters.originals:Originals._write",
        "replace vault.adapters.originals:Originals._write",
        "fsync vault.adapters.originals:Originals._write",
        "commit exchange.importing:_keep_original",
    ),
    "import of a directory": (
        "commit vault.adapters.keyfile:SqliteKeyStore._change",
        "commit exchange.clinical:_store",
    ),
    "import of a sensor": (
        "fsync vault.adapters.originals:Originals._write",
        "replace vault.adapters.originals:Originals._write",
        "fsync vault.adapters.originals:Originals._write",
        "commit exchange.importing:_keep_original",
        "commit vault.adapters.keyfile:SqliteKeyStore._change",
        "commit exchange.importing:_import_device",
    ),
    "import of an export": (
        "commit vault.adapters.keyfile:SqliteKeyStore._change",
        "commit vault.adapters.keyfile:SqliteKeyStore._change",
        "commit vault.adapters.keyfile:SqliteKeyStore._change",
        "fsync vault.adapters.originals:Originals._write",
        "replace vault.adapters.originals:Originals._write",
        "fsync vault.adapters.originals:Originals._write",
        "commit exchange.moving:restore",
    ),
    "export": (
        "fsync exchange.moving:export",
        "commit exchange.moving:_write_receipt",
        "replace exchange.moving:export",
    ),
    "bulk export": (
        "commit exchange.bulk:new_export",
        "commit exchange.bulk:save_files",
        "commit exchange.reading:deliver",
        "commit exchange.bulk:drop_export",
    ),
    "seal": (
        "fsync journal.adapters.tiles:TileStore._write",
        "replace journal.adapters.tiles:TileStore._write",
        "fsync journal.adapters.tiles:_sync_folder",
        "fsync journal.adapters.tiles:TileStore._write",
        "replace journal.adapters.tiles:TileStore._write",
        "fsync journal.adapters.tiles:_sync_folder",
        "commit exchange.sealing:seal",
        "fsync journal.adapters.tiles:TileStore._write",
        "replace journal.adapters.tiles:TileStore._write",
        "fsync journal.adapters.tiles:_sync_folder",
        "pwrite bitcoin.adapters.block_log:BlockLog._write",
        "fsync bitcoin.adapters.block_log:BlockLog._write",
        "commit exchange.sealing:seal",
        "commit exchange.sealing:seal",
    ),
    "erase": (
        "commit exchange.erasing:erase",
        "commit vault.adapters.keyfile:SqliteKeyStore._change",
        "vacuum vault.adapters.keyfile:SqliteKeyStore.shred",
        "commit exchange.erasing:_finish",
        "unlink vault.adapters.originals:Originals.erase",
        "rmdir vault.adapters.originals:Originals.erase",
        "checkpoint exchange.storage:EmbeddedStorage.settle",
        "commit exchange.erasing:_finish",
    ),
    "init": (
        "fsync vault.adapters.nodekey:create_node_key",
        "link vault.adapters.nodekey:create_node_key",
        "unlink vault.adapters.nodekey:create_node_key",
        "fsync vault.adapters.nodekey:create_node_key",
        "fsync exchange.datadir:_write_private",
        "replace exchange.datadir:_write_private",
        "fsync exchange.datadir:_write_private",
        "commit exchange.schema:migrate",
        "commit exchange.schema:migrate",
        "commit exchange.schema:migrate",
        "commit exchange.wiring:_genesis",
        "commit vault.adapters.keyfile:SqliteKeyStore._change",
        "pwrite bitcoin.adapters.block_log:BlockLog._write",
        "fsync bitcoin.adapters.block_log:BlockLog._write",
        "fsync bitcoin.adapters.block_log:BlockLog._sync_folder",
        "pwrite bitcoin.adapters.block_log:BlockLog._write",
        "fsync bitcoin.adapters.block_log:BlockLog._write",
        "pwrite bitcoin.adapters.block_log:BlockLog._write",
        "fsync bitcoin.adapters.block_log:BlockLog._write",
    ),
    "migration": ("commit exchange.schema:migrate",),
    "re-index": (
        "commit exchange.reindexing:renew_indexes",
        "commit exchange.reindexing:renew_indexes",
        "commit exchange.reindexing:renew_indexes",
    ),
}

DEMO: tuple[tuple[str, int], ...] = (
    ("commit exchange.clinical:_store", 0),
    ("commit exchange.clinical:_new_subject", 0),
    ("commit exchange.clinical:_new_subject", 2),
    ("commit exchange.importing:_import_device", 0),
    ("commit exchange.people:add_reader", 0),
    ("commit exchange.sharing:grant", 0),
    ("commit exchange.demo:fill_with_family", 0),
)
"""The first start of the demo is made of other use cases; these are its seams (name, occurrence)."""

ELSEWHERE: dict[str, str] = {
    "commit api.searching:deliver": "test_faults_killed: over HTTP",
    "commit api.quick:QuickReads.answer": "test_faults_killed: over HTTP",
    "commit base.adapters.provision:migrate": "on PostgreSQL: tests/contracts",
    "commit vault.adapters.keytable:TableKeyStore.shred": "on PostgreSQL: tests/contracts",
    "vacuum vault.adapters.keytable:TableKeyStore.shred": "on PostgreSQL: tests/contracts",
    "ftruncate exchange.datadir:Lock.__init__": "the number of a process, for people; not durable",
    "pwrite exchange.datadir:Lock.__init__": "the number of a process, for people; not durable",
    "commit exchange.writer:Writer._commit": "the writer's commits are named after who asked",
    "commit cli.serving:_answer.send": "a socket's writer, not the node's",
    "commit api.writing:WriteRoutes.create": "test_faults_killed: over HTTP; the row of create",
    "unlink cli.serving:_listen": "the socket of a process that is gone; test_faults_processes",
    "unlink cli.serving:_serve": "the node's own socket at its end; test_faults_processes",
    "unlink exchange.moving:export": "clears away after a refusal, which rows of export cause",
    "unlink vault.adapters.originals:Originals.keep": "clears away after a refusal, which rows cause",
    "ftruncate bitcoin.adapters.block_log:BlockLog._cut": "after a refusal; tests/bitcoin",
    "fsync bitcoin.adapters.block_log:BlockLog._cut": "after a refusal; tests/bitcoin",
    "ftruncate bitcoin.adapters.block_log:BlockLog._recover": "a torn frame; tests/bitcoin",
    "fsync bitcoin.adapters.block_log:BlockLog._recover": "a torn frame; tests/bitcoin",
}
"""Points that no use case reaches, and where they are looked after."""
