"""A load generator: keep-alive GET requests over loopback from one process of its own.

`python -m hilum.cli.load PORT TOKEN CONNECTIONS SECONDS` reads paths from standard input, one a line,
and prints one JSON line: requests, seconds, latencies. Bounded in time; asks loopback only.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from collections.abc import Sequence

from hilum.errors import UnavailableError

__all__ = ["main", "run_load"]

_READ = 1 << 16
_HEAD_END = b"\r\n\r\n"


class _Channel:
    """One keep-alive connection with one request under way."""

    __slots__ = ("buffer", "needs", "sent_at", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.needs = -1
        self.sent_at = 0.0

    def send(self, request: bytes) -> None:
        self.buffer, self.needs, self.sent_at = b"", -1, time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> bytes | None:
        """Read what came; returns the whole response once it is there.

        Raises:
            UnavailableError: the node closed the connection.
        """
        part = self.socket.recv(_READ)
        if not part:
            raise UnavailableError("closed", "the node closed the connection")
        self.buffer += part
        if self.needs < 0:
            end = self.buffer.find(_HEAD_END)
            if end < 0:
                return None
            head = self.buffer[:end].lower()
            at = head.index(b"content-length:") + len(b"content-length:")
            self.needs = end + len(_HEAD_END) + int(head[at:].split(b"\r\n", 1)[0])
        return self.buffer if len(self.buffer) >= self.needs else None


def run_load(
    port: int, token: str, paths: Sequence[str], *, connections: int, seconds: float
) -> dict[str, float]:
    """Ask for the paths in turn until the time is over; every answer must be 200.

    Args:
        port: on loopback.
        token: bearer token.
        paths: asked in turn.
        connections: kept open, one request under way on each.
        seconds: how long.

    Returns:
        ``requests``, ``seconds``, ``per_second``, ``p50_ms``, ``p99_ms``.

    Raises:
        UnavailableError: an answer was not 200, or the node went away.
    """
    head = f"Host: localhost:{port}\r\nAuthorization: Bearer {token}\r\n\r\n"
    requests = [f"GET {path} HTTP/1.1\r\n{head}".encode() for path in paths]
    took: list[float] = []
    begin, turn = time.perf_counter(), 0
    with selectors.DefaultSelector() as selector:
        channels = [_Channel(port) for _ in range(connections)]
        for channel in channels:
            selector.register(channel.socket, selectors.EVENT_READ, channel)
            channel.send(requests[turn % len(requests)])
            turn += 1
        while time.perf_counter() - begin < seconds:
            for key, _events in selector.select(timeout=1.0):
                channel = key.data
                answer = channel.receive()
                if answer is None:
                    continue
                if not answer.startswith(b"HTTP/1.1 200"):
                    raise UnavailableError("refused", "an answer was not 200")
                took.append(time.perf_counter() - channel.sent_at)
                channel.send(requests[turn % len(requests)])
                turn += 1
        for channel in channels:
            channel.socket.close()
    spent = time.perf_counter() - begin
    took.sort()
    return {
        "requests": len(took),
        "seconds": spent,
        "per_second": len(took) / spent,
        "p50_ms": took[len(took) // 2] * 1000,
        "p99_ms": took[len(took) * 99 // 100] * 1000,
    }


def main() -> None:
    """Run from the command line."""
    port, token, connections, seconds = sys.argv[1:5]
    paths = [line.strip() for line in sys.stdin if line.strip()]
    found = run_load(int(port), token, paths, connections=int(connections), seconds=float(seconds))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
