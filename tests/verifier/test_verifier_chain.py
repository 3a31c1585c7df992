"""Proofs over the embedded chain: anchored by its miner, accepted by Bitcoin Core's kernel."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hilum.base.ids import UnixMs
from hilum.bitcoin.adapters.embedded import EmbeddedChain
from hilum.bitcoin.anchor import scan
from hilum.bitcoin.block import parse_block
from hilum.ledger.batch import parse_record
from hilum.ledger.derive import Anchor, derive
from hilum.ledger.genesis import Genesis
from hilum.ledger.model import StoredBatch
from hilum.ledger.proof import AnchorParts, encode_headers
from hilum.verifier import verify_proof

GENESIS = Genesis(1_800_000_000_000, b"\5" * 32, b"\6" * 32)
NOW = UnixMs(1_700_000_000_000)


def thread_of(chain: EmbeddedChain) -> list[Anchor]:
    thread, found = chain.thread_start(), []
    for height in range(chain.tip()[0] + 1):
        for seen in scan(parse_block(chain.block(height)).transactions, thread):
            thread = seen.next
            found.append(Anchor(height, seen.record, seen.data))
    return found


def test_a_receipt_anchored_on_the_embedded_chain_is_proved(
    make_proof: Callable[..., Any], tmp_path: Path
) -> None:
    chain = EmbeddedChain(
        tmp_path, seed=b"a seed for one test only", clock=lambda: NOW, entropy=os.urandom
    )
    batches: list[StoredBatch] = []

    def anchor_with(batch: StoredBatch) -> tuple[AnchorParts, bytes]:
        batches.append(batch)
        done = chain.anchor(batch.record, batch.data)
        found = chain.inclusion(done.txid)
        parts = AnchorParts(batch.record, found.stripped, found.height, found.index, found.path)
        return parts, chain.headers()

    with chain:
        made = make_proof(anchor_with=anchor_with)
        report = verify_proof(made.proof, made.headers)
        assert (report.height, report.confirmations) == (chain.tip()[0], 1)
        chain.mine()
        later = encode_headers(chain.headers(), network="regtest")
        assert verify_proof(made.proof, later).confirmations == 2
        anchors = [anchor for anchor in thread_of(chain) if anchor.record]
    assert [anchor.data for anchor in anchors] == [batches[0].data]
    derivation = derive(GENESIS, anchors)
    assert derivation.skipped == ()
    assert derivation.state.root() == parse_record(batches[0].record).state_root
