"""Units of money, size and time as types, so that one cannot be passed for another."""

from __future__ import annotations

from typing import TYPE_CHECKING, NewType

if TYPE_CHECKING:
    from hilum.base.ids import UnixMs

__all__ = ["Sat", "VirtualBytes", "WeightUnits", "unix_seconds", "virtual_bytes"]

Sat = NewType("Sat", int)
"""10⁻⁸ bitcoin."""
WeightUnits = NewType("WeightUnits", int)
"""BIP141 weight: four per byte outside the witness, one per byte inside."""
VirtualBytes = NewType("VirtualBytes", int)


def virtual_bytes(weight: WeightUnits) -> VirtualBytes:
    """Return the virtual size of a weight, rounded up.

    Args:
        weight: in weight units.

    Returns:
        vB. Source: BIP141, "Transaction size calculations".
    """
    return VirtualBytes((weight + 3) // 4)


def unix_seconds(instant: UnixMs) -> int:
    """Return whole seconds since 1970-01-01T00:00:00Z, rounded down.

    Args:
        instant: in milliseconds.
    """
    return instant // 1000
