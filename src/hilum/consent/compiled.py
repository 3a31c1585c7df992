"""Directives made ready for the gate: windows instead of digests, found by who asks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from hilum.base.ids import UnixMs
from hilum.consent.directive import Directive, DirectiveStatus
from hilum.consent.terms import ANY_PURPOSE, OTHER_PURPOSES, Clause, Effect
from hilum.consent.windows import HashCode, HashReference, windows_of
from hilum.identity.purpose import Purpose
from hilum.record.access import ANY_TYPE, Window
from hilum.record.types import type_mask

__all__ = [
    "OPEN_TYPES",
    "SUBJECT_ONLY_TYPES",
    "CompiledClause",
    "CompiledDirectives",
    "compile_directives",
]


SUBJECT_ONLY_TYPES = ("AuditEvent", "Consent", "Provenance")
"""Never reached through "any type": only the subject sees what is restricted."""
OPEN_TYPES = ANY_TYPE & ~type_mask(SUBJECT_ONLY_TYPES)


@dataclass(frozen=True, slots=True)
class CompiledClause:
    """One clause as the gate reads it."""

    directive: str
    index: int
    is_permit: bool
    actions: int
    purposes: int
    further_purposes: frozenset[bytes]
    grantees: frozenset[bytes]
    grantees_excluded: bool
    valid_from: UnixMs | None
    valid_until: UnixMs | None
    is_counted: bool
    is_priced: bool
    has_conditions: bool
    windows: tuple[Window, ...]

    @property
    def boundaries(self) -> tuple[UnixMs, ...]:
        """Return the instants at which the clause starts or ends."""
        return tuple(i for i in (self.valid_from, self.valid_until) if i is not None)

    def meets_purpose(self, purpose: Purpose) -> bool:
        """Tell whether the clause speaks of the purpose."""
        if purpose.bit:
            return bool(self.purposes & purpose.bit)
        return bool(self.purposes & OTHER_PURPOSES) or purpose.digest in self.further_purposes

    def meets_action(self, action: int) -> bool:
        """Tell whether a permit names every action asked, or a deny any of them."""
        if self.is_permit:
            return action & ~self.actions == 0
        return bool(action & self.actions)

    def is_about(self, purposes: int) -> bool:
        """Tell whether the clause speaks of none but these purposes."""
        return not self.further_purposes and self.purposes & ~purposes & ANY_PURPOSE == 0


class CompiledDirectives:
    """The active directives of one compartment, found by grantee in one look-up each.

    Args:
        clauses: compiled clauses.
    """

    def __init__(self, clauses: Iterable[CompiledClause]) -> None:
        self._by_grantee: dict[bytes, list[CompiledClause]] = {}
        self._for_any: list[CompiledClause] = []
        for clause in clauses:
            if clause.grantees and not clause.grantees_excluded:
                for grantee in clause.grantees:
                    self._by_grantee.setdefault(grantee, []).append(clause)
            else:
                self._for_any.append(clause)

    def about(self, grantees: frozenset[bytes]) -> list[CompiledClause]:
        """Return the clauses that speak of a reader known by these ids."""
        found = [
            clause
            for clause in self._for_any
            if not clause.grantees_excluded or clause.grantees.isdisjoint(grantees)
        ]
        named = [clause for one in grantees for clause in self._by_grantee.get(one, ())]
        if len(grantees) > 1:
            named = list({(clause.directive, clause.index): clause for clause in named}.values())
        return found + named


def compile_directives(
    directives: Iterable[Directive], *, hash_code: HashCode, hash_reference: HashReference
) -> CompiledDirectives:
    """Return the active directives made ready for the gate; revoked ones are left out.

    Args:
        directives: of one compartment.
        hash_code: the store's keyed hash of (system, code).
        hash_reference: the store's keyed hash of a reference.

    Raises:
        VerificationError: when an id of a clause has no text (step ``directive-names``).
    """
    return CompiledDirectives(
        _compile(directive, index, clause, hash_code=hash_code, hash_reference=hash_reference)
        for directive in directives
        if directive.status is DirectiveStatus.ACTIVE
        for index, clause in enumerate(directive.terms.clauses)
    )


def _compile(
    directive: Directive,
    index: int,
    clause: Clause,
    *,
    hash_code: HashCode,
    hash_reference: HashReference,
) -> CompiledClause:
    is_permit = clause.effect is Effect.PERMIT
    found = windows_of(clause, directive.names, hash_code=hash_code, hash_reference=hash_reference)
    return CompiledClause(
        directive=directive.id,
        index=index,
        is_permit=is_permit,
        actions=int(clause.actions),
        purposes=clause.purposes,
        further_purposes=clause.further_purposes,
        grantees=clause.grantees,
        grantees_excluded=clause.grantees_excluded,
        valid_from=clause.valid_from,
        valid_until=clause.valid_until,
        is_counted=clause.uses > 0,
        is_priced=clause.price_msat > 0,
        has_conditions=_has_conditions(clause),
        windows=tuple(_reachable(window) for window in found) if is_permit else found,
    )


def _has_conditions(clause: Clause) -> bool:
    has_period = clause.valid_from is not None or clause.valid_until is not None
    return has_period or clause.uses > 0 or clause.price_msat > 0


def _reachable(window: Window) -> Window:
    return replace(window, types=OPEN_TYPES) if window.types == ANY_TYPE else window
