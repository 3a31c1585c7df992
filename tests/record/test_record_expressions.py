"""Every search parameter of R4, against a second, slow reader of its expression."""

from __future__ import annotations

import gzip
import json
import re
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hilum.record.expressions import collector
from hilum.record.parameters import UNINDEXED, Kind, Parameter, parameters_of
from hilum.record.tables import tables
from hilum.record.types import type_names

Found = list[tuple[Any, str]]
"""Values with the type that their member's name ends in, where it does."""


def test_every_parameter_of_r4_is_indexed_or_excused_with_a_reason() -> None:
    excused = set()
    for fact in tables().parameters:
        for base in fact.bases:
            for name in type_names() if base in {"Resource", "DomainResource"} else [base]:
                parameter = parameters_of(name).get(fact.code)
                if parameter is None:
                    excused.add(fact.code)
                    continue
                assert parameter.kind == fact.kind
                assert parameter.paths
                assert len(parameter.components) == len(fact.components)
                for part in parameter.components:
                    assert all(part.paths), (name, fact.code, part.name)
    # R4 lists 1,378; the one that is not in the tables is R5's (DeviceDefinition.classification)
    assert len(tables().parameters) == 1377
    assert excused == set(UNINDEXED)
    assert excused == {"_id", "_lastUpdated", "_content", "_text", "_query"}


# -- the second reader: works on the text of the expression and the JSON alone ---------------------

_COMPARABLE = {
    "token": {"CodeableConcept", "Coding", "Boolean", "String", "Identifier", "Code", "Uri"},
    "reference": {"Reference", "Canonical", "Uri"},
    "date": {"DateTime", "Date", "Period", "Instant", "Timing"},
    "string": {"String"},
    "quantity": {"Quantity", "Range", "SampledData", "Age", "Duration", "Money"},
    "number": {"Range", "Decimal", "Integer"},
    "uri": {"Uri", "Url", "Canonical"},
}


def naive(expression: str, tree: dict[str, Any], kind: str) -> list[Any]:
    """Evaluate an expression part by part, member by member, with nothing known of R4's types."""
    found: Found = []
    for written in expression.split(" | "):
        part = re.sub(r"\((.*?) as (\w+)\)", r"\1.as(\2)", written.strip())
        head, _, rest = part.partition(".")
        if head in {tree["resourceType"], "Resource", "DomainResource"}:
            found += _steps([(tree, "")], rest)
        elif head[0].islower():
            found += _steps([(tree, "")], part)
    return [v for v, suffix in found if not suffix or suffix in _COMPARABLE.get(kind, {suffix})]


def _steps(items: Found, rest: str) -> Found:
    while rest:
        where = re.match(r"where\((.*?)\)(?:\.|$)(?<!\(\)\.)", rest)
        if rest.startswith("where(resolve() is "):
            end = rest.index(")", len("where(resolve() is "))
            kind, rest = rest[len("where(resolve() is ") : end], rest[end + 2 :]
            items = [(v, s) for v, s in items if _names(v, kind)]
        elif where:
            key, value = where[1].split("=")
            items = [(v, s) for v, s in items if v.get(key.strip()) == value.strip().strip("'")]
            rest = rest[where.end() :]
        elif rest.startswith("as("):
            kind, rest = rest[3 : rest.index(")")], rest[rest.index(")") + 2 :]
            items = [(v, s) for v, s in items if s.lower() == kind.lower()]
        else:
            name, _, rest = rest.partition(".")
            items = _member(items, name)
    return items


def _member(items: Found, name: str) -> Found:
    index = re.fullmatch(r"(\w+)\[(\d+)\]", name)
    if index:
        return _member(items, index[1])[int(index[2]) : int(index[2]) + 1]
    found: Found = []
    for item, _ in items:
        for key, value in item.items() if isinstance(item, dict) else ():
            if key == name:
                suffix = ""
            elif key.startswith(name) and key[len(name) :] in _SUFFIXES:
                suffix = key[len(name) :]
            else:
                continue
            found += [(v, suffix) for v in (value if isinstance(value, list) else [value])]
    return [(v, s) for v, s in found if v is not None]


def _names(reference: Any, kind: str) -> bool:
    text = reference.get("reference", "")
    return reference.get("type") == kind or bool(
        re.search(rf"(^|/){kind}/[^/]+(/_history/.*)?$", text)
    )


_DATA_TYPES = """
Address Age Annotation Attachment base64Binary boolean canonical code CodeableConcept Coding
Contributor Count DataRequirement date dateTime decimal Distance Duration Expression HumanName id
Identifier instant integer Money oid ParameterDefinition Period positiveInt Quantity Range Ratio
Reference RelatedArtifact SampledData Signature string time Timing TriggerDefinition unsignedInt uri
url UsageContext uuid
"""
_SUFFIXES = set(re.findall(r"\w+", re.sub(r"\b[a-z]", lambda m: m[0].upper(), _DATA_TYPES)))


def read(parameter: Parameter, tree: dict[str, Any]) -> list[Any]:
    """What the compiled paths find."""
    found = []
    for path in parameter.paths:
        value = tree.get(path.steps[0].key)
        items = collector(path)(value) if value is not None else []
        found += [item for item in items if not path.target or _names(item, path.target)]
    return found


def official_examples(material: Callable[[str], Path]) -> Iterator[dict[str, Any]]:
    with tarfile.open(material("fhir-r4-examples/examples.tar.gz")) as opened:
        for member in opened:
            file = opened.extractfile(member)
            if file is not None and member.name.endswith(".json"):
                yield json.load(file)
    for folder in ("fhir-test-cases/r4/examples", "us-core-7.0.0", "ips-2.0.0-examples", "hl7-phd"):
        for path in sorted(material(folder).rglob("*.json")):
            yield json.loads(path.read_text("utf-8"))
    for path in sorted(material("synthea-r4").rglob("*.json.gz"))[:6]:
        yield from (e["resource"] for e in json.loads(gzip.decompress(path.read_bytes()))["entry"])


def test_the_compiled_paths_find_what_the_second_reader_finds(
    material: Callable[[str], Path],
) -> None:
    seen: Counter[str] = Counter()
    facts = {(base, fact.code): fact for fact in tables().parameters for base in fact.bases}
    for tree in official_examples(material):
        name = tree.get("resourceType", "") if isinstance(tree, dict) else ""
        if name not in type_names():
            continue
        for code, parameter in parameters_of(name).items():
            if parameter.kind is Kind.COMPOSITE or any(p.exists for p in parameter.paths):
                continue
            fact = next(
                facts[base, code]
                for base in (name, "DomainResource", "Resource")
                if (base, code) in facts
            )
            wanted = sorted(map(json.dumps, naive(fact.expression, tree, fact.kind)))
            assert sorted(map(json.dumps, read(parameter, tree))) == wanted, (name, code)
            seen[f"{name}.{code}"] += bool(wanted)
    used = sum(1 for count in seen.values() if count)
    # the examples fill this many of the parameters with values
    assert used >= 1350, used
