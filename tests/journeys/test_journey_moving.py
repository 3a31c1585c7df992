"""Out of one node and into another, gone for good, and two nodes that know nothing of each other."""

from __future__ import annotations

import json
import logging
import re
import shutil
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from node import Node, run

log = logging.getLogger(__name__)

CANARY = "Quisquilia-7319"


@pytest.fixture
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("other")) as served:
        yield served


def fill(node: Node, material: Callable[[str], Path], *, hospital: bool = True) -> str:
    """Make a record with everything in it: hospital, sensor, own notes, consents, looks."""
    if hospital:
        for name in ("hospitalInformation1559319163815", "practitionerInformation1559319163815"):
            node.take(material(f"synthea-r4/{name}.json.gz"), subject=None)
    people = sorted(material("synthea-r4").glob("Gustavo*"))
    subject = str(node.take(people[0])["subject"])
    taken = node.take(
        material("cgm-csv/Clarity_Export_synthetic.csv"), subject=subject, zone="Europe/Madrid"
    )
    assert taken["accepted"] > 500
    node.take(material("apple-health/export.xml"), subject=subject)
    own = node.token(subject=subject)
    note = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": CANARY},
        "subject": {"reference": f"Patient/{subject}"},
        "valueString": CANARY,
    }
    made = node.ask("POST", "/fhir/Observation", own, note).json()
    changed = {**note, "id": made["id"], "valueString": f"{CANARY} again"}
    assert node.ask("PUT", f"/fhir/Observation/{made['id']}", own, changed).status_code == 200
    gone = node.ask("POST", "/fhir/Observation", own, note).json()["id"]
    assert node.ask("DELETE", f"/fhir/Observation/{gone}", own).status_code == 204
    return subject


class Found(msgspec.Struct):
    """One entry of a search, its resource as the bytes that came."""

    fullUrl: str  # noqa: N815 - FHIR's name
    resource: msgspec.Raw


class Page(msgspec.Struct):
    """A searchset."""

    link: list[dict[str, str]]
    entry: list[Found] = []


def contents(node: Node, subject: str) -> dict[str, bytes]:
    """Return all that the subject finds over FHIR, history included, with the host taken out."""
    token = node.token(subject=subject)
    found: dict[str, bytes] = {}
    for name in sorted({*node.operate("subject show", subject=subject)["types"], "Observation"}):
        key = "_id" if name == "Patient" else "patient"
        following: str | None = f"/fhir/{name}?{key}={subject}&_count=1000"
        while following:
            page = msgspec.json.decode(node.get(following, token).content, type=Page)
            for entry in page.entry:
                found[entry.fullUrl.partition("/fhir/")[2]] = bytes(entry.resource)
            following = {link["relation"]: link["url"] for link in page.link}.get("next")
    told = [name for name in found if not re.match(r"Observation/[sh]-", name)]
    assert len(found) > len(told) + 500, "device readings are there as well"
    for name in told[::3]:
        answer = node.get(f"/fhir/{name}/_history", token)
        assert answer.status_code == 200, name
        found[f"{name}/_history"] = answer.content.replace(node.url("").encode(), b"")
    return found


def test_a_record_moves_without_loss(
    node: Node, other: Node, material: Callable[[str], Path], tmp_path: Path
) -> None:
    subject = fill(node, material)
    reader = node.add_reader()
    clinic = node.token(reader=reader, purpose="TREAT")
    kept = node.grant(subject, reader, until="2099-01-01")
    ended = node.grant(subject, reader, purpose="HRESCH")
    node.operate("revoke", directive=ended)
    assert node.get(f"/fhir/Patient/{subject}", clinic).status_code == 200
    node.operate("seal")
    here = contents(node, subject)
    receipts = node.operate("log", subject=subject)
    consents = node.operate("consents", subject=subject)

    log.info("out and in")
    archive = tmp_path / "record.zip"
    told = node.operate("export", subject=subject, output=str(archive))
    assert told["receipts"] == len(receipts)
    back = other.take(archive)
    assert (back["subject"], back["refused"]) == (subject, [])

    log.info("the same resources, byte for byte, with the same history")
    there = contents(other, subject)
    assert there.keys() == here.keys()
    assert [name for name in here if here[name] != there[name]] == []

    log.info("the same receipts, before the new node's own")
    moved = other.operate("log", subject=subject)
    assert [row["receipt"] for row in moved][: len(receipts)] == [r["receipt"] for r in receipts]
    assert all(row.get("foreign") for row in moved[: len(receipts)])

    log.info("the same consents; their readers are strangers to the new custodian")
    assert [(c["directive"], c["status"], c["reader_id"]) for c in consents] == [
        (c["directive"], c["status"], c["reader_id"])
        for c in other.operate("consents", subject=subject)
    ]
    assert {each["directive"]: each["status"] for each in consents} == {
        kept: "active", ended: "revoked",
    }  # fmt: skip
    unknown = other.ask("GET", f"/fhir/Patient/{subject}", clinic)
    assert unknown.status_code == 404
    with pytest.raises(ValueError, match="reader"):
        other.token(reader=reader, purpose="TREAT")
    stranger = other.token(reader=other.add_reader(), purpose="TREAT")
    assert other.get(f"/fhir/Patient/{subject}", stranger).status_code == 404

    log.info("the moved consent can be ended here as well")
    other.operate("revoke", directive=kept)
    statuses = {each["status"] for each in other.operate("consents", subject=subject)}
    assert statuses == {"revoked"}
    log.info("a second import is refused, and changes nothing")
    again = run("import", archive, data=other.data)
    assert again.code in {1, 2}
    found = other.operate("fsck")
    assert found == {"ok": True, "problems": []}, found
    assert node.operate("fsck") == {"ok": True, "problems": []}


@pytest.mark.parametrize("member", ["resources.ndjson", "receipts.ndjson", "directives.ndjson"])
def test_an_altered_export_is_refused_whole(
    shared: Node, member: str, material: Callable[[str], Path], tmp_path: Path
) -> None:
    subject = shared.take_json({"resourceType": "Patient", "id": f"alter-{member[:5]}"})["subject"]
    shared.grant(subject, shared.add_reader())
    archive, forged = tmp_path / "record.zip", tmp_path / "forged.zip"
    shared.operate("export", subject=subject, output=str(archive))
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(forged, "w") as target:
        for info in source.infolist():
            content = source.read(info)
            if info.filename == member:
                content = content + content.splitlines(keepends=True)[-1] if content else b"{}\n"
            target.writestr(info.filename, content)
    shared.operate("erase", subject=subject)
    before = shared.operate("subject list")
    refused = run("import", forged, data=shared.data)
    assert (refused.code, refused.error["code"]) == (2, "damaged")
    assert member in refused.error["where"]
    assert shared.operate("subject list") == before


def test_an_erased_subject_is_absent_everywhere(
    node: Node, material: Callable[[str], Path], tmp_path: Path
) -> None:
    subject = fill(node, material, hospital=False)
    reader = node.add_reader()
    clinic, own = node.token(reader=reader, purpose="TREAT"), node.token(subject=subject)
    directive = node.grant(subject, reader)
    neighbour = node.add_subject("Nell Neighbour")
    node.grant(neighbour, reader)
    paths = [
        f"/fhir/Patient/{subject}",
        f"/fhir/Patient/{subject}/_history",
        f"/fhir/Observation?patient={subject}",
        f"/fhir/Consent/{directive}",
    ]
    never = [path.replace(subject, "never-was").replace(directive, "never-was") for path in paths]
    absent = [node.get(path, clinic) for path in never]
    wrapped = keys_of(node.data, tmp_path)
    before = {table: count(node.data, table) for table in ("resource", "receipt", "directive")}
    assert min(before.values()) > 0

    told = node.operate("erase", subject=subject)
    assert told["proof"]["ok"]
    assert told["proof"]["samples_tried"] > 50
    assert told["proof"]["samples_opened"] == 0

    log.info(
        "over HTTP it looks as if it had never been, for the clinic and the subject's old token"
    )
    for path, same in zip(paths, absent, strict=True):
        answer = node.get(path, clinic)
        assert answer.status_code == same.status_code
        assert answer.content.replace(subject.encode(), b"never-was") == same.content, path
        assert node.get(path, own).json().get("entry", []) == []
    assert node.get(f"/fhir/Patient/{neighbour}", clinic).status_code == 200
    for command in ("log", "consents", "export"):
        words = ["-o", tmp_path / "x.zip"] if command == "export" else []
        refused = node.run(command, "--subject", subject, *words)
        assert (refused.code, refused.error["code"]) == (2, "unknown-subject")
    assert subject not in json.dumps(node.operate("subject list"))

    log.info("on disk nothing is left of words, ids or keys")
    assert node.operate("fsck") == {"ok": True, "problems": []}
    node.stop()
    left = [path for path in node.data.rglob("*") if path.is_file() and path.name != "serve.log"]
    raw = {path: path.read_bytes() for path in left}
    for needle in (CANARY.encode(), subject.encode()):
        assert [path.name for path, data in raw.items() if needle in data] == []
    dead = wrapped - keys_of(node.data, tmp_path)
    assert dead
    for key in dead:
        assert [path.name for path, data in raw.items() if key in data] == []
    assert count(node.data, "original") == 0
    assert [path for path in left if path.is_relative_to(node.data / "objects")] == []


def keys_of(data: Path, folder: Path) -> set[bytes]:
    """Return the wrapped segment keys, from a copy: a running node holds the file for itself."""
    copy = folder / "keys-copy.db"
    shutil.copy(data / "keys.db", copy)
    conn = sqlite3.connect(copy)
    try:
        rows = conn.execute("select * from wrapped_key").fetchall()
    finally:
        conn.close()
    return {cell for row in rows for cell in row if isinstance(cell, bytes)}


def count(data: Path, table: str) -> int:
    conn = sqlite3.connect(f"file:{data / 'record.db'}?mode=ro", uri=True)
    try:
        return int(conn.execute(f"select count(*) from {table}").fetchone()[0])
    finally:
        conn.close()


def test_two_nodes_know_nothing_of_each_other(node: Node, other: Node, tmp_path: Path) -> None:
    bundle: dict[str, Any] = {"resourceType": "Patient", "id": "twin", "birthDate": "1990-01-01"}
    here, there = (each.take_json(bundle)["subject"] for each in (node, other))
    assert here == there == "twin"
    own_here, own_there = node.token(subject="twin"), other.token(subject="twin")
    assert node.get("/fhir/Patient/twin", own_here).status_code == 200
    assert other.get("/fhir/Patient/twin", own_here).status_code == 404
    reader = node.add_reader()
    clinic = node.token(reader=reader, purpose="TREAT")
    node.grant("twin", reader)
    assert node.get("/fhir/Patient/twin", clinic).status_code == 200
    assert other.get("/fhir/Patient/twin", clinic).status_code == 404
    assert other.get("/fhir/Patient/twin", own_there).status_code == 200

    log.info("a proof of one is refused with the headers of the other")
    node.operate("seal")
    other.operate("seal")
    receipt = node.operate("log", subject="twin")[0]["receipt"]
    proof, mine, theirs = (tmp_path / name for name in ("a.proof", "mine.json", "theirs.json"))
    proof.write_text(node.operate("prove", receipt=receipt)["proof"])
    mine.write_text(node.operate("headers")["headers"])
    theirs.write_text(other.operate("headers")["headers"])
    assert run("verify", proof, "--headers", mine).code == 0
    refused = run("verify", proof, "--headers", theirs)
    assert (refused.code, refused.json["ok"]) == (1, False)
    assert refused.json["failed_step"]


def test_a_copied_data_directory_does_not_open_without_its_key(node: Node, tmp_path: Path) -> None:
    node.add_subject()
    node.stop()
    copy = tmp_path / "copy"
    shutil.copytree(node.data, copy, ignore=shutil.ignore_patterns("node.key", "*.sock"))
    for words in (["subject", "list"], ["init"], ["serve", "--port", "0"]):
        refused = run(*words, data=copy)
        assert refused.code == 3, refused
        assert "key" in refused.error["code"]
    assert not (copy / "node.key").exists()
