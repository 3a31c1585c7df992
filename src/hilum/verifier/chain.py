"""Steps `anchor`, `inclusion` and `headers`: the facts of Bitcoin that a proof rests on.

A headers file is canonical JSON: ``{"format":"hilum-headers-1","headers":hex,"network":name,
"tip":hex}``, the headers 80 bytes each from the genesis block on, the tip the last one's hash (so
that no byte of the file can change unnoticed). Hashes are in internal byte order.

Anybody can make headers that obey every rule and cost little; what cannot be forged is the work
behind them. So a public network's headers must carry at least the work that Bitcoin Core knew.

Source: Bitcoin Core 29.0, `src/kernel/chainparams.cpp` (genesis, powLimit, nMinimumChainWork) and
`src/arith_uint256.cpp` (compact targets).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from hilum.base import canonical
from hilum.errors import MalformedInputError
from hilum.verifier.reading import Cursor, fail, take_hex, take_object, take_text

__all__ = [
    "HEADERS_FORMAT",
    "NETWORKS",
    "Anchor",
    "Headers",
    "Network",
    "read_anchor",
    "read_headers",
    "root_of_branch",
    "verify_headers",
]

ANCHOR_STEP: Final = "anchor"
INCLUSION_STEP: Final = "inclusion"
HEADERS_STEP: Final = "headers"
HEADERS_FORMAT: Final = "hilum-headers-1"
HEADER_BYTES: Final = 80
_KEYS: Final = frozenset({"format", "headers", "network", "tip"})


@dataclass(frozen=True, slots=True)
class Network:
    """What is known beforehand of a Bitcoin network.

    Attributes:
        genesis: hash of its first block, internal byte order.
        limit: easiest target allowed.
        work: least work, in hashes, that headers must carry.
        label: what a proof on it is worth, for people.
    """

    genesis: bytes
    limit: int
    work: int
    label: str


def _network(genesis: str, bits: int, work: int, label: str) -> Network:
    limit = (bits & 0xFFFFFF) << 8 * ((bits >> 24) - 3)
    return Network(bytes.fromhex(genesis)[::-1], limit, work, label)


_TEST_LABEL: Final = "a test network: its coins are worthless and so is the work behind this proof"
NETWORKS: Final = {
    "mainnet": _network(
        "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
        0x1D00FFFF,
        0xB1F3B93B65B16D035A82BE84,
        "Bitcoin: orders and keeps the record; what it says is its custodian's word",
    ),
    "testnet4": _network(
        "00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043",
        0x1D00FFFF,
        0x1D6DCE8651B6094E4C1,
        f"testnet4: {_TEST_LABEL}",
    ),
    "signet": _network(
        "00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6",
        0x1E0377AE,
        0x2B517F3D1A1,
        f"signet: {_TEST_LABEL}",
    ),
    "regtest": _network(
        "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206",
        0x207FFFFF,
        0,
        "regtest: this chain proves nothing to outsiders",
    ),
}


@dataclass(frozen=True, slots=True)
class Anchor:
    """An anchor transaction: its id and what its OP_RETURN output carries."""

    txid: bytes
    record: bytes


@dataclass(frozen=True, slots=True)
class Headers:
    """Headers as their file spells them; not yet verified."""

    network: str
    raw: bytes
    tip: bytes

    def __len__(self) -> int:
        """Return how many headers there are."""
        return len(self.raw) // HEADER_BYTES

    def header(self, height: int) -> bytes:
        """Return the 80 bytes at a height.

        Raises:
            VerificationError: step ``headers``, when they do not reach that far.
        """
        if height >= len(self):
            fail(HEADERS_STEP, "the headers do not reach the anchor's height")
        return self.raw[height * HEADER_BYTES : (height + 1) * HEADER_BYTES]


def hash256(data: bytes) -> bytes:
    """Return SHA-256 of SHA-256, 32 bytes."""
    return sha256(sha256(data).digest()).digest()


def read_anchor(transaction: bytes) -> Anchor:
    """Return the id and the record of a transaction without witness.

    Raises:
        VerificationError: step ``anchor``, when it is not a transaction with exactly one OP_RETURN
            output that carries 78 bytes.
    """
    cursor = Cursor(transaction, ANCHOR_STEP)
    cursor.take(4)
    inputs = _take_count(cursor)
    if not inputs:
        fail(ANCHOR_STEP, "a transaction without inputs, or with its witness")
    for _ in range(inputs):
        cursor.take(36)
        cursor.take(_take_count(cursor))
        cursor.take(4)
    scripts = []
    for _ in range(_take_count(cursor)):
        cursor.take(8)
        scripts.append(cursor.take(_take_count(cursor)))
    cursor.take(4)
    cursor.end()
    records = [script for script in scripts if script.startswith(b"\x6a")]
    if len(records) != 1 or len(records[0]) != 81 or not records[0].startswith(b"\x6a\x4c\x4e"):
        fail(ANCHOR_STEP, "not exactly one OP_RETURN output of 78 bytes")
    return Anchor(hash256(transaction), records[0][3:])


def root_of_branch(txid: bytes, branch: list[bytes], *, index: int) -> bytes:
    """Return the Merkle root that a transaction's branch leads to, 32 bytes.

    Args:
        txid: 32 bytes, internal order.
        branch: siblings, deepest first.
        index: position in the block.

    Raises:
        VerificationError: step ``inclusion``, when the position lies outside the tree, also where
            it exists only because an odd last node is paired with itself.
    """
    if index >> len(branch):
        fail(INCLUSION_STEP, "the position lies outside the block")
    here = txid
    for sibling in branch:
        if index & 1:
            if sibling == here:
                fail(INCLUSION_STEP, "the position lies outside the block")
            here = hash256(sibling + here)
        else:
            here = hash256(here + sibling)
        index >>= 1
    return here


def read_headers(data: bytes) -> Headers:
    """Return what a headers file spells.

    Raises:
        VerificationError: step ``headers``, when it is not one.
    """
    try:
        value = canonical.parse(data)
    except MalformedInputError as error:
        fail(HEADERS_STEP, error.why)
    fields = take_object(value, _KEYS, step=HEADERS_STEP)
    network = take_text(fields["network"], 16, step=HEADERS_STEP)
    raw = take_hex(fields["headers"], step=HEADERS_STEP)
    tip = take_hex(fields["tip"], 32, step=HEADERS_STEP)
    if fields["format"] != HEADERS_FORMAT or network not in NETWORKS:
        fail(HEADERS_STEP, "unknown format or network")
    if len(raw) % HEADER_BYTES:
        fail(HEADERS_STEP, "headers are 80 bytes each")
    return Headers(network, raw, tip)


def verify_headers(headers: Headers) -> None:
    """Check genesis, links, proof of work and the work of all.

    Raises:
        VerificationError: step ``headers``, when something does not hold.
    """
    network = NETWORKS[headers.network]
    work, previous = 0, bytes(32)
    for height in range(len(headers)):
        header = headers.header(height)
        found = hash256(header)
        if height == 0 and found != network.genesis:
            fail(HEADERS_STEP, "they do not begin at the network's first block")
        if header[4:36] != previous:
            fail(HEADERS_STEP, f"header {height} does not follow the one before")
        target = _target(header, network.limit)
        if int.from_bytes(found, "little") > target:
            fail(HEADERS_STEP, f"header {height} lacks its proof of work")
        work += (1 << 256) // (target + 1)
        previous = found
    if previous != headers.tip:
        fail(HEADERS_STEP, "the tip is not the last header")
    if work < network.work:
        fail(HEADERS_STEP, "less work than the network is known to have")


def _target(header: bytes, limit: int) -> int:
    bits = int.from_bytes(header[72:76], "little")
    size, mantissa = bits >> 24, bits & 0xFFFFFF
    target = mantissa << 8 * (size - 3) if size >= 3 else mantissa >> 8 * (3 - size)
    if mantissa & 0x800000 or not 0 < target <= limit:
        fail(HEADERS_STEP, "a target that the network does not allow")
    return target


def _take_count(cursor: Cursor) -> int:
    first = cursor.number(1)
    return first if first < 0xFD else cursor.little(2 << first - 0xFD)
