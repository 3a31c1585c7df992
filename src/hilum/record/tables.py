"""The facts of FHIR R4 as compiled by ``scripts/compile_definitions.py``, read at first use.

Source: HL7 FHIR R4 (4.0.1) definitions, CC0.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import msgspec

__all__ = ["Element", "SearchParameterFact", "Tables", "numbers", "tables"]


class _Stored(msgspec.Struct, frozen=True):
    v: int
    source: str
    primitives: dict[str, str]
    structures: dict[str, list[tuple[str, int, int, str, str]]]
    resources: list[str]
    codes: dict[str, str]
    parameters: list[tuple[str, str, str, str, str, list[tuple[str, str, str]]]]
    compartments: dict[str, dict[str, str]]


class _Numbers(msgspec.Struct, frozen=True):
    v: int
    types: list[str]
    parameters: list[str]


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a structure.

    Attributes:
        name: JSON name; for a choice the stem, e.g. ``value`` of ``value[x]``.
        least: lowest cardinality.
        most: highest cardinality: 1, or 0 = unbounded (R4 has no other).
        types: type names; ``#Path`` for a nested structure.
        codes: name of the required code list or ``""``.
        is_choice: True for ``name[x]``.
    """

    name: str
    least: int
    most: int
    types: tuple[str, ...]
    codes: str
    is_choice: bool

    @property
    def is_list(self) -> bool:
        """True when the JSON form is an array."""
        return self.most != 1

    def options(self) -> list[tuple[str, str]]:
        """Return (JSON name, type) of every form that the element can take."""
        if not self.is_choice:
            return [(self.name, self.types[0])]
        return [(self.name + kind[0].upper() + kind[1:], kind) for kind in self.types]


@dataclass(frozen=True, slots=True)
class SearchParameterFact:
    """One search parameter of the specification.

    Attributes:
        code: its name in searches.
        kind: ``token``, ``date`` …
        bases: the resource types that have it.
        expression: FHIRPath, or ``""`` where R4 gives none.
        targets: resource types that a reference may point to.
        components: of a composite: (code, kind, expression from the composite's element).
    """

    code: str
    kind: str
    bases: tuple[str, ...]
    expression: str
    targets: tuple[str, ...]
    components: tuple[tuple[str, str, str], ...] = ()


class Tables:
    """The compiled definitions.

    Args:
        stored: the decoded data file.
    """

    def __init__(self, stored: _Stored) -> None:
        self.primitives = frozenset(stored.primitives)
        self.resources = tuple(stored.resources)
        self.codes = stored.codes
        self.compartments = stored.compartments
        self.parameters = tuple(
            SearchParameterFact(
                code, kind, tuple(bases.split()), text, tuple(targets.split()), tuple(components)
            )
            for code, kind, bases, text, targets, components in stored.parameters
        )
        self._rows = stored.structures
        self._structures: dict[str, tuple[Element, ...]] = {}

    def structure(self, name: str) -> tuple[Element, ...]:
        """Return the elements of a structure.

        Args:
            name: a type name (``Observation``, ``Period``) or a nested one
                (``#Observation.component``).
        """
        found = self._structures.get(name)
        if found is None:
            found = tuple(
                Element(
                    name=leaf.removesuffix("[x]"),
                    least=least,
                    most=most,
                    types=tuple(types.split()),
                    codes=codes,
                    is_choice=leaf.endswith("[x]"),
                )
                for leaf, least, most, types, codes in self._rows[name.removeprefix("#")]
            )
            self._structures[name] = found
        return found

    def names(self) -> tuple[str, ...]:
        """Return the names of all structures, nested ones as plain paths."""
        return tuple(self._rows)


@cache
def tables() -> Tables:
    """Return the compiled R4 definitions, read once."""
    packed = files("hilum.record").joinpath("definitions/r4.json.gz").read_bytes()
    return Tables(msgspec.json.decode(gzip.decompress(packed), type=_Stored))


@cache
def numbers() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (resource type names, search parameter codes) in the order of their numbers."""
    text = files("hilum.record").joinpath("definitions/numbers.json").read_bytes()
    stored = msgspec.json.decode(text, type=_Numbers)
    return tuple(stored.types), tuple(stored.parameters)
