"""Whom a bulk export is about, and the receipt of the question itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from hilum.consent.asking import EXPORT
from hilum.consent.decision import Decision, Outcome
from hilum.exchange.disclosing import draft_receipt
from hilum.exchange.node import NODE_CHAIN
from hilum.exchange.reading import look_up

if TYPE_CHECKING:
    from hilum.exchange.node import Node
    from hilum.identity.session import Session
    from hilum.journal.model import Draft

__all__ = ["draft_question", "members_of"]

_ASKED = Decision(Outcome.PERMIT, None, (), frozenset())


def members_of(
    node: Node, session: Session, group: str | None, patients: Sequence[str]
) -> tuple[tuple[int, ...] | None, tuple[Draft, ...]]:
    """Return the compartments that are named, and the receipts of finding out.

    Args:
        node: where.
        session: who asks.
        group: id of a Group, or None.
        patients: references to patients; none = all.

    Returns:
        None as compartments when nobody is named, and when the group is not there for who asks.
    """
    drafts: tuple[Draft, ...] = ()
    names: list[str] | None = None
    if group is not None:
        answer = look_up(node, session, "Group", group)
        drafts = answer.drafts
        if not answer.rows:
            return None, drafts
        names = _members(answer.rows[0].body)
    if patients:
        named = [text.rpartition("Patient/")[2] for text in patients]
        names = named if names is None else [name for name in names if name in named]
    if names is None:
        return None, drafts
    found = [node.record.compartment_of(node.conn, name) for name in names]
    return tuple(sorted({int(cid) for cid in found if cid is not None})), drafts


def _members(body: bytes) -> list[str]:
    tree = msgspec.json.decode(body)
    texts = [
        str(member.get("entity", {}).get("reference", ""))
        for member in tree.get("member", ())
        if not member.get("inactive")
    ]
    return [text.removeprefix("Patient/") for text in texts if text.startswith("Patient/")]


def draft_question(node: Node, session: Session) -> Draft:
    """Return the receipt of an export's beginning, on the node's own chain; subjects get theirs later."""
    return draft_receipt(
        node, node.conn, session, cid=NODE_CHAIN, action=EXPORT, decision=_ASKED, disclosed=(),
        now=node.clock(),
    )  # fmt: skip
