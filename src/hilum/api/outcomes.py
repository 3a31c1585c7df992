"""What refusals look like: OperationOutcomes with a place and without values; one body for absent."""

from __future__ import annotations

from hilum.api.wire import FHIR_JSON, Response
from hilum.errors import (
    AccessDeniedError,
    ConflictError,
    HilumError,
    InsufficientDataError,
    MalformedInputError,
    UnavailableError,
)
from hilum.record.outcome import Issue, Severity, outcome, outcome_of

__all__ = ["ABSENT", "GONE", "UNAUTHENTICATED", "refusal", "status_of"]

_JSON = (b"content-type", FHIR_JSON)

ABSENT = Response(404, outcome([Issue(Severity.ERROR, "not-found", "not found")]), (_JSON,))
"""The one answer for hidden, never existed and unknown tokens."""

GONE = Response(410, outcome([Issue(Severity.ERROR, "deleted", "deleted")]), (_JSON,))
"""What the reader could see was deleted."""

UNAUTHENTICATED = Response(
    401,
    outcome([Issue(Severity.ERROR, "login", "a bearer token is needed (Authorization: Bearer …)")]),
    (_JSON, (b"www-authenticate", b'Bearer realm="hilum"')),
)

_MALFORMED_STATUS = {
    "not-acceptable": 406,
    "too-large": 413,
    "too-long": 414,
    "bad-coding": 415,
    "bad-type": 415,
    "bad-host": 400,
    "unknown-type": 404,
    "not-supported": 405,
    "bad-json": 400,
    "bad-encoding": 400,
    "no-type": 400,
    "twin-key": 400,
    "too-deep": 400,
    "unknown-parameter": 400,
    "unsupported-modifier": 400,
    "bad-search": 400,
    "bad-argument": 400,
    "bad-date": 400,
    "other-id": 400,
}
_UNPROCESSABLE = 422
_PRECONDITIONS = frozenset({"version-mismatch", "several-matches", "exists"})


def refusal(error: HilumError, *, body_was_read: bool = False) -> Response:
    """Return the response for an error; an `AccessDeniedError` looks like nothing there.

    Args:
        error: what was raised.
        body_was_read: True when the error speaks of a parsed body (422 instead of 400).
    """
    if isinstance(error, AccessDeniedError) and not error.where:
        return ABSENT
    headers = [_JSON]
    if isinstance(error, UnavailableError) and error.retryable:
        headers.append((b"retry-after", b"2"))
    return Response(
        status_of(error, body_was_read=body_was_read), outcome_of(error), tuple(headers)
    )


def status_of(error: HilumError, *, body_was_read: bool = False) -> int:
    """Return the HTTP status of an error."""
    if isinstance(error, AccessDeniedError):
        return 404
    if isinstance(error, MalformedInputError):
        return _MALFORMED_STATUS.get(error.code, _UNPROCESSABLE if body_was_read else 400)
    if isinstance(error, ConflictError):
        return 412 if error.code in _PRECONDITIONS else 409
    if isinstance(error, InsufficientDataError):
        return _UNPROCESSABLE
    return 503 if isinstance(error, UnavailableError) else 500
