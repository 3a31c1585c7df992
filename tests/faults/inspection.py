"""What must hold after a fault: said by a process that was not there when it happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import usecases
from usecases import Facts, operate, session

from hilum.errors import HilumError, MalformedInputError, VerificationError
from hilum.exchange.histories import look_up_version
from hilum.exchange.node import Node
from hilum.exchange.people import session_of
from hilum.exchange.reading import look_up
from hilum.verifier.proof import verify_proof

Check = Callable[[Node, Facts, dict[str, Any]], bool]


def inspect(root: Path, acks: list[dict[str, Any]], *, again: str | None) -> list[str]:
    """Open a directory after a fault; return what does not hold.

    Args:
        root: the data directory.
        acks: what had been acknowledged.
        again: the use case to do once more, as people do after a failure.
    """
    usecases.shrink()
    if again in usecases.STARTS:
        usecases.STARTS[again](root, lambda **_said: None)
    with usecases.opened(root) as node:
        facts = usecases.facts_of(root)
        problems = [f"fsck: {line}" for line in operate(node, "fsck")["problems"]]
        problems += _unkept(node, facts, acks)
        if again in usecases.CASES:
            problems += _again(node, facts, again)
        problems += list(_proof(node, facts))
        problems += [f"fsck at the end: {line}" for line in operate(node, "fsck")["problems"]]
    return problems


def behaviour(node: Node, facts: Facts) -> list[str]:
    """Compare what a node that lived through a fault does with what its disk says."""
    said: list[str] = []
    if not facts:
        return said
    clinic = session_of(node, facts["clinic"])
    fresh = node.identity.find(node.conn, session(node, facts["clinic"]).token_hash)
    if (clinic is None) != (fresh is None):
        said.append("a token is remembered that the disk does not have")
    active = {each.id for each in node.directives.active(node.conn, node_cid(node, facts))}
    sees = bool(look_up(node, session(node, facts["clinic"]), "Patient", facts["subject"]).rows)
    if sees != (facts["directive"] in active):
        said.append(f"the reader sees the patient: {sees}, but the directives on disk: {active}")
    return said


def node_cid(node: Node, facts: Facts) -> Any:
    found = node.record.compartment_of(node.conn, facts["subject"])
    return -1 if found is None else found


def _again(node: Node, facts: Facts, name: str) -> Iterator[str]:
    case = usecases.CASES[name]
    acks: list[dict[str, Any]] = []
    try:
        case.act(node, facts, lambda **what: acks.append(what))
    except HilumError as error:
        if error.code not in case.settled:
            yield f"again: {error.code}: {error}"
    yield from (f"again: {line}" for line in _unkept(node, facts, acks))


def _unkept(node: Node, facts: Facts, acks: list[dict[str, Any]]) -> list[str]:
    lost = []
    wanted = sum(each["more"] for each in acks if each["kind"] == "receipts")
    if node.journal.size(node.conn) < facts.get("receipts", 0) + wanted:
        lost.append(f"of {wanted} acknowledged receipts some are lost")
    for each in acks:
        look = _CHECKS.get(each["kind"])
        if look is not None and not look(node, facts, each):
            lost.append(f"acknowledged but not there: {each}")
    return lost


def _proof(node: Node, facts: Facts) -> Iterator[str]:
    """A receipt that was anchored before still proves itself, and what waited can be sealed."""
    operate(node, "seal")
    if node.ledger.unanchored(node.conn) or node.ledger.waiting(node.conn):
        yield "sealing left something behind"
    if not facts or node_cid(node, facts) == -1:
        return
    last = operate(node, "log", subject=facts["subject"])[-1]["receipt"]
    headers = operate(node, "headers")["headers"].encode()
    for receipt in {facts["receipt"], last}:
        proof = operate(node, "prove", receipt=receipt)["proof"].encode()
        try:
            verify_proof(proof, headers)
        except VerificationError as error:
            yield f"proof of {receipt}: {error.step}"


# -- one function for every kind of acknowledgement ------------------------------------------------


def _resource(node: Node, facts: Facts, ack: dict[str, Any]) -> bool:
    own = session(node, facts[ack.get("by", "own")])
    answer, _gone = look_up_version(node, own, (ack["type"], ack["id"]), ack["ver"])
    bodies = [row.body for row in answer.rows]
    return len(bodies) == 1 and ack["sha"] in {None, usecases.digest(bodies[0])}


def _gone(node: Node, facts: Facts, ack: dict[str, Any]) -> bool:
    own = session(node, facts["own"])
    return not look_up(node, own, ack["type"], ack["id"]).rows


def _directive(node: Node, facts: Facts, ack: dict[str, Any]) -> bool:
    held = operate(node, "consents", subject=facts["subject"])
    return {"directive": ack["id"], "status": ack["status"]} in [
        {"directive": each["directive"], "status": each["status"]} for each in held
    ]


def _sees_nothing(node: Node, facts: Facts, ack: dict[str, Any]) -> bool:
    clinic = session(node, facts["clinic"])
    return not look_up(node, clinic, "Patient", facts["subject"]).rows


def _emergency(node: Node, facts: Facts, ack: dict[str, Any]) -> bool:
    urgent = session(node, facts["urgent"])
    return bool(look_up(node, urgent, "Patient", facts["subject"]).rows)


def _subject(node: Node, facts: Facts, ack: dict[str, Any]) -> bool:
    return bool(operate(node, "subject show", subject=ack["id"])["types"].get("Patient") == 1)


def _reader(node: Node, facts: Facts, ack: dict[str, Any]) -> bool:
    return ack["id"] in [each["id"] for each in operate(node, "reader list")]


def _token(node: Node, facts: Facts, ack: dict[str, Any]) -> bool:
    return session_of(node, ack["token"]) is not None


def _imported(node: Node, facts: Facts, ack: dict[str, Any]) -> bool:
    zone = "Europe/Madrid" if ack["file"] == facts["sensor"] else None
    report = usecases.take(node, ack["file"], subject=ack["subject"], zone=zone)
    return bool(report["accepted"] == 0 and report["duplicate"] > 0)


def _batch(node: Node, facts: Facts, ack: dict[str, Any]) -> bool:
    batch = node.ledger.batch(node.conn, ack["number"])
    return batch is not None and batch.txid is not None


def _erased(node: Node, facts: Facts, ack: dict[str, Any]) -> bool:
    try:
        operate(node, "subject show", subject=ack["subject"])
    except MalformedInputError:
        kept = node.keyring.holds(ack["cid"])
        return not kept and not (node.directory.objects / str(ack["cid"])).exists()
    return False


def _file(node: Node, facts: Facts, ack: dict[str, Any]) -> bool:
    return Path(ack["path"]).exists()


def _node(node: Node, facts: Facts, ack: dict[str, Any]) -> bool:
    return bool(node.custodian.did == ack["did"])


def _schema(node: Node, facts: Facts, ack: dict[str, Any]) -> bool:
    return bool(node.conn.execute("pragma user_version").fetchone()[0] == ack["version"])


def _indexed(node: Node, facts: Facts, ack: dict[str, Any]) -> bool:
    return bool(ack["current"] and node.record.indexes.is_current(node.conn))


def _demo(node: Node, facts: Facts, ack: dict[str, Any]) -> bool:
    return node.demo


_CHECKS: dict[str, Check] = {
    "resource": _resource, "gone": _gone, "directive": _directive, "sees-nothing": _sees_nothing,
    "emergency": _emergency, "subject": _subject, "reader": _reader, "token": _token,
    "imported": _imported, "batch": _batch, "erased": _erased, "file": _file, "node": _node,
    "schema": _schema, "indexed": _indexed, "demo": _demo,
}  # fmt: skip
