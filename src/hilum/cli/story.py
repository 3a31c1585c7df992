"""`hilum demo`: the main job told on a throw-away node, over the real command line and real HTTP.

A node is served by a process of its own; the story is its operator (local socket), its clinic (HTTP
with a bearer token) and its subject. Every step is checked; the first that does not hold ends it.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from hilum.cli.throwaway import ThrowawayNode, serve_throwaway

__all__ = ["tell"]

_DAY_MS = 86_400_000
_DAYS_OF_SIGNALS = 7


@dataclass(slots=True)
class _Story:
    """What the steps share.

    Attributes:
        node: the throw-away node.
        facts: ids, tokens and counts found on the way.
        steps: what was told and whether it held.
    """

    node: ThrowawayNode
    facts: dict[str, Any] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)


def tell(*, keep: bool, bundles: list[str]) -> dict[str, Any]:
    """Tell the story; returns ``{"ok", "steps", "seconds"}``.

    Args:
        keep: leave the node's folder behind and say where it is.
        bundles: FHIR bundles to use instead of the demo family's; the first is the hero's.
    """
    started = time.monotonic()
    with serve_throwaway(keep=keep) as node:
        story = _Story(node)
        held = all(_run(story, step, bundles) for step in _STEPS)
    if keep:
        click.echo(f"the node is kept in {node.root}", err=True)
    return {"ok": held, "steps": story.steps, "seconds": round(time.monotonic() - started, 1)}


def _run(story: _Story, step: Callable[[_Story, list[str]], str], bundles: list[str]) -> bool:
    title = (step.__doc__ or step.__name__).partition("\n")[0].rstrip(".")
    began = time.monotonic()
    try:
        words = step(story, bundles)
        held = True
    except AssertionError as error:
        words, held = str(error), False
    took = time.monotonic() - began
    story.steps.append({"step": title, "ok": held, "seen": words, "seconds": round(took, 2)})
    click.echo(f"{'ok  ' if held else 'FAIL'} {title}: {words}  ({took:.1f} s)", err=True)
    return held


def _check(truth: object, words: str) -> None:
    if not truth:
        raise AssertionError(words)


def _import_record(story: _Story, bundles: list[str]) -> str:
    """Import a hospital record, a glucose sensor's export and an Apple Health export."""
    from hilum.exchange.demo_family import FAMILY, directory_bundle, hospital_bundle
    from hilum.signals.synthetic import apple_export_xml, clarity_csv

    now = time.time_ns() // 1_000_000
    directory = story.node.root / "directory.json"
    directory.write_bytes(directory_bundle())
    story.node.operate("import", directory=True, subject=None, zone=None, files=[str(directory)])
    if not bundles:
        record = story.node.root / "hospital.json"
        record.write_bytes(hospital_bundle(FAMILY[0], now_ms=now))
        bundles = [str(record)]
    start = now - _DAYS_OF_SIGNALS * _DAY_MS
    sensor = story.node.root / "clarity.csv"
    sensor.write_bytes(clarity_csv(7, start, _DAYS_OF_SIGNALS, "Europe/Madrid"))
    phone = story.node.root / "export.xml"
    with phone.open("wb") as file:
        file.writelines(apple_export_xml(7, start, _DAYS_OF_SIGNALS, "Europe/Madrid"))
    counts = []
    subject = "new"
    for path in (bundles[0], str(sensor), str(phone)):
        report = story.node.operate(
            "import", subject=subject, directory=False, zone="Europe/Madrid", files=[path]
        )
        subject = report["subject"]
        _check(report["accepted"] > 0, f"nothing accepted from {Path(path).name}")
        counts.append(f"{report['accepted']} from {Path(path).name}")
        again = story.node.operate(
            "import", subject=subject, directory=False, zone="Europe/Madrid", files=[path]
        )
        _check(again["accepted"] == 0, f"a second import of {Path(path).name} added rows")
    for path in bundles[1:]:
        report = story.node.operate(
            "import", subject="new", directory=False, zone=None, files=[path]
        )
        _check(
            report["accepted"] > 0 and not report["refused"],
            f"{Path(path).name} was not taken whole",
        )
    story.facts["subject"] = subject
    return ", ".join(counts) + "; a second import added nothing"


def _refuse_before_consent(story: _Story, _bundles: list[str]) -> str:
    """Before any consent a clinic sees nothing at all."""
    facts = story.facts
    facts["reader"] = story.node.operate(
        "reader add",
        name="Riverside Clinic",
        kind="organization",
        role="physician",
        organization=None,
    )["id"]
    facts["clinic"] = story.node.token(reader=facts["reader"], purpose="TREAT")
    facts["own"] = story.node.token(subject=facts["subject"])
    facts["everything"] = f"/fhir/Observation?patient={facts['subject']}&_count=500"
    facts["patient"] = f"/fhir/Patient/{facts['subject']}"
    status, body = story.node.ask(facts["patient"], facts["clinic"])
    _check(status == http.client.NOT_FOUND, f"expected absent, got {status}")
    facts["absent"] = _absent(story, body)
    _check(
        story.node.count(facts["everything"], facts["clinic"]) == 0,
        "a search without consent found rows",
    )
    return "read 404, search empty, byte for byte as for a person who never existed"


def _grant(story: _Story, _bundles: list[str]) -> str:
    """The patient grants the clinic read access for treatment until a date."""
    facts = story.facts
    until = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 30 * 86400))
    granted = story.node.operate(
        "grant",
        subject=facts["subject"],
        reader=facts["reader"],
        purpose="TREAT",
        types=None,
        segments=None,
        until=until,
    )
    facts["directive"] = granted["directive"]
    return f"directive {granted['directive']} until {until}"


def _read_by_clinic(story: _Story, _bundles: list[str]) -> str:
    """The clinic reads over HTTP FHIR."""
    facts = story.facts
    status, body = story.node.ask(facts["patient"], facts["clinic"])
    _check(status == http.client.OK, f"expected the patient, got {status}")
    _check(json.loads(body)["id"] == facts["subject"], "another resource came back")
    found = story.node.count(facts["everything"], facts["clinic"])
    _check(found > 0, "the clinic sees no observation")
    facts["found"] = found
    glucose = story.node.count(
        f"/fhir/Observation?patient={facts['subject']}&code=http://loinc.org|99504-3&_count=500",
        facts["clinic"],
    )
    _check(glucose > 100, f"only {glucose} glucose readings")
    return f"the patient, {found} observations, {glucose} of them sensor glucose"


def _list_receipts(story: _Story, _bundles: list[str]) -> str:
    """Every read left a receipt that the patient sees."""
    facts = story.facts
    log = story.node.operate("log", subject=facts["subject"])
    outcomes = [row["outcome"] for row in log]
    _check("absent" in outcomes and "permit" in outcomes, f"outcomes {set(outcomes)}")
    shown = [
        row for row in log if row["outcome"] == "permit" and row["reader"] == "Riverside Clinic"
    ]
    _check(shown, "no receipt names the clinic")
    facts["receipt"] = shown[0]["receipt"]
    return f"{len(log)} receipts, {outcomes.count('absent')} of them of refused attempts"


def _seal(story: _Story, _bundles: list[str]) -> str:
    """Receipts and consents are sealed in a batch and anchored in a Bitcoin block."""
    sealed = story.node.operate("seal")
    _check(sealed["anchor"] and sealed["operations"] >= 2, f"sealed {sealed}")
    return f"batch {sealed['batch']}, {sealed['operations']} operations, block {sealed['height']}"


def _revoke(story: _Story, _bundles: list[str]) -> str:
    """The patient revokes: the same reads look as if nothing were there."""
    facts = story.facts
    story.node.operate("revoke", directive=facts["directive"])
    status, body = story.node.ask(facts["patient"], facts["clinic"])
    _check(status == http.client.NOT_FOUND and body == facts["absent"], "the patient still shows")
    _check(story.node.count(facts["everything"], facts["clinic"]) == 0, "observations still show")
    own = story.node.count(facts["everything"], facts["own"])
    _check(own >= facts["found"], "the subject lost sight of the own record")
    return "404 and empty for the clinic; the patient still sees everything"


def _break_glass(story: _Story, _bundles: list[str]) -> str:
    """In an emergency a physician breaks the glass with a reason; it shows."""
    facts = story.facts
    urgent = story.node.token(reader=facts["reader"], purpose="ETREAT")
    status, _ = story.node.ask(facts["patient"], urgent)
    _check(status == http.client.NOT_FOUND, "an emergency purpose alone opened the record")
    body = json.dumps(
        {
            "subject": facts["subject"],
            "reason": "unconscious after a fall, allergies unknown",
            "nature": "medical emergency",
            "affiliation": "Riverside Clinic",
        }
    ).encode()
    status, _ = story.node.ask("/api/break-glass", urgent, body=body)
    _check(status == http.client.CREATED, f"break-glass answered {status}")
    status, _ = story.node.ask(facts["patient"], urgent)
    _check(status == http.client.OK, f"the emergency read answered {status}")
    log = story.node.operate("log", subject=facts["subject"])
    _check(log[-1]["outcome"] == "emergency", "the receipt does not say emergency")
    return "opened with a reason, for hours only; the patient's log says emergency"


def _prove(story: _Story, _bundles: list[str]) -> str:
    """The proof of a receipt is exported and verified offline in a new process."""
    story.node.operate("seal")
    proof, headers = story.node.root / "receipt.proof", story.node.root / "headers.json"
    proof.write_text(story.node.operate("prove", receipt=story.facts["receipt"])["proof"])
    headers.write_text(story.node.operate("headers")["headers"])
    code, verdict = _verify(proof, headers)
    _check(code == 0 and verdict["ok"], f"the proof was refused: {verdict}")
    return f"{proof.stat().st_size} bytes, all steps hold against {headers.stat().st_size} bytes of headers"


def _tamper(story: _Story, _bundles: list[str]) -> str:
    """A tampered proof is refused and the failing step named."""
    proof, headers = story.node.root / "receipt.proof", story.node.root / "headers.json"
    text = proof.read_text()
    place = text.index('"receipt":"') + len('"receipt":"') + 40
    forged = story.node.root / "forged.proof"
    forged.write_text(text[:place] + ("0" if text[place] != "0" else "1") + text[place + 1 :])
    code, verdict = _verify(forged, headers)
    _check(code == 1 and not verdict["ok"] and verdict["failed_step"], f"not refused: {verdict}")
    return f"one digit changed: refused at step {verdict['failed_step']}"


def _check_store(story: _Story, _bundles: list[str]) -> str:
    """The node re-derives everything from raw data and finds it whole."""
    report = story.node.operate("fsck")
    _check(report["ok"], f"fsck: {report['problems'][:3]}")
    return "clean"


_STEPS = (
    _import_record,
    _refuse_before_consent,
    _grant,
    _read_by_clinic,
    _list_receipts,
    _seal,
    _revoke,
    _break_glass,
    _prove,
    _tamper,
    _check_store,
)


def _absent(story: _Story, body: bytes) -> bytes:
    """Return the body of a denied read after checking that it equals one of a person who never was."""
    _, never = story.node.ask(
        "/fhir/Patient/00000000-0000-4000-8000-000000000000", story.facts["clinic"]
    )
    _check(body == never, "denied and never-existed differ")
    return body


def _verify(proof: Path, headers: Path) -> tuple[int, dict[str, Any]]:
    command = [
        sys.executable,
        "-m",
        "hilum",
        "verify",
        str(proof),
        "--headers",
        str(headers),
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)  # noqa: S603 - our own
    return done.returncode, json.loads(done.stdout)
