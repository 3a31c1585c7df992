"""A served node that is killed while many read and write over HTTP.

What was answered is what counts: a read that came back has its receipt in the log, a create that came
back can be read, and a batch that was anchored before still verifies.
"""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from node import Node, run
from usecases import opened

from hilum.base.ids import CompartmentId
from hilum.errors import UnavailableError
from hilum.exchange import checking

pytestmark = pytest.mark.slow
ROUNDS = 4
CLIENTS = 4
PATIENCE_S = 30.0


@dataclass
class Answered:
    """What clients were told, under the lock."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    reads: int = 0
    created: dict[str, str] = field(default_factory=dict)
    enough: threading.Event = field(default_factory=threading.Event)
    wanted: int = 0

    def tell(self, created: tuple[str, str] | None) -> None:
        with self.lock:
            if created is None:
                self.reads += 1
            else:
                self.created[created[0]] = created[1]
            if self.reads + len(self.created) >= self.wanted:
                self.enough.set()


def observation(subject: str, value: float) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": {"reference": f"Patient/{subject}"},
        "valueQuantity": {"value": value, "unit": "/min"},
    }


def client(node: Node, subject: str, tokens: dict[str, str], told: Answered, number: int) -> None:
    """Read and create in turn until the node is gone."""
    with httpx.Client(base_url=node.url(""), timeout=PATIENCE_S) as http:
        while True:
            try:
                read = http.get(
                    f"/fhir/Patient/{subject}",
                    headers={"Authorization": f"Bearer {tokens['clinic']}"},
                )
                if read.status_code == httpx.codes.OK:
                    told.tell(None)
                made = http.post(
                    "/fhir/Observation",
                    content=json.dumps(observation(subject, 60 + number)),
                    headers={
                        "Authorization": f"Bearer {tokens['own']}",
                        "Content-Type": "application/fhir+json",
                    },
                )
                if made.status_code == httpx.codes.CREATED:
                    told.tell((made.json()["id"], made.text))
            except httpx.TransportError:
                return


def kill_while_working(
    node: Node, subject: str, tokens: dict[str, str], told: Answered, *, work: int
) -> None:
    """Let clients work, kill the node in the middle of it, start it again."""
    told.enough.clear()
    told.wanted = told.reads + len(told.created) + work
    clients = [
        threading.Thread(target=client, args=(node, subject, tokens, told, number))
        for number in range(CLIENTS)
    ]
    for each in clients:
        each.start()
    assert told.enough.wait(PATIENCE_S), "the node answers too little"
    assert node.process is not None
    node.process.send_signal(signal.SIGKILL)
    node.process.wait()
    for each in clients:
        each.join(PATIENCE_S)
        assert not each.is_alive()
    node.start()


def test_a_node_that_is_killed_while_it_answers_loses_no_receipt_and_no_resource(
    tmp_path: Path,
) -> None:
    chance = random.Random(20)
    with Node(tmp_path) as node:
        subject = node.add_subject()
        reader = node.add_reader()
        node.grant(subject, reader)
        tokens = {
            "clinic": node.token(reader=reader, purpose="TREAT"),
            "own": node.token(subject=subject),
        }
        assert node.get(f"/fhir/Patient/{subject}", tokens["clinic"]).status_code == 200
        first = node.operate("log", subject=subject)[-1]["receipt"]
        node.operate("seal")
        told = Answered()
        for _round in range(ROUNDS):
            kill_while_working(node, subject, tokens, told, work=chance.randrange(20, 160))
            log = node.operate("log", subject=subject)
            permits = [each for each in log if each["reader"] == "Riverside Clinic"]
            assert len(permits) >= told.reads + 1
            assert len([each for each in log if each["action"] == "contribute"]) >= len(
                told.created
            )
        for name, body in told.created.items():
            answer = node.get(f"/fhir/Observation/{name}", tokens["own"])
            assert (answer.status_code, answer.text) == (200, body)
        node.operate("seal")
        assert node.operate("fsck") == {"ok": True, "problems": []}
        verify(node, tmp_path, first)
        verify(node, tmp_path, node.operate("log", subject=subject)[-1]["receipt"])


def verify(node: Node, folder: Path, receipt: str) -> None:
    """Check a receipt's proof offline, in a process of its own; seal first when it waits."""
    node.operate("seal")
    proof, headers = folder / "receipt.proof", folder / "headers.json"
    proof.write_text(node.operate("prove", receipt=receipt)["proof"])
    headers.write_text(node.operate("headers")["headers"])
    verdict = run("verify", proof, "--headers", headers)
    assert verdict.json["ok"], verdict.json


def test_a_node_that_is_killed_while_it_seals_anchors_each_batch_once(tmp_path: Path) -> None:
    with Node(tmp_path) as node:
        subject = node.add_subject()
        own = node.token(subject=subject)
        for _round in range(3):
            assert node.get(f"/fhir/Patient/{subject}", own).status_code == 200
            sealing = threading.Thread(target=seal_and_lose_the_answer, args=(node,))
            before = sealed(node)
            sealing.start()
            deadline = time.monotonic() + PATIENCE_S
            while sealed(node) == before and time.monotonic() < deadline:
                pass  # the journal's checkpoint on disk moves in the middle of a seal
            assert node.process is not None
            node.process.send_signal(signal.SIGKILL)
            node.process.wait()
            sealing.join(PATIENCE_S)
            node.start()
            assert node.operate("fsck") == {"ok": True, "problems": []}
            node.operate("seal")
            assert node.operate("fsck") == {"ok": True, "problems": []}
        verify(node, tmp_path, node.operate("log", subject=subject)[0]["receipt"])


def sealed(node: Node) -> bytes:
    path = node.data / "journal" / "checkpoint"
    return path.read_bytes() if path.exists() else b""


def seal_and_lose_the_answer(node: Node) -> None:
    try:
        node.operate("seal")
    except (UnavailableError, ConnectionError):
        return


def test_erasing_a_subject_whom_many_read_leaves_no_key_and_no_row(tmp_path: Path) -> None:
    with Node(tmp_path) as node:
        subject = node.add_subject()
        reader = node.add_reader()
        node.grant(subject, reader)
        tokens = {
            "clinic": node.token(reader=reader, purpose="TREAT"),
            "own": node.token(subject=subject),
        }
        told = Answered(wanted=60)
        clients = [
            threading.Thread(target=client, args=(node, subject, tokens, told, number))
            for number in range(CLIENTS)
        ]
        for each in clients:
            each.start()
        assert told.enough.wait(PATIENCE_S)
        erased = node.operate("erase", subject=subject)
        assert erased["proof"]["ok"]
        assert node.get(f"/fhir/Patient/{subject}", tokens["clinic"]).status_code == 404
        assert node.process is not None
        node.process.send_signal(signal.SIGKILL)
        node.process.wait()
        for each in clients:
            each.join(PATIENCE_S)
        with opened(node.data) as again:
            rows = again.conn.execute(
                "select count(*) from receipt where cid = 1 and sealed is not null"
            ).fetchone()
            assert rows == (0,)
            assert not again.keyring.holds(CompartmentId(1))
            assert checking.check(again) == {"ok": True, "problems": []}
