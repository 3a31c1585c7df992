"""Fewer windows, the same rows: every merging step against a naive count."""

import random
from itertools import product
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.consent.windows import merge, remove_denied
from hilum.record.access import Window

SEGS, TYPES, INSTANTS, IDS = (1, 2, 3), (0, 1), range(7), ((), (1,), (1, 2))
ROWS = list(product(SEGS, TYPES, INSTANTS, IDS, (1, 2)))


def a_window(dice: Any) -> Any:
    start, end = sorted(dice.sample(range(8), 2))
    return Window(
        segments=dice.choice([1, 2, 3]),
        types=dice.choice([1, 2, 3]),
        codes=frozenset(dice.sample([1, 2], dice.choice([0, 0, 1, 2]))),
        data_from=dice.choice([None, start]),
        data_until=dice.choice([None, end]),
        authors=frozenset(dice.sample([1, 2], dice.choice([0, 0, 1]))),
    )


def admits(window: Any, row: Any, *, is_deny: Any = False) -> Any:
    seg, number, at, codes, author = row
    inside = seg & window.segments if is_deny else not seg & ~window.segments
    return bool(
        inside
        and window.types >> number & 1
        and (window.data_from is None or at >= window.data_from)
        and (window.data_until is None or at < window.data_until)
        and (not window.codes or window.codes & set(codes))
        and (not window.authors or author in window.authors)
    )


def rows_of(windows: Any, *, is_deny: Any = False) -> Any:
    return [row for row in ROWS if any(admits(one, row, is_deny=is_deny) for one in windows)]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1 << 62), st.integers(2, 12))
def test_merged_windows_admit_and_deny_the_same_rows(seed: Any, count: Any) -> None:
    dice = random.Random(seed)
    windows = [a_window(dice) for _ in range(count)]
    merged = merge(windows, enough=0)
    assert len(merged) <= len(set(windows))
    for is_deny in (False, True):
        assert rows_of(merged, is_deny=is_deny) == rows_of(windows, is_deny=is_deny)
    dice.shuffle(windows)
    assert merge(windows, enough=0) == merged


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1 << 62))
def test_a_permit_is_dropped_only_when_every_row_of_it_is_denied(seed: Any) -> None:
    dice = random.Random(seed)
    permits = [a_window(dice) for _ in range(4)]
    denies = [a_window(dice) for _ in range(2)]
    kept = remove_denied(permits, denies)
    denied = rows_of(denies, is_deny=True)
    for permit in permits:
        if permit not in kept:
            assert set(rows_of([permit])) <= set(denied)


def test_windows_that_differ_in_one_part_become_one() -> None:
    pairs = [
        ({"types": 1}, {"types": 2}, {"types": 3}),
        ({"codes": frozenset({1})}, {"codes": frozenset({2})}, {"codes": frozenset({1, 2})}),
        (
            {"instances": frozenset({1})},
            {"instances": frozenset({2})},
            {"instances": frozenset({1, 2})},
        ),
        ({"data_from": 1, "data_until": 3}, {"data_from": 3}, {"data_from": 1}),
        ({"types": 1}, {"types": 3}, {"types": 3}),
    ]
    for one, two, both in pairs:
        merged = merge([Window(1, **one), Window(1, **two)], enough=0)
        assert merged == (Window(1, **both),)


def test_windows_of_different_segments_or_with_a_gap_stay_two() -> None:
    for one, two in [
        (Window(1), Window(2)),
        (Window(1, data_until=3), Window(1, data_from=4)),
        (Window(1, types=1, codes=frozenset({1})), Window(1, types=2, codes=frozenset({2}))),
    ]:
        assert len(merge([one, two], enough=0)) == 2


def test_few_windows_stay_as_they_were_written() -> None:
    windows = [Window(1, types=1 << number) for number in range(8)]
    assert set(merge(windows, enough=8)) == set(windows)
    assert len(merge([*windows, Window(1, types=1 << 9)], enough=8)) == 1
