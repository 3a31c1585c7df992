"""Breaking the glass: same gate, same receipt, no other door."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import msgspec

from hilum.base.ids import CompartmentId, UnixMs
from hilum.consent.policy import BasePolicy
from hilum.errors import AccessDeniedError, MalformedInputError, VerificationError
from hilum.identity.reader import Reader

__all__ = [
    "EmergencyAccess",
    "EmergencyRequest",
    "EmergencyStage",
    "decode_emergency",
    "encode_emergency",
    "open_emergency",
    "widen_emergency",
]

_HOUR_MS = 3_600_000
_TEXT_LIMIT = 1000
_BODY_VERSION = 1


class EmergencyStage(IntEnum):
    """How much is seen: the emergency subset first, all of it after a second reason."""

    SUBSET = 1
    FULL = 2


@dataclass(frozen=True, slots=True)
class EmergencyRequest:
    """What a reader must say to break the glass.

    Source: 42 CFR 2.51(c)(1)-(4): recipient and affiliation, discloser, date and time, nature.

    Attributes:
        reader: who.
        affiliation: the health care facility the reader belongs to.
        discloser: who discloses: the custodian's name.
        nature: nature of the emergency.
        reason: why this record, in words.
        at_unix_ms: date and time.
    """

    reader: Reader
    affiliation: str
    discloser: str
    nature: str
    reason: str
    at_unix_ms: UnixMs


@dataclass(frozen=True, slots=True)
class EmergencyAccess:
    """Broken glass: who, why, until when.

    Attributes:
        compartment: whose record.
        reader: FHIR reference of the reader.
        opened_unix_ms: from when.
        expires_unix_ms: first instant at which it no longer holds.
        stage: how much is seen.
        request: what the reader said.
        second_reason: what the reader said to see all, or ``""``.
    """

    compartment: CompartmentId
    reader: str
    opened_unix_ms: UnixMs
    expires_unix_ms: UnixMs
    stage: EmergencyStage
    request: EmergencyRequest
    second_reason: str = ""

    def holds(self, now: UnixMs) -> bool:
        """Tell whether the glass is broken at that instant."""
        return self.opened_unix_ms <= now < self.expires_unix_ms


def open_emergency(
    policy: BasePolicy, request: EmergencyRequest, *, compartment: CompartmentId, now: UnixMs
) -> EmergencyAccess:
    """Return the emergency access that the policy allows: the subset, for at most four hours.

    Raises:
        MalformedInputError: when a field that the law demands is missing; names it.
        AccessDeniedError: when the reader's role may not break the glass.
    """
    for name in ("affiliation", "discloser", "nature", "reason"):
        parse_words(getattr(request, name), where=f"emergency.{name}")
    if not 0 <= now - request.at_unix_ms <= policy.break_glass.hours * _HOUR_MS:
        raise MalformedInputError(
            "bad-emergency", "in the future or too long ago", where="emergency.at"
        )
    if request.reader.role not in policy.break_glass.roles:
        raise AccessDeniedError("emergency-role", "this role may not break the glass")
    expires = UnixMs(request.at_unix_ms + policy.break_glass.hours * _HOUR_MS)
    return EmergencyAccess(
        compartment=compartment,
        reader=request.reader.reference,
        opened_unix_ms=request.at_unix_ms,
        expires_unix_ms=expires,
        stage=EmergencyStage.SUBSET,
        request=request,
    )


def widen_emergency(access: EmergencyAccess, reason: str, *, now: UnixMs) -> EmergencyAccess:
    """Return the access widened from the subset to all; it expires when it did before.

    Raises:
        MalformedInputError: when the second reason is missing.
        AccessDeniedError: when the glass is no longer broken.
    """
    parse_words(reason, where="emergency.second_reason")
    if not access.holds(now):
        raise AccessDeniedError("emergency-over", "the emergency access has expired")
    return replace(access, stage=EmergencyStage.FULL, second_reason=reason)


def encode_emergency(access: EmergencyAccess) -> bytes:
    """Return the body to seal."""
    return bytes([_BODY_VERSION]) + msgspec.json.encode(access)


def decode_emergency(data: bytes) -> EmergencyAccess:
    """Return the emergency access of an opened body.

    Raises:
        VerificationError: when it is not one (step ``emergency``).
    """
    if data[:1] != bytes([_BODY_VERSION]):
        raise VerificationError("emergency", "not an emergency access of this version")
    try:
        return msgspec.json.decode(data[1:], type=EmergencyAccess)
    except msgspec.DecodeError:
        raise VerificationError("emergency", "not an emergency access") from None


def parse_words(text: str, *, where: str) -> str:
    """Return a text that a person wrote.

    Raises:
        MalformedInputError: when it is empty or too long.
    """
    if not text.strip() or len(text) > _TEXT_LIMIT:
        raise MalformedInputError(
            "bad-emergency", "missing, or longer than 1000 characters", where=where
        )
    return text
