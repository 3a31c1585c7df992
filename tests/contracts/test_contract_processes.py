"""Two processes serve one node from one PostgreSQL; the server dies and comes back."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import suites
from server import Server

NODE = suites.load("journeys/node.py")
SHARED_WITHIN_S = 1.0
"""The promise: what a process revokes, every other shows as absent within this time."""
pytestmark = pytest.mark.slow


def weight(subject: str, value: str = "70.10") -> bytes:
    return (
        b'{"resourceType":"Observation","status":"final","code":{"coding":[{"system":'
        b'"http://loinc.org","code":"29463-7"}]},"subject":{"reference":"Patient/%s"},'
        b'"effectiveDateTime":"2026-02-03","valueQuantity":{"value":%s,"unit":"kg"}}'
        % (subject.encode(), value.encode())
    )


@pytest.fixture(scope="module")
def cluster() -> Iterator[Server]:
    """A server of this module's own: it is killed."""
    made = Server()
    yield made
    made.throw_away()


@pytest.fixture(scope="module")
def pair(cluster: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any]]:
    """Two served processes of one node: the one that made it, and one that joined."""
    cluster.sql("create database pair")
    url = cluster.url("pair")
    folders = [tmp_path_factory.mktemp(name) for name in ("first", "second")]
    first = NODE.run("init", "--database", url, data=folders[0] / "node")
    assert first.code == 0, first.err
    assert first.json["chain"].startswith("embedded")
    alone = NODE.run("init", "--database", url, data=folders[1] / "node")
    assert alone.code != 0
    assert alone.error["code"] == "key-missing"
    (folders[1] / "node").mkdir(exist_ok=True)
    shutil.copy(folders[0] / "node" / "node.key", folders[1] / "node" / "node.key")
    second = NODE.run("init", "--database", url, data=folders[1] / "node")
    assert second.code == 0, second.err
    assert second.json["chain"] == "kept elsewhere"
    assert second.json["did"] == first.json["did"]
    with NODE.Node(folders[0]) as a, NODE.Node(folders[1]) as b:
        yield a, b


def test_nothing_is_embedded_beside_a_server(pair: tuple[Any, Any]) -> None:
    for node in pair:
        assert not {"record.db", "keys.db"} & {path.name for path in node.data.iterdir()}


def test_another_key_does_not_join(cluster: Server, pair: tuple[Any, Any], tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert NODE.run("init", data=other).code == 0
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    shutil.copy(other / "node.key", stranger / "node.key")
    refused = NODE.run("init", "--database", cluster.url("pair"), data=stranger)
    assert refused.error["code"] == "wrong-key"


def test_what_one_process_writes_the_other_reads(pair: tuple[Any, Any]) -> None:
    a, b = pair
    subject = a.add_subject()
    own = a.token(subject=subject)
    made = b.ask("POST", "/fhir/Observation", own, weight(subject))
    assert made.status_code == httpx.codes.CREATED, made.text
    name = made.json()["id"]
    assert a.get(f"/fhir/Observation/{name}", own).content == made.content
    found = a.resources(f"/fhir/Observation?patient={subject}&code=29463-7", own)
    assert [each["id"] for each in found] == [name]


def test_a_revocation_at_one_process_holds_at_the_other_within_a_second(
    pair: tuple[Any, Any],
) -> None:
    a, b = pair
    subject, reader = a.add_subject(), a.add_reader()
    token = a.token(reader=reader, purpose="TREAT")
    for _ in range(3):
        directive = a.grant(subject, reader)
        acknowledged = time.monotonic()
        while b.get(f"/fhir/Patient/{subject}", token).status_code != httpx.codes.OK:
            assert time.monotonic() - acknowledged < 5 * SHARED_WITHIN_S
        a.operate("revoke", directive=directive)
        acknowledged = time.monotonic()
        while True:
            asked = time.monotonic()
            if b.get(f"/fhir/Patient/{subject}", token).status_code == httpx.codes.NOT_FOUND:
                break
            assert asked - acknowledged < SHARED_WITHIN_S
        absent = b.get("/fhir/Patient/never-was", token)
        assert b.get(f"/fhir/Patient/{subject}", token).content == absent.content


def test_of_many_who_change_one_version_exactly_one_wins(pair: tuple[Any, Any]) -> None:
    a = pair[0]
    subject = a.add_subject()
    own = a.token(subject=subject)
    name = a.ask("POST", "/fhir/Observation", own, weight(subject)).json()["id"]
    body = weight(subject, "71.5").replace(b'"status"', b'"id":"%s","status"' % name.encode(), 1)

    def change(number: int) -> int:
        node = pair[number % 2]
        with httpx.Client(timeout=60) as http:
            answer = http.put(
                node.url(f"/fhir/Observation/{name}"),
                content=body,
                headers={
                    "Authorization": f"Bearer {own}",
                    "Content-Type": "application/fhir+json",
                    "If-Match": 'W/"1"',
                },
            )
        return int(answer.status_code)

    with ThreadPoolExecutor(16) as pool:
        outcomes = Counter(pool.map(change, range(40)))
    assert outcomes == {httpx.codes.OK: 1, httpx.codes.PRECONDITION_FAILED: 39}
    versions = a.get(f"/fhir/Observation/{name}/_history", own).json()["entry"]
    assert [each["resource"]["meta"]["versionId"] for each in versions] == ["2", "1"]


def test_chains_of_receipts_do_not_fork_and_everything_derives_again(pair: tuple[Any, Any]) -> None:
    a, b = pair
    subject = a.add_subject()
    own = a.token(subject=subject)

    def read(number: int) -> int:
        with httpx.Client(timeout=60) as http:
            answer = http.get(
                pair[number % 2].url(f"/fhir/Patient/{subject}"),
                headers={"Authorization": f"Bearer {own}"},
            )
        return int(answer.status_code)

    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(read, range(120))) == {httpx.codes.OK}
    assert a.operate("fsck") == {"ok": True, "problems": []}
    assert b.operate("fsck") == {"ok": True, "problems": []}
    assert a.operate("seal")["operations"] >= 1
    refused = b.run("seal")
    assert refused.error["code"] == "not-the-sealer"
    assert a.operate("fsck") == {"ok": True, "problems": []}


def test_a_subject_erased_at_one_process_is_gone_at_the_other(pair: tuple[Any, Any]) -> None:
    a, b = pair
    subject = a.add_subject()
    own = a.token(subject=subject)
    assert b.get(f"/fhir/Patient/{subject}", own).status_code == httpx.codes.OK
    report = a.operate("erase", subject=subject)
    assert report["proof"]["ok"]
    deadline = time.monotonic() + SHARED_WITHIN_S
    while b.get(f"/fhir/Patient/{subject}", own).status_code == httpx.codes.OK:
        assert time.monotonic() < deadline + SHARED_WITHIN_S
    assert b.operate("fsck") == {"ok": True, "problems": []}


def test_a_server_that_dies_loses_nothing_that_was_acknowledged(
    cluster: Server, pair: tuple[Any, Any]
) -> None:
    a, b = pair
    subject = a.add_subject()
    own = a.token(subject=subject)
    acknowledged: list[str] = []
    answers: list[httpx.Response] = []
    stop = threading.Event()

    def load(node: Any) -> None:
        headers = {"Authorization": f"Bearer {own}", "Content-Type": "application/fhir+json"}
        with httpx.Client(timeout=60, headers=headers) as http:
            while not stop.is_set():
                answer = http.post(node.url("/fhir/Observation"), content=weight(subject))
                if answer.status_code == httpx.codes.CREATED:
                    acknowledged.append(answer.json()["id"])
                else:
                    answers.append(answer)

    threads = [threading.Thread(target=load, args=(node,)) for node in (a, b, a, b)]
    for thread in threads:
        thread.start()
    _until(lambda: len(acknowledged) > 40)
    cluster.kill()
    _until(lambda: len(answers) > 20)
    read = b.get(f"/fhir/Patient/{subject}", own)
    cluster.start()
    before = len(acknowledged)
    _until(lambda: len(acknowledged) > before + 40)
    stop.set()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in [*answers, read]} == {503}, a.log + b.log
    assert all(int(answer.headers["retry-after"]) > 0 for answer in [*answers, read])
    assert all(answer.json()["resourceType"] == "OperationOutcome" for answer in answers)
    found = {each["id"] for each in b.resources(f"/fhir/Observation?patient={subject}", own)}
    assert set(acknowledged) <= found
    assert a.operate("fsck") == {"ok": True, "problems": []}


def _until(done: Any) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.005)
