"""The newest Observations of each kind in one record (Observation/$lastn).

Observations are of one kind when they share a coding; without codings, when their texts are equal. Within
a kind the newest come first; of equal instants, what was stored last.

Source: HL7 FHIR R4, operation-observation-lastn.html.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from hilum.consent.asking import SEARCH
from hilum.errors import MalformedInputError
from hilum.exchange.answering import NOWHERE, Answer, Shown, ask, chain_of, shown_of
from hilum.exchange.disclosing import draft_receipt
from hilum.exchange.searching import page
from hilum.record.query import parse_query
from hilum.signals.answers import is_pressure
from hilum.signals.render import PANEL_CODINGS, codings_of

if TYPE_CHECKING:
    from hilum.base.sql import Connection
    from hilum.exchange.node import Node
    from hilum.identity.session import Session
    from hilum.record.access import Access

__all__ = ["look_up_newest"]

MOST_LOOKED_AT = 20_000
"""Most stored Observations that one question may look at."""
_PAGE = 1000
_OBSERVATION = "Observation"


class _Coding(msgspec.Struct):
    system: str = ""
    code: str = ""


class _Concept(msgspec.Struct):
    coding: list[_Coding] = []
    text: str = ""


class _Coded(msgspec.Struct):
    code: _Concept = msgspec.field(default_factory=_Concept)


_CODED = msgspec.json.Decoder(_Coded)


def look_up_newest(
    node: Node, session: Session, pairs: Sequence[tuple[str, str]], *, most: int, strict: bool
) -> Answer:
    """Return at most so many Observations of each kind that a search finds, and the receipt.

    Args:
        node: where.
        session: who asks.
        pairs: the search, about one patient and with a category or a code.
        most: of each kind, from 1.
        strict: refuse parameters that are not known.

    Raises:
        MalformedInputError: not about one patient, without category or code, not understood, or it
            finds too much to look at.
    """
    conn, now = node.conn, node.clock()
    query = parse_query(_OBSERVATION, pairs, strict=strict)
    names = {name.partition(":")[0] for name, _text in query.applied}
    if query.patient is None or not names & {"category", "code"}:
        raise MalformedInputError(
            "bad-search", "asks about one patient, by category or code", where="query",
            hint="Observation/$lastn?patient=[id]&category=vital-signs",
        )  # fmt: skip
    found = node.record.compartment_of(conn, query.patient)
    cid = NOWHERE if found is None else found
    decision, access = ask(node, conn, session, cid, SEARCH, now)
    rows = [*_stored(node, conn, access, pairs), *_readings(node, conn, access, pairs, most)]
    shown = _newest(rows, most)
    draft = draft_receipt(
        node, conn, session, cid=chain_of(cid), action=SEARCH, decision=decision,
        disclosed=[(row.body, row.seg) for row in shown], now=now,
    )  # fmt: skip
    return Answer(tuple(shown), (draft,))


def _stored(
    node: Node, conn: Connection, access: Access, pairs: Sequence[tuple[str, str]]
) -> Iterator[Shown]:
    query = parse_query(_OBSERVATION, pairs, strict=False)
    after: tuple[int, int] | None = None
    seen = 0
    while rows := node.record.run(conn, query, [access], after=after, limit=_PAGE):
        seen += len(rows)
        if seen > MOST_LOOKED_AT:
            raise MalformedInputError(
                "too-costly", f"finds more than {MOST_LOOKED_AT} Observations", where="query",
                hint="narrow it by code, category or date",
            )  # fmt: skip
        yield from map(shown_of, rows)
        after = (rows[-1].ts, rows[-1].rid)


def _readings(
    node: Node, conn: Connection, access: Access, pairs: Sequence[tuple[str, str]], most: int
) -> Iterator[Shown]:
    """Yield the newest of each series of device readings: no series has to be walked to its end."""
    codes: dict[tuple[str, str], None] = {}
    for _sid, series in node.series.series_of(conn, access):
        codes[codings_of(series)[-1]] = None
        if is_pressure(series):
            codes[PANEL_CODINGS[0]] = None
    for system, code in codes:
        one = ("code", f"{_escaped(system)}|{_escaped(code)}")
        query = parse_query(_OBSERVATION, [*pairs, one], strict=False)
        yield from page(node, conn, query, [access], after=None, limit=most)


def _escaped(text: str) -> str:
    for mark in "\\,|$":
        text = text.replace(mark, "\\" + mark)
    return text


def _newest(rows: Iterable[Shown], most: int) -> list[Shown]:
    """Return the newest rows of each kind, newest first."""
    unique = {(row.ts, row.key, row.id): row for row in rows}
    kinds: dict[tuple[str, str], int] = {}
    counts: dict[int, int] = {}
    shown = []
    for place in sorted(unique, reverse=True):
        row = unique[place]
        names = _names(row.body)
        kind = next((kinds[name] for name in names if name in kinds), len(kinds))
        for name in names:
            kinds.setdefault(name, kind)
        if counts.get(kind, 0) < most:
            counts[kind] = counts.get(kind, 0) + 1
            shown.append(row)
    return shown


def _names(body: bytes) -> list[tuple[str, str]]:
    concept = _CODED.decode(body).code
    names = [(coding.system, coding.code) for coding in concept.coding if coding.code]
    return names or [("text", concept.text)]
