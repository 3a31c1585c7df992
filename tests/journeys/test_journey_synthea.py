"""The main job on every Synthea bundle beside this checkout, hospitals and practitioners included."""

from __future__ import annotations

import gzip
import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from node import Node, run

log = logging.getLogger(__name__)

DIRECTORY_TYPES = {"Organization", "Practitioner", "Location", "PractitionerRole"}


@pytest.fixture(scope="module")
def bundles(material: Callable[[str], Path]) -> dict[str, list[Path]]:
    """The files: people's (small first) and the directory's."""
    found = sorted(material("synthea-r4").glob("*.json.gz"), key=lambda path: path.stat().st_size)
    shared = [path for path in found if "Information" in path.name]
    assert len(shared) == 2
    assert len(found) == 42
    return {"people": [path for path in found if path not in shared], "directory": shared}


@pytest.fixture(scope="module")
def town(
    tmp_path_factory: pytest.TempPathFactory, bundles: dict[str, list[Path]]
) -> Iterator[Town]:
    with Node(tmp_path_factory.mktemp("town")) as node:
        yield Town(node, bundles)


class Town:
    """One node with everybody in it, and the reports of their imports."""

    def __init__(self, node: Node, bundles: dict[str, list[Path]]) -> None:
        self.node = node
        self.directory = [node.take(path, subject=None) for path in bundles["directory"]]
        self.reports = {path: node.take(path) for path in bundles["people"]}
        self.sources = {path: read(path) for path in self.reports}


def read(path: Path) -> Any:
    return json.loads(gzip.decompress(path.read_bytes()), parse_float=str, parse_int=str)


def everything(node: Node, subject: str, types: set[str], token: str) -> dict[str, bytes]:
    """Return every resource of a subject as the bytes that FHIR delivers, by fullUrl."""
    found: dict[str, bytes] = {}
    for name in sorted(types):
        key = "_id" if name == "Patient" else "patient"
        following: str | None = f"/fhir/{name}?{key}={subject}&_count=500"
        while following:
            answer = node.get(following, token)
            assert answer.status_code == 200, answer.text
            bundle = json.loads(answer.content, parse_float=str, parse_int=str)
            for entry in bundle.get("entry", ()):
                resource = entry["resource"]
                found[f"{resource['resourceType']}/{resource['id']}"] = resource
            following = {link["relation"]: link["url"] for link in bundle["link"]}.get("next")
    return found


def rewritten(tree: Any, names: dict[str, str]) -> Any:
    """Return a resource with the references that a transaction rewrites."""
    if isinstance(tree, dict):
        return {
            key: names.get(value, value) if key == "reference" else rewritten(value, names)
            for key, value in tree.items()
        }
    if isinstance(tree, list):
        return [rewritten(each, names) for each in tree]
    return tree


def references(tree: Any) -> Iterator[str]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key == "reference":
                yield value
            else:
                yield from references(value)
    elif isinstance(tree, list):
        for each in tree:
            yield from references(each)


def test_every_entry_is_accepted_and_nothing_is_refused(town: Town) -> None:
    for report in town.directory:
        assert report["refused"] == []
        assert report["accepted"] > 0
    for path, report in town.reports.items():
        entries = len(town.sources[path]["entry"])
        assert report["refused"] == [], path.name
        assert report["accepted"] + report["duplicate"] == entries, path.name
        assert town.node.operate("subject show", subject=report["subject"])["id"]
    assert len({report["subject"] for report in town.reports.values()}) == 40


def test_the_subject_reads_all_of_it_unchanged_over_fhir(town: Town) -> None:
    for path, report in town.reports.items():
        entries = town.sources[path]["entry"]
        names = {
            entry["fullUrl"]: f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
            for entry in entries
        }
        token = town.node.token(subject=report["subject"])
        own = {entry["resource"]["resourceType"] for entry in entries} - DIRECTORY_TYPES
        found = everything(town.node, report["subject"], own, token)
        wanted = {
            names[entry["fullUrl"]]: rewritten(entry["resource"], names)
            for entry in entries
            if entry["resource"]["resourceType"] not in DIRECTORY_TYPES
        }
        assert found.keys() == wanted.keys(), path.name
        for name, resource in found.items():
            meta = resource.pop("meta")
            assert meta.pop("versionId") == "1"
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", meta.pop("lastUpdated"))
            expected = dict(wanted[name])
            kept = expected.pop("meta", {})
            assert {**kept, **meta} == meta, name
            assert list(resource) == [key for key in wanted[name] if key != "meta"], name
            assert resource == expected, name


def test_every_reference_leads_somewhere_or_is_noted(town: Town) -> None:
    for path, report in town.reports.items():
        token = town.node.token(subject=report["subject"])
        entries = town.sources[path]["entry"]
        own = {entry["resource"]["resourceType"] for entry in entries} - DIRECTORY_TYPES
        found = everything(town.node, report["subject"], own, token)
        outside = {
            name
            for resource in found.values()
            for name in references(resource)
            if name not in found and not name.startswith("#")
        }
        assert not {name for name in outside if name.startswith("urn:uuid:")}, path.name
        lost = [
            name for name in outside if town.node.get(f"/fhir/{name}", token).status_code != 200
        ]
        assert len(lost) <= len(report["notes"]), (path.name, lost[:3])


def test_numbers_arrive_digit_for_digit(town: Town) -> None:
    path = max(town.reports, key=lambda each: each.stat().st_size)
    report = town.reports[path]
    token = town.node.token(subject=report["subject"])
    source = gzip.decompress(path.read_bytes())
    written = Counter(re.findall(rb'"value": ?(-?\d[\d.eE+-]*)', source))
    following: str | None = f"/fhir/Observation?patient={report['subject']}&_count=1000"
    arrived: Counter[bytes] = Counter()
    while following:
        answer = town.node.get(following, token)
        arrived += Counter(re.findall(rb'"value":(-?\d[\d.eE+-]*)', answer.content))
        links = {link["relation"]: link["url"] for link in answer.json()["link"]}
        following = links.get("next")
    assert sum(arrived.values()) > 100
    assert not arrived - written


def test_importing_again_adds_nothing(town: Town) -> None:
    before = town.node.operate("subject list")
    for path, report in town.reports.items():
        again = town.node.take(path, subject=report["subject"])
        assert (again["accepted"], again["refused"]) == (0, []), path.name
        assert again["duplicate"] == report["accepted"] + report["duplicate"], path.name
    assert town.node.operate("subject list") == before


def test_each_record_opens_on_a_grant_and_closes_on_revocation(town: Town) -> None:
    node = town.node
    reader = node.add_reader()
    clinic = node.token(reader=reader, purpose="TREAT")
    for path, report in town.reports.items():
        subject = report["subject"]
        search = f"/fhir/Encounter?patient={subject}&_count=50"
        before = node.get(search, clinic)
        directive = node.grant(subject, reader, until="2099-01-01")
        during = node.get(search, clinic)
        assert during.json().get("entry"), path.name
        node.operate("revoke", directive=directive)
        after = node.get(search, clinic)
        assert before.content == after.content, path.name
        assert "entry" not in after.json()
        outcomes = [row["outcome"] for row in node.operate("log", subject=subject)][-3:]
        assert outcomes == ["absent", "permit", "absent"], path.name
    assert node.operate("seal")["operations"] >= 80
    assert node.operate("fsck") == {"ok": True, "problems": []}


def test_the_story_holds_on_bundles_of_every_size(bundles: dict[str, list[Path]]) -> None:
    people = bundles["people"]
    for path in (people[0], people[len(people) // 2], people[-1]):
        told = run("demo", "--bundle", path)
        assert told.code == 0, told.err
        assert told.json["ok"]
        assert all(step["ok"] for step in told.json["steps"])
