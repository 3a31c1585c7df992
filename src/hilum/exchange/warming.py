"""What a node does once it answers: load the rules that its first import and first search would wait for."""

from __future__ import annotations

import contextlib

from hilum.errors import MalformedInputError
from hilum.exchange.examining import examine
from hilum.record.parameters import parameters_of

__all__ = ["COMMON_TYPES", "warm_up"]

COMMON_TYPES = (
    "AllergyIntolerance", "CarePlan", "Claim", "Condition", "DiagnosticReport", "Encounter",
    "ExplanationOfBenefit", "Goal", "ImagingStudy", "Immunization", "MedicationRequest",
    "Observation", "Organization", "Patient", "Practitioner", "Procedure",
)  # fmt: skip
"""Types that hospital records are mostly made of; others are made ready when they first come."""


def warm_up() -> None:
    """Compile the write gate and the search paths of the common types: about 10 ms and 1 MB each."""
    for name in COMMON_TYPES:
        with contextlib.suppress(MalformedInputError):  # an empty resource is rarely valid
            examine(b'{"resourceType":"%s"}' % name.encode())
        parameters_of(name)
