"""Prove that after shredding nothing of a compartment decrypts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hilum.errors import UnavailableError, VerificationError
from hilum.vault.keyring import Keyring

__all__ = ["ErasureReport", "SealedSample", "prove_shredded", "verify_shredded"]


@dataclass(frozen=True, slots=True)
class SealedSample:
    """A sealed body kept from before, with the place it was sealed for."""

    sealed: bytes
    type_number: int
    id: str
    ver: int
    seg: int


@dataclass(frozen=True, slots=True)
class ErasureReport:
    """What was tried after shredding.

    Attributes:
        compartment: the shredded compartment.
        samples: sealed bodies that were tried.
        opened: how many of them still opened; 0 when erasure holds.
        keys_left: whether the store still has a key.
        traces: wrapped keys from before that were looked for in the raw key file.
        residue: how many of them were found; 0 when erasure holds.
    """

    compartment: int
    samples: int
    opened: int
    keys_left: bool
    traces: int
    residue: int

    @property
    def is_clean(self) -> bool:
        """Tell whether nothing opened and nothing was found."""
        return not (self.opened or self.keys_left or self.residue)


def prove_shredded(
    keyring: Keyring,
    cid: int,
    *,
    samples: Sequence[SealedSample],
    traces: Sequence[bytes],
    raw: Iterable[bytes],
) -> ErasureReport:
    """Try to open what was sealed and look for what was wrapped.

    Args:
        keyring: the node's keyring, after `shred`.
        cid: the shredded compartment.
        samples: sealed bodies of it, for example from a backup of the record.
        traces: its wrapped keys as they were before (`SqliteKeyStore.wrapped`).
        raw: raw bytes of the key file (`SqliteKeyStore.raw`).
    """
    opened = sum(_opens(keyring, cid, sample) for sample in samples)
    files = list(raw)
    residue = sum(any(trace in data for data in files) for trace in traces)
    return ErasureReport(
        cid, len(samples), opened, keyring.holds(cid), traces=len(traces), residue=residue
    )


def verify_shredded(report: ErasureReport) -> None:
    """Check that the report shows a complete erasure.

    Raises:
        VerificationError: when anything opened or was found (step ``erasure``).
    """
    if not report.is_clean:
        raise VerificationError("erasure", "something of the compartment is still readable")


def _opens(keyring: Keyring, cid: int, sample: SealedSample) -> bool:
    try:
        keyring.open(
            sample.sealed,
            cid=cid,
            type_number=sample.type_number,
            id=sample.id,
            ver=sample.ver,
            seg=sample.seg,
        )
    except (UnavailableError, VerificationError):
        return False
    return True
