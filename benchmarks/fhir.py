"""The four workloads on a node and on the least server that could do them, and the thirty shapes."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from population import Corpus
from shapes import SHAPES
from workloads import Target

from hilum.cli.throwaway import ThrowawayNode, serve_throwaway

PEOPLE = [int(n) for n in os.environ.get("HILUM_BENCH_PEOPLE", "250,1000").split(",")]
BUNDLES = 24
KINDS = ("read", "search", "create")
RIVALS = {
    "load": ("987; 0.81", "248; 4.00"), "read": ("13,140; 0.075", "524; 1.91"),
    "search": ("773; 1.29", "112; 8.88"), "create": ("535; 1.50", "231; 4.29"),
}  # fmt: skip
"""helios-hfs 0.2.7 (Rust, SQLite) and HAPI 8.8.0 (PostgreSQL): per second; CPU ms. Both measured once, on
a machine like this, on one core, at 8 connections, without consent, receipts, sealing or validation."""
SHARES = {"load": 0.5, "read": 0.3, "search": 0.4, "create": 0.4}
GOALS = {"load": 2500, "read": 5000, "search": 3000, "create": 1500}


@contextlib.contextmanager
def raw_target() -> Iterator[Target]:
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        script = Path(__file__).with_name("raw_server.py")
        command = [sys.executable, str(script), str(port), f"{folder}/raw.db"]
        process = subprocess.Popen(command)
        try:
            for _ in range(1000):
                with (
                    contextlib.suppress(OSError),
                    socket.create_connection(("127.0.0.1", port), 0.2),
                ):
                    break
                time.sleep(0.01)
            yield Target(port, process.pid, "-")
        finally:
            process.terminate()
            process.wait(timeout=10)


def registrar(node: ThrowawayNode) -> str:
    """Return a token of a reader that may enrol people."""
    reader = node.operate(
        "reader add", name="Desk", kind="organization", role="registrar", organization=None
    )
    return node.token(reader=reader["id"], purpose="TREAT")


def measure_workloads(bundles: list[Path]) -> list[str]:
    """Return table rows: each workload beside its bound, its goals and the rivals."""
    with raw_target() as target:
        raw = _all(target, bundles)
    with serve_throwaway() as node:
        time.sleep(1)
        ours = _all(Target(node.port, node.pid, registrar(node)), bundles)
    rows = []
    for name in ("load", *(f"{kind} {n}" for kind in KINDS for n in (8, 64))):
        kind = name.partition(" ")[0]
        mine, bound = ours[name], raw[name]
        share = bound["cpu_us"] / mine["cpu_us"]
        core = 1e6 / mine["cpu_us"]
        held = share >= SHARES[kind] and core >= GOALS[kind]
        late = f", p50 {mine['p50']}, p99 {mine['p99']}" if "p50" in mine else ""
        wrong = " (wrong answers!)" if mine.get("wrong") else ""
        rows.append(
            f"| {_words(name)} | {mine['per_second']:,.0f}/s, {mine['cpu_us'] / 1000:.2f} ms CPU{late}{wrong}"
            f" | {core:,.0f} | {bound['per_second']:,.0f}/s, {bound['cpu_us'] / 1000:.2f} ms CPU"
            f" | {share:.0%} (goal {SHARES[kind]:.0%}, {GOALS[kind]:,} a core) | {RIVALS[kind][0]}"
            f" | {RIVALS[kind][1]} | {'yes' if held else '**no**'} |"
        )
    return rows


def _words(name: str) -> str:
    kind, _space, connections = name.partition(" ")
    return f"{kind}, {connections} connections" if connections else "transaction load, resources"


def _all(target: Target, bundles: list[Path]) -> dict[str, dict[str, Any]]:
    found = {"load": target.load(bundles)}
    for kind in KINDS:
        for connections in (8, 64):
            found[f"{kind} {connections}"] = target.drive(kind, connections)
    return found


def measure_shapes() -> list[str]:
    """Return table rows: the median of each shape at growing numbers of people, and the growth."""
    medians: dict[str, list[float]] = {shape.name: [] for shape in SHAPES}
    wrong: dict[str, int] = dict.fromkeys(medians, 0)
    with serve_throwaway() as node:
        target = Target(node.port, node.pid, registrar(node))
        corpus = Corpus(random.Random(7))
        for people in PEOPLE:
            corpus.grow(target, people)
            connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=120)
            for shape in SHAPES:
                took, bad = _times(connection, target.token, corpus, shape.url)
                medians[shape.name].append(statistics.median(took))
                wrong[shape.name] += bad
    rows = []
    for shape in SHAPES:
        found = medians[shape.name]
        growth = found[-1] / found[0]
        cells = " | ".join(f"{each * 1000:.1f}" for each in found)
        rows.append(f"| {shape.name} | {cells} | {growth:.2f} | {wrong[shape.name]} |")
    growths = [medians[s.name][-1] / medians[s.name][0] for s in SHAPES]
    rows.append(
        f"| median of the shapes | {' | '.join('' for _ in PEOPLE)} | {statistics.median(growths):.2f}"
        f" | {sum(wrong.values())} |"
    )
    return rows


def _times(
    connection: http.client.HTTPConnection, token: str, corpus: Corpus, url: str, rounds: int = 15
) -> tuple[list[float], int]:
    took, bad = [], 0
    for turn in range(rounds + 2):
        began = time.perf_counter()
        connection.request(
            "GET", "/fhir/" + corpus.fill(url), headers={"Authorization": f"Bearer {token}"}
        )
        answer = connection.getresponse()
        answer.read()
        if turn >= 2:  # the first two of a shape warm up
            took.append(time.perf_counter() - began)
            bad += answer.status != http.client.OK
    return took, bad
