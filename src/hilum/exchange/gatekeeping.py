"""Asking the gate: who asks about which compartment, decided once and remembered while it holds."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from hilum.base.ids import CompartmentId, SubjectId
from hilum.consent.compiled import CompiledDirectives, compile_directives
from hilum.consent.decision import Decision, request_of
from hilum.consent.gate import decide
from hilum.exchange.crowds import FEW_RECORDS, KnownCrowd
from hilum.identity.purpose import EMERGENCY_PURPOSES

if TYPE_CHECKING:
    from collections.abc import Callable

    from hilum.base.ids import UnixMs
    from hilum.base.sql import Connection
    from hilum.consent.adapters.sqlite import SqliteDirectives
    from hilum.consent.emergency import EmergencyAccess
    from hilum.consent.policy import BasePolicy
    from hilum.identity.session import Session
    from hilum.record.access import Action
    from hilum.record.adapters.sqlite import SqliteRecord
    from hilum.record.crowd import Crowd

__all__ = ["Gatekeeper"]

_CACHE_LIMIT = 1 << 16
_MOST_CROWDS = 64
_NOBODY = SubjectId("")
Key = tuple[int, bytes, int]
Compiled = tuple[CompiledDirectives, frozenset[tuple[str, int]]]


class Gatekeeper:
    """Loads directives, asks the gate and remembers decisions until something changes.

    Plain dict reads, safe between threads; whoever commits a change of directives calls `forget`
    before the change is acknowledged, so that the next request is decided anew.

    Args:
        directives: where they are kept.
        record: finds compartments and hashes codes.
        policy: the base policy.
        renew: called before anything remembered is trusted, where other processes write too.
    """

    def __init__(
        self,
        directives: SqliteDirectives,
        record: SqliteRecord,
        policy: BasePolicy,
        renew: Callable[[], None] | None = None,
    ) -> None:
        self._renew = renew
        self._directives = directives
        self._record = record
        self._policy = policy
        self._generation: dict[int, int] = {}
        self._everywhere = 0
        self._compiled: dict[int, tuple[int, Compiled]] = {}
        self._cells: dict[tuple[int, str], int] = {}
        self._decisions: dict[Key, tuple[int, Decision, UnixMs]] = {}
        self._forgotten: list[CompartmentId] = []
        # guarded by the lock: two requests of one reader change the same crowd
        self._crowds: dict[tuple[object, ...], KnownCrowd] = {}
        self._crowds_lock = threading.Lock()

    def forget(self, cid: CompartmentId) -> None:
        """Trust nothing decided about a compartment so far."""
        self._generation[cid] = self._generation.get(cid, 0) + 1
        self._forgotten.append(cid)
        if len(self._forgotten) > _CACHE_LIMIT:
            self._forgotten = []
            self._everywhere += 1

    def forget_all(self) -> None:
        """Trust nothing decided so far: a commit failed, and what is on disk is not certain."""
        self._everywhere += 1

    def decide(
        self, conn: Connection, session: Session, cid: CompartmentId, action: Action, now: UnixMs
    ) -> Decision:
        """Return what the session may do in a compartment.

        Args:
            conn: a connection.
            session: who asks.
            cid: the compartment; 0 is the shared directory, a negative one never existed.
            action: one action.
            now: the present.
        """
        if self._renew is not None:
            self._renew()
        generation = self._everywhere + self._generation.get(cid, 0)
        key = (cid, session.token_hash, int(action))
        known = self._decisions.get(key)
        if known is not None and known[0] == generation:
            until = known[1].until_unix_ms
            if known[2] <= now and (until is None or now < until):  # clocks may be set back
                return known[1]
        decision = self._decide(conn, session, (cid, generation), action, now)
        if not decision.counted:
            if len(self._decisions) >= _CACHE_LIMIT:
                self._decisions = {}
            self._decisions[key] = (generation, decision, now)
        return decision

    def records(self, conn: Connection, session: Session) -> list[CompartmentId]:
        """Return the compartments in which some active directive may permit the session something."""
        found = self._directives.compartments_for(conn, session.grantees)
        return [CompartmentId(cid) for cid in found]

    def crowd(
        self, conn: Connection, session: Session, action: Action, now: UnixMs
    ) -> Crowd | None:
        """Return the session's accesses to all records, when they are many; None when they are few.

        Kept from request to request, and changed only where something changed.

        Args:
            conn: a connection.
            session: who asks.
            action: one action.
            now: the present.
        """
        if self._renew is not None:
            self._renew()
        key = (
            session.grantees,
            session.purpose,
            session.reference,
            session.for_subject,
            int(action),
        )
        with self._crowds_lock:
            known = self._crowds.get(key)
            if known is None or known.everywhere != self._everywhere or now < known.seen:
                known = KnownCrowd(self._everywhere, len(self._forgotten), now)
                due = self.records(conn, session)
                if len(due) <= FEW_RECORDS:
                    return None
                if len(self._crowds) >= _MOST_CROWDS:
                    self._crowds = {}
                self._crowds[key] = known
            else:
                due = known.due(self._forgotten, now)
            for cid in due:
                if self._directives.may_name(conn, session.grantees, cid):
                    known.put(cid, self.decide(conn, session, cid, action, now))
                else:
                    known.crowd.drop(cid)
            return known.crowd

    def cell_of(self, cid: CompartmentId, directive: str) -> int | None:
        """Return the ledger cell of a directive that a decision of this compartment named."""
        return self._cells.get((cid, directive))

    def _decide(
        self,
        conn: Connection,
        session: Session,
        place: tuple[CompartmentId, int],
        action: Action,
        now: UnixMs,
    ) -> Decision:
        cid, generation = place
        subject = self._record.subject_of(conn, cid)
        emergencies: tuple[EmergencyAccess, ...] = ()
        if session.purpose.bit & EMERGENCY_PURPOSES:
            emergencies = self._directives.emergencies(conn, cid, now=now)
        compiled, spent = self._compile(conn, cid, generation)
        while True:
            request = request_of(
                session, action, compartment=cid, subject=subject or _NOBODY,
                emergencies=emergencies, spent=spent,
            )  # fmt: skip
            decision = decide(compiled, self._policy, request=request, now=now)
            if not decision.counted:
                return decision
            # Nothing counts uses yet, so a clause that limits them permits nothing (fail closed).
            spent |= frozenset(decision.counted)

    def _compile(self, conn: Connection, cid: CompartmentId, generation: int) -> Compiled:
        known = self._compiled.get(cid)
        if known is not None and known[0] == generation:
            return known[1]
        active = self._directives.active(conn, cid)
        compiled = compile_directives(
            active, hash_code=self._record.hash_code, hash_reference=self._record.hash_reference
        )
        for directive in active:
            if directive.cell is not None:
                self._cells[cid, directive.id] = directive.cell
        found = (compiled, self._directives.spent(conn, active))
        if len(self._compiled) >= _CACHE_LIMIT:
            self._compiled = {}
        self._compiled[cid] = (generation, found)
        return found
