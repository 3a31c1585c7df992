"""Transactions: frozen types and their one encoding.

Source: BIP144 (serialization), BIP141 (weight), Bitcoin Core `primitives/transaction.h`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from hilum.base.units import Sat, VirtualBytes, WeightUnits, virtual_bytes
from hilum.bitcoin.wire import Reader, encode_chunk, encode_size, hash256

__all__ = [
    "MAX_MONEY",
    "OutPoint",
    "Transaction",
    "TxIn",
    "TxOut",
    "parse_transaction",
    "read_transaction",
]

MAX_MONEY = Sat(21_000_000 * 100_000_000)
"""Source: Bitcoin Core `consensus/amount.h`."""
_NULL_INDEX = 0xFFFF_FFFF
_SMALLEST_INPUT = 41
_SMALLEST_OUTPUT = 9


class OutPoint(NamedTuple):
    """One output of one transaction.

    Attributes:
        txid: 32 bytes, internal order.
        vout: position among the outputs.
    """

    txid: bytes
    vout: int

    def serialize(self) -> bytes:
        """Return the 36 bytes."""
        return self.txid + self.vout.to_bytes(4, "little")


@dataclass(frozen=True, slots=True)
class TxIn:
    """What is spent, and by what right.

    Attributes:
        outpoint: the output spent.
        script_sig: empty for taproot.
        sequence: 0xfffffffd signals that the transaction may be replaced.
        witness: stack items, bottom first.
    """

    outpoint: OutPoint
    script_sig: bytes = b""
    sequence: int = 0xFFFF_FFFD
    witness: tuple[bytes, ...] = ()

    def serialize(self) -> bytes:
        """Return the bytes without the witness."""
        return (
            self.outpoint.serialize()
            + encode_chunk(self.script_sig)
            + self.sequence.to_bytes(4, "little")
        )


@dataclass(frozen=True, slots=True)
class TxOut:
    """An amount and the script that guards it.

    Attributes:
        value: 0 to `MAX_MONEY`.
        script: the output script.
    """

    value: Sat
    script: bytes

    def serialize(self) -> bytes:
        """Return the bytes."""
        return self.value.to_bytes(8, "little") + encode_chunk(self.script)


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction.

    Attributes:
        inputs: at least one.
        outputs: at least one.
        version: u32.
        lock_time: u32.
    """

    inputs: tuple[TxIn, ...]
    outputs: tuple[TxOut, ...]
    version: int = 2
    lock_time: int = 0

    @property
    def has_witness(self) -> bool:
        """Whether any input carries a witness."""
        return any(spent.witness for spent in self.inputs)

    @property
    def is_coinbase(self) -> bool:
        """Whether it creates the block's reward."""
        first = self.inputs[0].outpoint
        return len(self.inputs) == 1 and first == OutPoint(bytes(32), _NULL_INDEX)

    def _body(self) -> bytes:
        inputs = b"".join(spent.serialize() for spent in self.inputs)
        outputs = b"".join(output.serialize() for output in self.outputs)
        return encode_size(len(self.inputs)) + inputs + encode_size(len(self.outputs)) + outputs

    def strip(self) -> bytes:
        """Return the bytes without witness; their double hash is the txid."""
        return (
            self.version.to_bytes(4, "little") + self._body() + self.lock_time.to_bytes(4, "little")
        )

    def serialize(self) -> bytes:
        """Return the bytes, with witness when there is one."""
        if not self.has_witness:
            return self.strip()
        parts = [self.version.to_bytes(4, "little"), b"\x00\x01", self._body()]
        for spent in self.inputs:
            parts.append(encode_size(len(spent.witness)))
            parts.extend(encode_chunk(item) for item in spent.witness)
        parts.append(self.lock_time.to_bytes(4, "little"))
        return b"".join(parts)

    @property
    def txid(self) -> bytes:
        """32 bytes, internal order."""
        return hash256(self.strip())

    @property
    def wtxid(self) -> bytes:
        """32 bytes, internal order."""
        return hash256(self.serialize())

    @property
    def weight(self) -> WeightUnits:
        """Source: BIP141."""
        return WeightUnits(3 * len(self.strip()) + len(self.serialize()))

    @property
    def virtual_size(self) -> VirtualBytes:
        """Source: BIP141."""
        return virtual_bytes(self.weight)

    def with_witnesses(self, witnesses: tuple[tuple[bytes, ...], ...]) -> Transaction:
        """Return the same transaction with these witnesses, one for each input."""
        inputs = tuple(
            replace(spent, witness=witness)
            for spent, witness in zip(self.inputs, witnesses, strict=True)
        )
        return replace(self, inputs=inputs)


def _read_input(reader: Reader) -> TxIn:
    outpoint = OutPoint(reader.take(32), reader.integer(4))
    return TxIn(outpoint, reader.chunk(), reader.integer(4))


def _read_output(reader: Reader) -> TxOut:
    value = reader.integer(8)
    if value > MAX_MONEY:
        raise reader.refuse("bad-amount", "an amount beyond all bitcoin there can be")
    return TxOut(Sat(value), reader.chunk())


def _read_witnesses(reader: Reader, count: int) -> tuple[tuple[bytes, ...], ...]:
    found = tuple(tuple(reader.chunk() for _ in range(reader.count(least=1))) for _ in range(count))
    if not any(found):
        raise reader.refuse("empty-witness", "marked as having a witness, but it is empty")
    return found


def read_transaction(reader: Reader) -> Transaction:
    """Take one transaction from the reader.

    Raises:
        MalformedInputError: when the bytes are not a transaction in its one encoding.
    """
    version = reader.integer(4)
    count = reader.count(least=1)
    marked = count == 0
    if marked:
        if reader.integer(1) != 1:
            raise reader.refuse("no-inputs", "no input, or an unknown serialization flag")
        count = reader.count(least=_SMALLEST_INPUT)
        if count == 0:
            raise reader.refuse("no-inputs", "a transaction needs an input")
    inputs = tuple(_read_input(reader) for _ in range(count))
    outputs = tuple(_read_output(reader) for _ in range(reader.count(least=_SMALLEST_OUTPUT)))
    if not outputs:
        raise reader.refuse("no-outputs", "a transaction needs an output")
    witnesses = _read_witnesses(reader, len(inputs)) if marked else None
    plain = Transaction(inputs, outputs, version, reader.integer(4))
    return plain if witnesses is None else plain.with_witnesses(witnesses)


def parse_transaction(raw: bytes) -> Transaction:
    """Return the transaction; `serialize` gives back the same bytes.

    Raises:
        MalformedInputError: when the bytes are not exactly one transaction.
    """
    reader = Reader(raw, what="transaction")
    found = read_transaction(reader)
    reader.finish()
    return found
