"""Two processes on one data directory: one works, the other says so or asks it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from node import Node, run

pytestmark = pytest.mark.slow
BUSY = 3


def test_a_second_node_on_the_same_directory_is_refused_in_clear_words(tmp_path: Path) -> None:
    with Node(tmp_path) as first:
        second = run("serve", "--port", 0, data=first.data)
        assert second.code == BUSY
        assert second.error["code"] == "directory-busy"
        assert first.process is not None
        assert f"pid {first.process.pid}" in second.error["why"]
        again = run("init", data=first.data)
        assert (again.code, again.error["code"]) == (BUSY, "directory-busy")
        assert first.get("/api/health", None).status_code == 200


def test_commands_go_through_the_node_that_serves_and_through_the_files_when_none_does(
    tmp_path: Path,
) -> None:
    with Node(tmp_path) as node:
        made = node.run("subject", "add", "--name", "Ada Example")
        assert made.code == 0
        subject = made.json["id"]
        own = node.token(subject=subject)
        assert node.get(f"/fhir/Patient/{subject}", own).status_code == 200
        assert node.run("fsck").json == {"ok": True, "problems": []}
        assert node.stop() == 0
        assert not (node.data / "node.sock").exists()
        listed = node.run("subject", "list")
        assert [each["id"] for each in listed.json] == [subject]
        receipts = node.run("log", "--subject", subject).json
        assert [each["outcome"] for each in receipts] == ["permit"]


def test_a_killed_node_leaves_a_lock_and_a_socket_that_keep_nobody_out(tmp_path: Path) -> None:
    with Node(tmp_path) as node:
        subject = node.add_subject()
        assert node.process is not None
        node.process.send_signal(signal.SIGKILL)
        node.process.wait()
        assert (node.data / "node.sock").exists()
        assert [each["id"] for each in node.run("subject", "list").json] == [subject]
        node.start()
        assert node.operate("subject show", subject=subject)["id"] == subject


def test_a_directory_that_cannot_be_one_is_refused_in_clear_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    refused = run("init", data=tmp_path / "file" / "node")
    assert refused.code == BUSY
    assert refused.error["code"] == "disk"
    assert "Traceback" not in refused.err
