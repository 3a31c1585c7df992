"""The CapabilityStatement of this node: what the registry says, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hilum import __version__
from hilum.record.capability import capability_statement
from hilum.record.resource import format_instant

if TYPE_CHECKING:
    from hilum.exchange.node import Node

__all__ = ["statement"]


def statement(node: Node, base: str) -> bytes:
    """Return the CapabilityStatement as JSON bytes.

    Args:
        node: whose.
        base: ``http://host/fhir``.
    """
    return capability_statement(date=format_instant(node.clock()), version=__version__, url=base)
