"""Train the compression dictionary of stored bodies from the HL7 FHIR R4 specification examples
(CC0).

    python scripts/train_dictionary.py examples.tar.gz

The dictionary's id goes into every frame. A new dictionary must get a new id and stand beside the
old
one: bodies that are stored need the one they were made with.
"""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path

import msgspec
import zstandard

SIZE = 32 * 1024
DICTIONARY_ID = 20_001
LONGEST = 16 * 1024
TARGET = Path(__file__).resolve().parents[1] / "src/hilum/record/definitions/dictionary.bin"


class Entry(msgspec.Struct):
    """A bundle entry, as far as it is looked at."""

    resource: msgspec.Raw = msgspec.Raw(b"")


class Example(msgspec.Struct):
    """A resource, as far as it is looked at."""

    resourceType: str  # noqa: N815 - the FHIR name
    entry: list[Entry] = []


def samples_of(archive: Path) -> list[bytes]:
    """Return the compact bytes of all examples and of their bundle entries, in archive order."""
    samples = []
    with tarfile.open(archive) as tar:
        for member in sorted(tar.getmembers(), key=lambda m: m.name):
            handle = tar.extractfile(member) if member.name.endswith(".json") else None
            if handle is None:
                continue
            data = msgspec.json.format(handle.read(), indent=-1)
            example = msgspec.json.decode(data, type=Example)
            if example.resourceType == "Questionnaire":
                continue
            parts = [bytes(e.resource) for e in example.entry if e.resource] or [data]
            samples += [part for part in parts if len(part) <= LONGEST]
    return samples


def main() -> None:
    """Write the dictionary."""
    samples = samples_of(Path(sys.argv[1]))
    made = zstandard.train_dictionary(SIZE, samples, dict_id=DICTIONARY_ID, level=3)
    TARGET.write_bytes(made.as_bytes())
    print(f"{len(samples)} samples, {len(made.as_bytes())} bytes")


if __name__ == "__main__":
    main()
