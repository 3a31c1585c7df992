"""Vital signs: R4 says which profile an observation must conform to, by its LOINC code.

Source: HL7 FHIR R4, observation-vitalsigns.html.
"""

from __future__ import annotations

from hilum.record.resource import Tree

__all__ = ["magic_profiles"]

_PROFILES = {
    "85353-1": "vitalspanel",
    "9279-1": "resprate",
    "8867-4": "heartrate",
    "2708-6": "oxygensat",
    "8310-5": "bodytemp",
    "8302-2": "bodyheight",
    "9843-4": "headcircum",
    "29463-7": "bodyweight",
    "39156-5": "bmi",
    "85354-9": "bp",
}
_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"


def magic_profiles(tree: Tree) -> tuple[str, ...]:
    """Return the vital sign profiles that an observation of that category must conform to."""
    if tree.get("resourceType") != "Observation" or "category" not in tree:
        return ()
    codings = [each for category in tree["category"] for each in category.get("coding", ())]
    if not any(c.get("system") == _CATEGORY and c.get("code") == "vital-signs" for c in codings):
        return ()
    return tuple(
        _PROFILES[coding["code"]]
        for coding in tree.get("code", {}).get("coding", ())
        if coding.get("system") == "http://loinc.org" and coding.get("code") in _PROFILES
    )
