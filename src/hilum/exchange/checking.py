"""`fsck`: re-derive everything from raw data and name what does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hilum.bitcoin.anchor import scan
from hilum.bitcoin.block import parse_block
from hilum.bitcoin.spv import verify_headers
from hilum.errors import HilumError, VerificationError
from hilum.exchange.node import GENESIS
from hilum.journal.chain import verify_chain
from hilum.ledger.derive import Anchor, derive
from hilum.ledger.genesis import parse_genesis
from hilum.ledger.model import EVERY_BATCH

if TYPE_CHECKING:
    from hilum.base.sql import Connection
    from hilum.exchange.node import Node

__all__ = ["check"]

_PAGE = 10_000


def check(node: Node) -> dict[str, Any]:
    """Check the whole node; returns ``{"ok", "problems"}``.

    Checked: the database file, every index row, every sealed body, readings, directives, receipts and
    their chains, tiles and checkpoint, ledger batches with signatures, headers with work, and that the
    thread of anchors in Bitcoin derives the ledger's state.
    """
    conn = node.conn
    problems = list(_problems(node, conn))
    return {"ok": not problems, "problems": problems}


def _problems(node: Node, conn: Connection) -> Iterator[str]:
    yield from _guarded("database", lambda: node.storage.problems(conn))
    yield from _guarded("record", lambda: node.record.check(conn))
    yield from _guarded("series", lambda: node.series.check(conn))
    yield from _guarded("directives", lambda: _check_directives(node, conn))
    yield from _guarded("receipts", lambda: _check_receipts(node, conn))
    yield from _guarded("tiles", lambda: _check_tiles(node, conn))
    yield from _guarded("ledger", lambda: node.ledger.check(conn))
    yield from _guarded("chain", lambda: _check_chain(node, conn))
    yield from _guarded("originals", lambda: _check_originals(node, conn))


def _guarded(room: str, look: Any) -> Iterator[str]:  # noqa: ANN401 - a thunk
    try:
        for problem in look():
            yield f"{room}: {problem}"
    except HilumError as error:
        yield f"{room}: {error.code}: {error}"


def _check_directives(node: Node, conn: Connection) -> Iterator[str]:
    for _subject, cid, _created in node.record.subjects(conn):
        for directive in node.directives.of_compartment(conn, cid):
            if directive.cell is None:
                continue
            known = node.ledger.known(conn, f"directive/{directive.id}")
            if known is None or known.index != directive.cell:
                yield f"directive {directive.id} names a cell that is not its own"
            if node.record.locate(conn, "Consent", directive.id) is None:
                yield f"directive {directive.id} has no Consent resource"


def _check_receipts(node: Node, conn: Connection) -> Iterator[str]:
    size = node.journal.size(conn)
    held = conn.execute("select count(*) from receipt").fetchone()[0]
    if held != size:
        yield f"{size - held} receipts are missing"
    cids = [row[0] for row in conn.execute("select distinct cid from receipt order by cid")]
    for cid in cids:
        after, receipts = -1, []
        while page := node.journal.of_compartment(conn, cid, after=after, limit=_PAGE):
            receipts += page
            after = page[-1].receipt.number
        try:
            verify_chain([(each.receipt, each.leaf) for each in receipts])
        except VerificationError as error:
            yield f"chain of compartment {cid}: {error.why}"


def _check_tiles(node: Node, conn: Connection) -> Iterator[str]:
    kept = node.journal.last_checkpoint(conn)
    size = node.tiles.size()
    if kept is not None and size not in {kept.size, 0} and size > kept.size:
        yield "the published checkpoint is ahead of the journal"
    yield from node.tiles.check(node.journal.leaves(conn, 0, size))


def _check_chain(node: Node, conn: Connection) -> Iterator[str]:
    if not node.settings.seals:
        return  # it is checked where it is kept
    chain = node.chain
    verify_headers(chain.headers())
    genesis = parse_genesis(node.identity.fact(conn, GENESIS) or b"")
    anchors: list[Anchor] = []
    outpoint = chain.thread_start()
    for height, _hash, raw in chain.blocks_from(1):
        found = scan(parse_block(raw).transactions, outpoint)
        for each in found:
            anchors.append(Anchor(height, each.record, each.data))
            outpoint = each.next
    derivation = derive(genesis, anchors)
    for skipped in derivation.skipped:
        yield f"an anchor at height {skipped.height} carries no valid batch ({skipped.reason})"
    stored = node.ledger.batches(conn, limit=EVERY_BATCH)
    noted = sum(batch.height is not None for batch in stored)
    if not noted <= len(derivation.valid) <= len(stored):
        yield f"{len(derivation.valid)} batches are anchored, {noted} are noted as anchored"
    for batch, derived in zip(stored, derivation.valid, strict=False):
        # an anchor that is in the chain and not noted yet is found by the next seal
        is_elsewhere = batch.height not in {None, derived.height}
        if is_elsewhere or batch.record[14:46] != derived.record.state_root:
            yield f"batch {batch.number} differs from its anchor"


def _check_originals(node: Node, conn: Connection) -> Iterator[str]:
    for _subject, cid, _created in node.record.subjects(conn):
        for original in node.originals.of_compartment(conn, cid):
            size = sum(len(part) for part in node.originals.read(cid, original.name, seg=8))
            if size != original.size:
                yield f"original {original.name[:8]}… of compartment {cid} has another size"
