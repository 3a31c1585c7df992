"""Anchors: transactions that carry a batch record and form one spend chain, the thread.

```
start                     outputs [0] thread  [1] change
commit (only with data)   outputs [0] taproot output committing to the envelope
anchor                    inputs  [0] previous thread output  [1] commit output, or wallet coins
                          outputs [0] next thread output  [1] OP_RETURN of the record  [2] change
```
An output is spent once, so one thread has one history: that is a rule of Bitcoin, not of ours.
Source: ledger design §2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from hilum.base.units import Sat
from hilum.bitcoin.envelope import build_envelope, parse_envelope
from hilum.bitcoin.taproot import (
    TaprootKey,
    derive_key,
    leaf_hash,
    output_script,
    sign_key_path,
    sign_script_path,
    signature_hash,
)
from hilum.bitcoin.transaction import OutPoint, Transaction, TxIn, TxOut
from hilum.errors import InsufficientDataError, MalformedInputError

__all__ = [
    "RECORD_SIZE",
    "THREAD_VALUE",
    "AnchorKeys",
    "AnchorResult",
    "AnchorSigner",
    "Coin",
    "ScannedAnchor",
    "build_anchor",
    "derive_anchor_keys",
    "read_envelope",
    "read_record",
    "scan",
    "start_thread",
]

RECORD_SIZE = 78
THREAD_VALUE = Sat(10_000)
"""What the thread output holds: well above dust, to stay spendable when dust limits rise."""
_DUST = Sat(330)
"""Smallest P2TR output that relays. Source: Bitcoin Core `policy/policy.cpp`, 3 sat/vB × 110 vB."""
_RECORD_PREFIX = bytes([0x6A, 0x4C, RECORD_SIZE])
_SIGNATURE = (bytes(64),)


@dataclass(frozen=True, slots=True)
class Coin:
    """An unspent output."""

    outpoint: OutPoint
    output: TxOut


@dataclass(frozen=True, slots=True)
class AnchorKeys:
    """The keys of one anchoring node.

    Attributes:
        wallet: pays fees.
        thread: guards the thread and signs envelopes.
    """

    wallet: TaprootKey
    thread: TaprootKey

    @property
    def wallet_script(self) -> bytes:
        """Output script of wallet coins."""
        return output_script(self.wallet.public)

    @property
    def thread_script(self) -> bytes:
        """Output script of the thread."""
        return output_script(self.thread.public)


@dataclass(frozen=True, slots=True)
class AnchorSigner:
    """What is needed to build and sign.

    Attributes:
        keys: of this node.
        fee_rate: in sat/vB.
        aux: 32 random bytes for the signatures, against side channels.
    """

    keys: AnchorKeys
    fee_rate: int
    aux: bytes


@dataclass(frozen=True, slots=True)
class AnchorResult:
    """An anchor in a block.

    Attributes:
        record: the 78 bytes.
        txid: 32 bytes, internal order.
        height: of the block.
        block_hash: 32 bytes, internal order.
        raw: the transaction with witness.
        stripped: the transaction without witness; its double hash is the txid.
    """

    record: bytes
    txid: bytes
    height: int
    block_hash: bytes
    raw: bytes
    stripped: bytes


@dataclass(frozen=True, slots=True)
class ScannedAnchor:
    """What one spend of the thread says.

    Attributes:
        record: the 78 bytes, or ``b""`` where the transaction carries none (the thread goes on).
        data: the envelope's content, or ``b""``.
        txid: 32 bytes, internal order.
        next: the thread output to follow.
    """

    record: bytes
    data: bytes
    txid: bytes
    next: OutPoint


def derive_anchor_keys(seed: bytes) -> AnchorKeys:
    """Return the keys that belong to a seed.

    Args:
        seed: at least 16 secret bytes.

    Raises:
        MalformedInputError: when the seed is too short.
    """
    return AnchorKeys(derive_key(seed, "wallet"), derive_key(seed, "thread"))


def _with_change(
    inputs: Sequence[Coin],
    fixed: Sequence[TxOut],
    *,
    script: bytes,
    rate: int,
    leaf: bytes = b"",
) -> Transaction | None:
    """Return the unsigned transaction whose last output is the change, or None for lack of value.

    Signatures are zeros of the final length, so the weight and with it the fee are the final ones.
    With a leaf, the last input spends by script path.
    """
    spends = [TxIn(coin.outpoint, witness=_SIGNATURE) for coin in inputs]
    if leaf:
        revealing = (*_SIGNATURE, leaf, bytes(33))
        spends[-1] = TxIn(inputs[-1].outpoint, witness=revealing)
    sized = Transaction(tuple(spends), (*fixed, TxOut(Sat(0), script)))
    given = sum(coin.output.value for coin in inputs)
    change = given - sum(output.value for output in fixed) - sized.virtual_size * rate
    if change < _DUST:
        return None
    return Transaction(tuple(spends), (*fixed, TxOut(Sat(change), script)))


def _sign(
    draft: Transaction, inputs: Sequence[Coin], keys: Sequence[TaprootKey], *, aux: bytes
) -> Transaction:
    """Return the draft signed by key path, one key for each input."""
    spent = [coin.output for coin in inputs]
    return draft.with_witnesses(
        tuple(
            sign_key_path(key, signature_hash(draft, at, spent=spent), aux=aux)
            for at, key in enumerate(keys)
        )
    )


def _refuse_short() -> NoReturn:
    raise InsufficientDataError(
        "no-funds", "the spendable coins of the wallet do not pay for this", hint="mine first"
    )


def start_thread(signer: AnchorSigner, coins: Sequence[Coin]) -> Transaction:
    """Return the transaction whose output 0 starts a thread.

    Args:
        signer: keys, fee rate and randomness.
        coins: spendable wallet coins, best first.

    Raises:
        InsufficientDataError: when the coins do not suffice.
    """
    keys = signer.keys
    fixed = [TxOut(THREAD_VALUE, keys.thread_script)]
    for count in range(1, len(coins) + 1):
        used = coins[:count]
        draft = _with_change(used, fixed, script=keys.wallet_script, rate=signer.fee_rate)
        if draft is not None:
            return _sign(draft, used, [keys.wallet] * count, aux=signer.aux)
    _refuse_short()


def _build_bare(
    signer: AnchorSigner, fixed: Sequence[TxOut], *, thread: Coin, coins: Sequence[Coin]
) -> tuple[Transaction, ...]:
    """Return an anchor without envelope; wallet coins pay."""
    keys = signer.keys
    for count in range(1, len(coins) + 1):
        inputs = [thread, *coins[:count]]
        draft = _with_change(inputs, fixed, script=keys.wallet_script, rate=signer.fee_rate)
        if draft is not None:
            owners = [keys.thread, *[keys.wallet] * count]
            return (_sign(draft, inputs, owners, aux=signer.aux),)
    _refuse_short()


def _reveal(
    signer: AnchorSigner, fixed: Sequence[TxOut], *, inputs: Sequence[Coin], leaf: bytes
) -> Transaction | None:
    """Return the anchor that spends thread and commit output, or None for lack of value."""
    keys, aux = signer.keys, signer.aux
    draft = _with_change(inputs, fixed, script=keys.wallet_script, rate=signer.fee_rate, leaf=leaf)
    if draft is None:
        return None
    spent = [coin.output for coin in inputs]
    first = sign_key_path(keys.thread, signature_hash(draft, 0, spent=spent), aux=aux)
    message = signature_hash(draft, 1, spent=spent, leaf=leaf_hash(leaf))
    second = sign_script_path(keys.thread, message, aux=aux, script=leaf)
    return draft.with_witnesses((first, second))


def _build_enveloped(
    signer: AnchorSigner,
    fixed: Sequence[TxOut],
    *,
    leaf: bytes,
    thread: Coin,
    coins: Sequence[Coin],
) -> tuple[Transaction, ...]:
    """Return commit and anchor; all the value of the coins runs through the commit output."""
    keys = signer.keys
    script = output_script(keys.thread.public, leaf_hash(leaf))
    for count in range(1, len(coins) + 1):
        used = coins[:count]
        commit = _with_change(used, (), script=script, rate=signer.fee_rate)
        if commit is None:
            continue
        # a txid does not cover witnesses: the unsigned commit has its final one already
        revealed = Coin(OutPoint(commit.txid, 0), commit.outputs[0])
        anchor = _reveal(signer, fixed, inputs=[thread, revealed], leaf=leaf)
        if anchor is not None:
            return (_sign(commit, used, [keys.wallet] * count, aux=signer.aux), anchor)
    _refuse_short()


def build_anchor(
    signer: AnchorSigner, record: bytes, *, data: bytes, thread: Coin, coins: Sequence[Coin]
) -> tuple[Transaction, ...]:
    """Return the transactions to broadcast in order; the last one is the anchor.

    Args:
        signer: keys, fee rate and randomness.
        record: exactly 78 bytes.
        data: what the envelope carries; ``b""`` for an anchor without envelope.
        thread: the thread output to spend.
        coins: spendable wallet coins, best first.

    Raises:
        MalformedInputError: when the record or the data has a wrong size.
        InsufficientDataError: when the coins do not suffice.
    """
    if len(record) != RECORD_SIZE:
        raise MalformedInputError("bad-record-size", "a batch record has 78 bytes")
    fixed = [
        TxOut(THREAD_VALUE, signer.keys.thread_script),
        TxOut(Sat(0), _RECORD_PREFIX + record),
    ]
    if not data:
        return _build_bare(signer, fixed, thread=thread, coins=coins)
    leaf = build_envelope(signer.keys.thread.public, data)
    return _build_enveloped(signer, fixed, leaf=leaf, thread=thread, coins=coins)


def read_record(transaction: Transaction) -> bytes:
    """Return the 78-byte record in output 1, or ``b""`` where there is none."""
    if len(transaction.outputs) < 2:
        return b""
    script = transaction.outputs[1].script
    if len(script) != len(_RECORD_PREFIX) + RECORD_SIZE or not script.startswith(_RECORD_PREFIX):
        return b""
    return script[len(_RECORD_PREFIX) :]


def read_envelope(transaction: Transaction) -> bytes:
    """Return the data that input 1 reveals, or ``b""`` where it reveals no envelope."""
    if len(transaction.inputs) < 2 or len(transaction.inputs[1].witness) != 3:
        return b""
    try:
        return parse_envelope(transaction.inputs[1].witness[1])
    except MalformedInputError:
        return b""


def scan(transactions: Sequence[Transaction], thread: OutPoint) -> tuple[ScannedAnchor, ...]:
    """Follow the thread through one block.

    Args:
        transactions: of the block, in its order.
        thread: the unspent thread output before the block.

    Returns:
        The spends of the thread in order; empty where the block does not touch it. Several anchors
        may stand in one block.
    """
    found: list[ScannedAnchor] = []
    for transaction in transactions:
        if all(spent.outpoint != thread for spent in transaction.inputs):
            continue
        txid = transaction.txid
        thread = OutPoint(txid, 0)
        found.append(
            ScannedAnchor(read_record(transaction), read_envelope(transaction), txid, thread)
        )
    return tuple(found)
