"""From what a person chooses (this reader, for this purpose, these kinds of data, until then) to terms."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from hilum.base.ids import UnixMs
from hilum.consent.directive import code_digest, reference_digest
from hilum.consent.terms import ALL_SEGMENTS, ANY_PURPOSE, Clause, Effect, Terms
from hilum.errors import MalformedInputError
from hilum.identity.purpose import parse_purpose, purpose_mask
from hilum.identity.reader import grantee_of
from hilum.record.access import ANY_TYPE, Action, Segment
from hilum.record.types import type_mask

__all__ = ["READING", "Choice", "grant_terms", "parse_actions", "parse_segments"]

READING = Action.READ | Action.SEARCH | Action.HISTORY


@dataclass(frozen=True, slots=True)
class Choice:
    """What a subject chose; empty means "any".

    Attributes:
        effect: permit or deny.
        readers: FHIR references (``Organization/clinic``).
        purposes: v3 codes or ``system|code``.
        types: names of resource types.
        segments: mask of `Segment`; `ALL_SEGMENTS` = any.
        actions: mask of `Action`.
        codes: ``system|code``.
        encounters: references.
        authors: references.
        instances: references.
        data_from: first clinical instant covered, or None.
        data_until: first clinical instant no longer covered, or None.
        valid_from: from when it holds, or None.
        valid_until: first instant at which it no longer holds, or None.
        uses: how often; 0 = without limit.
    """

    effect: Effect = Effect.PERMIT
    readers: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    segments: int = ALL_SEGMENTS
    actions: Action = READING
    codes: tuple[str, ...] = ()
    encounters: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()
    data_from: UnixMs | None = None
    data_until: UnixMs | None = None
    valid_from: UnixMs | None = None
    valid_until: UnixMs | None = None
    uses: int = 0


@dataclass(slots=True)
class Naming:
    """Collects digest → text while terms are made."""

    names: dict[bytes, str] = field(default_factory=dict)

    def grantees(self, references: Iterable[str]) -> frozenset[bytes]:
        """Return the grantee ids of references."""
        return self._keep((grantee_of(text), text) for text in references)

    def references(self, references: Iterable[str]) -> frozenset[bytes]:
        """Return the digests of references."""
        return self._keep((reference_digest(text), text) for text in references)

    def codes(self, codes: Iterable[str]) -> frozenset[bytes]:
        """Return the digests of ``system|code`` texts."""
        return self._keep((code_digest(*text.rsplit("|", 1)), text) for text in codes)

    def purposes(self, texts: Iterable[str]) -> tuple[int, frozenset[bytes]]:
        """Return (mask, digests of purposes of other code systems); no text means any purpose.

        Raises:
            MalformedInputError: when a text is not a purpose.
        """
        found = [parse_purpose(text) for text in texts]
        if not found:
            return ANY_PURPOSE, frozenset()
        mask = purpose_mask(purpose.code for purpose in found if purpose.bit)
        return mask, self._keep((one.digest, one.code) for one in found if not one.bit)

    def _keep(self, pairs: Iterable[tuple[bytes, str]]) -> frozenset[bytes]:
        made = dict(pairs)
        self.names |= made
        return frozenset(made)


def grant_terms(choices: Iterable[Choice]) -> tuple[Terms, dict[bytes, str]]:
    """Return the terms of the choices, one clause each, and digest → text.

    Raises:
        MalformedInputError: when a choice is out of its domain; names the field.
    """
    naming = Naming()
    clauses = tuple(_clause(choice, naming) for choice in choices)
    return Terms(clauses), naming.names


def parse_segments(texts: Iterable[str]) -> int:
    """Return the mask of segment names (``NORMAL``, ``psy`` …); none means all.

    Raises:
        MalformedInputError: when a name is unknown.
    """
    mask = 0
    for text in texts:
        if text.upper() not in Segment.__members__:
            raise MalformedInputError(
                "unknown-segment",
                "not a segment",
                where="segments",
                hint=", ".join(Segment.__members__),
            )
        mask |= Segment[text.upper()]
    return int(mask) or ALL_SEGMENTS


def parse_actions(texts: Iterable[str]) -> Action:
    """Return the mask of action names (``read``, ``search`` …); none means reading.

    Raises:
        MalformedInputError: when a name is unknown.
    """
    mask = Action(0)
    for text in texts:
        if text.upper() not in Action.__members__:
            raise MalformedInputError(
                "unknown-action",
                "not an action",
                where="actions",
                hint=", ".join(Action.__members__).lower(),
            )
        mask |= Action[text.upper()]
    return mask or READING


def _clause(choice: Choice, naming: Naming) -> Clause:
    for code in choice.codes:
        if "|" not in code:
            raise MalformedInputError("bad-code", "not system|code", where="codes")
    purposes, further = naming.purposes(choice.purposes)
    return Clause(
        effect=choice.effect,
        actions=choice.actions,
        purposes=purposes,
        further_purposes=further,
        grantees=naming.grantees(choice.readers),
        segments=choice.segments,
        types=type_mask(choice.types) or ANY_TYPE,
        codes=naming.codes(choice.codes),
        data_from=choice.data_from,
        data_until=choice.data_until,
        valid_from=choice.valid_from,
        valid_until=choice.valid_until,
        authors=naming.references(choice.authors),
        encounters=naming.references(choice.encounters),
        instances=naming.references(choice.instances),
        uses=choice.uses,
    )
