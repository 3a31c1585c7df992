"""Index rows made anew when a release makes other ones: before a node serves, resumable."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hilum.exchange.node import Node

__all__ = ["renew_indexes"]

_STEP = 500
"""Resources in one commit."""


def renew_indexes(node: Node) -> None:
    """Bring the index tables up to this release; do nothing when they are.

    Raises:
        UnavailableError: the disk refuses; what was done stays done.
    """
    if node.record.indexes.is_current(node.conn):
        return
    while not node.writer.write(lambda conn: node.record.indexes.renew(conn, limit=_STEP)):
        pass
