"""Derivation: the state is a pure function of what Bitcoin carries.

A batch whose record does not equal the re-executed state is invalid and skipped by every node; the
thread of anchors goes on from the last valid state. Bitcoin orders and stores; it does not verify.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from hilum.base import merkle
from hilum.errors import (
    ConflictError,
    HilumError,
    MalformedInputError,
    UnavailableError,
    VerificationError,
)
from hilum.ledger.apply import SignatureCheck
from hilum.ledger.batch import Record, execute, parse_data, parse_record
from hilum.ledger.genesis import Genesis, ledger_id
from hilum.ledger.operation import verify_signature
from hilum.ledger.state import State

__all__ = ["Anchor", "Derivation", "Derived", "Skipped", "derive", "follow"]


class Anchor(msgspec.Struct, frozen=True):
    """One anchor of the ledger's thread.

    Attributes:
        height: of the block it is in.
        record: its 78 bytes.
        data: what it carries, or None where the operations are kept elsewhere and were not found.
    """

    height: int
    record: bytes
    data: bytes | None


class Derived(msgspec.Struct, frozen=True):
    """A valid batch: its record and the height of its anchor."""

    record: Record
    height: int


class Skipped(msgspec.Struct, frozen=True):
    """An anchor that carries no valid batch, and the code of the reason."""

    height: int
    reason: str


class Derivation(msgspec.Struct, frozen=True):
    """What a chain of anchors comes to.

    Attributes:
        state: after the last valid batch.
        valid: the valid batches in order.
        skipped: the anchors that every node skips.
    """

    state: State
    valid: tuple[Derived, ...]
    skipped: tuple[Skipped, ...]


def derive(
    genesis: Genesis, anchors: Iterable[Anchor], *, verify: SignatureCheck = verify_signature
) -> Derivation:
    """Derive the state of a ledger from its thread of anchors.

    Args:
        genesis: which ledger.
        anchors: in the order of the thread.
        verify: checks signatures.

    Raises:
        MalformedInputError: when the genesis does not fit its format.
        UnavailableError: when the operations of a batch were not found.
    """
    state = State(ledger_id(genesis))
    valid, skipped = [], []
    for anchor in anchors:
        outcome = follow(state, anchor, verify=verify)
        if isinstance(outcome, Derived):
            valid.append(outcome)
        else:
            skipped.append(outcome)
    return Derivation(state, tuple(valid), tuple(skipped))


def follow(
    state: State, anchor: Anchor, *, verify: SignatureCheck = verify_signature
) -> Derived | Skipped:
    """Take in the next anchor of the thread.

    Args:
        state: moves on when the anchor carries a valid batch, else stays as it was.
        anchor: the next one.
        verify: checks signatures.

    Returns:
        The batch, or why every node skips it.

    Raises:
        UnavailableError: when the operations were not found; whether the batch is valid is unknown.
    """
    if anchor.data is None:
        raise UnavailableError(
            "batch-data-missing", "the operations of a batch were not found", where="anchor"
        )
    state.mark()
    try:
        record = parse_record(anchor.record)
        _check_place(state, record, anchor.height)
        chunks = execute(state, parse_data(anchor.data), verify=verify)
        _check_roots(state, record, chunks)
    except (MalformedInputError, ConflictError, VerificationError) as error:
        state.rollback()
        return Skipped(anchor.height, _reason(error))
    state.batches = record.number
    state.seen_height = record.seen_height
    return Derived(record, anchor.height)


def _check_place(state: State, record: Record, height: int) -> None:
    if record.number != state.batches + 1:
        raise ConflictError("wrong-number", "not the next batch")
    if not state.seen_height <= record.seen_height < height:
        raise ConflictError("wrong-height", "a batch sees a height before its block's")


def _check_roots(state: State, record: Record, chunks: list[bytes]) -> None:
    if merkle.root(chunks) != record.data_root:
        raise VerificationError("data-root", "the record names other operations")
    if state.root() != record.state_root:
        raise VerificationError("state-root", "re-execution gives another state")


def _reason(error: HilumError) -> str:
    return error.step if isinstance(error, VerificationError) else error.code
