"""US Core 7.0.0's `metadata.yml` as data for tests, and a naive reading of its examples.

Source: inferno-framework/us-core-test-kit, generated/v7.0.0/metadata.yml (Apache-2.0). Nothing of the
product is used here: values are taken out of resources by walking plain JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Tree = dict[str, Any]
PREFIX = "http://hl7.org/fhir/us/core/StructureDefinition/"

MADE: list[Tree] = [
    {
        "resourceType": "CarePlan", "id": "made-care-plan", "status": "active", "intent": "plan",
        "meta": {"profile": [PREFIX + "us-core-careplan"]},
        "category": [{"coding": [{
            "system": "http://hl7.org/fhir/us/core/CodeSystem/careplan-category", "code": "assess-plan",
        }]}],
        "subject": {"reference": "Patient/example"},
    },
    {
        "resourceType": "PractitionerRole", "id": "made-role", "active": True,
        "meta": {"profile": [PREFIX + "us-core-practitionerrole"]},
        "practitioner": {"reference": "Practitioner/practitioner-1"},
        "organization": {"reference": "Organization/saint-luke-w-endpoint"},
        "specialty": [{"coding": [{"system": "http://nucc.org/provider-taxonomy", "code": "208D00000X"}]}],
        "endpoint": [{"reference": "Endpoint/made-endpoint"}],
        "telecom": [{"system": "email", "value": "desk@example.com"}],
    },
    {
        "resourceType": "Endpoint", "id": "made-endpoint", "status": "active",
        "connectionType": {
            "system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type",
            "code": "direct-project",
        },
        "payloadType": [{"text": "any"}], "address": "mailto:desk@example.com",
    },
]  # fmt: skip
"""Three resources of types that the profiles speak of and the examples do not hold."""


@dataclass(frozen=True)
class Search:
    """One search that a profile demands.

    Attributes:
        definitions: parameter → its definition in the file.
    """

    resource: str
    profile: str
    names: tuple[str, ...]
    definitions: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.resource}({self.profile.removeprefix(PREFIX)})?{'&'.join(self.names)}"


def groups(material: Path) -> list[Tree]:
    """Return the profiles' groups with plain keys."""
    text = (material / "us-core-7.0.0" / "metadata.yml").read_text("utf-8")
    data: list[Tree] = _plain(yaml.safe_load(text))["groups"]
    return data


def searches(material: Path, expectation: str = "SHALL") -> Iterator[Search]:
    """Yield every search of an expectation."""
    for group in groups(material):
        for search in group["searches"]:
            if search["expectation"] == expectation:
                names = tuple(search["names"])
                yield Search(
                    group["resource"], group["profile_url"], names, group["search_definitions"]
                )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key).removeprefix(":"): _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def subjects_of(tree: Tree, everything: list[Tree]) -> set[str]:
    """Return the patients a resource is about; what only others point to belongs to theirs."""
    if tree["resourceType"] in {"Patient", "Bundle"} | _SHARED:
        return set()
    own = set(re.findall(r'"Patient/([^"/]+)"', json.dumps(tree)))
    if own:
        return own if len(own) == 1 else {_main_subject(tree)} & own
    name = f'"{tree["resourceType"]}/{tree["id"]}"'
    for other in everything:
        if other is not tree and name in json.dumps(other):
            found = set(re.findall(r'"Patient/([^"/]+)"', json.dumps(other)))
            if len(found) == 1:
                return found
    return set()


_SHARED = {"Organization", "Practitioner", "PractitionerRole", "Location", "Endpoint"}


def _main_subject(tree: Tree) -> str:
    for member in ("subject", "patient", "beneficiary"):
        if member in tree:
            return str(tree[member]["reference"]).removeprefix("Patient/")
    return ""


def values(tree: Tree, definition: Tree) -> list[str]:
    """Return search values that a resource must be found by, as a client would write them."""
    found: list[str] = []
    for path in definition["paths"]:
        for leaf in _walk(tree, path.split(".")):
            found += _written(leaf)
    return [each for each in dict.fromkeys(found) if each]


def _walk(value: Any, steps: list[str]) -> Iterator[Any]:
    if isinstance(value, list):
        for each in value:
            yield from _walk(each, steps)
    elif not steps:
        yield value
    elif isinstance(value, dict):
        for key, below in value.items():
            if key == steps[0] or (key.startswith(steps[0]) and key[len(steps[0]) :][:1].isupper()):
                yield from _walk(below, steps[1:])


def _written(leaf: Any) -> list[str]:
    if not isinstance(leaf, dict):
        return [leaf] if isinstance(leaf, str) else [str(leaf).lower()] * isinstance(leaf, bool)
    if "coding" in leaf:
        return [f"{x.get('system', '')}|{x['code']}" for x in leaf["coding"] if "code" in x]
    if "reference" in leaf:
        return [leaf["reference"]]
    if "code" in leaf or "system" in leaf:
        return [f"{leaf.get('system', '')}|{leaf.get('code') or leaf.get('value')}"]
    if "start" in leaf:
        return [leaf["start"][:10]]
    names = [leaf.get("family"), *leaf.get("given", []), leaf.get("text")]
    address = [leaf.get("city"), leaf.get("postalCode"), leaf.get("state"), *leaf.get("line", [])]
    return [each for each in [*names, *address] if isinstance(each, str)]
