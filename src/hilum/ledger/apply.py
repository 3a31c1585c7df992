"""The one rule book: what an operation does to the cells.

The same function validates what is submitted, seals batches, re-executes them and judges disputes.
It changes one cell or nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from msgspec.structs import replace

from hilum.errors import ConflictError
from hilum.ledger.cell import CLOSED, Cell, Rule
from hilum.ledger.operation import (
    Kind,
    Operation,
    encode_operation,
    operation_message,
    verify_signature,
)
from hilum.ledger.state import Cells

__all__ = ["SignatureCheck", "apply", "trust_signature"]

SignatureCheck: TypeAlias = Callable[[bytes, bytes, bytes], None]
"""Takes key, message and signature; raises VerificationError. `verify_signature` is the one."""

MAX_SEQ = 0xFFFFFFFF


def trust_signature(public: bytes, message: bytes, signature: bytes) -> None:
    """Accept any signature: only for operations this node itself verified before storing them."""


def apply(cells: Cells, operation: Operation, *, verify: SignatureCheck = verify_signature) -> Cell:
    """Apply one operation.

    Args:
        cells: changed in place when the operation holds, else left as they are.
        operation: what to do.
        verify: checks the owner's signature.

    Returns:
        The cell after the operation.

    Raises:
        ConflictError: when there is no such cell, it is closed, its rule forbids this, the size
            does not grow, or the owner key has served before.
        VerificationError: when the signature does not hold.
    """
    if operation.kind is Kind.OPEN:
        return _open(cells, operation, verify)
    before = cells.cell(operation.index)
    after = _change(before, operation)
    if operation.kind is Kind.ROTATE:
        _require_fresh(cells, operation.owner)
    _verify(cells, operation, verify, owner=before.owner, seq=before.seq)
    cells.put(after, owner_is_new=operation.kind is Kind.ROTATE)
    return after


def _open(cells: Cells, operation: Operation, verify: SignatureCheck) -> Cell:
    # Without this a revoked directive could rise again by a replay of its opening.
    _require_fresh(cells, operation.owner)
    _verify(cells, operation, verify, owner=operation.owner, seq=0)
    cell = Cell(
        index=len(cells),
        rule=operation.rule,
        owner=operation.owner,
        seq=0,
        until=operation.until,
        size=0,
        value=operation.value,
    )
    cells.put(cell, owner_is_new=True)
    return cell


def _change(cell: Cell, operation: Operation) -> Cell:
    if cell.is_closed:
        raise ConflictError("cell-closed", f"cell {cell.index} is closed")
    if cell.seq == MAX_SEQ:
        raise ConflictError("cell-worn", f"cell {cell.index} has no sequence number left")
    next_cell = replace(cell, seq=cell.seq + 1)
    if operation.kind is Kind.CLOSE:
        return replace(next_cell, rule=cell.rule | CLOSED)
    if operation.kind is Kind.ROTATE:
        return replace(next_cell, owner=operation.owner)
    needed = Rule.REPLACEABLE if operation.kind is Kind.SET else Rule.APPEND_ONLY
    if cell.rule != needed:
        raise ConflictError("rule-forbids", f"the rule of cell {cell.index} forbids this")
    if operation.kind is Kind.SET:
        return replace(next_cell, value=operation.value)
    if operation.size <= cell.size:
        raise ConflictError("size-must-grow", f"cell {cell.index} only grows")
    return replace(next_cell, size=operation.size, value=operation.value)


def _require_fresh(cells: Cells, owner: bytes) -> None:
    if cells.has_owner(owner):
        raise ConflictError("owner-used", "an owner key serves once in a ledger")


def _verify(
    cells: Cells, operation: Operation, verify: SignatureCheck, *, owner: bytes, seq: int
) -> None:
    if verify is trust_signature:  # spares the hashing when a stored ledger is loaded
        return
    unsigned = encode_operation(operation, signed=False)
    verify(owner, operation_message(cells.ledger, unsigned, seq), operation.signature)
