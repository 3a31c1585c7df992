"""Where a search looks: one record, a few one by one, or very many together.

A few compartments are asked one after the other, and each keeps a receipt of the search. Above
`crowds.FEW_RECORDS` the reader's accesses are one crowd: the question is kept on the node's own chain, and
every record of which something was disclosed keeps a receipt of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hilum.base.ids import CompartmentId, UnixMs
from hilum.consent.asking import SEARCH
from hilum.consent.decision import Decision, Outcome
from hilum.exchange.answering import NOWHERE, Shown, ask, chain_of
from hilum.exchange.disclosing import draft_receipt
from hilum.exchange.node import DIRECTORY
from hilum.record.crowd import Scope
from hilum.record.query_tree import IdFilter, Query
from hilum.record.types import is_directory_type

if TYPE_CHECKING:
    from hilum.base.sql import Connection
    from hilum.exchange.node import Node
    from hilum.identity.session import Session
    from hilum.journal.model import Draft
    from hilum.record.access import Access

__all__ = ["Asked", "ask_scope", "draft_receipts"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the gate said about a search.

    Attributes:
        scope: where it looks.
        decisions: compartment and decision of each that is asked one by one.
        now: when it was asked.
    """

    scope: Scope
    decisions: tuple[tuple[CompartmentId, Decision], ...]
    now: UnixMs

    def access_to(self, cid: int) -> Access | None:
        """Return the access to one compartment of the scope, or of the directory."""
        for access in self.scope.accesses:
            if access.compartment == cid:
                return access
        if self.scope.crowd is not None and (
            found := self.scope.crowd.access_to(CompartmentId(cid))
        ):
            return found
        directory = self.scope.directory
        return directory if directory is not None and directory.compartment == cid else None


def ask_scope(
    node: Node, conn: Connection, session: Session, query: Query, *, types: Sequence[str] = ()
) -> Asked:
    """Ask the gate about every record that a search is about.

    Args:
        node: where.
        conn: a connection.
        session: who asks.
        query: what is searched.
        types: all types that are searched, when they are several.
    """
    now = node.clock()
    shared = any(map(is_directory_type, types or (query.type,)))
    _decision, directory = ask(node, conn, session, DIRECTORY, SEARCH, now)
    cids = _records(node, conn, session, query, shared=shared)
    if cids is None:
        together = node.record.knows_crowds(conn)
        crowd = node.gatekeeper.crowd(conn, session, SEARCH, now) if together else None
        if crowd is not None:
            accesses = (directory,) if shared else ()
            decisions = ((NOWHERE, Decision(Outcome.PERMIT, None, (), frozenset())),)
            return Asked(Scope(accesses, crowd, directory), decisions, now)
        cids = node.gatekeeper.records(conn, session)
        cids = [*cids, DIRECTORY] if shared else cids
    asked = [(cid, *ask(node, conn, session, cid, SEARCH, now)) for cid in cids or [NOWHERE]]
    return Asked(
        Scope(tuple(access for _cid, _decision, access in asked), directory=directory),
        tuple((cid, decision) for cid, decision, _access in asked),
        now,
    )


def _records(
    node: Node, conn: Connection, session: Session, query: Query, *, shared: bool
) -> list[CompartmentId] | None:
    """Return the compartments that a search names, or the session is bound to; None = all it knows."""
    named = query.patient
    if named is None and query.type == "Patient":
        named = _one_id(query)
    if named is not None:
        cid = node.record.compartment_of(conn, named)
        return [NOWHERE if cid is None else cid]
    if session.for_subject is None:
        return None
    cid = node.record.compartment_of(conn, session.for_subject)
    found = [] if cid is None else [cid]
    return [*found, DIRECTORY] if shared else found


def _one_id(query: Query) -> str | None:
    for each in query.filters:
        if isinstance(each, IdFilter) and len(each.ids) == 1:
            return each.ids[0]
    return None


def draft_receipts(
    node: Node, conn: Connection, session: Session, asked: Asked, shown: Sequence[Shown]
) -> tuple[Draft, ...]:
    """Return the receipts of a search: of all that was asked, and of all that was disclosed."""
    disclosed: dict[CompartmentId, list[tuple[bytes, int]]] = {}
    for row in shown:
        disclosed.setdefault(row.cid, []).append((row.body, row.seg))
    decisions = dict(asked.decisions)
    for cid in disclosed.keys() - decisions.keys():
        decisions[cid] = ask(node, conn, session, cid, SEARCH, asked.now)[0]
    return tuple(
        draft_receipt(
            node, conn, session, cid=chain_of(cid), action=SEARCH, decision=decision,
            disclosed=disclosed.get(cid, []), now=asked.now,
        )
        for cid, decision in decisions.items()
    )  # fmt: skip
