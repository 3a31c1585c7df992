"""Proofs that a transaction is in a block, and that headers form one chain with work.

Source: Bitcoin white paper §8; Bitcoin Core `pow.cpp`, `chain.cpp`; BIP113.
"""

from __future__ import annotations

from dataclasses import dataclass

from hilum.bitcoin.block import (
    HEADER_SIZE,
    MEDIAN_SPAN,
    REGTEST_BITS,
    Block,
    Header,
    expand_target,
    fold_path,
    median_time,
    merkle_path,
    parse_header,
)
from hilum.bitcoin.wire import hash256
from hilum.errors import InsufficientDataError, MalformedInputError, VerificationError

__all__ = [
    "REGTEST_GENESIS",
    "HeaderChain",
    "InclusionProof",
    "prove_inclusion",
    "verify_headers",
    "verify_inclusion",
    "verify_links",
]

REGTEST_GENESIS = bytes.fromhex("06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f")
"""Hash of regtest's first block, internal order. Source: Bitcoin Core `kernel/chainparams.cpp`."""
_MAX_DEPTH = 32


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """A transaction's way up to a header.

    Attributes:
        stripped: the transaction without witness; its double hash is the txid.
        index: position in the block.
        path: sibling hashes from the leaf up, 32 bytes each, internal order.
        header: the block's 80 bytes.
        height: of the block; only a chain of headers can confirm it.
    """

    stripped: bytes
    index: int
    path: tuple[bytes, ...]
    header: bytes
    height: int

    @property
    def txid(self) -> bytes:
        """32 bytes, internal order."""
        return hash256(self.stripped)


@dataclass(frozen=True, slots=True)
class HeaderChain:
    """Headers that were verified.

    Attributes:
        raw: 80 bytes each, from the genesis block on.
        work: expected number of hashes behind them.
    """

    raw: bytes
    work: int

    @property
    def height(self) -> int:
        """Of the last header; the genesis block has 0."""
        return len(self.raw) // HEADER_SIZE - 1

    def header(self, height: int) -> bytes:
        """Return the 80 bytes at a height.

        Raises:
            InsufficientDataError: when the chain does not reach that far.
        """
        if not 0 <= height <= self.height:
            raise InsufficientDataError("no-header", "the headers do not reach this height")
        return self.raw[height * HEADER_SIZE : (height + 1) * HEADER_SIZE]


def prove_inclusion(block: Block, txid: bytes, *, height: int) -> InclusionProof:
    """Return the proof that the block holds a transaction.

    Args:
        block: all of it.
        txid: 32 bytes, internal order.
        height: of the block.

    Raises:
        InsufficientDataError: when it does not.
    """
    txids = [transaction.txid for transaction in block.transactions]
    if txid not in txids:
        raise InsufficientDataError("not-in-block", "the block does not hold the transaction")
    index = txids.index(txid)
    stripped = block.transactions[index].strip()
    path = merkle_path(txids, index)
    return InclusionProof(stripped, index, path, block.header.serialize(), height)


def _is_phantom(proof: InclusionProof) -> bool:
    """Tell whether the position exists only because an odd last node is paired with itself."""
    node = proof.txid
    for level, sibling in enumerate(proof.path):
        on_the_right = proof.index >> level & 1
        if on_the_right and sibling == node:
            return True
        node = fold_path(node, on_the_right, (sibling,))
    return False


def verify_inclusion(proof: InclusionProof) -> Header:
    """Check that the path leads from the transaction to the header's Merkle root.

    Returns:
        The header; that it belongs to the chain is for `verify_headers` to say.

    Raises:
        VerificationError: when it does not. A transaction of 64 bytes is refused, because it could
            be an inner node (CVE-2017-12842).
    """
    if len(proof.stripped) == 64:
        raise VerificationError("inclusion", "a transaction of 64 bytes could be an inner node")
    depth = len(proof.path)
    if depth > _MAX_DEPTH or not 0 <= proof.index < 1 << depth:
        raise VerificationError("inclusion", "the position lies outside the tree")
    if any(len(sibling) != 32 for sibling in proof.path):
        raise VerificationError("inclusion", "a sibling is not a hash")
    header = _parse(proof.header)
    if fold_path(proof.txid, proof.index, proof.path) != header.merkle_root:
        raise VerificationError("inclusion", "the path does not lead to the header's Merkle root")
    if _is_phantom(proof):
        raise VerificationError("inclusion", "the position lies outside the tree")
    return header


def _parse(raw: bytes) -> Header:
    try:
        return parse_header(raw)
    except MalformedInputError as error:
        raise VerificationError("header", "not a header") from error


def _verify_work(header: Header, found: bytes, *, where: str) -> int:
    # the expected number of hashes, as in Bitcoin Core `GetBlockProof`
    try:
        target = expand_target(header.bits)
    except MalformedInputError as error:
        raise VerificationError("header-work", "not a target", where=where) from error
    if int.from_bytes(found, "little") > target:
        raise VerificationError("header-work", "the hash does not meet the target", where=where)
    return (1 << 256) // (target + 1)


def verify_links(raw: bytes) -> int:
    """Check that headers follow one another, each with the work that it claims.

    Args:
        raw: 80 bytes each, at least one; the first one's own parent is not judged.

    Returns:
        The work of all, in expected hashes.

    Raises:
        VerificationError: at the first header that does not fit.
    """
    if not raw or len(raw) % HEADER_SIZE:
        raise VerificationError("header", "headers are 80 bytes each", hint="at least one")
    work, previous = 0, b""
    for at in range(0, len(raw), HEADER_SIZE):
        where = f"header {at // HEADER_SIZE}"
        part = raw[at : at + HEADER_SIZE]
        header, found = parse_header(part), hash256(part)
        if previous and header.previous != previous:
            raise VerificationError("header-link", "does not follow the one before", where=where)
        work += _verify_work(header, found, where=where)
        previous = found
    return work


def verify_headers(raw: bytes) -> HeaderChain:
    """Check a whole regtest header chain: genesis, links, work, targets, times.

    Args:
        raw: 80 bytes each, from the genesis block on.

    Raises:
        VerificationError: at the first header that does not fit.
    """
    if hash256(raw[:HEADER_SIZE]) != REGTEST_GENESIS:
        raise VerificationError("header-genesis", "does not begin with the known genesis block")
    work = verify_links(raw)
    times: list[int] = []
    for at in range(0, len(raw), HEADER_SIZE):
        where = f"header {at // HEADER_SIZE}"
        header = parse_header(raw[at : at + HEADER_SIZE])
        if header.bits != REGTEST_BITS:
            raise VerificationError("header-work", "not this network's target", where=where)
        if times and header.time <= median_time(times):
            raise VerificationError("header-time", "not later than the median", where=where)
        times = [*times[1 - MEDIAN_SPAN :], header.time]
    return HeaderChain(raw, work)
