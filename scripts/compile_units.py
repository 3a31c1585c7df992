"""Compile the UCUM essence into the compact table of `hilum.record.ucum`.

The table holds numbers only: for each unit symbol its exact factor to the base units, their powers,
whether it takes prefixes, and the offset of temperature scales. Units on a logarithm have the factor
0: no linear form. The bytes are deterministic. The essence comes with the package ucumvert 0.3.2
(``vendor/ucum-essence.xml``, UCUM 2.2); run

    python scripts/compile_units.py PATH/ucum-essence.xml
"""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

from hilum.record.ucum import Atom, reduce_unit

TARGET = Path(__file__).resolve().parents[1] / "src" / "hilum" / "record" / "definitions"
NAMESPACE = {"u": "http://unitsofmeasure.org/ucum-essence"}
ZERO = Fraction(27315, 100)
# UCUM §21: kelvin of x on the scale = x × factor + offset
SCALES = {
    "Cel": (Fraction(1), ZERO),
    "degF": (Fraction(5, 9), Fraction(45967, 100) * Fraction(5, 9)),
    "degRe": (Fraction(5, 4), ZERO),
}


def main() -> None:
    """Write ``units.json``.

    Raises:
        SystemExit: a unit is defined by one that is not there.
    """
    root = ElementTree.parse(sys.argv[1]).getroot()
    prefixes = {
        item.attrib["Code"]: Fraction(item.find("u:value", NAMESPACE).attrib["value"])  # type: ignore[union-attr]
        for item in root.findall("u:prefix", NAMESPACE)
    }
    atoms = {
        item.attrib["Code"]: Atom(Fraction(1), ((item.attrib["Code"], 1),), metric=True)
        for item in root.findall("u:base-unit", NAMESPACE)
    }
    waiting = root.findall("u:unit", NAMESPACE)
    while waiting:
        left = [item for item in waiting if not resolve(item, prefixes, atoms)]
        if len(left) == len(waiting):
            raise SystemExit(f"no definition: {[item.attrib['Code'] for item in left]}")
        waiting = left
    table = {
        "v": 1,
        "source": f"UCUM {root.attrib['version']}",
        "prefixes": {code: str(value) for code, value in prefixes.items()},
        "atoms": {
            code: [
                str(atom.factor),
                " ".join(f"{base}^{power}" for base, power in atom.powers),
                int(atom.metric),
                str(atom.offset),
            ]
            for code, atom in sorted(atoms.items())
        },
    }
    body = json.dumps(table, sort_keys=True, ensure_ascii=True, indent=0, separators=(",", ":"))
    (TARGET / "units.json").write_text(body + "\n", "utf-8")
    print(f"{len(prefixes)} prefixes, {len(atoms)} units, {len(body)} bytes")


def resolve(
    item: ElementTree.Element, prefixes: dict[str, Fraction], atoms: dict[str, Atom]
) -> bool:
    """Add a unit whose definition is known by now; tell whether it was."""
    code, metric = item.attrib["Code"], item.attrib["isMetric"] == "yes"
    value = item.find("u:value", NAMESPACE)
    assert value is not None
    function = value.find("u:function", NAMESPACE)
    if function is not None:
        scale = SCALES.get(function.attrib["name"])
        if scale is None:
            atoms[code] = Atom(Fraction(0), (), metric)
        else:
            atoms[code] = Atom(scale[0], (("K", 1),), metric, scale[1])
        return True
    found = reduce_unit(value.attrib["Unit"], prefixes, atoms)
    if item.attrib.get("isArbitrary") == "yes" and value.attrib["Unit"] == "1":
        # UCUM §24: arbitrary units are commensurable with nothing but themselves
        found = Atom(Fraction(1), ((code, 1),), metric)
    if found is None:
        return False
    factor = found.factor * Fraction(value.attrib["value"])
    atoms[code] = Atom(factor, found.powers, metric)
    return True


if __name__ == "__main__":
    main()
