"""The CapabilityStatement of this node: what the registry says, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hilum import __version__
from hilum.exchange.auditing import AUDIT_PARAMETERS, AUDIT_TYPE
from hilum.record.capability import capability_statement
from hilum.record.resource import format_instant

if TYPE_CHECKING:
    from hilum.exchange.node import Node

__all__ = ["statement"]

_REFUSED = {
    AUDIT_TYPE: ("vread", "create", "update", "delete", "history-instance"),
    "Patient": ("create", "delete"),
}
"""AuditEvents are rendered from receipts; subjects are made and erased by the custodian."""


def statement(node: Node, base: str) -> bytes:
    """Return the CapabilityStatement as JSON bytes.

    Args:
        node: whose.
        base: ``http://host/fhir``.
    """
    return capability_statement(
        date=format_instant(node.clock()),
        version=__version__,
        url=base,
        refused=_REFUSED,
        searched={AUDIT_TYPE: AUDIT_PARAMETERS},
    )
