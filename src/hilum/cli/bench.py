"""`hilum bench`: what this machine does with a throw-away node, a few seconds per figure.

The figures with their raw bounds and goals are made by `make bench` (docs/reference/benchmarks.md);
this is the short look for an operator who wonders what a machine can do.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from hilum.cli.throwaway import ThrowawayNode, serve_throwaway

__all__ = ["Row", "idle_mb", "ids_of", "load", "measure", "timed"]

Row = dict[str, Any]

_DAY_MS = 86_400_000
_APPLE_DAYS = 60
_LOAD_S = 5.0
_CONNECTIONS = 64


def measure() -> list[Row]:
    """Return rows ``{"figure", "value", "unit"}``; a progress line each goes to standard error."""
    rows: list[Row] = []
    with serve_throwaway() as node:
        for row in _figures(node):
            click.echo(f"{row['figure']}: {row['value']} {row['unit']}", err=True)
            rows.append(row)
    return rows


def _figures(node: ThrowawayNode) -> Iterator[Row]:
    yield _row("start to first answer", node.started_s, "s")
    yield _row("idle memory", idle_mb(node.pid), "MB")
    subject, rate = _import_family(node)
    yield _row("FHIR import", rate, "resources/s")
    yield _row("Apple Health import", _import_phone(node, subject), "records/s")
    token = node.token(subject=subject)
    ids = ids_of(node, token, f"/fhir/Observation?patient={subject}&category=laboratory&_count=200")
    reads = load(node, token, [f"/fhir/Observation/{name}" for name in ids])
    yield _row("read by id, receipt durable", reads["per_second"], "requests/s")
    yield _row("read by id, 99th percentile", reads["p99_ms"], "ms")
    search = f"/fhir/Observation?patient={subject}&code=http://loinc.org|4548-4"
    yield _row("patient search", load(node, token, [search])["per_second"], "requests/s")
    yield _row("seal and anchor", timed(lambda: node.operate("seal")), "s")
    yield _row("verify, whole process", _verify(node, subject), "s")


def _import_family(node: ThrowawayNode) -> tuple[str, float]:
    from hilum.exchange.demo_family import FAMILY, directory_bundle, hospital_bundle

    now = time.time_ns() // 1_000_000
    directory = node.root / "directory.json"
    directory.write_bytes(directory_bundle())
    node.operate("import", subject=None, directory=True, zone=None, files=[str(directory)])
    subject, accepted, spent = "", 0, 0.0
    for member in reversed(FAMILY):
        path = node.root / f"{member.key}.json"
        path.write_bytes(hospital_bundle(member, now_ms=now))
        began = time.perf_counter()
        report = node.operate(
            "import", subject="new", directory=False, zone=None, files=[str(path)]
        )
        spent += time.perf_counter() - began
        accepted += report["accepted"]
        subject = report["subject"]
    return subject, accepted / spent


def _import_phone(node: ThrowawayNode, subject: str) -> float:
    from hilum.signals.synthetic import apple_export_xml

    start = time.time_ns() // 1_000_000 // _DAY_MS * _DAY_MS - _APPLE_DAYS * _DAY_MS
    path = node.root / "export.xml"
    with path.open("wb") as file:
        file.writelines(apple_export_xml(3, start, _APPLE_DAYS, "Europe/Madrid"))
    began = time.perf_counter()
    report = node.operate("import", subject=subject, directory=False, zone=None, files=[str(path)])
    return float(report["accepted"] / (time.perf_counter() - began))


def _verify(node: ThrowawayNode, subject: str) -> float:
    receipt = node.operate("log", subject=subject)[0]["receipt"]
    proof, headers = node.root / "receipt.proof", node.root / "headers.json"
    proof.write_text(node.operate("prove", receipt=receipt)["proof"])
    headers.write_text(node.operate("headers")["headers"])
    command = [sys.executable, "-m", "hilum", "verify", str(proof), "--headers", str(headers)]
    return timed(lambda: subprocess.run(command, check=True, capture_output=True))  # noqa: S603 - our own


def load(
    node: ThrowawayNode, token: str, paths: list[str], *, seconds: float = _LOAD_S
) -> dict[str, float]:
    """Return what `hilum.cli.load` measures from a process of its own."""
    command = [
        sys.executable, "-m", "hilum.cli.load", str(node.port), token, str(_CONNECTIONS), str(seconds),
    ]  # fmt: skip
    done = subprocess.run(  # noqa: S603 - our own command
        command, input="\n".join(paths), text=True, capture_output=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def ids_of(node: ThrowawayNode, token: str, path: str) -> list[str]:
    """Return the ids on the first page of a search."""
    _status, body = node.ask(path, token)
    return [entry["resource"]["id"] for entry in json.loads(body).get("entry", ())]


def idle_mb(pid: int) -> float:
    """Return the resident memory of a process in MB, as Linux counts it."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def timed(act: Callable[[], object]) -> float:
    """Return how many seconds an act takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _row(figure: str, value: float, unit: str) -> Row:
    return {"figure": figure, "value": round(value, 3 if value < 10 else 0), "unit": unit}
