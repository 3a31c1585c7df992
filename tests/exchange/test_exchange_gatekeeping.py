"""Decisions are remembered while they hold, and never one request longer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from hilum.base.ids import CompartmentId, UnixMs
from hilum.consent.asking import READ, SEARCH
from hilum.consent.decision import Outcome
from hilum.exchange import wiring
from hilum.exchange.datadir import DataDirectory, Lock
from hilum.exchange.node import Node
from hilum.exchange.people import add_reader, add_subject, issue_token, session_of
from hilum.exchange.reading import read
from hilum.exchange.sharing import grant, revoke
from hilum.identity.session import Session

DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    root = tmp_path_factory.mktemp("gate") / "node"
    wiring.initialise(root, custodian="Test", policy="eu-ehds")
    directory = DataDirectory(root)
    with Lock(directory), wiring.open_node(directory) as opened:
        yield opened


@dataclass(frozen=True, slots=True)
class Asking:
    """A reader who asks about a subject."""

    subject: str
    reader: str
    cid: CompartmentId
    session: Session

    def outcome(self, node: Node, now: UnixMs | None = None) -> Outcome:
        at = node.clock() if now is None else now
        return node.gatekeeper.decide(node.conn, self.session, self.cid, READ, at).outcome

    def grant(self, node: Node, **more: Any) -> str:
        granted = grant(node, subject=self.subject, reader=self.reader, purpose="TREAT", **more)
        return str(granted["directive"])


@pytest.fixture
def asking(node: Node) -> Asking:
    subject = add_subject(node, name="Ada", gender=None, birth_date=None)["id"]
    reader = add_reader(node, name="R", kind="organization", role="physician", organization=None)
    token = issue_token(
        node, reader=reader["id"], purpose="TREAT", for_subject=None, subject=None, ttl="1h"
    )
    session = session_of(node, token["token"])
    cid = node.record.compartment_of(node.conn, subject)
    assert session is not None
    assert cid is not None
    return Asking(subject, reader["id"], cid, session)


def counted(monkeypatch: pytest.MonkeyPatch, node: Node) -> list[int]:
    """Count how often directives are loaded."""
    loads: list[int] = []
    real = type(node.directives).active

    def active(self: Any, conn: Any, cid: int) -> Any:
        loads.append(cid)
        return real(self, conn, cid)

    monkeypatch.setattr(type(node.directives), "active", active)
    return loads


def test_a_decision_is_made_once_until_something_changes(
    node: Node, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = counted(monkeypatch, node)
    assert [asking.outcome(node) for _ in range(5)] == [Outcome.ABSENT] * 5
    assert len(loads) == 1
    directive = asking.grant(node)
    assert [asking.outcome(node) for _ in range(5)] == [Outcome.PERMIT] * 5
    assert len(loads) == 2
    revoke(node, directive=directive)
    assert [asking.outcome(node) for _ in range(5)] == [Outcome.ABSENT] * 5
    assert len(loads) == 3


def test_each_action_and_each_token_is_decided_on_its_own(node: Node, asking: Asking) -> None:
    asking.grant(node)
    now = node.clock()
    both = [
        node.gatekeeper.decide(node.conn, asking.session, asking.cid, action, now).access
        for action in (READ, SEARCH)
    ]
    assert all(access is not None for access in both)
    other = issue_token(
        node, reader=asking.reader, purpose="HRESCH", for_subject=None, subject=None, ttl="1h"
    )
    session = session_of(node, other["token"])
    assert session is not None
    decision = node.gatekeeper.decide(node.conn, session, asking.cid, READ, now)
    assert decision.outcome is Outcome.ABSENT


def test_a_remembered_permit_ends_with_its_directive(node: Node, asking: Asking) -> None:
    now = node.clock()
    asking.grant(node, until="2099-06-30")
    end = 4_086_547_200_000  # 2099-07-01T00:00:00Z
    assert asking.outcome(node, now) is Outcome.PERMIT
    assert asking.outcome(node, UnixMs(end - 1)) is Outcome.PERMIT
    assert asking.outcome(node, UnixMs(end)) is Outcome.ABSENT
    assert asking.outcome(node, now) is Outcome.PERMIT


def test_a_decision_that_was_under_way_during_a_revocation_is_not_remembered(
    node: Node, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    directive = asking.grant(node)
    real = type(node.directives).active
    during: list[Callable[[], object]] = [lambda: revoke(node, directive=directive)]

    def active(self: Any, conn: Any, cid: int) -> Any:
        found = real(self, conn, cid)
        if during:
            during.pop()()
        return found

    monkeypatch.setattr(type(node.directives), "active", active)
    assert asking.outcome(node) is Outcome.PERMIT  # it began before
    assert during == []
    assert asking.outcome(node) is Outcome.ABSENT
    assert asking.outcome(node) is Outcome.ABSENT


def test_after_a_revocation_no_thread_reads_on(node: Node, asking: Asking) -> None:
    for _ in range(5):
        directive = asking.grant(node)
        assert read(node, asking.session, "Patient", asking.subject) is not None
        revoked = threading.Event()
        late: list[bytes] = []
        stop = threading.Event()

        def ask(late: list[bytes] = late, revoked: Any = revoked, stop: Any = stop) -> None:
            while not stop.is_set():
                is_after = revoked.is_set()
                found = read(node, asking.session, "Patient", asking.subject)
                if is_after and found is not None:
                    late.append(found)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        revoke(node, directive=directive)
        revoked.set()
        for _ in range(20):
            assert read(node, asking.session, "Patient", asking.subject) is None
        stop.set()
        for thread in threads:
            thread.join(10)
        assert late == []


def test_the_memory_of_decisions_is_bounded(
    node: Node, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hilum.exchange import gatekeeping

    monkeypatch.setattr(gatekeeping, "_CACHE_LIMIT", 8)
    for number in range(50):
        cid = CompartmentId(1_000_000 + number)
        decision = node.gatekeeper.decide(node.conn, asking.session, cid, READ, node.clock())
        assert decision.outcome is Outcome.ABSENT
    assert len(node.gatekeeper._decisions) <= 8
    assert len(node.gatekeeper._compiled) <= 8
