"""Label a resource with its segments at write time, from codes, explicit labels, type and source.

Rules are data (`labels.toml`), read once. Nothing found means NORMAL; something sensitive of unknown kind,
and content that cannot be classified, means every sensitive segment, so that only a permit for all of them
shows it. A medication named by reference is labelled where it is, not where it is named.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from hilum.consent.fhir_codes import SENSITIVE_SEGMENTS
from hilum.record.access import Segment

__all__ = ["label", "labels_version"]

_ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
_NESTED = frozenset({dict, list})
_RESTRICTED = frozenset({"R", "V"})
_ICD10 = frozenset(
    {
        "http://hl7.org/fhir/sid/icd-10",
        "http://hl7.org/fhir/sid/icd-10-cm",
        "http://hl7.org/fhir/sid/icd-10-us",
        "http://hl7.org/fhir/sid/icd-10-gm",
        "urn:oid:2.16.840.1.113883.6.3",
        "urn:oid:2.16.840.1.113883.6.90",
    }
)
_ICD10_MARK = re.compile("|".join(re.escape(system) for system in _ICD10).encode())
_CODE = re.compile(rb'"code"\s*:\s*"([^"]*)"')
_SNOMED = ("http://snomed.info/sct", "urn:oid:2.16.840.1.113883.6.96")
_LOINC = ("http://loinc.org", "urn:oid:2.16.840.1.113883.6.1")
_RXNORM = ("http://www.nlm.nih.gov/research/umls/rxnorm", "urn:oid:2.16.840.1.113883.6.88")
_TABLES = {
    "sensitivity": (_ACT_CODE,),
    "snomed": _SNOMED,
    "snomed_unchecked": _SNOMED,
    "loinc": _LOINC,
    "loinc_unchecked": _LOINC,
    "rxnorm_unchecked": _RXNORM,
    "sections": ("http://terminology.hl7.org/CodeSystem/v2-0074",),
}


@dataclass(frozen=True, slots=True)
class _Rules:
    version: int
    codes: Mapping[tuple[str, str], int]
    bare: frozenset[bytes]
    icd10: Mapping[str, int]
    types: Mapping[str, int]
    opaque: Mapping[str, tuple[str, ...]]
    profiles: tuple[str, ...]
    sources: tuple[str, ...]


def label(resource: Mapping[str, Any], raw: bytes | None = None) -> int:
    """Return the mask of segments of a resource.

    Args:
        resource: FHIR R4 JSON.
        raw: the bytes that it was read from, where they are at hand: most resources hold no code that
            any rule names, and the bytes tell that without a walk over the whole tree.
    """
    rules = _rules()
    kind = resource.get("resourceType", "")
    mask = rules.types.get(kind, 0)
    if raw is None or _may_hold_codes(raw, rules):
        mask |= _from_codes(resource, rules)
    meta = resource.get("meta")
    if isinstance(meta, dict):
        mask |= _from_meta(meta, mask, rules)
    needed = rules.opaque.get(kind)
    if needed is not None and not mask & SENSITIVE_SEGMENTS and not _is_coded(resource, needed):
        mask |= SENSITIVE_SEGMENTS
    sensitive = mask & (SENSITIVE_SEGMENTS | Segment.DEV)
    return int(sensitive) or int(Segment.NORMAL)


def labels_version() -> int:
    """Return the version of the rules, to know what must be labelled anew."""
    return _rules().version


def _may_hold_codes(raw: bytes, rules: _Rules) -> bool:
    r"""Tell whether bytes may hold a code that a rule names; never False when they do.

    Escapes that could spell a key, a code or a system otherwise (``\u``, ``\/``) are not read but
    taken for a yes; the other escapes stand for characters that no listed code has.
    """
    if b"\\u" in raw or b"\\/" in raw or _ICD10_MARK.search(raw) is not None:
        return True
    return not rules.bare.isdisjoint(_CODE.findall(raw))


def _from_codes(resource: Mapping[str, Any], rules: _Rules) -> int:
    codes, icd10 = rules.codes, rules.icd10
    mask = 0
    stack: list[Any] = [resource]
    while stack:
        node = stack.pop()
        if type(node) is list:
            stack += [item for item in node if type(item) in _NESTED]
            continue
        code = node.get("code")
        if type(code) is str and "system" in node:
            system = node["system"]
            if system in _ICD10:
                mask |= _of_icd10(code, icd10)
            else:
                mask |= codes.get((system, code), 0)
        else:
            stack += [item for item in node.values() if type(item) in _NESTED]
    return mask


def _from_meta(meta: Mapping[str, Any], found: int, rules: _Rules) -> int:
    mask = 0
    for coding in meta.get("security") or ():
        system, code = coding.get("system"), coding.get("code")
        is_restricted = system == _CONFIDENTIALITY and code in _RESTRICTED
        is_unknown = system == _ACT_CODE and (system, code) not in rules.codes
        if is_unknown or (is_restricted and not found & SENSITIVE_SEGMENTS):
            mask |= SENSITIVE_SEGMENTS
    profiles, source = meta.get("profile") or (), meta.get("source") or ""
    if source.startswith(rules.sources) or any(one.startswith(rules.profiles) for one in profiles):
        mask |= Segment.DEV
    return mask


def _is_coded(resource: Mapping[str, Any], needed: tuple[str, ...]) -> bool:
    for name in needed:
        value = resource.get(name)
        concepts = value if isinstance(value, list) else [value]
        for concept in concepts:
            if isinstance(concept, dict) and (concept.get("coding") or concept.get("reference")):
                return True
    return False


def _of_icd10(code: str, table: Mapping[str, int]) -> int:
    plain = code.upper().replace(".", "")
    return table.get(plain[:3], 0) | table.get(plain[:4], 0)


@lru_cache(maxsize=1)
def _rules() -> _Rules:
    data = tomllib.loads(files("hilum.consent").joinpath("labels.toml").read_text("utf-8"))
    codes: dict[tuple[str, str], int] = {}
    for table, systems in _TABLES.items():
        for segment, listed in data[table].items():
            for system in systems:
                for code in listed:
                    codes[system, code] = codes.get((system, code), 0) | _mask(segment)
    icd10: dict[str, int] = {}
    for segment, ranges in data["icd10"].items():
        for text in ranges:
            for category in _categories(text):
                icd10[category] = icd10.get(category, 0) | _mask(segment)
    return _Rules(
        version=data["version"],
        codes=codes,
        bare=frozenset(code.encode() for _system, code in codes),
        icd10=icd10,
        types={name: _mask(segment) for segment, names in data["types"].items() for name in names},
        opaque={kind: tuple(names) for kind, names in data["opaque"].items()},
        profiles=tuple(data["device"]["profiles"]),
        sources=tuple(data["device"]["sources"]),
    )


def _mask(segment: str) -> int:
    return SENSITIVE_SEGMENTS if segment == "SENSITIVE" else int(Segment[segment])


def _categories(text: str) -> Iterator[str]:
    first, _, last = text.partition("-")
    if not last:
        yield first
        return
    for number in range(int(first[1:]), int(last[1:]) + 1):
        yield f"{first[0]}{number:02d}"
