"""From search parameters to closures that put index rows of a decoded value into `IndexRows`.

Every path of every parameter becomes one closure, filed under the first member that it reads: only
the members that a resource has cost anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hilum.record.composites import CompositeReader
from hilum.record.expressions import Path, collector
from hilum.record.keyed import NO_SYSTEM, URI_BELOW, KeyedHash
from hilum.record.parameters import Kind, Parameter, parameters_of
from hilum.record.phonetics import phonetic_key
from hilum.record.rows import IndexRows
from hilum.record.strings import KeyedStrings
from hilum.record.uris import uri_ancestors
from hilum.record.values import ValueReader, read_dates, read_numbers, read_strings, reference_of

__all__ = ["CODE_PARAMETERS", "PART_PARAMETERS", "Extract", "Extractors", "Plan"]

CODE_PARAMETERS = frozenset({"code", "vaccine-code"})
"""What a resource is about: the codes that consent windows name."""
PART_PARAMETERS = frozenset({"component-code"})
"""Codes of parts inside: a deny window touches them too."""

Extract = Callable[[Any, IndexRows], None]
"""Takes the value of a member and adds the rows that follow from it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do for one resource type.

    Attributes:
        by_member: closures by the member that they read first.
        deceased: number of the parameter that asks whether a member is there at all, or 0.
    """

    by_member: dict[str, list[Extract]]
    deceased: int = 0


class Extractors:
    """Makes the closures of a node's hash functions.

    Args:
        keyed: hashes of tokens and references.
        strings: hashes of strings.
    """

    def __init__(self, keyed: KeyedHash, strings: KeyedStrings) -> None:
        self._keyed = keyed
        self._strings = strings
        self._values = ValueReader(keyed)
        self._composites = CompositeReader(keyed, strings, self._values)

    def plan(self, name: str) -> Plan:
        """Return the closures of a resource type."""
        by_member: dict[str, list[Extract]] = {}
        deceased = 0
        for parameter in parameters_of(name).values():
            if parameter.kind is Kind.COMPOSITE:
                for member, extract in self._composites.extractors(parameter):
                    by_member.setdefault(member, []).append(extract)
                continue
            for path in parameter.paths:
                if path.exists:
                    deceased = parameter.number
                else:
                    members = by_member.setdefault(path.steps[0].key, [])
                    members.append(_from_member(path, self._emitter(parameter, path)))
        return Plan(by_member, deceased)

    def _emitter(self, parameter: Parameter, path: Path) -> Extract:
        made = {
            Kind.DATE: _dates,
            Kind.NUMBER: _numbers,
            Kind.SPECIAL: _positions,
            Kind.REFERENCE: self._references,
            Kind.URI: self._uris,
            Kind.STRING: self._texts,
            Kind.QUANTITY: self._quantities,
            Kind.TOKEN: self._tokens,
        }
        return made[parameter.kind](parameter, path)

    # -- tokens ----------------------------------------------------------------------------------

    def _tokens(self, parameter: Parameter, path: Path) -> Extract:
        leaf = path.leaf
        if leaf == "Identifier":
            return self._identifiers(parameter.number)
        coding, number = self._codings(parameter), parameter.number
        if leaf == "Coding":
            return coding
        if leaf == "CodeableConcept":
            said = self._said(number)

            def concept(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
                for item in value.get("coding", ()):
                    coding(item, rows)
                said(value.get("text"), rows)

            return concept
        read = self._values.tokens(leaf)

        def plain(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
            for code, system in read(value):
                rows.tokens.add((number, code, system))

        return plain

    def _codings(self, parameter: Parameter) -> Extract:
        number, code_of, system_of = parameter.number, self._keyed.code, self._keyed.system
        coding_of, said = self._keyed.coding, self._said(number)
        about = parameter.name in CODE_PARAMETERS
        inside = parameter.name in PART_PARAMETERS

        def coding(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
            code, system = value.get("code", ""), value.get("system", "")
            said(value.get("display"), rows)
            if not code and not system:
                return
            rows.tokens.add((number, code_of(code), system_of(system)))
            if about:
                rows.codes.add(coding_of(system, code))
            elif inside:
                rows.parts.add(coding_of(system, code))

        return coding

    def _said(self, number: int) -> Extract:
        """The words beside a code, for ``:text``: found by how they begin, not by their parts."""
        starts, exact = self._strings.starts, self._strings.exact

        def said(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
            if isinstance(value, str) and value:
                rows.texts.add((number, starts(value), exact(value), b""))

        return said

    def _identifiers(self, number: int) -> Extract:
        code_of, system_of = self._keyed.code, self._keyed.system
        of_type, said = self._keyed.of_type, self._said(number)

        def identifier(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
            text = value.get("value")
            kind = value.get("type", {})
            if isinstance(text, str) and text:
                code = code_of(text)
                rows.tokens.add((number, code, system_of(value.get("system", ""))))
                for item in kind.get("coding", ()):
                    typed = of_type(item.get("system", ""), item.get("code", ""))
                    rows.tokens.add((number, code, typed))
            said(kind.get("text"), rows)

        return identifier

    def _uris(self, parameter: Parameter, _path: Path) -> Extract:
        number, code_of = parameter.number, self._keyed.code

        def uri(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
            if isinstance(value, str) and value:
                rows.tokens.add((number, code_of(value), NO_SYSTEM))
                for ancestor in uri_ancestors(value):
                    rows.tokens.add((number, code_of(ancestor), URI_BELOW))

        return uri

    # -- the rest --------------------------------------------------------------------------------

    def _references(self, parameter: Parameter, path: Path) -> Extract:
        number, target = parameter.number, path.target
        hashed, named = self._keyed.reference, self._identified(number)
        if path.leaf == "Resource":
            return self._inlined(parameter)

        def reference(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
            text = reference_of(value)
            if target and not _points_to(text or "", value, target):
                return
            if isinstance(value, dict) and "identifier" in value:
                named(value["identifier"], rows)
            if text is None:
                return
            rows.references.add((number, hashed(text)))
            plain, bar, _ = text.partition("|")
            if bar:
                rows.references.add((number, hashed(plain)))

        return reference

    def _identified(self, number: int) -> Extract:
        """What a reference says of its target's identifier, for ``:identifier``."""
        read = self._values.tokens("Identifier")

        def identified(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
            for code, system in read(value):
                rows.tokens.add((number, code, system))

        return identified

    def _inlined(self, parameter: Parameter) -> Extract:
        """A document's or a message's first resource, which is in the Bundle itself."""
        hashed = self._keyed.reference

        def inlined(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
            name, own_id = value.get("resourceType"), value.get("id")
            if name in parameter.targets and own_id:
                rows.references.add((parameter.number, hashed(f"{name}/{own_id}")))

        return inlined

    def _texts(self, parameter: Parameter, path: Path) -> Extract:
        number, read, made = parameter.number, read_strings(path.leaf), self._strings
        phonetic = parameter.is_phonetic

        def texts(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
            for text in read(value):
                shown = phonetic_key(text) if phonetic else text
                row = (number, made.starts(shown), made.exact(shown), made.grams(shown, rows.cid))
                rows.strings.add(row)

        return texts

    def _quantities(self, parameter: Parameter, path: Path) -> Extract:
        number, read = parameter.number, self._values.quantities(path.leaf)

        def quantities(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
            for row in read(value):
                rows.quantities.add((number, *row))

        return quantities


def _from_member(path: Path, emit: Extract) -> Extract:
    collect = collector(path)

    def extract(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
        for item in collect(value):
            emit(item, rows)

    return extract


def _dates(parameter: Parameter, path: Path) -> Extract:
    number, read = parameter.number, read_dates(path.leaf)

    def date(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
        span = read(value)
        if span is not None:
            rows.dates.add((number, span.lo, span.hi, span.wall_lo, span.wall_hi))

    return date


def _numbers(parameter: Parameter, path: Path) -> Extract:
    number, read = parameter.number, read_numbers(path.leaf)

    def count(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
        span = read(value)
        if span is not None:
            rows.quantities.add((number, NO_SYSTEM, NO_SYSTEM, *span))

    return count


def _positions(parameter: Parameter, _path: Path) -> Extract:
    number, read = parameter.number, read_numbers("decimal")

    def position(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
        latitude, longitude = read(value.get("latitude")), read(value.get("longitude"))
        if latitude is not None and longitude is not None:
            rows.positions.add((number, latitude[0], longitude[0]))

    return position


def _points_to(text: str, value: Any, target: str) -> bool:  # noqa: ANN401 - a decoded JSON value
    if isinstance(value, dict) and value.get("type") == target:
        return True
    head, slash, _ = text.rpartition("/")
    return bool(slash) and (head == target or head.endswith("/" + target))
