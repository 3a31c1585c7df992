"""A walk over 100,000 results while others write and delete: each that stays is given once."""

from __future__ import annotations

import json

from edge import Edge

from hilum.base.ids import FhirId, UnixMs
from hilum.record.change import Change, Create, Delete
from hilum.record.resource import parse_resource

RESULTS = 100_000
DAY_MS = 86_400_000
BATCH = 5_000


def made(edge: Edge, subject: str, names: list[str], *, at: UnixMs) -> None:
    """Store Observations of one subject directly; ten share each instant."""
    node = edge.node
    cid = node.record.compartment_of(node.conn, subject)
    assert cid is not None
    changes: list[Change] = []
    for number, name in enumerate(names):
        hour = number // 10
        tree = {
            "resourceType": "Observation", "id": name, "status": "final", "code": {"text": "x"},
            "subject": {"reference": f"Patient/{subject}"},
            "effectiveDateTime": f"{2000 + hour // 8000}-{hour // 700 % 12 + 1:02d}-"
            f"{hour // 24 % 28 + 1:02d}T{hour % 24:02d}:00:00Z",
        }  # fmt: skip
        changes.append(Create(cid, parse_resource(json.dumps(tree).encode()), FhirId(name), 1))
    for start in range(0, len(changes), BATCH):
        part = changes[start : start + BATCH]
        node.writer.write(lambda conn, part=part: node.record.apply(conn, part, at))


def test_a_walk_over_a_hundred_thousand_results_gives_each_once(edge: Edge) -> None:
    subject = edge.add_subject()
    own = edge.token(subject=subject)
    now = edge.node.clock()
    names = [f"walk-{number:06d}" for number in range(RESULTS)]
    made(edge, subject, names, at=now)
    gone = set(names[::997])
    seen: list[str] = []
    deleted: set[str] = set()
    url: str | None = f"/fhir/Observation?patient={subject}&_count=1000"
    page = 0
    while url is not None:
        reply = edge.ask("GET", url, own)
        assert reply.status == 200
        seen += [each["resource"]["id"] for each in reply.json.get("entry", ())]
        page += 1
        made(edge, subject, [f"late-{page}-{number}" for number in range(3)], at=now)
        victim = next(iter(sorted(gone - deleted - set(seen[-1000:]))), None)
        if victim is not None and page < 90:
            _delete(edge, subject, victim)
            deleted.add(victim)
        url = next((x["url"] for x in reply.json["link"] if x["relation"] == "next"), None)
    assert len(seen) == len(set(seen))
    assert set(names) - deleted <= set(seen)
    assert page >= RESULTS // 1000


def _delete(edge: Edge, subject: str, name: str) -> None:
    node = edge.node
    cid = node.record.compartment_of(node.conn, subject)
    assert cid is not None
    change = Delete(cid, "Observation", FhirId(name))
    node.writer.write(lambda conn: node.record.apply(conn, [change], node.clock()))
