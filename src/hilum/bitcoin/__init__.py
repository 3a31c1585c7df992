"""Bitcoin: transactions, blocks, inclusion proofs, and the thread of anchors.

Hashes and transaction ids are bytes in internal order everywhere; `wire.display_hash` shows them
as people write them.
"""

EMBEDDED_BANNER = "This chain runs inside this node and proves nothing to outsiders."
"""Stands wherever something anchored in the embedded chain is shown."""

__all__ = ["EMBEDDED_BANNER"]
