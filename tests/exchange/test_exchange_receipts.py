"""What receipts say of charts, exports and of a directory that a person's file contradicts."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from hilum.base import merkle
from hilum.exchange.datadir import DataDirectory, Lock
from hilum.exchange.demo_family import FAMILY, directory_bundle, hospital_bundle
from hilum.exchange.importing import import_files
from hilum.exchange.log import receipts
from hilum.exchange.moving import export
from hilum.exchange.node import Node
from hilum.exchange.own import own_session
from hilum.exchange.reading import series_summary, series_window
from hilum.exchange.wiring import initialise, open_node
from hilum.journal.model import Facts
from hilum.signals.synthetic import clarity_csv

DAY_MS = 86_400_000
START_MS = 20_000 * DAY_MS


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    initialise(tmp_path / "node", custodian="Riverside", policy="eu-ehds")
    directory = DataDirectory(tmp_path / "node")
    with Lock(directory), open_node(directory) as opened:
        yield opened


@pytest.fixture
def bring(node: Node, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def take(content: bytes, name: str, *, subject: str | None) -> dict[str, Any]:
        path = tmp_path / name
        path.write_bytes(content)
        return import_files(
            node, files=[str(path)], subject=subject, directory=subject is None,
            zone="Europe/Madrid", progress=lambda _done, _total: None,
        )  # fmt: skip

    return take


def last_facts(node: Node, subject: str) -> Facts:
    cid = node.record.compartment_of(node.conn, subject)
    assert cid is not None
    return node.journal.newest(node.conn, cid, limit=1)[0].receipt.facts


def test_the_receipt_of_a_chart_is_about_what_was_drawn(
    node: Node, bring: Callable[..., dict[str, Any]]
) -> None:
    subject = bring(clarity_csv(1, START_MS, 1, "Europe/Madrid"), "a.csv", subject="new")["subject"]
    session = own_session(subject)
    sid = series_summary(node, session)[0].sid
    summary = last_facts(node, subject)
    whole = series_window(node, session, sid, START_MS, START_MS + DAY_MS, 500)
    drawn = last_facts(node, subject)
    series_window(node, session, sid, START_MS, START_MS + DAY_MS // 2, 500)
    half = last_facts(node, subject)
    assert (drawn.count, drawn.segments, summary.segments) == (len(whole), 128, 128)
    assert len({summary.digest, drawn.digest, half.digest, bytes(32)}) == 4
    bring(clarity_csv(2, START_MS + 5 * DAY_MS, 1, "Europe/Madrid"), "b.csv", subject=subject)
    series_summary(node, session)
    assert last_facts(node, subject).digest != summary.digest


def test_an_export_leaves_a_receipt_that_names_the_custodian_and_the_file(
    node: Node, bring: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    record = hospital_bundle(FAMILY[2], now_ms=START_MS)
    subject = bring(record, "record.json", subject="new")["subject"]
    before = receipts(node, subject=subject)
    path = tmp_path / "record.zip"
    export(node, subject=subject, output=str(path))
    row = receipts(node, subject=subject)[len(before) :]
    assert [(r["action"], r["reader"], r["own"]) for r in row] == [("export", "Riverside", False)]
    with zipfile.ZipFile(path) as archive:
        members = json.loads(archive.read("hilum-export.json"))["sha256"]
        leaves = [sha256(archive.read(name)).digest() for name in sorted(members)]
    assert last_facts(node, subject).digest == merkle.root(leaves)


def test_a_persons_file_does_not_rewrite_the_directory_and_says_so(
    bring: Callable[..., dict[str, Any]],
) -> None:
    bring(directory_bundle(), "directory.json", subject=None)
    clinic = json.loads(directory_bundle())["entry"][0]
    same = {"resourceType": "Bundle", "type": "collection", "entry": [clinic]}
    patient = json.loads(hospital_bundle(FAMILY[1], now_ms=START_MS))["entry"][0]
    same["entry"].append(patient)
    equal = bring(json.dumps(same).encode(), "equal.json", subject="new")
    assert (equal["accepted"], equal["duplicate"]) == (1, 1)
    assert not [note for note in equal["notes"] if "shared directory" in note["why"]]
    clinic["resource"]["name"] = "Another name"
    told = bring(json.dumps(same).encode(), "other.json", subject=equal["subject"])
    assert (told["accepted"], told["duplicate"]) == (0, 2)
    assert ["shared directory" in note["why"] for note in told["notes"]].count(True) == 1
