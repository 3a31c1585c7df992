"""Where a resource points, and whose record it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from hilum.record.expressions import collector
from hilum.record.index import reference_of
from hilum.record.parameters import parameters_of, patient_parameters
from hilum.record.resource import Resource, Tree

__all__ = ["bundled_subjects", "list_references", "subject_references"]


def list_references(tree: Tree) -> Iterator[tuple[str, str]]:
    """Yield (path, reference) of every Reference in a resource, in document order.

    Args:
        tree: a decoded resource; the path is like ``Observation.subject.reference``.
    """
    waiting: list[tuple[str, Any]] = [(str(tree.get("resourceType", "")), tree)]
    while waiting:
        path, node = waiting.pop()
        if isinstance(node, dict):
            text = node.get("reference")
            if isinstance(text, str):
                yield f"{path}.reference", text
            children = [(f"{path}.{key}", value) for key, value in node.items()]
        else:
            children = [(f"{path}[{index}]", value) for index, value in enumerate(node)]
        waiting += reversed([c for c in children if isinstance(c[1], (dict, list))])


@cache
def _subject_paths(name: str) -> dict[str, list[Callable[[Any], list[Any]]]]:
    known = parameters_of(name)
    paths: dict[str, list[Callable[[Any], list[Any]]]] = {}
    for code in sorted(patient_parameters(name) & known.keys()):
        for path in known[code].paths:
            paths.setdefault(path.steps[0].key, []).append(collector(path))
    return paths


def subject_references(resource: Resource) -> set[str]:
    """Return the ids of all patients whose compartment the resource is in.

    A Patient is in its own. References to patients by absolute URL or ``urn:uuid`` are not resolved
    here.

    Source: HL7 FHIR R4, CompartmentDefinition patient.
    """
    found: set[str] = set()
    for member, collectors in _subject_paths(resource.type).items():
        value = resource.tree.get(member)
        if value is None:
            continue
        for collect in collectors:
            for item in collect(value):
                text = reference_of(item)
                if text and text.startswith("Patient/"):
                    found.add(text.removeprefix("Patient/"))
    if resource.type == "Patient":
        found = {resource.id} if resource.id else set()
    return found


def bundled_subjects(tree: Tree) -> set[str]:
    """Return the ids of the patients that a Bundle which is stored whole is about.

    These are its Patient entries; where it has none, the patients that its entries refer to.

    Args:
        tree: a decoded Bundle.
    """
    inner = [
        entry["resource"]
        for entry in tree.get("entry", ())
        if isinstance(entry.get("resource"), dict)
    ]
    named = {str(each.get("id", "")) for each in inner if each.get("resourceType") == "Patient"}
    if named:
        return named
    return {
        text.removeprefix("Patient/")
        for each in inner
        for _path, text in list_references(each)
        if text.startswith("Patient/")
    }
