"""What is done while a point fails: every use case that makes something durable, through real code."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from hilum.api.negotiation import Returns
from hilum.api.transactions import Asking, run_bundle
from hilum.api.wire import Request, Response
from hilum.errors import AccessDeniedError
from hilum.exchange import clinical, contributing, demo, reindexing, wiring
from hilum.exchange.answering import Answer
from hilum.exchange.bulk import Export, Wanted, drop_export, new_export, save_files
from hilum.exchange.bulk_planning import Progress, plan
from hilum.exchange.bulk_reading import walk_file
from hilum.exchange.commands import COMMANDS
from hilum.exchange.datadir import DataDirectory, Lock
from hilum.exchange.demo_family import directory_bundle
from hilum.exchange.emergency import break_glass
from hilum.exchange.node import Node
from hilum.exchange.people import session_of
from hilum.exchange.reading import deliver, look_up, series_summary
from hilum.identity.session import Session
from hilum.record.adapters import reindexing as index_rows
from hilum.signals.synthetic import clarity_csv

Facts = dict[str, Any]
Ack = Callable[..., None]
SENSOR_START = 1_750_000_000_000
EXTRA_SCHEMA = "create table extra(n integer primary key); create index extra_n on extra(n)"


@dataclass(frozen=True)
class Case:
    """One use case.

    Attributes:
        act: does it, and says what is acknowledged.
        settled: codes with which a second attempt may answer that there is nothing left to do.
    """

    act: Callable[[Node, Facts, Ack], None]
    settled: frozenset[str] = frozenset()


def operate(node: Node, command: str, **arguments: object) -> Any:
    return COMMANDS[command](node, arguments, lambda _done, _total: None)


def take(node: Node, *files: str, subject: str | None, zone: str | None = None) -> Any:
    return operate(
        node, "import", files=list(files), subject=subject, directory=subject is None, zone=zone
    )


def session(node: Node, token: str) -> Session:
    found = session_of(node, token)
    assert found is not None
    return found


def observation(subject: str, value: float, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": {"reference": f"Patient/{subject}"},
        "valueQuantity": {"value": value, "unit": "/min"},
        **more,
    }


def record_of(subject: str) -> dict[str, Any]:
    """Return a bundle of one patient with enough observations for several commits."""
    patient = {"resourceType": "Patient", "id": subject, "birthDate": "1980-01-01"}
    seen = [observation(subject, 60 + n, id=f"{subject}-{n}") for n in range(40)]
    entries = [{"resource": each} for each in (patient, *seen)]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def digest(body: bytes) -> str:
    return sha256(body).hexdigest()


# -- the node that every row starts from -----------------------------------------------------------


def build(folder: Path) -> None:
    """Make the node: a record, a reader with a grant, receipts, one anchored batch; note the ids."""
    files = folder / "files"
    files.mkdir(parents=True)
    names = ("one", "another", "directory", "sensor")
    facts: Facts = {name: str(files / name) for name in names}
    Path(facts["directory"]).write_bytes(directory_bundle())
    for name in ("one", "another"):
        Path(facts[name]).write_text(json.dumps(record_of(f"subject-{name}")))
    Path(facts["sensor"]).write_bytes(clarity_csv(3, SENSOR_START, 1, "Europe/Madrid"))
    facts["zip"] = str(files / "another.zip")
    _export_from_elsewhere(folder / "elsewhere", facts)
    (folder / "nothing").mkdir()
    wiring.initialise(folder / "empty", custodian="Riverside Clinic", policy="eu-ehds")
    root = folder / "node"
    wiring.initialise(root, custodian="Riverside Clinic", policy="eu-ehds")
    with opened(root) as node:
        _fill(node, facts)
        facts["receipts"] = node.journal.size(node.conn)
    _facts_file(root).write_text(json.dumps(facts))


def _facts_file(root: Path) -> Path:
    return root / "facts.json"


def facts_of(root: Path) -> Facts:
    """Return what `build` noted; nothing for a directory that it did not make."""
    file = _facts_file(root)
    found: Facts = json.loads(file.read_text()) if file.exists() else {}
    return found


def warm(node: Node, facts: Facts) -> None:
    """Ask once, so that sessions and decisions are remembered when the fault comes."""
    look_up(node, session(node, facts["clinic"]), "Patient", facts["subject"])
    look_up(node, session(node, facts["urgent"]), "Patient", facts["subject"])


def _export_from_elsewhere(root: Path, facts: Facts) -> None:
    wiring.initialise(root, custodian="Elsewhere", policy="eu-ehds")
    with opened(root) as node:
        who = take(node, facts["another"], subject="new")["subject"]
        reader = add_reader(node, "A reader elsewhere")
        operate(node, "grant", subject=who, reader=reader, purpose="TREAT")
        operate(node, "export", subject=who, output=facts["zip"])


def add_reader(node: Node, name: str, role: str = "physician") -> str:
    return str(
        operate(node, "reader add", name=name, kind="organization", role=role, organization=None)[
            "id"
        ]
    )


def token(node: Node, **who: str) -> str:
    fields = {"reader": None, "purpose": None, "for_subject": None, "subject": None, "ttl": "1h"}
    return str(operate(node, "token", **{**fields, **who})["token"])


def _fill(node: Node, facts: Facts) -> None:
    who = facts["subject"] = take(node, facts["one"], subject="new")["subject"]
    reader = facts["reader"] = add_reader(node, "Riverside Clinic")
    facts["clinic"] = token(node, reader=reader, purpose="TREAT")
    facts["urgent"] = token(node, reader=reader, purpose="ETREAT")
    facts["own"] = token(node, subject=who)
    facts["desk"] = token(node, reader=add_reader(node, "Desk", "registrar"), purpose="TREAT")
    granted = operate(node, "grant", subject=who, reader=reader, purpose="TREAT")
    facts["directive"] = granted["directive"]
    own = session(node, facts["own"])
    body = json.dumps(observation(who, 61)).encode()
    for name in ("first", "second"):
        facts[name] = contributing.create(node, own, "Observation", body).id
    read(node, facts, lambda **_said: None)
    operate(node, "seal")
    facts["receipt"] = operate(node, "log", subject=who)[-1]["receipt"]
    read(node, facts, lambda **_said: None)


class opened:  # noqa: N801 - reads as a verb
    """A node that is open in this process."""

    def __init__(self, root: Path) -> None:
        self._lock = Lock(DataDirectory(root))
        self._node = wiring.open_node(DataDirectory(root))

    def __enter__(self) -> Node:
        try:
            return self._node.__enter__()
        except BaseException:
            self._lock.release()
            raise

    def __exit__(self, *error: Any) -> None:
        try:
            self._node.__exit__(*error)
        finally:
            self._lock.release()


# -- the use cases -----------------------------------------------------------------------------------


def read(node: Node, facts: Facts, ack: Ack) -> None:
    answer = look_up(node, session(node, facts["clinic"]), "Patient", facts["subject"])
    assert answer.rows
    deliver(node, answer)
    ack(kind="receipts", more=1)


def read_nothing(node: Node, facts: Facts, ack: Ack) -> None:
    answer = look_up(node, session(node, facts["clinic"]), "Patient", "nobody")
    assert not answer.rows
    deliver(node, answer)
    ack(kind="receipts", more=1)


def summarise(node: Node, facts: Facts, ack: Ack) -> None:
    series_summary(node, session(node, facts["own"]))
    ack(kind="receipts", more=1)


def create(node: Node, facts: Facts, ack: Ack) -> None:
    body = json.dumps(observation(facts["subject"], 71.50)).encode()
    made = contributing.create(node, session(node, facts["own"]), "Observation", body)
    ack(kind="resource", type="Observation", id=made.id, ver=made.ver, sha=digest(made.body))
    ack(kind="receipts", more=1)


def create_refused(node: Node, facts: Facts, ack: Ack) -> None:
    body = json.dumps(observation("nobody", 71.50)).encode()
    try:
        contributing.create(node, session(node, facts["clinic"]), "Observation", body)
    except AccessDeniedError:
        ack(kind="receipts", more=1)


def update(node: Node, facts: Facts, ack: Ack) -> None:
    name = facts["first"]
    body = json.dumps(observation(facts["subject"], 62, id=name)).encode()
    made = contributing.update(node, session(node, facts["own"]), "Observation", name, body)
    ack(kind="resource", type="Observation", id=name, ver=made.ver, sha=digest(made.body))
    ack(kind="receipts", more=1)


def delete(node: Node, facts: Facts, ack: Ack) -> None:
    contributing.delete(
        node, session(node, facts["own"]), "Observation", facts["second"], if_match=None
    )
    ack(kind="gone", type="Observation", id=facts["second"])
    ack(kind="receipts", more=1)


def _reads_nothing(_request: Request) -> Response:
    raise AssertionError("no entry reads")


def transaction(node: Node, facts: Facts, ack: Ack) -> None:
    who = facts["subject"]
    one, two = observation(who, 63), observation(who, 64, id=facts["first"])
    entries = [
        {"resource": one, "request": {"method": "POST", "url": "Observation"}},
        {"resource": two, "request": {"method": "PUT", "url": f"Observation/{facts['first']}"}},
        {"request": {"method": "DELETE", "url": f"Observation/{facts['second']}"}},
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    own = session(node, facts["own"])
    answer = run_bundle(
        node, json.dumps(bundle).encode(),
        Asking(own, "http://localhost/fhir", Returns.MINIMAL, _reads_nothing),
    )  # fmt: skip
    said = json.loads(answer.body)["entry"]
    assert [each["response"]["status"][:3] for each in said] == ["201", "200", "204"]
    where = said[0]["response"]["location"].split("/")
    name = where[where.index("Observation") + 1]
    ack(kind="resource", type="Observation", id=name, ver=1, sha=None)
    ack(kind="gone", type="Observation", id=facts["second"])
    ack(kind="receipts", more=3)


def enrol(node: Node, facts: Facts, ack: Ack) -> None:
    url = "urn:uuid:00000000-0000-4000-8000-000000000001"
    entries = [
        {
            "fullUrl": url if each["resourceType"] == "Patient" else None,
            "resource": each,
            "request": {"method": "POST", "url": each["resourceType"]},
        }
        for each in (
            {"resourceType": "Patient"},
            {**observation("nobody", 65), "subject": {"reference": url}},
        )
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    desk = session(node, facts["desk"])
    answer = run_bundle(
        node, json.dumps(bundle).encode(),
        Asking(desk, "http://localhost/fhir", Returns.MINIMAL, _reads_nothing),
    )  # fmt: skip
    for each in json.loads(answer.body)["entry"]:
        kind, name = each["response"]["location"].split("/")[:2]
        ack(kind="resource", type=kind, id=name, ver=1, sha=None, by="desk")
    ack(kind="receipts", more=1)


def add_subject(node: Node, facts: Facts, ack: Ack) -> None:
    made = operate(node, "subject add", name="Ada Example", gender=None, birth_date=None)
    ack(kind="subject", id=made["id"])


def add_a_reader(node: Node, facts: Facts, ack: Ack) -> None:
    ack(kind="reader", id=add_reader(node, "Another Clinic"))


def issue_token(node: Node, facts: Facts, ack: Ack) -> None:
    ack(kind="token", token=token(node, reader=facts["reader"], purpose="TREAT"))


def grant(node: Node, facts: Facts, ack: Ack) -> None:
    granted = operate(
        node, "grant", subject=facts["subject"], reader=facts["reader"], purpose="HRESCH"
    )
    ack(kind="directive", id=granted["directive"], status="active")


def revoke(node: Node, facts: Facts, ack: Ack) -> None:
    operate(node, "revoke", directive=facts["directive"])
    ack(kind="directive", id=facts["directive"], status="revoked")
    ack(kind="sees-nothing")


def break_the_glass(node: Node, facts: Facts, ack: Ack) -> None:
    break_glass(
        node, session(node, facts["urgent"]), subject=facts["subject"], reason="unconscious",
        nature="medical emergency", affiliation="Riverside Clinic",
    )  # fmt: skip
    ack(kind="emergency")


def review(node: Node, facts: Facts, ack: Ack) -> None:
    break_the_glass(node, facts, ack)
    for waiting in operate(node, "review list"):
        operate(node, "review done", id=waiting["id"])
    assert operate(node, "review list") == []


def import_record(node: Node, facts: Facts, ack: Ack) -> None:
    report = take(node, facts["another"], subject="new")
    assert not report["refused"]
    ack(kind="subject", id=report["subject"])
    ack(kind="imported", file=facts["another"], subject=report["subject"])


def import_directory(node: Node, facts: Facts, ack: Ack) -> None:
    report = take(node, facts["directory"], subject=None)
    assert not report["refused"]
    ack(kind="imported", file=facts["directory"], subject=None)


def import_sensor(node: Node, facts: Facts, ack: Ack) -> None:
    report = take(node, facts["sensor"], subject=facts["subject"], zone="Europe/Madrid")
    assert not report["refused"]
    ack(kind="imported", file=facts["sensor"], subject=facts["subject"])


def import_export(node: Node, facts: Facts, ack: Ack) -> None:
    report = take(node, facts["zip"], subject="new")
    ack(kind="subject", id=report["subject"])


def export(node: Node, facts: Facts, ack: Ack) -> None:
    output = f"{node.directory.root}.zip"
    operate(node, "export", subject=facts["subject"], output=output)
    ack(kind="file", path=output)


def bulk_export(node: Node, facts: Facts, ack: Ack) -> None:
    """Begin an export, divide it, read its first lines, and delete it."""
    own = session(node, facts["own"])
    wanted = Export("", b"", "", 0, (Wanted("Observation"),))
    for name in node.identity.fact_names(node.conn, "export:"):  # what a fault left of one
        drop_export(node, name.removeprefix("export:"))
    made = new_export(node, own, url="http://node/fhir/$export", wanted=wanted)
    files = plan(node, own, made, Progress())
    save_files(node, made, files)
    chunk = next(walk_file(node, own, made, files[0]))
    deliver(node, Answer((), chunk.drafts))
    ack(kind="receipts", more=1)
    drop_export(node, made.id)


def seal(node: Node, facts: Facts, ack: Ack) -> None:
    sealed = operate(node, "seal")
    ack(kind="batch", number=sealed["batch"])


def erase(node: Node, facts: Facts, ack: Ack) -> None:
    done = operate(node, "erase", subject=facts["subject"])
    assert done["proof"]["ok"]
    ack(kind="erased", subject=facts["subject"], cid=1)


def fill_demo(node: Node, facts: Facts, ack: Ack) -> None:
    demo.fill_with_family(node)
    ack(kind="demo")


CASES = {
    "read": Case(read),
    "read of nothing": Case(read_nothing),
    "summary of measurements": Case(summarise),
    "create": Case(create),
    "create refused": Case(create_refused),
    "update": Case(update),
    "delete": Case(delete, settled=frozenset({"absent"})),
    "transaction": Case(transaction, settled=frozenset({"absent"})),
    "enrolment": Case(enrol),
    "subject add": Case(add_subject),
    "reader add": Case(add_a_reader),
    "token": Case(issue_token),
    "grant": Case(grant),
    "revoke": Case(revoke, settled=frozenset({"already-revoked"})),
    "break-glass": Case(break_the_glass),
    "review done": Case(review),
    "import of a record": Case(import_record),
    "import of a directory": Case(import_directory),
    "import of a sensor": Case(import_sensor),
    "import of an export": Case(import_export, settled=frozenset({"subject-taken"})),
    "export": Case(export),
    "bulk export": Case(bulk_export),
    "seal": Case(seal),
    "erase": Case(erase, settled=frozenset({"unknown-subject"})),
}
"""On a node that has a record, a reader, a grant and an anchored batch."""


def initialise(root: Path, ack: Ack) -> None:
    made = wiring.initialise(root, custodian="Riverside Clinic", policy="eu-ehds")
    ack(kind="node", did=made["did"])


def migrate(root: Path, ack: Ack) -> None:
    if EXTRA_SCHEMA not in wiring.MIGRATIONS:  # a refused attempt is made again in the same process
        wiring.MIGRATIONS = (*wiring.MIGRATIONS, EXTRA_SCHEMA)
    with opened(root):
        ack(kind="schema", version=len(wiring.MIGRATIONS))


def index_anew(root: Path, ack: Ack) -> None:
    index_rows.INDEX_VERSION = 99
    with opened(root) as node:
        ack(kind="indexed", current=node.record.indexes.is_current(node.conn))


def first_demo(root: Path, ack: Ack) -> None:
    with opened(root) as node:
        fill_demo(node, {}, ack)


STARTS: dict[str, Callable[[Path, Ack], None]] = {
    "init": initialise,
    "migration": migrate,
    "re-index": index_anew,
    "first start of the demo": first_demo,
}
"""On a directory: an empty one, one of an older schema, one without subjects."""


def shrink() -> None:
    """Make groups and demo small, so that few entries need several commits."""
    clinical._GROUP = 16
    reindexing._STEP = 16
    demo._DAYS = 1


# -- what a node holds, in numbers -----------------------------------------------------------------


def view(root: Path) -> dict[str, int]:
    """Count what is durable: rows of every table, their states, sealed files, the checkpoint."""
    found: dict[str, int] = {}
    database = root / "record.db"
    if database.exists():
        conn = sqlite3.connect(database, isolation_level=None)
        tables = conn.execute("select name from sqlite_master where type = 'table'").fetchall()
        for (table,) in tables:
            found[table] = conn.execute(f"select count(*) from {table}").fetchone()[0]
        for table, expression in _STATES:
            if (table,) in tables:
                rows = conn.execute(f"select {expression}, count(*) from {table} group by 1")
                found |= {f"{table} {value}": count for value, count in rows}
        conn.close()
    kept = [path for path in (root / "objects").glob("*/*") if path.suffix != ".new"]
    found["originals"] = len(kept)
    found["key file"] = int((root / "node.key").exists())
    found["settings"] = int((root / "hilum.toml").exists())
    checkpoint = root / "journal" / "checkpoint"
    if checkpoint.exists():
        found["checkpoint size"] = int(checkpoint.read_text().splitlines()[1])
    return found


_STATES = (
    ("directive", "revoked is null"),
    ("emergency", "reviewed is null"),
    ("batch", "status"),
    ("operation", "coalesce(batch, 'waiting')"),
    ("receipt", "cid || (sealed is null)"),
    ("resource", "type || (body is null)"),
    ("original", "cid"),
)
