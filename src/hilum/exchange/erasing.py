"""Erase a subject: keys, salts, rows and ciphertext, then prove that nothing decrypts.

(1) note the intent durably, (2) shred the keys, (3) delete rows, close cells and forget their salts in
one commit, (4) delete originals and truncate the write-ahead log, (5) try to open samples that were
taken before. A crash after (1) is finished when the node opens again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hilum.base.ids import CompartmentId
from hilum.errors import ConflictError
from hilum.exchange.people import compartment_of
from hilum.vault.erasure import SealedSample, prove_shredded, verify_shredded

if TYPE_CHECKING:
    from hilum.base.sql import Connection
    from hilum.exchange.node import Node

__all__ = ["erase", "finish_erasures"]

_PENDING = "erasing"
_SAMPLES = 1000


def erase(node: Node, *, subject: str) -> dict[str, Any]:
    """Erase a subject; returns counts and the proof.

    Raises:
        MalformedInputError: no such subject.
        VerificationError: something still opens (step ``erasure``).
        UnavailableError: the disk refuses; opening the node again finishes what was begun.
    """
    conn = node.conn
    cid = compartment_of(node, conn, subject)
    samples = _samples(conn, cid)
    traces = node.keystore.wrapped(cid)
    node.writer.write(lambda write: _note(node, write, add=cid))
    counts = _finish(node, cid)
    report = prove_shredded(
        node.keyring, cid, samples=samples, traces=traces, raw=node.keystore.raw()
    )
    verify_shredded(report)
    return {
        "subject": subject,
        "erased": counts,
        "proof": {
            "ok": report.is_clean,
            "samples_tried": report.samples,
            "samples_opened": report.opened,
            "keys_left": report.keys_left,
            "key_traces_found": report.residue,
        },
    }


def finish_erasures(node: Node) -> int:
    """Finish what a crash interrupted; return how many."""
    pending = _pending(node, node.conn)
    for cid in pending:
        _finish(node, cid)
    return len(pending)


def _finish(node: Node, cid: CompartmentId) -> dict[str, int]:
    keys = node.keyring.shred(cid)
    counts = node.writer.write(lambda conn: _delete_rows(node, conn, cid))
    counts["keys"] = keys
    counts["originals"] = node.originals.erase(cid)
    node.gatekeeper.forget(cid)
    node.sessions.forget()
    node.readers.checkpoint()
    node.writer.write(lambda conn: _note(node, conn, remove=cid))
    return counts


def _delete_rows(node: Node, conn: Connection, cid: CompartmentId) -> dict[str, int]:
    at = node.clock()
    refs = [
        f"directive/{did}"
        for (did,) in conn.execute("select did from directive where cid = ?", (cid,)).fetchall()
    ]
    for ref in refs:
        if node.ledger.known(conn, ref) is not None:
            try:
                node.ledger.close_cell(conn, node.signer, ref, at_unix_ms=at)
            except ConflictError:
                continue  # closed when the directive was revoked
    salts = node.ledger.forget_salts(conn, refs)
    subject = node.record.subject_of(conn, cid)
    return {
        "resources": node.record.erase(conn, cid),
        "series": node.series.erase(conn, cid),
        "directives": node.directives.erase(conn, cid),
        "receipts": node.journal.erase(conn, cid),
        "tokens": 0 if subject is None else node.identity.erase(conn, subject),
        "salts": salts,
        "payloads": node.originals.unnote(conn, cid),
    }


def _samples(conn: Connection, cid: CompartmentId) -> list[SealedSample]:
    rows = conn.execute(
        "select type, id, ver, seg, body from resource where cid = ? and body is not null limit ?",
        (cid, _SAMPLES),
    ).fetchall()
    samples = [
        SealedSample(bytes(body), kind, name, ver, seg) for kind, name, ver, seg, body in rows
    ]
    receipts = conn.execute(
        "select number, sealed from receipt where cid = ? and sealed is not null limit ?",
        (cid, _SAMPLES),
    ).fetchall()
    samples += [
        SealedSample(bytes(sealed), 0, f"receipt-{number}", 1, 1 << 15)
        for number, sealed in receipts
    ]
    return samples


def _pending(node: Node, conn: Connection) -> list[CompartmentId]:
    known = node.identity.fact(conn, _PENDING)
    return [CompartmentId(cid) for cid in json.loads(known)] if known else []


def _note(
    node: Node,
    conn: Connection,
    *,
    add: CompartmentId | None = None,
    remove: CompartmentId | None = None,
) -> None:
    pending = [cid for cid in _pending(node, conn) if cid != remove]
    if add is not None and add not in pending:
        pending.append(add)
    node.identity.set_fact(conn, _PENDING, json.dumps(pending).encode())
