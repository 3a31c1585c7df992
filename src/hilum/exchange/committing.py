"""New resources that are finished before the writer sees them, and written beside others.

Whatever looks at what is stored (versions, conditions, directives) is a job of its own instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hilum.consent.asking import CONTRIBUTE
from hilum.exchange.depositing import Deposit
from hilum.exchange.disclosing import draft_receipt
from hilum.exchange.enrolling import enrols
from hilum.exchange.examining import examine
from hilum.exchange.preparing import CONSENT, VIRTUAL, Prepared, permit_create
from hilum.record.change import Create

if TYPE_CHECKING:
    from hilum.base.ids import UnixMs
    from hilum.exchange.node import Node
    from hilum.identity.session import Session
    from hilum.record.adapters.writing import Ready

__all__ = ["deposit", "deposit_of", "is_plain"]

_OTHER_WAY = frozenset({"Patient", CONSENT, *VIRTUAL})


def deposit(node: Node, session: Session, type: str, body: bytes) -> Deposit | None:
    """Return a new resource ready to be written beside others, its receipt with it.

    None where it must go another way: what changes consent, makes somebody, or is refused by the gate
    (`contributing.create` then says so, and writes the receipt of the refusal).

    Raises:
        MalformedInputError: the body is not valid, or about nobody or several people.
    """
    if type in _OTHER_WAY or enrols(session, [("POST", type)]):
        return None
    permitted = permit_create(node, session, examine(body, type=type), id=None)
    if isinstance(permitted, Prepared):
        return deposit_of(node, session, [permitted], node.clock())
    return None


def is_plain(prepared: Prepared) -> bool:
    """Tell whether a change makes a new resource under an id of the node's, and asks for nothing else."""
    return (
        isinstance(prepared.change, Create)
        and prepared.change.resource.type != CONSENT
        and prepared.condition is None
        and not prepared.again
    )


def deposit_of(node: Node, session: Session, prepared: Sequence[Prepared], at: UnixMs) -> Deposit:
    """Return permitted new resources with one receipt for each decision that permitted them."""
    resources: list[Ready] = []
    written: dict[tuple[int, int], tuple[Prepared, list[tuple[bytes, int]]]] = {}
    for each in prepared:
        change = each.change
        if not isinstance(change, Create):
            continue
        ready = node.record.rows.make_new(change, at)
        resources.append(ready)
        place = (change.cid, id(each.decision))
        _first, told = written.setdefault(place, (each, []))
        told.append((ready.version.body, ready.version.seg))
    drafts = [
        draft_receipt(
            node, node.conn, session, cid=first.change.cid, action=CONTRIBUTE,
            decision=first.decision, disclosed=told, now=at,
        )
        for first, told in written.values()
    ]  # fmt: skip
    return Deposit(tuple(resources), tuple(drafts))
