"""A disk that takes nothing more: reads are refused with a reason, and go on when there is space.

Two ways: the kernel refuses every write of the served process (a file size limit of zero, set from
outside while it runs), and a file system that is really full.
"""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from node import Node

from hilum.errors import UnavailableError

pytestmark = pytest.mark.slow
UNAVAILABLE = 3
NAME = "Ada Unmistakable"


class Visited:
    """A served node with a subject, a reader that may read, and somebody who never was."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.subject = node.add_subject(NAME)
        reader = node.add_reader()
        node.grant(self.subject, reader)
        self.clinic = node.token(reader=reader, purpose="TREAT")
        self.own = node.token(subject=self.subject)
        self.patient = f"/fhir/Patient/{self.subject}"
        self.nobody = "/fhir/Patient/00000000-0000-4000-8000-000000000000"
        assert self.read().status_code == httpx.codes.OK

    def read(self, path: str = "") -> httpx.Response:
        return self.node.get(path or self.patient, self.clinic)

    def create(self) -> httpx.Response:
        body = {
            "resourceType": "Observation",
            "status": "final",
            "code": {"text": "a note"},
            "subject": {"reference": f"Patient/{self.subject}"},
        }
        return self.node.ask("POST", "/fhir/Observation", self.own, body)

    def receipts(self) -> int:
        return len(self.node.operate("log", subject=self.subject))


@contextmanager
def nothing_can_be_written(node: Node) -> Iterator[None]:
    """Refuse every write of the served process to files, as long as the context lasts."""
    assert node.process is not None
    before = resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.prlimit(node.process.pid, resource.RLIMIT_FSIZE, before)


def check_refusal(answer: httpx.Response) -> None:
    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
    assert int(answer.headers["retry-after"]) > 0
    outcome: dict[str, Any] = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"][0]["severity"] == "error"
    assert "disk" in answer.text
    assert "Unmistakable" not in answer.text


def test_a_read_without_a_durable_receipt_is_refused_and_the_node_recovers(tmp_path: Path) -> None:
    with Node(tmp_path) as node:
        visited = Visited(node)
        before = visited.receipts()
        with nothing_can_be_written(node):
            refused = visited.read()
            check_refusal(refused)
            check_refusal(visited.read(f"/fhir/Observation?patient={visited.subject}"))
            check_refusal(visited.read(f"{visited.patient}/_history"))
            check_refusal(visited.create())
            assert visited.read(visited.nobody).content == refused.content
            assert node.get("/fhir/metadata", None).status_code == httpx.codes.OK
            assert node.get("/api/health", None).status_code == httpx.codes.OK
            assert visited.receipts() == before
        assert visited.read().status_code == httpx.codes.OK
        assert visited.create().status_code == httpx.codes.CREATED
        assert visited.receipts() == before + 2
        node.operate("seal")
        assert node.operate("fsck") == {"ok": True, "problems": []}


def test_commands_are_refused_with_their_exit_code_and_change_nothing(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.json"
    bundle.write_text('{"resourceType":"Patient","id":"another"}')
    with Node(tmp_path) as node:
        visited = Visited(node)
        with nothing_can_be_written(node):
            for words in (
                ("subject", "add", "--name", "Somebody"),
                ("import", "--subject", "new", str(bundle)),
                ("seal",),
                ("erase", "--subject", visited.subject, "--yes"),
            ):
                done = node.run(*words)
                assert done.code == UNAVAILABLE, (words, done.out, done.err)
                assert done.error["hint"], (words, done.error)
                assert "Traceback" not in done.err
        assert [each["id"] for each in node.operate("subject list")] == [visited.subject]
        assert visited.read().status_code == httpx.codes.OK
        assert node.operate("seal")["anchor"]
        assert node.operate("fsck") == {"ok": True, "problems": []}


def test_a_journal_that_takes_no_tile_stops_sealing_and_nothing_else(tmp_path: Path) -> None:
    with Node(tmp_path) as node:
        visited = Visited(node)
        in_the_way = node.data / "journal" / "checkpoint.new"
        in_the_way.mkdir()
        with pytest.raises(UnavailableError) as refused:
            node.operate("seal")
        assert refused.value.code == "journal-write"
        assert visited.read().status_code == httpx.codes.OK
        in_the_way.rmdir()
        assert node.operate("seal")["anchor"]
        assert node.operate("fsck") == {"ok": True, "problems": []}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with little room; needs root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=192m", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("a small file system can be mounted by root only")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_is_really_full_refuses_reads_until_there_is_space(small_disk: Path) -> None:
    with Node(small_disk) as node:
        visited = Visited(node)
        node.operate("seal")
        ballast = small_disk / "ballast"
        fill(ballast)
        answers = [visited.read() for _ in range(400)]
        assert answers[-1].status_code == httpx.codes.SERVICE_UNAVAILABLE
        told = [answer for answer in answers if answer.status_code == httpx.codes.OK]
        check_refusal(answers[-1])
        with pytest.raises(UnavailableError):
            node.operate("seal")
        assert visited.receipts() == len(told) + 1
        ballast.unlink()
        assert visited.read().status_code == httpx.codes.OK
        assert visited.receipts() == len(told) + 2
        assert node.operate("seal")["anchor"]
        assert node.operate("fsck") == {"ok": True, "problems": []}


def test_a_node_that_does_not_open_on_a_full_disk_says_why_and_opens_with_space(
    small_disk: Path,
) -> None:
    with Node(small_disk) as node:
        visited = Visited(node)
        assert node.stop() == 0
        fill(small_disk / "ballast")
        listed = node.run("subject", "list")
        assert (listed.code, listed.error["code"]) == (UNAVAILABLE, "disk")
        assert "free space" in listed.error["hint"]
        (small_disk / "ballast").unlink()
        node.start()
        assert visited.read().status_code == httpx.codes.OK


def fill(path: Path) -> None:
    """Write until nothing more fits."""
    for size in (1 << 20, 1 << 12, 1):
        with path.open("ab", buffering=0) as file:
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
