"""Four workloads on any FHIR server: bundle load, read, patient search, create; wrk, CPU from /proc."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import re
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

SECONDS = 5
_SCRIPT = """local t,i={},0
for l in io.lines("%s") do t[#t+1]=l end
request=function() i=i%%#t+1; return wrk.format("%s", %s,
 {["Content-Type"]="application/fhir+json",["Host"]="localhost",["Authorization"]="Bearer %s"}, %s) end
"""


@dataclass
class Target:
    """A server under load.

    Attributes:
        base: path of its FHIR interface, ``/fhir``.
        url: URL of the index of a search, so that the raw server knows the same.
    """

    port: int
    pid: int
    token: str
    base: str = "/fhir"
    reads: list[str] = field(default_factory=list)
    searches: list[str] = field(default_factory=list)
    creates: list[str] = field(default_factory=list)

    def post(self, path: str, body: bytes) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/fhir+json"}
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        data = answer.read()
        assert answer.status in {200, 201}, data[:300]
        return json.loads(data)

    def load(self, bundles: list[Path]) -> dict[str, float]:
        """Post bundles one after another; remember what was made."""
        count, began, before = 0, 0.0, 0.0
        for number, path in enumerate(bundles):
            if number == len(bundles) // 4:  # the first quarter warms up
                count, began, before = 0, time.perf_counter(), cpu(self.pid)
            data = gzip.decompress(path.read_bytes())
            sent = json.loads(data)["entry"]
            told = self.post(self.base, data)["entry"]
            self._remember(sent, told)
            count += len(sent)
        spent = time.perf_counter() - began
        return {"per_second": count / spent, "cpu_us": (cpu(self.pid) - before) / count * 1e6}

    def _remember(self, sent: list[Any], told: list[Any]) -> None:
        names = {
            entry["fullUrl"]: "/".join(reply["response"]["location"].split("/")[:2])
            for entry, reply in zip(sent, told, strict=True)
        }
        for entry in sent:
            tree = entry["resource"]
            if tree["resourceType"] in {"Patient", "Observation", "Condition", "Encounter"}:
                self.reads.append(f"{self.base}/{names[entry['fullUrl']]}")
            if tree["resourceType"] != "Observation":
                continue
            subject, code = names[tree["subject"]["reference"]], tree["code"]["coding"][0]
            token = quote(f"{code['system']}|{code['code']}", safe="")
            where = f"{self.base}/Observation?patient={subject.partition('/')[2]}&code={token}&_count=20"
            self.searches.append(where)
            kept = {key: value for key, value in tree.items() if key not in {"id", "encounter"}}
            self.creates.append(json.dumps({**kept, "subject": {"reference": subject}}))

    def drive(self, kind: str, connections: int) -> dict[str, Any]:
        """Send one kind of request for some seconds."""
        lines = {"read": self.reads, "search": self.searches, "create": self.creates}[kind]
        with tempfile.TemporaryDirectory() as folder:
            words, script = Path(folder) / "lines", Path(folder) / "load.lua"
            words.write_text("\n".join(lines[:4000]))
            verb, path, body = (
                ("POST", f'"{self.base}/Observation"', "t[i]")
                if kind == "create"
                else ("GET", "t[i]", "nil")
            )
            script.write_text(_SCRIPT % (words, verb, path, self.token, body))
            wrk(self.port, script, connections, 1)
            before, began = cpu(self.pid), time.perf_counter()
            said = wrk(self.port, script, connections, SECONDS)
            spent = time.perf_counter() - began
        count = int(re.search(r"(\d+) requests in", said)[1])  # type: ignore[index]
        late = dict(re.findall(r"^\s+(50|99)%\s+(\S+)", said, re.MULTILINE))
        return {
            "per_second": count / spent,
            "cpu_us": (cpu(self.pid) - before) / count * 1e6,
            "p50": late.get("50", "-"),
            "p99": late.get("99", "-"),
            "wrong": "Non-2xx" in said or "Socket errors" in said,
        }


def wrk(port: int, script: Path, connections: int, seconds: int) -> str:
    return subprocess.run(
        [
            "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script),
            f"http://127.0.0.1:{port}/",
        ],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


def cpu(pid: int) -> float:
    """CPU seconds that a process has used, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
