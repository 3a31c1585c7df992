"""The chain of one subject's receipts: each names the leaf of the one before it."""

from __future__ import annotations

from collections.abc import Sequence

from hilum.errors import VerificationError
from hilum.journal.model import Receipt
from hilum.journal.receipt import FIRST

__all__ = ["find_gap", "verify_chain"]

STEP = "subject-chain"


def find_gap(links: Sequence[tuple[Receipt, bytes]], *, after: bytes = FIRST) -> int | None:
    """Return the position of the first receipt whose predecessor is missing, or None.

    Args:
        links: receipts of one subject with their 32-byte leaves, oldest first.
        after: leaf that the first of them must follow; `FIRST` for a whole chain.
    """
    number = -1
    for position, (receipt, leaf) in enumerate(links):
        if receipt.previous != after or receipt.number <= number:
            return position
        after, number = leaf, receipt.number
    return None


def verify_chain(links: Sequence[tuple[Receipt, bytes]], *, head: bytes | None = None) -> None:
    """Check that nothing is missing between a subject's first receipt and the last one shown.

    Args:
        links: receipts of one subject with their 32-byte leaves, oldest first.
        head: leaf of the last receipt when it is known from elsewhere, e.g. a reader's copy.

    Raises:
        VerificationError: naming the receipt whose predecessor is missing.
    """
    gap = find_gap(links)
    if gap is not None:
        raise VerificationError(
            STEP, "a receipt before this one is missing", where=f"receipt {links[gap][0].number}"
        )
    last = links[-1][1] if links else FIRST
    if head is not None and head != last:
        raise VerificationError(STEP, "receipts after the last one shown are missing")
