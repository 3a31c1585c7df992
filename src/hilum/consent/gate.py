"""The gate: `decide(directives, policy, *, request, now)`; total, pure, deny by default.

How clauses combine, in this order, and in the words that the subject is shown:
1. Your own session sees all of your record.
2. What any active directive denies is not seen, whatever another permits.
3. What an active directive permits to this reader, for this purpose and action, is seen.
4. Where you have said nothing, the base policy of the jurisdiction speaks.
5. Under break-glass the emergency windows are seen; a denial gives way only if the policy says so,
   and never when it speaks of emergencies itself (all its purposes lie within ETREAT).
6. Otherwise it is as if nothing were there.

Consent, AuditEvent and Provenance are never reached through "any type": only the subject sees what
is restricted.
"""

from __future__ import annotations

from collections.abc import Iterable

from hilum.base.ids import CompartmentId, UnixMs
from hilum.consent.compiled import OPEN_TYPES, CompiledClause, CompiledDirectives
from hilum.consent.decision import Decision, Duty, Outcome, Reason, Request
from hilum.consent.emergency import EmergencyAccess, EmergencyStage
from hilum.consent.policy import BasePolicy
from hilum.consent.terms import ALL_ACTIONS, ALL_SEGMENTS
from hilum.consent.windows import merge, remove_denied
from hilum.identity.purpose import EMERGENCY_PURPOSES, parse_purpose
from hilum.record.access import Access, Action, Window
from hilum.record.types import DIRECTORY_TYPES, type_mask

__all__ = [
    "Decision",
    "Duty",
    "Outcome",
    "Reason",
    "Request",
    "decide",
    "directory_access",
]

MAX_PERMIT_WINDOWS = 64
"""Up to 8 windows stay as they were written; above, lossless merging sets in; what is left beyond
64 is not granted, and the decision says so."""
MAX_DENY_WINDOWS = 256
"""Denials are never dropped: beyond this many, after merging, nothing is granted."""
_PLAIN_WINDOWS = 8

_READING = int(Action.READ | Action.SEARCH | Action.HISTORY)
_OWN_WINDOW = Window(segments=ALL_SEGMENTS)
_DIRECTORY_WINDOW = Window(segments=ALL_SEGMENTS, types=type_mask(DIRECTORY_TYPES))
_BTG = parse_purpose("BTG").bit


def decide(
    directives: CompiledDirectives, policy: BasePolicy, *, request: Request, now: UnixMs
) -> Decision:
    """Return what the request may see, and why.

    Args:
        directives: the compartment's active directives (`compile_directives`).
        policy: the base policy.
        request: who asks what.
        now: when.
    """
    if request.is_subject:
        return _own(request)
    view = _View(directives.about(request.grantees), request, now)
    broken = _broken_glass(policy, request, now)
    view.note_boundaries(emergency.expires_unix_ms for emergency in request.emergencies)
    view.note_boundaries(emergency.opened_unix_ms for emergency in request.emergencies)
    if broken is not None:
        return _emergency(view, policy, broken)
    if request.purpose.bit == _BTG:
        return view.absent(Reason.GLASS_WHOLE)
    permits = [window for clause in view.permits for window in clause.windows]
    implied = _implied(policy, request)
    if implied:
        view.reasons.add(Reason.IMPLIED)
    return _answer(view, policy, permits + implied, outcome=Outcome.PERMIT)


def directory_access() -> Access:
    """Return what every known session may see of the shared directory (organisations and staff)."""
    actions = Action.READ | Action.SEARCH | Action.HISTORY
    return Access(CompartmentId(0), actions, (_DIRECTORY_WINDOW,))


class _View:
    """The clauses that speak to one request at one instant."""

    def __init__(self, clauses: Iterable[CompiledClause], request: Request, now: UnixMs) -> None:
        self.request = request
        self.now = now
        self.permits: list[CompiledClause] = []
        self.denies: list[CompiledClause] = []
        self.reasons: set[Reason] = set()
        self.until: int | None = None
        purpose = request.purpose
        action = int(request.action)  # arithmetic on IntFlag is ten times slower
        for clause in clauses:
            if not (
                clause.purposes & purpose.bit if purpose.bit else clause.meets_purpose(purpose)
            ):
                self.reasons.add(Reason.OTHER_PURPOSE)
            elif not clause.meets_action(action):
                self.reasons.add(Reason.OTHER_ACTION)
            else:
                self._sort(clause)

    def note_boundaries(self, instants: Iterable[int]) -> None:
        for instant in instants:
            if instant > self.now and (self.until is None or instant < self.until):
                self.until = instant

    def absent(self, reason: Reason) -> Decision:
        return Decision(
            Outcome.ABSENT,
            None,
            tuple(sorted(self.reasons | {reason})),
            frozenset({Duty.RECEIPT}),
            directives=_ids(self.denies),
            until_unix_ms=None if self.until is None else UnixMs(self.until),
        )

    def _sort(self, clause: CompiledClause) -> None:
        missing = self._unmet(clause) if clause.has_conditions else None
        if missing is not None:
            self.reasons.add(missing)
        elif clause.is_permit:
            self.permits.append(clause)
        else:
            self.denies.append(clause)

    def _unmet(self, clause: CompiledClause) -> Reason | None:
        self.note_boundaries(clause.boundaries)
        if clause.is_priced:
            return Reason.UNPAID
        if clause.is_counted and (clause.directive, clause.index) in self.request.spent:
            return Reason.SPENT
        return _outside_validity(clause, self.now)


def _outside_validity(clause: CompiledClause, now: UnixMs) -> Reason | None:
    if clause.valid_from is not None and now < clause.valid_from:
        return Reason.NOT_YET_VALID
    if clause.valid_until is not None and now >= clause.valid_until:
        return Reason.EXPIRED
    return None


def _own(request: Request) -> Decision:
    access = Access(request.compartment, ALL_ACTIONS, (_OWN_WINDOW,))
    return Decision(Outcome.PERMIT, access, (Reason.OWN_RECORD,), frozenset({Duty.RECEIPT}))


def _answer(
    view: _View, policy: BasePolicy, permits: list[Window], *, outcome: Outcome
) -> Decision:
    denies = merge(
        (window for clause in view.denies for window in clause.windows), enough=_PLAIN_WINDOWS
    )
    had_permits = bool(permits)
    windows = merge(
        remove_denied(permits, denies),
        enough=_PLAIN_WINDOWS,
    )
    if not windows or len(denies) > MAX_DENY_WINDOWS:
        return view.absent(Reason.DENIED if had_permits else Reason.NOTHING_SAID)
    if len(windows) > MAX_PERMIT_WINDOWS:
        windows = windows[:MAX_PERMIT_WINDOWS]
        view.reasons.add(Reason.SURPLUS)
    reasons = view.reasons - _NEAR_MISSES
    if view.permits:
        reasons.add(Reason.PERMITTED)
    access = Access(view.request.compartment, view.request.action, windows, denies)
    return Decision(
        outcome,
        access,
        tuple(sorted(reasons)),
        _duties(policy, windows, outcome),
        directives=_ids(view.permits),
        counted=_counted(view.permits),
        until_unix_ms=None if view.until is None else UnixMs(view.until),
    )


_NEAR_MISSES = frozenset(
    {
        Reason.OTHER_PURPOSE,
        Reason.OTHER_ACTION,
        Reason.NOT_YET_VALID,
        Reason.EXPIRED,
        Reason.SPENT,
        Reason.UNPAID,
    }
)


def _emergency(view: _View, policy: BasePolicy, broken: EmergencyAccess) -> Decision:
    rules = policy.break_glass
    is_full = broken.stage is EmergencyStage.FULL
    windows = [
        Window(
            segments=rules.full_segments if is_full else rules.first_segments,
            types=OPEN_TYPES if is_full else rules.first_types,
        )
    ]
    if rules.overrides_denials:
        kept = [clause for clause in view.denies if clause.is_about(EMERGENCY_PURPOSES)]
        if len(kept) < len(view.denies):
            # what is permitted otherwise is subject to the denials that gave way: leave it out
            view.permits = []
        view.denies = kept
    windows += [window for clause in view.permits for window in clause.windows]
    view.reasons.add(Reason.EMERGENCY)
    return _answer(view, policy, windows, outcome=Outcome.EMERGENCY)


def _broken_glass(policy: BasePolicy, request: Request, now: UnixMs) -> EmergencyAccess | None:
    rules = policy.break_glass
    if not request.purpose.bit & rules.purposes or request.role not in rules.roles:
        return None
    if int(request.action) & ~_READING:
        return None
    held = [
        emergency
        for emergency in request.emergencies
        if emergency.holds(now)
        and emergency.reader == request.reader
        and emergency.compartment == request.compartment
    ]
    return max(
        held, key=lambda emergency: (emergency.stage, emergency.expires_unix_ms), default=None
    )


def _implied(policy: BasePolicy, request: Request) -> list[Window]:
    return [
        Window(segments=rule.segments, types=OPEN_TYPES)
        for rule in policy.implied
        if request.purpose.bit & rule.purposes
        and int(request.action) & ~int(rule.actions) == 0
        and request.role in rule.roles
    ]


def _duties(policy: BasePolicy, windows: tuple[Window, ...], outcome: Outcome) -> frozenset[Duty]:
    duties = {Duty.RECEIPT}
    if policy.notice != "none" or outcome is Outcome.EMERGENCY:
        duties.add(Duty.NOTICE)
    if any(window.segments & policy.part2_segments for window in windows):
        duties.add(Duty.PART2_NOTICE)
    if outcome is Outcome.EMERGENCY:
        duties.add(Duty.REVIEW)
    return frozenset(duties)


def _ids(clauses: list[CompiledClause]) -> tuple[str, ...]:
    return tuple(sorted({clause.directive for clause in clauses}))


def _counted(permits: list[CompiledClause]) -> tuple[tuple[str, int], ...]:
    if not any(clause.is_counted for clause in permits):
        return ()
    free = {window for clause in permits if not clause.is_counted for window in clause.windows}
    return tuple(
        sorted(
            (clause.directive, clause.index)
            for clause in permits
            if clause.is_counted and not free.issuperset(clause.windows)
        )
    )
