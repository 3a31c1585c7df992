"""The browser's verifier and Python's give the same verdict on the same files."""

from __future__ import annotations

import json
import subprocess
from base64 import b64encode
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hilum
from hilum.base import canonical
from hilum.errors import VerificationError
from hilum.journal.model import Outcome
from hilum.ledger.proof import encode_headers
from hilum.verifier import STEPS, verify_proof

MODULE = Path(hilum.__file__).parent / "portal" / "static" / "verify.mjs"
DRIVER = """
import { readFileSync } from "node:fs";
const { verifyProof, STEPS } = await import(process.argv[1]);
const cases = JSON.parse(readFileSync(0, "utf8"));
const verdicts = [];
for (const [proof, headers] of cases) {
  verdicts.push(await verifyProof(Buffer.from(proof, "base64"), Buffer.from(headers, "base64")));
}
console.log(JSON.stringify({ steps: STEPS, verdicts }));
"""
Case = tuple[bytes, bytes]


def run_node(node: str, cases: Sequence[Case]) -> dict[str, Any]:
    told = json.dumps([[b64encode(part).decode() for part in case] for case in cases])
    done = subprocess.run(
        [node, "--input-type=module", "-e", DRIVER, MODULE.as_uri()],
        input=told,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def verdict(case: Case) -> str | None:
    try:
        verify_proof(*case)
    except VerificationError as error:
        return error.step
    return None


def replace_byte(data: bytes, at: int, byte: int) -> bytes:
    return data[:at] + bytes([byte]) + data[at + 1 :]


def assert_same(node: str, cases: Sequence[Case]) -> None:
    verdicts = run_node(node, cases)["verdicts"]
    for n, (case, theirs) in enumerate(zip(cases, verdicts, strict=True)):
        assert theirs["failedStep"] == verdict(case), (n, theirs)
        assert theirs["ok"] == (theirs["failedStep"] is None)


def test_the_browser_knows_the_same_steps_and_reports_the_same(
    make_proof: Callable[..., Any], node: str
) -> None:
    made = [make_proof(number=n, outcome=o) for n, o in ((0, 1), (3, 2), (6, 3))]
    answer = run_node(node, [(one.proof, one.headers) for one in made])
    assert tuple(answer["steps"]) == STEPS
    for one, theirs in zip(made, answer["verdicts"], strict=True):
        ours = verify_proof(one.proof, one.headers)
        assert theirs["ok"]
        assert theirs["report"] == {
            "receiptId": ours.receipt_id,
            "custodian": ours.receipt.custodian.hex(),
            "number": ours.receipt.number,
            "atUnixMs": ours.receipt.at_unix_ms,
            "person": ours.receipt.person,
            "client": ours.receipt.client,
            "organisation": ours.receipt.organisation,
            "purpose": ours.receipt.purpose,
            "action": ours.receipt.action,
            "outcome": ours.receipt.outcome,
            "count": ours.receipt.count,
            "origin": ours.origin,
            "journalSize": ours.journal_size,
            "batch": ours.batch,
            "mode": ours.mode,
            "txid": ours.txid,
            "height": ours.height,
            "blockTimeUnixS": ours.block_time_unix_s,
            "confirmations": ours.confirmations,
            "network": ours.network,
            "label": ours.label,
        }


def test_a_changed_byte_anywhere_gets_the_same_verdict(made: Any, node: str) -> None:
    cases = []
    # every third byte here; all of them, with more values, in test_verifier_proof
    for at in range(0, len(made.proof), 3):
        byte = (made.proof[at] ^ 1, 0x20, 0x30, 0x39, 0xFF)[at % 5]
        cases.append((replace_byte(made.proof, at, byte), made.headers))
    cases += [
        (made.proof, replace_byte(made.headers, at, made.headers[at] ^ 1))
        for at in range(0, len(made.headers), 5)
    ]
    verdicts = {verdict(case) for case in cases if case != (made.proof, made.headers)}
    assert None not in verdicts
    assert_same(node, cases)


def test_other_shapes_get_the_same_verdict(make_proof: Callable[..., Any], node: str) -> None:
    made = make_proof(outcome=Outcome.EMERGENCY)
    value = json.loads(made.proof)
    cases: list[Case] = [
        (text.encode("utf-8", "surrogatepass"), made.headers)
        for text in (
            "",
            "[]",
            "null",
            "1e3",
            "-0",
            '"\ud800"',
            '"\\ud800"',
            "\ufeff{}",
            '{"é":1}',
            '{"__proto__":1}',
            "9007199254740993",
            "9007199254740992",
            "[" * 300_000 + "]" * 300_000,
            json.dumps(value),
            json.dumps(value, separators=(",", ":")),
            made.proof.decode() + " " * (1 << 20),
        )
    ]

    def put(*path: str, to: object) -> None:
        changed = json.loads(made.proof)
        inner = changed
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = to(inner[path[-1]]) if callable(to) else to
        cases.append((canonical.encode(changed), made.headers))

    for number in (0, 1, 3, 2**31, 2**32 - 1, 2**32, 2**53 - 1, -1):
        for name in ("index", "seq", "until", "levels", "rule", "size"):
            put("cell", name, to=number)
        put("anchor", "height", to=number)
        put("anchor", "index", to=number)
    for other in (True, "1", [], {}, "zz", "ab"):
        for name in ("receipt", "salt", "path", "checkpoint", "cell", "batch", "anchor", "format"):
            put(name, to=other)
    put("checkpoint", to="\U0001f600" * 600)
    put("checkpoint", to="x" * 1001)
    put("receipt", to=lambda text: text[:-2] + "ff")
    for size in range(0, len(value["receipt"]), 14):
        put("receipt", to=lambda text, size=size: text[:size])
    for size in range(0, len(value["anchor"]["transaction"]), 14):
        put("anchor", "transaction", to=lambda text, size=size: text[:size])
    for head in ("fd", "fe", "ff"):
        put("anchor", "transaction", to=lambda text, head=head: text[:8] + head + "ff" * 20)
    raw = made.raw_headers
    others = (
        b"",
        b"{}",
        encode_headers(raw[:80], network="regtest"),
        encode_headers(raw, network="mainnet"),
        encode_headers(raw, network="signet"),
        encode_headers(raw, network="constructor"),
        encode_headers(raw[:-8] + bytes(8), network="regtest"),
        encode_headers(raw[:-8] + b"\xff\xff\xff\x20" + raw[-4:], network="regtest"),
        made.headers + b"\n",
    )
    cases += [(made.proof, headers) for headers in others]
    assert_same(node, [*cases, (made.proof, made.headers)])
