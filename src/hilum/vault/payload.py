"""What is known of an original payload beside its sealed bytes."""

from __future__ import annotations

from dataclasses import dataclass

from hilum.base.ids import CompartmentId

__all__ = ["Original"]


@dataclass(frozen=True, slots=True)
class Original:
    """One payload as it came.

    Attributes:
        cid: whose it is.
        name: keyed hash of its content.
        kind: what it is, e.g. ``fhir`` or ``dexcom-clarity-csv``.
        size: bytes.
        at_unix_ms: when it was kept first.
    """

    cid: CompartmentId
    name: str
    kind: str
    size: int
    at_unix_ms: int
