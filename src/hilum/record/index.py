"""From a resource to its index rows and to the facts that the access filter looks at.

Every search parameter becomes a closure, filed under the first member that it reads: only the
members that a resource has cost anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hilum.record.dates import read_interval
from hilum.record.extracting import Extractors, Plan
from hilum.record.keyed import NO_SYSTEM, KeyedHash, pack_hashes
from hilum.record.population import population_of
from hilum.record.resource import Tree
from hilum.record.rows import IndexRows
from hilum.record.strings import KeyedStrings
from hilum.record.values import reference_of

__all__ = ["Facts", "IndexRows", "Indexer", "clinical_instant", "reference_of"]

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


@dataclass(frozen=True, slots=True)
class Facts:
    """What the access filter looks at, packed for SQL (see `keyed.pack_hashes`)."""

    codes: bytes
    parts: bytes
    authors: bytes
    encounters: bytes


class Indexer:
    """Makes index rows under one node's key.

    Args:
        keyed: the node's hash functions.
        strings: its hash functions of strings.
    """

    def __init__(self, keyed: KeyedHash, strings: KeyedStrings) -> None:
        self.keyed = keyed
        self._extractors = Extractors(keyed, strings)
        self._plans: dict[str, Plan] = {}

    def rows(self, tree: Tree, cid: int) -> IndexRows:
        """Return all index rows of a resource.

        Args:
            tree: the resource.
            cid: its compartment; equal strings look different in two of them.
        """
        name = tree["resourceType"]
        plan = self._plans.get(name)
        if plan is None:
            plan = self._plans[name] = self._extractors.plan(name)
        rows = IndexRows(cid, tree, population_of(name))
        by_member = plan.by_member
        for key, value in tree.items():
            for extract in by_member.get(key, ()):
                extract(value, rows)
        if plan.deceased:
            self._deceased(plan.deceased, tree, rows)
        return rows

    def _deceased(self, number: int, tree: Tree, rows: IndexRows) -> None:
        # R4's only `exists()` parameter: "Patient.deceased.exists() and Patient.deceased != false"
        said = tree.get("deceasedBoolean", False) is not False or "deceasedDateTime" in tree
        rows.tokens.add((number, self.keyed.code("true" if said else "false"), NO_SYSTEM))

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


_AUTHORS = frozenset(AUTHOR_MEMBERS)
