"""The fault table: every durable write × every way to fail → open again → judge.

Nothing acknowledged is lost, nothing unacknowledged half-shows: after a kill the directory holds
exactly what the use case had made durable up to that point, after a refusal what it held before. Then
the node opens, `fsck` is clean, the use case goes through when it is done again, and an anchored
receipt still proves itself.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest
import usecases
from faulting import Mode
from smithy import Forge
from table import DEMO, POINTS

pytestmark = pytest.mark.slow
KILLS = (Mode.KILLED_BEFORE, Mode.KILLED_AFTER)


def modes_of(name: str, *, is_last: bool) -> Iterator[Mode]:
    """Return the ways to fail that differ from each other at a point.

    Between two points nothing becomes durable, so a kill after one is the kill before the next. A
    flush changes nothing that a process or a killed one can see: whether it was done does not show.
    """
    yield Mode.KILLED_BEFORE
    yield Mode.REFUSED
    if not name.startswith("fsync"):
        yield Mode.MISREPORTED
    if is_last:
        yield Mode.KILLED_AFTER


ROWS = [
    pytest.param(case, at, mode, id=f"{case}-{at + 1}-{name.split(':')[-1]}-{mode}")
    for case, points in POINTS.items()
    for at, name in enumerate(points)
    for mode in modes_of(name, is_last=at + 1 == len(points))
]


@pytest.fixture(scope="session")
def traces(forge: Forge) -> dict[str, Any]:
    """What each use case makes durable, and what the directory holds after each point."""
    return {
        case: forge.ask(step="trace", case=case, **forge.start_of(case))
        for case in (*usecases.CASES, *usecases.STARTS)
    }


def test_each_use_case_makes_durable_what_the_table_says_in_that_order(
    traces: dict[str, Any],
) -> None:
    assert {case: tuple(traces[case]["points"]) for case in POINTS} == POINTS


def test_each_use_case_has_a_row_and_acknowledges_something(traces: dict[str, Any]) -> None:
    demo = {"first start of the demo"}
    assert set(POINTS) | demo == {*usecases.CASES, *usecases.STARTS}
    assert [case for case, trace in traces.items() if not trace["ack"]] == []


@pytest.mark.parametrize(("case", "at", "mode"), ROWS)
def test_a_fault_loses_nothing_acknowledged_and_shows_nothing_by_halves(
    forge: Forge, traces: dict[str, Any], case: str, at: int, mode: Mode
) -> None:
    views = traces[case]["views"]
    start = forge.start_of(case)
    broken = forge.ask(step="fail", case=case, at=at, mode=mode, **start)
    if mode in KILLS:
        assert broken["code"] == -signal.SIGKILL
        assert len(broken["ack"]) <= len(traces[case]["ack"])
    else:
        assert broken["code"] == 0
        assert broken["refused"], "the failure was not told"
        assert broken["problems"] == []
    judged = forge.ask(step="check", root=start["root"], acks=broken["ack"], again=case)
    if mode in KILLS:
        assert judged["view"] == views[at + (mode is Mode.KILLED_AFTER)]
    assert judged["problems"] == []


@pytest.mark.parametrize(("name", "occurrence"), DEMO)
def test_a_first_start_of_the_demo_that_is_killed_is_finished_by_the_next(
    forge: Forge, traces: dict[str, Any], name: str, occurrence: int
) -> None:
    case = "first start of the demo"
    trace, start = traces[case], forge.start_of(case)
    places = [n for n, point in enumerate(trace["points"]) if point == name]
    at = places[occurrence]
    broken = forge.ask(step="fail", case=case, at=at, mode=Mode.KILLED_BEFORE, **start)
    assert broken["code"] == -signal.SIGKILL
    judged = forge.ask(step="check", root=start["root"], acks=[{"kind": "demo"}], again=case)
    assert judged["problems"] == []
