"""The command line as scripts see it: names, options, keys, exit codes, with and without a served node."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from node import Node, environment, run

log = logging.getLogger(__name__)

COMMANDS = {
    "serve": {"--demo", "--port"},
    "demo": set[str](),
    "init": set[str](),
    "import": {"--subject", "--directory"},
    "subject add": set[str](),
    "subject list": set[str](),
    "subject show": set[str](),
    "reader add": set[str](),
    "reader list": set[str](),
    "token": {"--reader", "--purpose", "--for-subject", "--subject", "--ttl"},
    "grant": {"--subject", "--reader", "--purpose", "--types", "--segments", "--until"},
    "revoke": set[str](),
    "consents": {"--subject"},
    "log": {"--subject"},
    "seal": set[str](),
    "prove": {"--receipt", "-o"},
    "headers": {"-o"},
    "verify": {"--headers"},
    "export": {"--subject", "-o"},
    "erase": {"--subject"},
    "fsck": set[str](),
    "bench": set[str](),
}
BUNDLE = {
    "resourceType": "Bundle",
    "type": "collection",
    "entry": [
        {"resource": {"resourceType": "Patient", "id": "contract-p", "birthDate": "1980-02-29"}},
        {
            "resource": {
                "resourceType": "Observation",
                "id": "contract-o",
                "status": "final",
                "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
                "subject": {"reference": "Patient/contract-p"},
                "valueQuantity": {"value": 13.90, "unit": "g/dL"},
            }
        },
        {"resource": {"resourceType": "Observation", "id": "contract-bad", "status": 7}},
    ],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_options_json_data_and_an_example(command: str) -> None:
    shown = run(*command.split(), "--help", as_json=False)
    assert shown.code == 0, shown.err
    options = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", shown.out))
    assert COMMANDS[command] | {"--json", "--data"} <= options
    assert re.search(rf"Example:\n\s+hilum {command}", shown.out), shown.out


def follow(data: Path, folder: Path) -> dict[str, Any]:
    """Use every command once, as a script would, and return what it needs later."""

    def do(*words: object, code: int = 0) -> Any:
        done = run(*words, data=data)
        assert done.code == code, (words, done.out, done.err)
        return done.json if code in {0, 1} and done.out else done.error

    bundle = folder / "bundle.json"
    bundle.write_text(json.dumps(BUNDLE))
    log.info("people")
    assert set(do("subject", "add", "--name", "Ada Example")) == {"id"}
    reader = do("reader", "add", "--name", "Riverside Clinic")
    assert set(reader) == {"id"}
    assert reader["id"] in {each["id"] for each in do("reader", "list")}
    log.info("a record")
    taken = do("import", "--subject", "new", bundle)
    assert taken["subject"] == "contract-p"
    assert (taken["accepted"], taken["duplicate"], len(taken["refused"])) == (2, 0, 1)
    assert set(taken["refused"][0]) == {"where", "why"}
    assert "entry[2]" in taken["refused"][0]["where"]
    again = do("import", "--subject", "contract-p", bundle)
    assert (again["accepted"], again["duplicate"]) == (0, 2)
    assert "contract-p" in {each["id"] for each in do("subject", "list")}
    assert do("subject", "show", "contract-p")["types"] == {"Observation": 1, "Patient": 1}
    log.info("tokens and consent")
    token = do("token", "--reader", reader["id"], "--purpose", "TREAT", "--ttl", "15m")
    assert set(token) == {"token", "expires"}
    own = do("token", "--subject", "contract-p")
    narrowed = do(
        "token", "--reader", reader["id"], "--purpose", "TREAT", "--for-subject", "contract-p"
    )
    grant = (
        "grant", "--subject", "contract-p", "--reader", reader["id"], "--purpose", "TREAT",
        "--types", "Patient,Observation", "--segments", "NORMAL", "--until", "2099-12-31",
    )  # fmt: skip
    granted = do(*grant)
    assert re.fullmatch(r"[0-9a-f]{32}", granted["directive"])
    (consent,) = do("consents", "--subject", "contract-p")
    assert (consent["directive"], consent["status"]) == (granted["directive"], "active")
    assert "Riverside Clinic" in consent["sentence"]
    return {
        "do": do,
        "directive": granted["directive"],
        "clinic": token["token"],
        "own": own["token"],
        "narrowed": narrowed["token"],
    }


def finish(do: Any, folder: Path, directive: str, data: Path) -> None:
    """Revoke, seal, prove, verify, export, erase and check, as a script would."""
    log.info("revoking twice is a conflict")
    assert do("revoke", directive)["directive"] == directive
    assert do("revoke", directive, code=1)["code"] == "already-revoked"
    log.info("seal and prove")
    sealed = do("seal")
    assert {"batch", "operations", "anchor", "height"} <= set(sealed)
    assert (sealed["batch"] >= 1, len(sealed["anchor"])) == (True, 64)
    rows = do("log", "--subject", "contract-p")
    assert rows == sorted(rows, key=lambda row: row["at"])
    keys = {"receipt", "at", "reader", "purpose", "action", "outcome", "count"}
    assert all(keys <= set(row) for row in rows)
    proof, headers = folder / "receipt.proof", folder / "headers.json"
    do("prove", "--receipt", rows[0]["receipt"], "-o", proof)
    do("headers", "-o", headers)
    verdict = do("verify", proof, "--headers", headers)
    assert (verdict["ok"], verdict["failed_step"]) == (True, None)
    forged = folder / "forged.proof"
    text = proof.read_text()
    place = text.index('"receipt":"') + 60
    forged.write_text(text[:place] + ("0" if text[place] != "0" else "1") + text[place + 1 :])
    refused = do("verify", forged, "--headers", headers, code=1)
    assert refused["ok"] is False
    assert refused["failed_step"]
    log.info("take out, check, erase")
    archive = folder / "record.zip"
    do("export", "--subject", "contract-p", "-o", archive)
    assert archive.stat().st_size > 500
    assert do("fsck") == {"ok": True, "problems": []}
    do("erase", "--subject", "contract-p", "--yes")
    assert do("log", "--subject", "contract-p", code=2)["code"] == "unknown-subject"
    log.info("the zip brings it back")
    back = do("import", archive)
    assert (back["subject"], back["refused"]) == ("contract-p", [])
    assert do("fsck") == {"ok": True, "problems": []}


def test_every_command_keeps_its_contract_without_a_running_node(tmp_path: Path) -> None:
    data = tmp_path / "node"
    assert run("init", "--custodian", "Riverside", data=data).json["custodian"] == "Riverside"
    facts = follow(data, tmp_path)
    log.info("a receipt comes from a read, and reads need a served node")
    with Node(tmp_path) as node:
        assert node.get("/fhir/Observation/contract-o", facts["clinic"]).status_code == 200
    finish(facts["do"], tmp_path, facts["directive"], data)


def test_every_command_keeps_its_contract_beside_a_running_node(node: Node, tmp_path: Path) -> None:
    facts = follow(node.data, tmp_path)
    for name in ("clinic", "own", "narrowed"):
        answer = node.get("/fhir/Observation/contract-o", facts[name])
        assert answer.status_code == 200, name
        assert '"value":13.9,' in answer.text
    finish(facts["do"], tmp_path, facts["directive"], node.data)
    assert node.get("/fhir/Observation/contract-o", facts["own"]).status_code == 404
    log.info("what is served says nothing on the way")
    assert node.stop() == 0
    assert node.log.splitlines()[1:] == []


def test_two_writers_on_one_data_directory_are_impossible(node: Node) -> None:
    second = run("serve", "--port", "0", data=node.data)
    assert (second.code, second.error["code"]) == (3, "directory-busy")
    assert str(node.process.pid if node.process else "") in second.error["why"]


def test_a_port_that_is_taken_is_said_at_once(node: Node, tmp_path: Path) -> None:
    second = run("serve", "--port", node.port, data=tmp_path / "other")
    assert (second.code, second.error["code"]) == (3, "port-taken")


def test_the_exit_code_says_what_kind_of_refusal_it_is(tmp_path: Path) -> None:
    data = tmp_path / "node"
    missing = run("subject", "list", data=data)
    assert (missing.code, missing.error["code"]) == (3, "no-node")
    assert run("init", data=data).code == 0
    before = sorted(path.name for path in data.iterdir())
    assert run("init", data=data).code == 0
    assert sorted(path.name for path in data.iterdir()) == before
    unknown = run("log", "--subject", "nobody", data=data)
    assert (unknown.code, unknown.error["where"]) == (2, "subject")
    assert run("token", "--ttl", "1h", data=data).code == 2
    assert run("grant", "--subject", "x", data=data).code == 2
    assert run("revoke", "d-nothing", data=data).code == 2
    assert run("seal", data=data).json["operations"] == 0
    assert run("prove", "--receipt", "00", "-o", tmp_path / "p", data=data).code == 2
    assert not (tmp_path / "p").exists()
    erased = run("erase", "--subject", "nobody", "--yes", data=data)
    assert erased.code == 2


def test_an_error_is_one_line_for_people_and_one_document_for_scripts(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "hilum", "log", "--subject", "x", "--data", str(tmp_path / "no")]
    plain = subprocess.run(words, env=environment(), capture_output=True, text=True, check=False)
    assert plain.stdout == ""
    assert plain.stderr.startswith("hilum: ")
    assert len(plain.stderr.splitlines()) == 1
    scripted = run("log", "--subject", "x", data=tmp_path / "no")
    assert scripted.out == ""
    assert set(scripted.error) == {"code", "why", "where", "hint"}
