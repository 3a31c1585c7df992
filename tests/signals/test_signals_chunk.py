from __future__ import annotations

from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from signals_store import DAY, reading

from hilum.errors import MalformedInputError
from hilum.signals.chunk import decode_chunk, encode_chunk, merge_readings
from hilum.signals.identity import HOUR_MS, ReadingId, format_id, order_key, parse_reading_id
from hilum.signals.model import Reading

PLACES = st.integers(-3000, 3000)
READINGS = st.builds(
    Reading,
    t_unix_ms=st.integers(0, DAY - 1),
    offset_minutes=st.integers(-840, 840),
    unscaled=st.integers(-(2**62), 2**62),
    scale=st.integers(-60, 60),
    comparator=st.integers(0, 4),
    duration_ms=st.integers(0, 2**31 - 1),
    flags=st.integers(0, 1023),
    score=st.integers(0, 100),
)


def _on(day: Any, readings: Any) -> Any:
    placed = {(r.t_unix_ms, r.duration_ms): r for r in readings}
    for r in placed.values():
        r.t_unix_ms += day * DAY
    return [placed[p] for p in sorted(placed)]


@given(st.lists(READINGS, min_size=1, max_size=30), PLACES)
def test_a_day_comes_back_as_it_was(readings: Any, day: Any) -> None:
    ordered = _on(day, readings)
    assert decode_chunk(encode_chunk(ordered, day=day, method=1), day=day) == ordered


def test_a_steady_series_takes_few_bytes() -> None:
    readings = [reading(t=i * 1000, value=60 + i % 7) for i in range(10_000)]
    assert len(encode_chunk(readings, day=0, method=1)) < 10_000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"rubbish",
        zstandard.compress(b""),
        zstandard.compress(b"\x02\x01\x01\x00\x00\x00"),
        zstandard.compress(b"\x01\x01\x01\x00\x00\x00" + b"\x01\x00" * 7),
        zstandard.compress(b"\x01\x01\x01\x00\x00\x00" + b"\x01\x00" * 9),
        zstandard.compress(b"\x01\x01\x01\x00\x00\x00" + b"\x05\x00" * 8),
        zstandard.compress(b"\x01\x01\xff\xff\xff\xff" + (b"\x00" + b"\x00" * 8) * 8),
    ],
)
def test_what_is_no_chunk_is_refused(body: Any) -> None:
    with pytest.raises(MalformedInputError):
        decode_chunk(body, day=0)


SMALL = st.lists(
    st.builds(
        Reading,
        t_unix_ms=st.integers(0, 5),
        offset_minutes=st.just(0),
        unscaled=st.integers(0, 2),
        scale=st.just(0),
        duration_ms=st.integers(0, 1),
    ),
    max_size=12,
)


@given(SMALL, SMALL)
def test_merging_counts_every_reading_once_and_keeps_the_first(first: Any, second: Any) -> None:
    stored = merge_readings([], first).readings
    before = {(r.t_unix_ms, r.duration_ms): r.unscaled for r in stored}
    outcome = merge_readings(stored, second)
    assert outcome.accepted + outcome.duplicate + len(outcome.conflicts) == len(second)
    assert len(outcome.readings) == len(stored) + outcome.accepted
    after = {(r.t_unix_ms, r.duration_ms): r.unscaled for r in outcome.readings}
    assert before.items() <= after.items()
    assert [(r.t_unix_ms, r.duration_ms) for r in outcome.readings] == sorted(after)


@given(SMALL)
def test_replaying_adds_nothing(readings: Any) -> None:
    once = merge_readings([], readings).readings
    again = merge_readings(once, readings)
    assert again.accepted == 0
    assert again.readings == once


@given(SMALL, SMALL)
def test_merging_in_either_order_fills_the_same_places(first: Any, second: Any) -> None:
    one = merge_readings(merge_readings([], first).readings, second).readings
    two = merge_readings(merge_readings([], second).readings, first).readings
    assert [(r.t_unix_ms, r.duration_ms) for r in one] == [
        (r.t_unix_ms, r.duration_ms) for r in two
    ]


NAMES = st.one_of(
    st.builds(
        ReadingId,
        st.integers(1, 2**31 - 1),
        st.integers(-(2**52), 2**52),
        st.integers(0, 2**31 - 1),
    ),
    st.builds(
        lambda sid, h: ReadingId(sid, h * HOUR_MS, None),
        st.integers(1, 2**31 - 1),
        st.integers(-(2**30), 2**30),
    ),
)


@given(NAMES)
def test_an_id_names_its_reading(name: Any) -> None:
    text = format_id(name)
    assert parse_reading_id(text) == name
    assert len(text) <= 64
    assert 0 <= order_key(name) < 2**63


@pytest.mark.parametrize(
    "text", ["", "s-", "s-1-2", "S-1-2-3", "s-01-2-3", "h-1", "s-1-2-zzzzzz", "pat-1", "s-1-2-3\n"]
)
def test_what_names_no_reading_is_none(text: Any) -> None:
    assert parse_reading_id(text) is None
