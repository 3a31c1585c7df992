"""Codes of FHIR Consent and what they are in terms.

Source: HL7 v3 ActCode and Confidentiality (FHIR R4); FHIR R4 consentaction. SUD stands above ETHUD there.
What FHIR has no code for (device data, single actions) has one of ours.
"""

from __future__ import annotations

from collections.abc import Iterable

from hilum.errors import MalformedInputError
from hilum.record.access import Action, Segment

__all__ = [
    "ACTIONS",
    "CATEGORY",
    "CLASS_SYSTEM",
    "RECIPIENT",
    "SCOPE",
    "SEGMENTS",
    "SENSITIVE_SEGMENTS",
    "codings_of",
    "mask_of",
]

Coding = tuple[str, str]

SCOPE: Coding = ("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy")
CATEGORY: Coding = ("http://loinc.org", "59284-0")
RECIPIENT: Coding = ("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP")
CLASS_SYSTEM = "http://hl7.org/fhir/resource-types"

_CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
_ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_CONSENT_ACTION = "http://terminology.hl7.org/CodeSystem/consentaction"
_OUR_SEGMENT = "urn:hilum:segment"
_OUR_ACTION = "urn:hilum:action"

SENSITIVE_SEGMENTS = int(
    Segment.PSY | Segment.SUD | Segment.HIV | Segment.SEX | Segment.ETH | Segment.GEN
)

SEGMENTS: dict[Coding, int] = {
    (_CONFIDENTIALITY, "R"): SENSITIVE_SEGMENTS,
    (_CONFIDENTIALITY, "N"): int(Segment.NORMAL),
    (_ACT_CODE, "SUD"): int(Segment.SUD | Segment.ETH),
    (_ACT_CODE, "ETH"): int(Segment.SUD | Segment.ETH),
    (_ACT_CODE, "PSY"): int(Segment.PSY),
    (_ACT_CODE, "HIV"): int(Segment.HIV),
    (_ACT_CODE, "SEX"): int(Segment.SEX),
    (_ACT_CODE, "ETHUD"): int(Segment.ETH),
    (_ACT_CODE, "GDIS"): int(Segment.GEN),
    (_OUR_SEGMENT, "SUD"): int(Segment.SUD),
    (_OUR_SEGMENT, "DEV"): int(Segment.DEV),
}
"""Label → segments; the widest first, so that `codings_of` needs the fewest."""

ACTIONS: dict[Coding, int] = {
    (_CONSENT_ACTION, "access"): int(Action.READ | Action.SEARCH | Action.HISTORY),
    (_CONSENT_ACTION, "collect"): int(Action.CONTRIBUTE),
    (_CONSENT_ACTION, "disclose"): int(Action.EXPORT),
    **{(_OUR_ACTION, str(action.name).lower()): int(action) for action in Action},
}
"""Action → mask of `Action`; the widest first."""


def mask_of(codings: Iterable[Coding], table: dict[Coding, int], *, where: str) -> int:
    """Return the union of what the codings are in terms.

    Raises:
        MalformedInputError: when one is not in the table; `where` names it.
    """
    mask = 0
    for at, coding in enumerate(codings):
        if coding not in table:
            raise MalformedInputError(
                "not-expressible", "terms cannot hold this code apart", where=f"{where}[{at}]"
            )
        mask |= table[coding]
    return mask


def codings_of(mask: int, table: dict[Coding, int]) -> list[Coding]:
    """Return few codings whose union is the mask."""
    left, found = mask, []
    for coding, part in table.items():
        if part & ~mask == 0 and part & left:
            found.append(coding)
            left &= ~part
    return found
