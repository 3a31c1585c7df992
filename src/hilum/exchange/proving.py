"""Proofs of receipts, and the headers they are checked against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hilum.errors import MalformedInputError, UnavailableError
from hilum.exchange.sealing import JOURNAL_CELL
from hilum.ledger.proof import AnchorParts, JournalParts, encode_headers, encode_proof

if TYPE_CHECKING:
    from hilum.exchange.node import Node

__all__ = ["headers", "prove"]


def prove(node: Node, *, receipt: str) -> dict[str, Any]:
    """Return the proof file of a receipt: ``{"proof", "receipt", "batch", "height"}``.

    Raises:
        MalformedInputError: no such receipt (never was, or erased).
        UnavailableError: it is not anchored yet (code ``not-anchored``), or the chain refuses.
    """
    conn = node.conn
    stored = node.journal.get(conn, receipt)
    if stored is None:
        raise MalformedInputError(
            "unknown-receipt", "no receipt has this id", where="receipt", hint="hilum log"
        )
    number = stored.receipt.number
    known = node.ledger.known(conn, JOURNAL_CELL)
    witness = None if known is None else node.ledger.head_witness(conn, known.index, above=number)
    if witness is None:
        raise UnavailableError(
            "not-anchored", "this receipt is not anchored yet", hint="hilum seal anchors it now"
        )
    checkpoint = node.journal.checkpoint(conn, witness.cell.size)
    batch = node.ledger.batch(conn, witness.batch)
    if checkpoint is None or batch is None or batch.txid is None:
        raise UnavailableError("not-anchored", "the batch of this receipt is not anchored yet")
    inclusion = node.chain.inclusion(batch.txid)
    path = node.tiles.inclusion(number, checkpoint.size)
    proof = encode_proof(
        JournalParts(stored.data, stored.salt, path, checkpoint.note),
        AnchorParts(
            batch.record, inclusion.stripped, inclusion.height, inclusion.index, inclusion.path
        ),
        cell=witness.cell,
        salt=checkpoint.salt,
        path=witness.path,
    )
    return {
        "proof": proof.decode(),
        "receipt": receipt,
        "batch": batch.number,
        "height": inclusion.height,
    }


def headers(node: Node) -> dict[str, Any]:
    """Return the headers file of the node's chain: ``{"headers", "network", "height"}``.

    Raises:
        UnavailableError: the chain refuses.
    """
    raw = node.chain.headers()
    return {
        "headers": encode_headers(raw, network="regtest").decode(),
        "network": "regtest",
        "height": len(raw) // 80 - 1,
    }
