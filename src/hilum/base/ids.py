"""Ids and clock values as types, so that one cannot be passed for another."""

from __future__ import annotations

import re
from typing import NewType

from hilum.errors import MalformedInputError

__all__ = [
    "CompartmentId",
    "FhirId",
    "GranteeId",
    "ReaderId",
    "SubjectId",
    "UnixMs",
    "is_fhir_id",
    "parse_fhir_id",
]

UnixMs = NewType("UnixMs", int)
"""Milliseconds since 1970-01-01T00:00:00Z."""
FhirId = NewType("FhirId", str)
SubjectId = NewType("SubjectId", str)
"""The id of the subject's Patient resource."""
CompartmentId = NewType("CompartmentId", int)
"""A record's number inside a node; 0 is the shared directory."""
ReaderId = NewType("ReaderId", str)
GranteeId = NewType("GranteeId", bytes)
"""32 bytes: what a clause names instead of a reader."""

_FHIR_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}\Z")


def is_fhir_id(text: str) -> bool:
    """Tell whether the text is a FHIR R4 ``id`` (1-64 of ``A-Z a-z 0-9 - .``)."""
    return _FHIR_ID.match(text) is not None


def parse_fhir_id(text: str, *, where: str) -> FhirId:
    """Return the text as a FHIR id.

    Raises:
        MalformedInputError: when it is not one.
    """
    if not is_fhir_id(text):
        raise MalformedInputError(
            "bad-id", "not a FHIR id", where=where, hint="1 to 64 letters, digits, '-' or '.'"
        )
    return FhirId(text)
