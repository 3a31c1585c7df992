"""A node that holds the US Core examples, and a clinician whom every person lets read."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge import Edge, open_edge
from us_core import MADE, Tree, subjects_of

from hilum.exchange.importing import import_files
from hilum.record.types import is_directory_type


@dataclass
class Examples:
    """A node with every US Core example, and a clinician whom every person lets read.

    Attributes:
        edge: the node's HTTP edge.
        token: the clinician's.
        held: the resources by type, as they were loaded.
    """

    edge: Edge
    token: str
    held: dict[str, list[Tree]] = field(default_factory=dict)

    def find(self, target: str, **headers: str) -> list[Tree]:
        """Return what a search finds, every page of it; the answer must be a searchset."""
        found: list[Tree] = []
        url: str | None = f"/fhir/{target}"
        while url is not None:
            reply = self.edge.ask("GET", url, self.token, **headers)
            assert reply.status == 200, (target, reply.body[:400])
            bundle = reply.json
            assert bundle["type"] == "searchset"
            found += bundle.get("entry", [])
            url = next((x["url"] for x in bundle["link"] if x["relation"] == "next"), None)
        return found


@contextmanager
def open_examples(material: Path, folder: Path) -> Iterator[Examples]:
    """Make a node in a folder and load the examples."""
    trees = [_read(path) for path in sorted((material / "examples").iterdir())]
    trees += MADE
    with open_edge(folder / "node") as edge:
        reader = edge.add_reader()
        examples = Examples(edge, edge.token(reader=reader, purpose="TREAT"))
        kept = [each for each in trees if is_directory_type(each["resourceType"])]
        _take(edge, folder, kept, subject=None)
        people = [each for each in trees if each["resourceType"] == "Patient"]
        for patient in people:
            own = [each for each in trees if patient["id"] in subjects_of(each, trees)]
            report = _take(edge, folder, [patient, *own], subject="new")
            assert report["subject"] == patient["id"]
            assert not report["refused"], report["refused"]
            edge.grant(patient["id"], reader, segments="ALL")
            # who said what is shown by name only: it could tell of what is restricted
            edge.grant(patient["id"], reader, segments="ALL", types="Provenance")
            kept += [patient, *own]
        for each in kept:
            examples.held.setdefault(each["resourceType"], []).append(each)
        yield examples


def _read(path: Path) -> Tree:
    data = path.read_bytes()
    tree: Tree = json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)
    return tree


def _take(edge: Edge, folder: Path, trees: list[Tree], *, subject: str | None) -> Any:
    bundle = {
        "resourceType": "Bundle", "type": "collection", "entry": [{"resource": each} for each in trees],
    }  # fmt: skip
    path = folder / f"{subject or 'directory'}.json"
    path.write_text(json.dumps(bundle))
    return import_files(
        edge.node, files=[str(path)], subject=subject, directory=subject is None, zone=None,
        progress=lambda _done, _total: None,
    )  # fmt: skip
