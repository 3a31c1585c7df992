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


@dataclass(frozen=True, slots=True)
class _Source:
    """One place of values that are compared in one way; several parameters may share it."""

    kind: Kind
    path: Path
    is_about: bool = False
    is_part: bool = False
    is_phonetic: bool = False
    inlined: tuple[str, ...] = ()

    @classmethod
    def of(cls, parameter: Parameter, path: Path) -> _Source:
        """Return where a parameter has values of one path."""
        return cls(
            parameter.kind,
            path,
            parameter.name in CODE_PARAMETERS,
            parameter.name in PART_PARAMETERS,
            parameter.is_phonetic,
            parameter.targets if path.leaf == "Resource" else (),
        )


Numbers = tuple[int, ...]


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
        sources: dict[_Source, list[int]] = {}
        by_member: dict[str, list[Extract]] = {}
        deceased = 0
        parameters = list(parameters_of(name).values())
        for parameter in parameters:
            for path in () if parameter.kind is Kind.COMPOSITE else parameter.paths:
                if path.exists:
                    deceased = parameter.number
                else:
                    sources.setdefault(_Source.of(parameter, path), []).append(parameter.number)
        for source, numbers in sources.items():
            members = by_member.setdefault(source.path.steps[0].key, [])
            members.append(_from_member(source.path, self._emitter(source, tuple(numbers))))
        for member, extract in self._composites.extractors(parameters):
            by_member.setdefault(member, []).append(extract)
        return Plan(by_member, deceased)

    def _emitter(self, source: _Source, numbers: Numbers) -> Extract:
        made: dict[Kind, Callable[[_Source, Numbers], Extract]] = {
            Kind.DATE: _dates,
            Kind.NUMBER: _numbers,
            Kind.SPECIAL: _positions,
            Kind.REFERENCE: self._references,
            Kind.URI: self._uris,
            Kind.STRING: self._texts,
            Kind.QUANTITY: self._quantities,
            Kind.TOKEN: self._tokens,
        }
        return made[source.kind](source, numbers)

    # -- tokens ----------------------------------------------------------------------------------

    def _tokens(self, source: _Source, numbers: Numbers) -> Extract:
        leaf = source.path.leaf
        if leaf == "Identifier":
            return self._identifiers(numbers)
        coding = self._codings(source, numbers)
        if leaf == "Coding":
            return coding
        if leaf == "CodeableConcept":
            said = self._said(numbers)

            def concept(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
                for item in value.get("coding", ()):
                    coding(item, rows)
                text = value.get("text")
                if text is not None:
                    said(text, rows)

            return concept
        read = self._values.tokens(leaf)

        def plain(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
            for code, system in read(value):
                for number in numbers:
                    rows.tokens.add((number, code, system))

        return plain

    def _codings(self, source: _Source, numbers: Numbers) -> Extract:
        code_of, system_of = self._keyed.code, self._keyed.system
        coding_of, said = self._keyed.coding, self._said(numbers)
        is_about, is_part = source.is_about, source.is_part

        def coding(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
            code, system, display = (
                value.get("code", ""),
                value.get("system", ""),
                value.get("display"),
            )
            if display is not None:
                said(display, rows)
            if not code and not system:
                return
            token = (code_of(code), system_of(system))
            for number in numbers:
                rows.tokens.add((number, *token))
            if is_about:
                rows.codes.add(coding_of(system, code))
            elif is_part:
                rows.parts.add(coding_of(system, code))

        return coding

    def _said(self, numbers: Numbers) -> Extract:
        """The words beside a code, for ``:text``: found by how they begin, not by their parts."""
        words = self._strings.words

        def said(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
            if isinstance(value, str) and value:
                row = words(value)
                for number in numbers:
                    rows.texts.add((number, *row))

        return said

    def _identifiers(self, numbers: Numbers) -> Extract:
        code_of, system_of = self._keyed.code, self._keyed.system
        of_type, said = self._keyed.of_type, self._said(numbers)

        def identifier(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
            text, kind = value.get("value"), value.get("type", {})
            if isinstance(text, str) and text:
                code = code_of(text)
                typed = kind.get("coding", ())
                systems = [of_type(t.get("system", ""), t.get("code", "")) for t in typed]
                systems.append(system_of(value.get("system", "")))
                rows.tokens.update((number, code, s) for s in systems for number in numbers)
            said(kind.get("text"), rows)

        return identifier

    def _uris(self, _source: _Source, numbers: Numbers) -> Extract:
        code_of = self._keyed.code

        def uri(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
            if not isinstance(value, str) or not value:
                return
            for number in numbers:
                rows.tokens.add((number, code_of(value), NO_SYSTEM))
                for ancestor in uri_ancestors(value):
                    rows.tokens.add((number, code_of(ancestor), URI_BELOW))

        return uri

    # -- the rest --------------------------------------------------------------------------------

    def _references(self, source: _Source, numbers: Numbers) -> Extract:
        if source.inlined:
            return self._inlined(source.inlined, numbers)
        target, hashed = source.path.target, self._keyed.reference
        identified = self._values.tokens("Identifier")

        def reference(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
            text = reference_of(value)
            if target and not _points_to(text or "", value, target):
                return
            if isinstance(value, dict) and "identifier" in value:
                # what it says of its target's identifier, for ``:identifier``
                for code, system in identified(value["identifier"]):
                    rows.tokens.update((number, code, system) for number in numbers)
            if text is None:
                return
            for number in numbers:
                rows.references.add((number, hashed(text)))
            plain, bar, _ = text.partition("|")
            if bar:
                rows.references.update((number, hashed(plain)) for number in numbers)

        return reference

    def _inlined(self, targets: tuple[str, ...], numbers: Numbers) -> Extract:
        """A document's or a message's first resource, which is in the Bundle itself."""
        hashed = self._keyed.reference

        def inlined(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
            name, own_id = value.get("resourceType"), value.get("id")
            if name in targets and own_id:
                rows.references.update((number, hashed(f"{name}/{own_id}")) for number in numbers)

        return inlined

    def _texts(self, source: _Source, numbers: Numbers) -> Extract:
        read, made = read_strings(source.path.leaf), self._strings
        is_phonetic = source.is_phonetic

        def texts(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
            for text in read(value):
                shown = phonetic_key(text) if is_phonetic else text
                row = (made.starts(shown), made.exact(shown), made.grams(shown, rows.cid))
                for number in numbers:
                    rows.strings.add((number, *row))

        return texts

    def _quantities(self, source: _Source, numbers: Numbers) -> Extract:
        read = self._values.quantities(source.path.leaf)

        def quantities(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
            for row in read(value):
                for number in numbers:
                    rows.quantities.add((number, *row))

        return quantities


def _from_member(path: Path, emit: Extract) -> Extract:
    if path.is_member:

        def direct(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
            if isinstance(value, list):
                for item in value:
                    emit(item, rows)
            else:
                emit(value, rows)

        return direct
    collect = collector(path)

    def extract(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
        for item in collect(value):
            emit(item, rows)

    return extract


def _dates(source: _Source, numbers: Numbers) -> Extract:
    read = read_dates(source.path.leaf)

    def date(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
        span = read(value)
        if span is not None:
            for number in numbers:
                rows.dates.add((number, span.lo, span.hi, span.wall_lo, span.wall_hi))

    return date


def _numbers(source: _Source, numbers: Numbers) -> Extract:
    read = read_numbers(source.path.leaf)

    def count(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
        span = read(value)
        if span is not None:
            rows.quantities.update((number, NO_SYSTEM, NO_SYSTEM, *span) for number in numbers)

    return count


def _positions(_source: _Source, numbers: Numbers) -> Extract:
    read = read_numbers("decimal")

    def position(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
        latitude, longitude = read(value.get("latitude")), read(value.get("longitude"))
        if latitude is not None and longitude is not None:
            rows.positions.update((number, latitude[0], longitude[0]) for number in numbers)

    return position


def _points_to(text: str, value: Any, target: str) -> bool:  # noqa: ANN401 - a decoded JSON value
    if isinstance(value, dict) and value.get("type") == target:
        return True
    head, slash, _ = text.rpartition("/")
    return bool(slash) and (head == target or head.endswith("/" + target))
