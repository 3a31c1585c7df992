"""Conversions of units, at their edges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.base.ids import UnixMs
from hilum.base.units import WeightUnits, unix_seconds, virtual_bytes


@pytest.mark.parametrize(("weight", "size"), [(0, 0), (1, 1), (4, 1), (5, 2), (400_000, 100_000)])
def test_virtual_bytes_are_a_quarter_of_the_weight_rounded_up(weight: int, size: int) -> None:
    assert virtual_bytes(WeightUnits(weight)) == size


@given(st.integers(0, 2**53))
def test_seconds_are_the_whole_ones_of_an_instant(instant: int) -> None:
    seconds = unix_seconds(UnixMs(instant))
    assert 0 <= instant - seconds * 1000 < 1000
