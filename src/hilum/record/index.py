"""From a resource to its index rows and to the facts that the access filter looks at.

Every search parameter becomes a closure, filed under the first member that it reads: only the
members that a resource has cost anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hilum.record.dates import read_interval
from hilum.record.expressions import Path, collector
from hilum.record.keyed import NO_SYSTEM, KeyedHash, pack_hashes
from hilum.record.parameters import Kind, Parameter, parameters_of
from hilum.record.resource import Tree

__all__ = ["Facts", "IndexRows", "Indexer", "clinical_instant", "reference_of"]

CODE_PARAMETERS = frozenset({"code", "vaccine-code"})
"""What a resource is about: the codes that consent windows name."""
PART_PARAMETERS = frozenset({"component-code"})
"""Codes of parts inside: a deny window touches them too."""
AUTHOR_MEMBERS = (
    "author", "performer", "recorder", "asserter", "requester", "informationSource",
    "source", "sender", "agent", "participant",
)  # fmt: skip
"""Members that name who made a statement, at the top of a resource."""

_INSTANT_MEMBERS = {
    name: rank
    for rank, name in enumerate((
        "effectiveDateTime", "effectiveInstant", "effectivePeriod", "performedDateTime",
        "performedPeriod", "occurrenceDateTime", "occurrencePeriod", "onsetDateTime", "onsetPeriod",
        "started", "period", "servicedDate", "servicedPeriod", "billablePeriod", "whenHandedOver",
        "start", "authoredOn", "date", "dateTime", "createdDateTime", "createdPeriod", "sent",
        "issued", "recordedDate", "recorded", "dateAsserted", "dateWritten", "created", "timestamp",
    ))
}  # fmt: skip
"""Members that say when something was so in the subject's life, best first."""


def clinical_instant(tree: Tree) -> int | None:
    """Return when the content was so, ms since 1970 (start of what the date covers), or None."""
    best: tuple[int, int] | None = None
    for name in tree.keys() & _INSTANT_MEMBERS.keys():
        rank = _INSTANT_MEMBERS[name]
        if best is not None and rank > best[0]:
            continue
        value = tree[name]
        span = read_interval(value)
        if span is None:
            continue
        has_start = not isinstance(value, dict) or "start" in value
        best = (rank, span.lo if has_start else span.hi)
    return best[1] if best else None


def reference_of(value: Any) -> str | None:  # noqa: ANN401 - a decoded JSON value
    """Return the text of a Reference or of a canonical; None for a contained or missing one."""
    text = value.get("reference") if isinstance(value, dict) else value
    if not isinstance(text, str) or not text or text[0] == "#":
        return None
    return text.partition("/_history/")[0] if "/_history/" in text else text


@dataclass(slots=True)
class IndexRows:
    """Index rows of one resource, without compartment, instant and row number.

    Attributes:
        tokens: (parameter, code, system).
        references: (parameter, reference).
        dates: (parameter, lo, hi, wall lo, wall hi).
        codes: hashes of what the resource is about.
        parts: hashes of what parts of it are about.
    """

    tokens: set[tuple[int, int, int]] = field(default_factory=set)
    references: set[tuple[int, int]] = field(default_factory=set)
    dates: set[tuple[int, int, int, int, int]] = field(default_factory=set)
    codes: set[int] = field(default_factory=set)
    parts: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the access filter looks at, packed for SQL (see `keyed.pack_hashes`)."""

    codes: bytes
    parts: bytes
    authors: bytes
    encounters: bytes


Extract = Callable[[Any, IndexRows], None]


class Indexer:
    """Makes index rows under one node's key.

    Args:
        keyed: the node's hash functions.
    """

    def __init__(self, keyed: KeyedHash) -> None:
        self.keyed = keyed
        self._plans: dict[str, dict[str, list[Extract]]] = {}

    def rows(self, tree: Tree) -> IndexRows:
        """Return all index rows of a resource."""
        name = tree["resourceType"]
        plan = self._plans.get(name)
        if plan is None:
            plan = self._plans[name] = self._plan(name)
        rows = IndexRows()
        for key, value in tree.items():
            for extract in plan.get(key, ()):
                extract(value, rows)
        if name == "Patient":
            self._deceased(tree, rows)
        return rows

    def facts(self, tree: Tree, rows: IndexRows, author: str | None) -> Facts:
        """Return the facts of a resource.

        Args:
            tree: the resource.
            rows: its index rows.
            author: reference of who contributed it, or None.
        """
        authors = {self.keyed.reference(author)} if author else set()
        for member in tree.keys() & _AUTHORS:
            authors |= self._actors(tree[member])
        encounters: set[int] = set()
        for holder in (tree, tree.get("context")):
            if isinstance(holder, dict):
                encounters |= self._actors(holder.get("encounter"))
        if "context" in tree:
            encounters |= self._actors(tree["context"], only="Encounter")
        return Facts(
            pack_hashes(rows.codes),
            pack_hashes(rows.parts),
            pack_hashes(authors),
            pack_hashes(encounters),
        )

    def _actors(self, value: Any, only: str = "") -> set[int]:  # noqa: ANN401 - a decoded JSON value
        found = set()
        for item in value if isinstance(value, list) else [value]:
            if not isinstance(item, dict):
                continue
            inner = next(
                (item[k] for k in ("actor", "who", "individual", "member") if k in item), item
            )
            text = reference_of(inner) if isinstance(inner, dict) else None
            if text and text.startswith(only):
                found.add(self.keyed.reference(text))
        return found

    def _plan(self, name: str) -> dict[str, list[Extract]]:
        plan: dict[str, list[Extract]] = {}
        for parameter in parameters_of(name).values():
            if parameter.kind not in {Kind.TOKEN, Kind.REFERENCE, Kind.DATE, Kind.URI}:
                continue
            for path in parameter.paths:
                if not path.exists:
                    plan.setdefault(path.steps[0].key, []).append(self._extract(parameter, path))
        return plan

    def _extract(self, parameter: Parameter, path: Path) -> Extract:
        collect = collector(path)
        emit = self._emitter(parameter, path)

        def extract(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
            for item in collect(value):
                emit(item, rows)

        return extract

    def _emitter(self, parameter: Parameter, path: Path) -> Extract:
        if parameter.kind is Kind.DATE:
            return self._dates(parameter.number, path.leaf)
        if parameter.kind is Kind.REFERENCE:
            return self._references(parameter.number, path.target)
        return self._tokens(parameter, path.leaf)

    def _tokens(self, parameter: Parameter, leaf: str) -> Extract:
        coding = self._codings(parameter)
        number, code_of, system_of = parameter.number, self.keyed.code, self.keyed.system

        def concept(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
            for item in value.get("coding", ()):
                coding(item, rows)

        def identifier(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
            text = value.get("value")
            if isinstance(text, str):
                system = value.get("system", "")
                rows.tokens.add((number, code_of(text), system_of(system)))

        def contact(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
            plain(value.get("value"), rows)

        def plain(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
            if isinstance(value, bool):
                value = "true" if value else "false"
            if isinstance(value, str):
                rows.tokens.add((number, code_of(value), NO_SYSTEM))

        by_leaf = {
            "CodeableConcept": concept,
            "Coding": coding,
            "Identifier": identifier,
            "ContactPoint": contact,
        }
        return by_leaf.get(leaf, plain)

    def _codings(self, parameter: Parameter) -> Extract:
        number, code_of, system_of = parameter.number, self.keyed.code, self.keyed.system
        about = parameter.name in CODE_PARAMETERS
        inside = parameter.name in PART_PARAMETERS

        def coding(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
            code, system = value.get("code", ""), value.get("system", "")
            if not code and not system:
                return
            rows.tokens.add((number, code_of(code), system_of(system)))
            if about:
                rows.codes.add(self.keyed.coding(system, code))
            elif inside:
                rows.parts.add(self.keyed.coding(system, code))

        return coding

    def _references(self, number: int, target: str) -> Extract:
        hashed = self.keyed.reference

        def reference(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
            text = reference_of(value)
            if text is None or (target and not _points_to(text, value, target)):
                return
            rows.references.add((number, hashed(text)))
            plain, bar, _ = text.partition("|")
            if bar:
                rows.references.add((number, hashed(plain)))

        return reference

    @staticmethod
    def _dates(number: int, leaf: str) -> Extract:
        def date(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
            span = read_interval(value)
            if span is not None:
                rows.dates.add((number, span.lo, span.hi, span.wall_lo, span.wall_hi))

        def timing(value: Any, rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
            for event in value.get("event", ()):
                date(event, rows)
            date(value.get("repeat", {}).get("boundsPeriod"), rows)

        def nothing(_value: Any, _rows: IndexRows) -> None:  # noqa: ANN401 - a decoded JSON value
            """Ages, ranges and words are no dates."""

        by_leaf: dict[str, Extract] = {
            "Timing": timing,
            "Age": nothing,
            "Range": nothing,
            "string": nothing,
        }
        return by_leaf.get(leaf, date)

    def _deceased(self, tree: Tree, rows: IndexRows) -> None:
        # R4's only `exists()` parameter: "Patient.deceased.exists() and Patient.deceased != false"
        parameter = parameters_of("Patient")["deceased"]
        said = tree.get("deceasedBoolean", False) is not False or "deceasedDateTime" in tree
        rows.tokens.add((parameter.number, self.keyed.code("true" if said else "false"), NO_SYSTEM))


_AUTHORS = frozenset(AUTHOR_MEMBERS)


def _points_to(text: str, value: Any, target: str) -> bool:  # noqa: ANN401 - a decoded JSON value
    if isinstance(value, dict) and value.get("type") == target:
        return True
    head, slash, _ = text.rpartition("/")
    return bool(slash) and (head == target or head.endswith("/" + target))
