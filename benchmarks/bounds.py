"""Raw upper bounds: the least work that could give each figure, measured in the same run.

Each bound does only what cannot be left out: parse the same bytes, write the same number of rows, serve
the same number of bytes. What Hilum adds (validation, labels, sealing, index rows, consent, receipts) is
the difference.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
from lxml import etree

BODY_BYTES = 750
_SERVER = """
import asyncio, sqlite3, sys
import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server
conn = sqlite3.connect(sys.argv[2])
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    row = conn.execute("select body from r where id = ?", (scope["path"][1:],)).fetchone()
    headers = [(b"content-type", b"application/fhir+json"), (b"content-length", b"%d" % len(row[0]))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": row[0]})
async def main():
    server = Server(app, address="127.0.0.1", port=int(sys.argv[1]), interface=Interfaces.ASGI,
                    log_enabled=False)
    await server.serve()
uvloop.run(main())
"""


def whole_process(code: str) -> float:
    """Seconds of a Python process that runs the code."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return time.perf_counter() - began


def bundle_rate(path: Path) -> float:
    """Resources a second: gunzip, parse, one SQLite row each, one durable commit."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        conn = sqlite3.connect(Path(folder) / "raw.db", isolation_level=None)
        conn.execute("pragma journal_mode=wal")
        conn.execute("pragma synchronous=full")
        conn.execute("create table r(id text primary key, body blob) without rowid")
        bundle = msgspec.json.decode(gzip.decompress(path.read_bytes()))
        rows = [
            (str(number), msgspec.json.encode(entry["resource"]))
            for number, entry in enumerate(bundle["entry"])
        ]
        conn.execute("begin")
        conn.executemany("insert into r values(?,?)", rows)
        conn.execute("commit")
        conn.close()
    return len(rows) / (time.perf_counter() - began)


def xml_rate(path: Path) -> float:
    """Records a second: lxml walks over the file and reads one attribute."""
    began, count = time.perf_counter(), 0
    for _event, element in etree.iterparse(
        str(path), events=("end",), tag="Record", load_dtd=False
    ):
        count += element.get("value") is not None
        element.clear()
        while element.getprevious() is not None:
            del element.getparent()[0]
    return count / (time.perf_counter() - began)


@contextlib.contextmanager
def raw_server() -> Iterator[tuple[int, float]]:
    """A server that sends bytes from SQLite and nothing else: (port, seconds to its first answer)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "raw.db"
        conn = sqlite3.connect(path)
        conn.execute("create table r(id text primary key, body blob) without rowid")
        body = json.dumps({"resourceType": "Observation", "note": "x" * BODY_BYTES}).encode()
        conn.executemany("insert into r values(?,?)", [(str(n), body) for n in range(200)])
        conn.commit()
        conn.close()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        began = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-c", _SERVER, str(port), str(path)])
        try:
            until = time.monotonic() + 10
            while time.monotonic() < until:
                with (
                    contextlib.suppress(OSError),
                    socket.create_connection(("127.0.0.1", port), 0.2),
                ):
                    break
                time.sleep(0.005)
            yield port, time.perf_counter() - began
        finally:
            process.terminate()
            process.wait(timeout=10)


def cpu_seconds(pid: int) -> float:
    """CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mb(pid: int) -> float:
    """Largest resident memory of a process so far, MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0
