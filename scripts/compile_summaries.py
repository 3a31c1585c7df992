"""Compile which elements of HL7 FHIR R4 are summary or modifier elements into `hilum.record.definitions`.

Facts only: for each structure the names of its elements that the base definitions mark so. Get the
input as `compile_definitions.py` says; then run

    python scripts/compile_summaries.py FOLDER/package/dist/fhir/r4
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from compile_definitions import TARGET, structures_of


def compile_marked(folder: Path, mark: str) -> dict[str, list[str]]:
    """Return structure (``Patient``, ``Patient.contact``) → names of its elements with a mark."""
    found: dict[str, list[str]] = {}
    for item in structures_of(folder):
        for element in item["snapshot"]["element"]:
            parent, dot, leaf = element["path"].rpartition(".")
            if dot and element.get(mark):
                found.setdefault(parent, []).append(leaf)
    return {name: sorted(set(leaves)) for name, leaves in sorted(found.items())}


def main() -> None:
    """Write the compiled file."""
    folder = Path(sys.argv[1])
    body = {
        "v": 1,
        "summaries": compile_marked(folder, "isSummary"),
        "modifiers": compile_marked(folder, "isModifier"),
    }
    text = json.dumps(body, separators=(",", ":"), sort_keys=True).encode()
    (TARGET / "summaries.json.gz").write_bytes(gzip.compress(text, 9, mtime=0))


if __name__ == "__main__":
    main()
