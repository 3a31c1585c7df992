"""A response whose body is made while it is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator

from hilum.api.wire import Response, Send

__all__ = ["Stream"]


class Stream(Response, frozen=True):
    """One response without a length: its parts are asked for one after the other.

    Attributes:
        parts: what the body is made of; when it raises, the connection is cut, so that the client sees that
            the body is not whole.
    """

    parts: AsyncIterator[bytes] | None = None

    async def send(self, send: Send, *, bodiless: bool = False) -> None:
        """Send the head, then each part as it comes; for HEAD, the head alone."""
        headers = [
            *self.headers,
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        if not bodiless and self.parts is not None:
            async for part in self.parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
