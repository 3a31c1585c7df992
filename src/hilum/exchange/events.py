"""Structured log lines with stable event names; never health data, never an id in the clear."""

from __future__ import annotations

import logging

import msgspec

__all__ = ["report"]

_LOG = logging.getLogger("hilum")


def report(event: str, **fields: str | int | float) -> None:
    """Write one log line: ``{"event": …, …}`` as JSON.

    Args:
        event: stable name in kebab-case.
        fields: codes, counts and durations; nothing that came from a record or a request.
    """
    _LOG.warning(msgspec.json.encode({"event": event, **fields}).decode())
