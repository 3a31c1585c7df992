"""What is wrong with an input, as a FHIR OperationOutcome: places and reasons, never values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from hilum.errors import (
    AccessDeniedError,
    ConflictError,
    HilumError,
    InsufficientDataError,
    MalformedInputError,
    UnavailableError,
)

__all__ = ["Issue", "Severity", "issue_of", "outcome", "outcome_of"]


class Severity(StrEnum):
    """How bad an issue is (FHIR issue-severity)."""

    ERROR = "error"
    WARNING = "warning"
    INFORMATION = "information"


@dataclass(frozen=True, slots=True)
class Issue:
    """One finding.

    Attributes:
        severity: error, warning or information.
        code: a code of FHIR issue-type, e.g. ``"required"``.
        why: one plain sentence without values of the input.
        expression: FHIRPath of the element, e.g. ``"Observation.status"``, or ``""``.
    """

    severity: Severity
    code: str
    why: str
    expression: str = ""


_ISSUE_TYPES = {
    "bad-json": "structure",
    "bad-encoding": "structure",
    "twin-key": "structure",
    "no-type": "required",
    "required": "required",
    "unknown-type": "not-supported",
    "unknown-parameter": "not-supported",
    "unsupported-modifier": "not-supported",
    "too-large": "too-long",
    "too-deep": "too-costly",
    "bad-id": "value",
    "value": "value",
    "structure": "structure",
    "code-invalid": "code-invalid",
    "version-mismatch": "conflict",
    "id-taken": "duplicate",
    "not-found": "not-found",
    "deleted": "deleted",
}
"""Our error codes as FHIR issue types. Source: HL7 FHIR R4, value set issue-type."""

_BY_CLASS: tuple[tuple[type[HilumError], str], ...] = (
    (MalformedInputError, "invalid"),
    (ConflictError, "conflict"),
    (InsufficientDataError, "incomplete"),
    (UnavailableError, "transient"),
    # A refusal looks like something that never existed.
    (AccessDeniedError, "not-found"),
)


def issue_of(error: HilumError) -> Issue:
    """Return the error as one issue; its place becomes the expression when it is a FHIRPath."""
    fallback = next((code for kind, code in _BY_CLASS if isinstance(error, kind)), "processing")
    code = _ISSUE_TYPES.get(error.code, fallback)
    if isinstance(error, AccessDeniedError):
        entry = error.where if error.where.startswith("Bundle.entry[") else ""
        return Issue(Severity.ERROR, code, "not found", entry)
    why = f"{error.why} ({error.hint})" if error.hint else error.why
    is_path = error.where[:1].isupper() and " " not in error.where
    if error.where and not is_path:
        why = f"{error.where}: {why}"
    return Issue(Severity.ERROR, code, why, error.where if is_path else "")


def outcome(issues: Iterable[Issue]) -> bytes:
    """Return an OperationOutcome of the issues, as JSON bytes."""
    rows = []
    for issue in issues:
        row: dict[str, object] = {
            "severity": issue.severity.value,
            "code": issue.code,
            "diagnostics": issue.why,
        }
        if issue.expression:
            row["expression"] = [issue.expression]
        rows.append(row)
    if not rows:
        rows.append({"severity": "information", "code": "informational", "diagnostics": "all ok"})
    return msgspec.json.encode({"resourceType": "OperationOutcome", "issue": rows})


def outcome_of(error: HilumError) -> bytes:
    """Return an OperationOutcome of one error, as JSON bytes."""
    return outcome([issue_of(error)])
