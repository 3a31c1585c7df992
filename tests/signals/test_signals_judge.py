from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from signals_store import reading

from hilum.signals.chunk import merge_readings
from hilum.signals.judge import explain_score, judge_day, score_of
from hilum.signals.model import Flag, Rules

CGM = Rules(40, 400, 5, 300, 12)
MINUTE = 60_000


def _judged(pairs: Any, rules: Any = CGM, **more: Any) -> Any:
    readings = [reading(t=t * MINUTE, value=v, **more) for t, v in pairs]
    judge_day(readings, rules)
    return readings


def test_a_value_outside_the_range_is_flagged_and_kept() -> None:
    (only,) = _judged([(0, 500)])
    assert only.flags == Flag.RANGE
    assert only.unscaled == 500
    assert only.score < 25


def test_a_jump_is_flagged_where_it_lands() -> None:
    assert [r.flags for r in _judged([(0, 100), (5, 126), (10, 130)])] == [0, Flag.RATE, 0]


def test_a_steep_but_possible_change_is_not_flagged() -> None:
    assert [r.flags for r in _judged([(0, 100), (5, 125)])] == [0, 0]


def test_a_missing_hour_is_a_gap_and_no_rate() -> None:
    assert [r.flags for r in _judged([(0, 100), (60, 300)])] == [0, Flag.GAP_BEFORE]


def test_an_hour_of_equal_values_is_flat() -> None:
    flags = [r.flags for r in _judged([(5 * i, 100) for i in range(12)] + [(60, 101)])]
    assert flags == [Flag.FLAT] * 12 + [0]


def test_eleven_equal_values_are_not_flat() -> None:
    assert all(r.flags == 0 for r in _judged([(5 * i, 100) for i in range(11)]))


def test_off_scale_values_are_not_flat() -> None:
    readings = _judged(
        [(5 * i, 40) for i in range(20)], comparator=1, flags=int(Flag.OFF_SCALE_LOW)
    )
    assert all(r.flags == Flag.OFF_SCALE_LOW for r in readings)


def test_two_readings_of_one_start_are_marked() -> None:
    readings = [reading(t=0, value=100), reading(t=0, value=100, duration_ms=5)]
    judge_day(readings, CGM)
    assert [r.flags for r in readings] == [0, Flag.DUPLICATE_TIME]


def test_flags_of_the_intake_stay_and_own_flags_are_renewed() -> None:
    (only,) = _judged([(0, 100)], flags=int(Flag.MANUAL | Flag.RANGE | Flag.CLOCK))
    assert only.flags == Flag.MANUAL | Flag.CLOCK


@given(st.integers(0, 1023))
def test_a_score_is_the_product_of_its_parts(flags: Any) -> None:
    product = 1.0
    for part in explain_score(flags).values():
        assert 0 < part <= 1
        product *= part
    assert score_of(flags) == round(100 * product)


@given(st.integers(0, 1023), st.sampled_from(list(Flag)))
def test_another_flag_never_raises_the_score(flags: Any, flag: Any) -> None:
    assert score_of(flags | flag) <= score_of(flags)


@given(
    st.lists(
        st.tuples(st.integers(0, 1439), st.integers(20, 450)), max_size=40, unique_by=lambda p: p[0]
    ),
    st.randoms(use_true_random=False),
)
def test_the_verdict_does_not_depend_on_the_order_of_arrival(
    pairs: Any, rng: random.Random
) -> None:
    def run(order: Any, cut: Any) -> Any:
        stored = []
        for part in (order[:cut], order[cut:]):
            stored = merge_readings(
                stored, [reading(t=t * MINUTE, value=v) for t, v in part]
            ).readings
            judge_day(stored, CGM)
        return [(r.t_unix_ms, r.flags, r.score) for r in stored]

    shuffled = list(pairs)
    rng.shuffle(shuffled)
    assert run(shuffled, len(pairs) // 3) == run(sorted(pairs), len(pairs))
