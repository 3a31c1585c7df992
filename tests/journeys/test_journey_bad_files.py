"""Bad files and bad neighbours: refused with their place, nothing changed, and the node goes on."""

from __future__ import annotations

import gzip
import io
import json
import logging
import socket
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from node import Node, run

from hilum.errors import HilumError, MalformedInputError

log = logging.getLogger(__name__)

CANARY = "Zyzzogeton"
APPLE = '<?xml version="1.0" encoding="UTF-8"?>\n'
CLARITY = (
    "Index,Timestamp (YYYY-MM-DDThh:mm:ss),Event Type,Event Subtype,Patient Info,Device Info,"
    "Source Device ID,Glucose Value (mg/dL),Insulin Value (u),Carb Value (grams),"
    "Duration (hh:mm:ss),Glucose Rate of Change (mg/dL/min),Transmitter Time (Long Integer),"
    "Transmitter ID\n"
)


def bundle(*resources: dict[str, Any]) -> bytes:
    tree = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": each} for each in resources],
    }
    return json.dumps(tree).encode()


def patient(name: str = "p", **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": name, "name": [{"family": CANARY}], **more}


def laughs() -> bytes:
    """The billion laughs."""
    lines = ['<!ENTITY l0 "lol">']
    lines += [f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12)]
    return (
        f"{APPLE}<!DOCTYPE HealthData [{''.join(lines)}]>\n<HealthData>&l11;</HealthData>".encode()
    )


def outside(path: str) -> bytes:
    """An external entity."""
    return (
        f'{APPLE}<!DOCTYPE HealthData [<!ENTITY x SYSTEM "file://{path}">]>\n'
        f'<HealthData locale="en"><Me a="1"/>&x;</HealthData>'
    ).encode()


def zipped(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return out.getvalue()


WHOLE = {
    "empty.json": b"",
    "blank.json": b" \n\t ",
    "noise.json": bytes(range(256)) * 40,
    "words.json": f"Dear {CANARY}, please find enclosed".encode(),
    "picture.pdf": b"%PDF-1.7\n" + bytes(500),
    "cut-off.json": bundle(patient())[:-9],
    "latin-1.json": json.dumps(patient(gender="male"), ensure_ascii=False)
    .replace(CANARY, "Zyzzoget\u00f6n")
    .encode("latin-1"),
    "utf-16.json": bundle(patient()).decode().encode("utf-16"),
    "surrogate.json": bundle(patient()).replace(CANARY.encode(), b"\xed\xa0\x80"),
    "deep.json": b'{"resourceType":"Bundle","type":"collection","entry":' + b"[" * 100_000,
    "list.json": b"[" + bundle(patient()) + b"]",
    "two-people.json": bundle(patient("p1"), patient("p2")),
    "no-type.json": b'{"entry":[]}',
    "entry-is-no-list.json": b'{"resourceType":"Bundle","type":"collection","entry":{}}',
    "cut-off.json.gz": gzip.compress(bundle(patient()))[:-12],
    "altered.json.gz": gzip.compress(bundle(patient()), mtime=0)[:-6] + b"\x00" * 6,
    "bomb.json.gz": gzip.compress(b" " * (64 << 20), 9),
    "double.json.gz": gzip.compress(gzip.compress(b" " * (256 << 20), 9), 9),
    "cut-off.zip": zipped(("a.json", bundle(patient())))[:-30],
    "bomb.zip": zipped(("a.json", b" " * (64 << 20))),
    "nothing.zip": zipped(),
    "trick.zip": zipped(("../../evil.json", b"{}")),
    "manifest.zip": zipped(("hilum-export.json", b"{}")),
    "laughs.xml": laughs(),
    "cut-off.xml": f"{APPLE}<HealthData><Record type=".encode(),
    "other.xml": f"{APPLE}<ClinicalDocument>{CANARY}</ClinicalDocument>".encode(),
    "other.csv": f"a,b,c\n1,2,{CANARY}\n".encode(),
}


@pytest.fixture
def files(tmp_path: Path) -> Callable[[str, bytes], Path]:
    def write(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def rows(node: Node) -> dict[str, int]:
    """Return how many rows each table of the record holds."""
    conn = sqlite3.connect(f"file:{node.data / 'record.db'}?mode=ro", uri=True)
    try:
        names = [
            row[0] for row in conn.execute("select name from sqlite_master where type='table'")
        ]
        return {name: conn.execute(f"select count(*) from {name}").fetchone()[0] for name in names}
    finally:
        conn.close()


@pytest.mark.parametrize("name", WHOLE)
def test_a_file_that_is_wrong_as_a_whole_changes_nothing(
    shared: Node, files: Callable[[str, bytes], Path], name: str
) -> None:
    path = files(name, WHOLE[name])
    for subject in ("new", shared.add_subject()):
        before = rows(shared)
        with pytest.raises(MalformedInputError) as caught:
            shared.take(path, subject=subject)
        assert path.name in caught.value.where
        assert CANARY not in str(caught.value)
        assert rows(shared) == before


def test_an_external_entity_is_not_opened(
    shared: Node, files: Callable[[str, bytes], Path], tmp_path: Path
) -> None:
    secret = files("secret.txt", CANARY.encode())
    path = files("outside.xml", outside(str(secret)))
    subject = shared.add_subject()
    try:
        report = shared.take(path, subject=subject)
    except HilumError as error:
        report = str(error)
    assert CANARY not in json.dumps(report)
    token = shared.token(subject=subject)
    found = shared.get(f"/fhir/Observation?patient={subject}", token)
    assert CANARY not in found.text


def test_one_bad_entry_is_refused_by_name_and_the_others_are_kept(
    shared: Node, files: Callable[[str, bytes], Path]
) -> None:
    fine = {"resourceType": "Condition", "id": "bad-1", "subject": {"reference": "Patient/bad"}}
    path = files(
        "mixed.json",
        bundle(
            patient("bad"),
            {"resourceType": "Observation", "status": CANARY, "code": {"text": "x"}},
            fine,
            {"resourceType": "Nonsense"},
            {"resourceType": "Condition", "id": "bad-2", "subject": {"reference": "Patient/else"}},
            {"resourceType": "Condition", "id": "bad-3", "subject": "Patient/bad"},
        ),
    )
    report = shared.take(path)
    assert (report["subject"], report["accepted"]) == ("bad", 2)
    places = [each["where"] for each in report["refused"]]
    assert [next(n for n in range(6) if f"entry[{n}]" in place) for place in sorted(places)] == [
        1, 3, 4, 5,
    ]  # fmt: skip
    assert "Observation.status" in " ".join(places)
    assert CANARY not in json.dumps(report)


def test_one_bad_line_of_ndjson_is_refused_by_number(
    shared: Node, files: Callable[[str, bytes], Path]
) -> None:
    lines = [
        json.dumps(patient("lines")),
        json.dumps({"resourceType": "Condition", "subject": {"reference": "Patient/lines"}}),
        f'{{"resourceType":"Condition", {CANARY}',
        json.dumps({"resourceType": "Condition", "subject": {"reference": "Patient/lines"}}) + " ",
    ]
    report = shared.take(files("lines.ndjson", "\n".join(lines).encode()))
    assert report["accepted"] + report["duplicate"] == 3
    assert [each["where"] for each in report["refused"]] == ["lines.ndjson line 3"]


def test_bad_rows_of_a_sensor_export_are_refused_by_line(
    shared: Node, files: Callable[[str, bytes], Path]
) -> None:
    good = "{},2026-01-01T0{}:00:00,EGV,,,,android,{},,,,,{},8X\n"
    rubbish = [
        f"9,{CANARY},EGV,,,,android,100,,,,,9,8X\n", "9,2026-01-01T09:00:00,EGV\n",
        f"9,2026-01-01T09:00:00,EGV,,,,android,{CANARY},,,,,9,8X\n",
    ]  # fmt: skip
    text = CLARITY + good.format(1, 1, 100, 1) + "".join(rubbish) + good.format(2, 2, "Low", 2)
    report = shared.take(files("c.csv", text.encode()), subject="new", zone="Europe/Madrid")
    assert report["accepted"] == 2
    assert len(report["refused"]) == 3
    assert [f"{n}" in each["where"] for n, each in zip((3, 4, 5), report["refused"], strict=True)]
    assert CANARY not in json.dumps(report)


def test_a_bad_file_among_good_ones_does_not_stop_the_rest(
    shared: Node, files: Callable[[str, bytes], Path]
) -> None:
    first = files("first.json", bundle(patient("among")))
    bad = files("second.json", b"rubbish")
    third = files(
        "third.json",
        bundle({"resourceType": "Condition", "subject": {"reference": "Patient/among"}}),
    )
    report = shared.take(first, bad, third)
    assert report["accepted"] == 2
    assert [each["where"] for each in report["refused"]] == ["second.json"]


def test_another_persons_file_is_not_mixed_in(
    shared: Node, files: Callable[[str, bytes], Path]
) -> None:
    shared.take(files("one.json", bundle(patient("one", birthDate="1970-01-01"))))
    other = files("two.json", bundle(patient("two", birthDate="1971-01-01")))
    before = rows(shared)
    with pytest.raises(MalformedInputError, match="born on another day"):
        shared.take(other, subject="one")
    assert rows(shared)["resource"] == before["resource"]


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (["token", "--reader", "nobody", "--purpose", "TREAT"], "reader"),
        (["token", "--subject", "nobody"], "subject"),
        (["log", "--subject", "../../etc"], "subject"),
        (["log", "--subject", ""], "subject"),
        (["log", "--subject", "x" * 100_000], "subject"),
        (["log", "--subject", "\udcff\udcfe"], "subject"),
        (["consents", "--subject", "'; drop table resource; --"], "subject"),
        (["subject", "show", "\n"], "subject"),
        (["subject", "add", "--birth-date", "1980-02-30"], "birthDate"),
        (["revoke", "\u2028"], "directive"),
        (["prove", "--receipt", "zz", "-o", "p"], "receipt"),
        (["subject", "add", "--name", "\udcff"], "name"),
    ],
)
def test_a_bad_word_on_the_command_line_is_refused_by_its_place(
    shared: Node, words: list[str], place: str
) -> None:
    before = rows(shared)
    refused = shared.run(*words)
    assert refused.code == 2, refused
    assert place in refused.error["where"]
    assert rows(shared) == before


@pytest.mark.parametrize(
    ("more", "place"),
    [
        (["--purpose", "NOSUCH"], "purpose"),
        (["--purpose", "TREAT", "--types", "Observations"], "types"),
        (["--purpose", "TREAT", "--segments", "SECRET"], "segments"),
        (["--purpose", "TREAT", "--until", "2020-01-01"], "until"),
        (["--purpose", "TREAT", "--until", "tomorrow"], "until"),
        (["--purpose", "TREAT", "--until", "9999-99-99"], "until"),
    ],
)
def test_a_grant_that_cannot_be_is_refused_by_its_option(
    shared: Node, more: list[str], place: str
) -> None:
    subject, reader = shared.add_subject(), shared.add_reader()
    before = rows(shared)
    refused = shared.run("grant", "--subject", subject, "--reader", reader, *more)
    assert refused.code == 2, refused
    assert place in refused.error["where"]
    assert rows(shared) == before


@pytest.mark.parametrize("ttl", ["0", "-5", "1y", "99999d", "", "1.5h", "h", "\u0661h"])
def test_a_life_that_is_none_is_refused(shared: Node, ttl: str) -> None:
    with pytest.raises(MalformedInputError) as caught:
        shared.token(subject=shared.add_subject(), ttl=ttl)
    assert "ttl" in caught.value.where


@pytest.mark.parametrize(
    "line",
    [b"", b"\n", b"rubbish\n", b"{}\n", b"[]\n", b"null\n", b"\xff\xfe\n", b'{"command":5}\n',
     b'{"command":"log"}\n', b'{"command":"log","arguments":[]}\n', b'{"command":"no"}\n',
     b'{"command":"log","arguments":{"nope":1}}\n', b'{"command":"log","arguments":{"subject":5}}\n',
     b'{"command":"import","arguments":{}}\n', b"[" * 100_000 + b"\n", b"x" * (2 << 20)],
)  # fmt: skip
def test_rubbish_on_the_local_socket_leaves_the_node_standing(shared: Node, line: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.settimeout(10)
        channel.connect(str(shared.data / "node.sock"))
        try:
            channel.sendall(line)
            channel.shutdown(socket.SHUT_WR)
            answer = channel.makefile("rb").read()
        except ConnectionError:
            answer = b""
    if answer:
        assert b'"error"' in answer
    assert isinstance(shared.operate("subject list"), list)


def test_the_wire_itself_may_be_rubbish(shared: Node) -> None:
    subject = shared.add_subject()
    token = shared.token(subject=subject)
    wires = [
        b"rubbish\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /fhir/Patient/x HTTP/1.1\r\n\r\n",
        b"POST /fhir HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /fhir HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\nAuthorization: Bearer "
        + token.encode() + b"\r\n\r\n{",
        b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", bytes(range(256)) * 20,
    ]  # fmt: skip
    for wire in wires:
        with socket.create_connection(("127.0.0.1", shared.port), timeout=10) as channel:
            try:
                channel.sendall(wire)
                channel.shutdown(socket.SHUT_WR)
                channel.recv(100)
            except OSError:
                log.info("the node hung up")
    assert shared.get(f"/fhir/Patient/{subject}", token).status_code == 200
    big = shared.ask("POST", "/fhir/Observation", token, b" " * ((16 << 20) + 1))
    assert big.status_code == 413
    bomb = gzip.compress(b" " * (64 << 20), 9)
    packed = shared.ask("POST", "/fhir/Observation", token, bomb, Content_Encoding="gzip")
    assert packed.status_code == 413
    assert shared.get(f"/fhir/Patient/{subject}", token).status_code == 200


def test_a_proof_that_is_rubbish_fails_at_its_format(tmp_path: Path) -> None:
    headers = tmp_path / "headers.json"
    for content in (b"", b"{}", b"[1]", bytes(range(256)), b"[" * 100_000, b'{"version":1}'):
        proof = tmp_path / "x.proof"
        proof.write_bytes(content)
        headers.write_bytes(content)
        refused = run("verify", proof, "--headers", headers)
        assert (refused.code, refused.json["ok"]) == (1, False), content[:20]
        assert refused.json["failed_step"]


def test_at_the_end_the_node_is_whole_and_its_log_holds_no_word_of_it(shared: Node) -> None:
    assert shared.operate("fsck") == {"ok": True, "problems": []}
    shared.stop()
    assert CANARY not in shared.log
    assert "Traceback" not in shared.log, shared.log
