"""Purposes of use: the v3 PurposeOfUse codes as bits, with their hierarchy.

A permit for a code covers every code below it, so TREAT covers ETREAT and BTG. Bit numbers are part
of signed terms: the list is append-only.

Source: HL7 v3 Code System ActReason 2018-08-12 (FHIR R4), branch ``PurposeOfUse``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from hilum.base.hashes import tagged_hash
from hilum.errors import MalformedInputError

__all__ = [
    "ALL_PURPOSES",
    "EMERGENCY_PURPOSES",
    "PURPOSE_SYSTEM",
    "Purpose",
    "parse_purpose",
    "purpose_codes",
    "purpose_digest",
    "purpose_mask",
    "purpose_names",
]

PURPOSE_SYSTEM = "http://terminology.hl7.org/CodeSystem/v3-ActReason"

_TREE = """
HMARKT
HOPERAT
 CAREMGT DONAT FRAUD GOV HACCRED HCOMPL HDECD HDIRECT HDM HLEGAL HOUTCOMS HPRGRP HQUALIMP
 HSYSADMIN
  LABELING METAMGT
 MEMADMIN MILCDM PATADMIN PATSFTY PERFMSR RECORDMGT
 SYSDEV
  HTEST
 TRAIN
HPAYMT
 CLMATTCH COVAUTH
 COVERAGE
  ELIGDTRM ELIGVER ENROLLM MILDCRG
 REMITADV
HRESCH
 BIORCH
 CLINTRCH
  CLINTRCHNPC CLINTRCHPC PRECLINTRCH
 DSRCH POARCH TRANSRCH
PATRQT
 FAMRQT PWATRNY SUPNWK
PUBHLTH
 DISASTER THREAT
TREAT
 CLINTRL COC
 ETREAT
  BTG ERTREAT
 POPHLTH
"""


@dataclass(frozen=True, slots=True)
class Purpose:
    """Why a reader reads.

    Attributes:
        code: a v3 code, or ``system|code`` for a purpose of another code system.
        bit: the code's own bit; 0 for a purpose of another code system.
        digest: what terms name such a purpose by, 32 bytes.
    """

    code: str
    bit: int
    digest: bytes


def _read_tree() -> tuple[dict[str, int], dict[str, int]]:
    bits: dict[str, int] = {}
    closures: dict[str, int] = {}
    above: list[str] = []
    for line in _TREE.strip().splitlines():
        depth = len(line) - len(line.lstrip())
        for code in line.split():
            bits[code] = 1 << len(bits)
            above[depth:] = [code]
            for name in above:
                closures[name] = closures.get(name, 0) | bits[code]
    return bits, closures


_BITS, _CLOSURES = _read_tree()
ALL_PURPOSES = (1 << len(_BITS)) - 1
"""Mask of every v3 purpose."""
EMERGENCY_PURPOSES = _CLOSURES["ETREAT"]
"""Mask of ETREAT and what lies below it: the purposes under which the glass may be broken."""


def purpose_names() -> tuple[str, ...]:
    """Return every v3 code, in the order of the code system."""
    return tuple(_BITS)


def purpose_digest(system: str, code: str) -> bytes:
    """Return the 32 bytes by which terms name a purpose of another code system."""
    return tagged_hash("hilum/purpose/v1", f"{system}|{code}".encode())


@lru_cache(maxsize=256)
def parse_purpose(text: str, where: str = "purpose") -> Purpose:
    """Return the purpose of a v3 code, or of ``system|code``.

    Raises:
        MalformedInputError: when it is neither.
    """
    system, mark, code = text.rpartition("|")
    if not mark or system == PURPOSE_SYSTEM:
        bit = _BITS.get(code)
        if bit is None:
            raise MalformedInputError(
                "unknown-purpose",
                "not a v3 PurposeOfUse code",
                where=where,
                hint="for example TREAT, HPAYMT, HOPERAT, HRESCH, PATRQT, PUBHLTH, ETREAT",
            )
        return Purpose(code, bit, purpose_digest(PURPOSE_SYSTEM, code))
    if not system or not code or len(text) > 255 or not text.isprintable():
        raise MalformedInputError("unknown-purpose", "not a purpose: system|code", where=where)
    return Purpose(text, 0, purpose_digest(system, code))


def purpose_mask(codes: Iterable[str], *, where: str = "purpose") -> int:
    """Return the mask of the v3 codes and of every code below them.

    Raises:
        MalformedInputError: when a code is not a v3 PurposeOfUse code.
    """
    mask = 0
    for code in codes:
        closure = _CLOSURES.get(code)
        if closure is None:
            raise MalformedInputError("unknown-purpose", "not a v3 PurposeOfUse code", where=where)
        mask |= closure
    return mask


@lru_cache(maxsize=1024)
def purpose_codes(mask: int) -> tuple[str, ...]:
    """Return the fewest codes whose closures make up the mask, in the order of the code system.

    Raises:
        MalformedInputError: when no codes do (a code without those below it).
    """
    codes: list[str] = []
    covered = 0
    for code, closure in _CLOSURES.items():
        if closure & ~mask == 0 and closure & ~covered:
            codes.append(code)
            covered |= closure
    if covered != mask:
        raise MalformedInputError(
            "open-purpose", "a purpose without those below it", where="purposes"
        )
    return tuple(codes)
