"""Headers, Merkle trees and blocks, read and built.

Source: Bitcoin Core `primitives/block.h`, `consensus/merkle.cpp`; BIP34; BIP113; BIP141.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hilum.base.units import Sat
from hilum.bitcoin.transaction import OutPoint, Transaction, TxIn, TxOut, read_transaction
from hilum.bitcoin.wire import Reader, encode_chunk, encode_size, hash256
from hilum.errors import InsufficientDataError, MalformedInputError

__all__ = [
    "COINBASE_MATURITY",
    "HEADER_SIZE",
    "MEDIAN_SPAN",
    "REGTEST_BITS",
    "Block",
    "Header",
    "build_block",
    "expand_target",
    "fold_path",
    "median_time",
    "merkle_path",
    "merkle_root",
    "parse_block",
    "parse_header",
    "subsidy",
]

HEADER_SIZE = 80
MEDIAN_SPAN = 11
"""Number of headers whose median the next block's time must exceed. Source: BIP113."""
COINBASE_MATURITY = 100
"""Blocks before a reward may be spent. Source: Bitcoin Core `consensus/consensus.h`."""
REGTEST_BITS = 0x207F_FFFF
_REGTEST_HALVING = 150
_BLOCK_VERSION = 0x2000_0000
_WITNESS_COMMITMENT = bytes.fromhex("6a24aa21a9ed")
_COINBASE_MARK = b"hilum"


@dataclass(frozen=True, slots=True)
class Header:
    """A block header.

    Attributes:
        previous: hash of the block before, 32 bytes, internal order.
        merkle_root: root over the txids, 32 bytes, internal order.
        time: seconds since 1970, u32.
        bits: the target in compact form.
        nonce: u32.
        version: u32.
    """

    previous: bytes
    merkle_root: bytes
    time: int
    bits: int
    nonce: int
    version: int = _BLOCK_VERSION

    def serialize(self) -> bytes:
        """Return the 80 bytes."""
        return (
            self.version.to_bytes(4, "little")
            + self.previous
            + self.merkle_root
            + self.time.to_bytes(4, "little")
            + self.bits.to_bytes(4, "little")
            + self.nonce.to_bytes(4, "little")
        )

    @property
    def hash(self) -> bytes:
        """32 bytes, internal order."""
        return hash256(self.serialize())


@dataclass(frozen=True, slots=True)
class Block:
    """A header and its transactions, the coinbase first."""

    header: Header
    transactions: tuple[Transaction, ...]

    def serialize(self) -> bytes:
        """Return the bytes, witnesses included."""
        body = b"".join(transaction.serialize() for transaction in self.transactions)
        return self.header.serialize() + encode_size(len(self.transactions)) + body


def _read_header(reader: Reader) -> Header:
    version = reader.integer(4)
    previous, root = reader.take(32), reader.take(32)
    time, bits, nonce = reader.integer(4), reader.integer(4), reader.integer(4)
    return Header(previous, root, time, bits, nonce, version)


def parse_header(raw: bytes) -> Header:
    """Return the header.

    Raises:
        MalformedInputError: when the bytes are not 80.
    """
    reader = Reader(raw, what="header")
    found = _read_header(reader)
    reader.finish()
    return found


def parse_block(raw: bytes) -> Block:
    """Return the block; only its encoding is judged, and `serialize` gives back the same bytes.

    Raises:
        MalformedInputError: when the bytes are not exactly one block.
    """
    reader = Reader(raw, what="block")
    header = _read_header(reader)
    count = reader.count(least=60)
    transactions = tuple(read_transaction(reader) for _ in range(count))
    if not transactions:
        raise reader.refuse("no-transactions", "a block needs a coinbase")
    reader.finish()
    return Block(header, transactions)


def _pair_up(level: Sequence[bytes]) -> list[bytes]:
    even = list(level)
    if len(even) & 1:
        even.append(even[-1])
    return [hash256(even[at] + even[at + 1]) for at in range(0, len(even), 2)]


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over 32-byte leaves.

    Args:
        leaves: txids in block order, at least one.

    Raises:
        InsufficientDataError: when there is no leaf.
    """
    if not leaves:
        raise InsufficientDataError("no-leaves", "no Merkle root of nothing")
    level = list(leaves)
    while len(level) > 1:
        level = _pair_up(level)
    return level[0]


def merkle_path(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Return the siblings from the leaf up to below the root.

    Args:
        leaves: txids in block order.
        index: position of the leaf.

    Raises:
        InsufficientDataError: when there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise InsufficientDataError("no-leaf", "no leaf at this position")
    path: list[bytes] = []
    level, at = list(leaves), index
    while len(level) > 1:
        path.append(level[min(at ^ 1, len(level) - 1)])
        level, at = _pair_up(level), at >> 1
    return tuple(path)


def fold_path(leaf: bytes, index: int, path: Sequence[bytes]) -> bytes:
    """Return the root to which a path leads, 32 bytes.

    Args:
        leaf: 32 bytes, internal order.
        index: position of the leaf.
        path: as `merkle_path` returns it.
    """
    node = leaf
    for level, sibling in enumerate(path):
        node = hash256(sibling + node if index >> level & 1 else node + sibling)
    return node


def expand_target(bits: int) -> int:
    """Return the number that a block's hash may not exceed.

    Args:
        bits: compact form, as in a header.

    Raises:
        MalformedInputError: when it is negative, zero or beyond 256 bits.
            Source: Bitcoin Core `arith_uint256::SetCompact`.
    """
    size, word = bits >> 24, bits & 0x7F_FFFF
    target = word >> (8 * (3 - size)) if size <= 3 else word << (8 * (size - 3))
    if bits & 0x80_0000 or not 0 < target < 1 << 256:
        raise MalformedInputError("bad-target", "not a proof-of-work target", where="header bits")
    return target


def median_time(times: Sequence[int]) -> int:
    """Return the median of the last header times.

    Args:
        times: of at most `MEDIAN_SPAN` headers, at least one, in seconds.

    Returns:
        Seconds; the next block's time must be greater. Source: BIP113.
    """
    return sorted(times)[len(times) // 2]


def subsidy(height: int) -> Sat:
    """Return the reward of a regtest block without fees: 50 bitcoin, halved every 150 blocks."""
    halvings = height // _REGTEST_HALVING
    return Sat(0 if halvings >= 64 else 50 * 100_000_000 >> halvings)


def _push_height(height: int) -> bytes:
    if height <= 16:
        return bytes([0x50 + height]) if height else b"\x00"
    number = height.to_bytes((height.bit_length() + 8) // 8, "little")
    return encode_chunk(number)


def _coinbase(height: int, output: TxOut, witness_root: bytes) -> Transaction:
    """Source: BIP34 (height), BIP141 (commitment to the witnesses)."""
    reserved = bytes(32)
    commitment = _WITNESS_COMMITMENT + hash256(witness_root + reserved)
    script_sig = _push_height(height) + encode_chunk(_COINBASE_MARK)
    null = OutPoint(bytes(32), 0xFFFF_FFFF)
    spent = TxIn(null, script_sig, 0xFFFF_FFFF, (reserved,))
    return Transaction((spent,), (output, TxOut(Sat(0), commitment)))


def build_block(
    previous: bytes, *, height: int, time: int, reward: TxOut, transactions: Sequence[Transaction]
) -> Block:
    """Return a mined regtest block: two hashes on average.

    Args:
        previous: hash of the block before, 32 bytes, internal order.
        height: of this block.
        time: seconds since 1970; above the median of the last 11 blocks.
        reward: the coinbase's first output; at most subsidy plus fees.
        transactions: in an order in which each spends only what is before it.

    Raises:
        InsufficientDataError: when no nonce meets the target, which has probability 2⁻²³².
    """
    witness_root = merkle_root([bytes(32), *(each.wtxid for each in transactions)])
    coinbase = _coinbase(height, reward, witness_root)
    root = merkle_root([coinbase.txid, *(each.txid for each in transactions)])
    target = expand_target(REGTEST_BITS)
    for nonce in range(1 << 32):
        header = Header(previous, root, time, REGTEST_BITS, nonce)
        if int.from_bytes(header.hash, "little") <= target:
            return Block(header, (coinbase, *transactions))
    raise InsufficientDataError("no-nonce", "no nonce meets the target")
