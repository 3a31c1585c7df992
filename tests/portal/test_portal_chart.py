"""Charts against naive models: places, breaks, bins and round instants."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.exchange.measures import Measure, SeriesWindow, Target
from hilum.portal.chart import HEIGHT, WIDTH, Chart, Scale, draw, nice_ticks
from hilum.portal.measurements import zoom_of
from hilum.portal.timeline import HOUR_MS, bin_size, gather, ticks_of_time, without_partial
from hilum.signals.model import DAY_MS, Flag, Kind, Point

START = 1_788_000_000_000
NAMES = ("In bed", "Asleep", "Awake")
values = st.floats(-1e6, 1e6)
offsets = st.sampled_from([0, 60, -300, 330, 765])


def point(
    t: int, value: float, *, spread: float = 0.0, flags: int = 0, gap: bool = False, count: int = 1,
    offset: int = 0,
) -> Point:  # fmt: skip
    total = value * count
    return Point(t, t, value - spread, value + spread, value, total, count, flags, gap, offset)


def window(*points: Point, span: int = DAY_MS, start: int = START) -> SeriesWindow:
    offset = points[-1].offset_minutes if points else 0
    return SeriesWindow(start, start + span, offset, points)


def drawn(found: SeriesWindow, kind: Kind = Kind.POINT, target: Target | None = None) -> Chart:
    return draw(
        found, kind, target=target, stages=NAMES, moment=lambda at, form: f"{form}@{at}", number=str
    )


def vertices(path: str) -> list[tuple[int, int]]:
    return [(int(x), int(y)) for x, y in re.findall(r"(\d+) (\d+)", path)]


@given(values, values, st.floats(0, 1))
def test_a_scale_is_straight_and_stays_inside_the_box(a: float, b: float, share: float) -> None:
    low, high = min(a, b), max(a, b) + 1
    scale = Scale(low, high, HEIGHT)
    assert scale.place(low) == 0
    assert scale.place(high) == HEIGHT
    assert scale.place(low - 5) == 0
    assert scale.place(high + 5) == HEIGHT
    assert abs(scale.place(low + share * (high - low)) - share * HEIGHT) <= 1


@given(values, st.floats(1e-3, 1e6))
def test_ticks_of_value_are_few_round_and_inside(low: float, span: float) -> None:
    ticks = nice_ticks(low, low + span)
    slack = span * 1e-6 + abs(low) * 1e-9
    assert 1 <= len(ticks) <= 7
    assert all(low - slack <= tick <= low + span + slack for tick in ticks)
    steps = {round((b - a) / span, 6) for a, b in pairwise(ticks)}
    assert len(steps) <= 1 or max(steps) - min(steps) < 1e-4
    if len(ticks) > 1:
        step = ticks[1] - ticks[0]
        mantissa = float(f"{step:.3e}".partition("e")[0])
        assert any(abs(mantissa - round_one) < 0.02 for round_one in (1, 2, 5, 10))


@given(st.integers(0, 4 * 10**12), st.integers(600_000, 40 * 365 * DAY_MS), offsets)
def test_ticks_of_time_are_few_ascending_and_round_in_local_time(
    t_from: int, span: int, offset: int
) -> None:
    labels: list[tuple[int, str]] = []

    def moment(at: int, form: str) -> str:
        labels.append((at, form))
        return form

    ticks = ticks_of_time(t_from, t_from + span, offset, moment)
    assert len(ticks) <= 10
    places = [tick.at for tick in ticks]
    assert places == sorted(set(places))
    assert all(0 <= place <= WIDTH for place in places)
    for at, form in labels:
        local = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at, minutes=offset)
        assert local.second == local.microsecond == 0
        if form != "Hm":
            assert (local.hour, local.minute) == (0, 0)
        if form in {"yMMM", "y"}:
            assert local.day == 1
        if form == "y":
            assert local.month == 1
    if span >= HOUR_MS:
        assert len(ticks) >= 2


@given(
    st.lists(
        st.tuples(st.integers(0, 80 * DAY_MS), st.integers(-500, 500), st.integers(1, 9)),
        min_size=1,
        max_size=60,
        unique_by=lambda one: one[0],
    ),
    offsets,
    st.sampled_from(["hour", "day", "month"]),
)
def test_bins_equal_a_naive_grouping_by_local_time(
    found: list[tuple[int, int, int]], offset: int, size: str
) -> None:
    points = [point(START + t, v, count=n, offset=offset) for t, v, n in sorted(found)]
    form = {"hour": "%Y%m%d%H", "day": "%Y%m%d", "month": "%Y%m"}[size]
    naive: dict[str, list[Point]] = {}
    for one in points:
        local = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=one.t, minutes=offset)
        naive.setdefault(local.strftime(form), []).append(one)
    bins = gather(window(*points, span=81 * DAY_MS), size)
    assert len(bins) == len(naive)
    for one, members in zip(bins, naive.values(), strict=True):
        assert one.count == sum(m.count for m in members)
        assert one.total == sum(m.total for m in members)
        assert one.low == min(m.low for m in members)
        assert one.high == max(m.high for m in members)
        assert one.mean == pytest.approx(one.total / one.count)
        assert all(one.t_from <= m.t < one.t_until for m in members)


def test_the_line_is_broken_where_readings_are_missing() -> None:
    points = [point(START + n * HOUR_MS, 100 + n, gap=n == 3) for n in range(6)]
    chart = drawn(window(*points))
    assert chart.line.count("M") == 2
    assert chart.line.count("L") == 2
    assert len(vertices(chart.line)) == 6


def test_a_point_between_two_gaps_is_a_dot_even_among_many() -> None:
    points = [point(START + n * 60_000, 100, gap=n in {700, 701}) for n in range(1000)]
    chart = drawn(window(*points))
    assert chart.dots.count("M") == 1
    assert vertices(chart.dots)[0][0] == round(700 * 60_000 / DAY_MS * WIDTH)


def test_smallest_and_largest_are_drawn_only_where_points_stand_for_several_readings() -> None:
    plain = [point(START + n * HOUR_MS, n) for n in range(5)]
    assert drawn(window(*plain)).envelope == ""
    thinned = [point(START + n * HOUR_MS, n, spread=2, count=4) for n in range(5)]
    outline = vertices(drawn(window(*thinned)).envelope)
    assert len(outline) == 10
    assert all(
        upper[1] <= lower[1] for upper, lower in zip(outline[:5], outline[:4:-1], strict=True)
    )


@pytest.mark.parametrize(
    ("flag", "is_marked"),
    [
        (Flag.RANGE, True),
        (Flag.RATE, True),
        (Flag.OFF_SCALE_LOW, True),
        (Flag.CLOCK, True),
        (Flag.MANUAL, False),
        (Flag.GAP_BEFORE, False),
    ],
)
def test_points_that_deserve_a_look_are_marked(flag: Flag, *, is_marked: bool) -> None:
    chart = drawn(window(point(START, 1), point(START + HOUR_MS, 2, flags=flag)))
    assert bool(chart.marked) == is_marked


@pytest.mark.parametrize(
    ("target", "inside", "outside"),
    [
        (Target(70, 180, "x"), [70, 100, 180], [60, 200]),
        (Target(None, 120, "x"), [90, 120], [125, 180]),
        (Target(95, None, "x"), [95, 99], [80, 94]),
    ],
)
def test_the_band_holds_exactly_what_the_target_holds(
    target: Target, inside: list[float], outside: list[float]
) -> None:
    points = [point(START + n, v) for n, v in enumerate([*inside, *outside])]
    chart = drawn(window(*points), target=target)
    assert chart.band is not None
    top, bottom = chart.band[0], sum(chart.band)
    for place, one in zip(chart.places, points, strict=True):
        assert target.holds(one.mean) == (top <= place.y <= bottom), one.mean


def test_sums_become_bars_from_zero_and_lose_nothing() -> None:
    points = [point(START + n * HOUR_MS // 4, 25) for n in range(96)]
    chart = drawn(window(*points), Kind.SUM)
    assert sum(one.total for one in chart.bins) == 96 * 25
    assert len(chart.bars) == len(chart.bins) >= 24
    assert all(bar.y + bar.height == HEIGHT for bar in chart.bars)
    assert chart.line == chart.envelope == ""
    assert "0.0" in {tick.label for tick in chart.up}


def test_part_of_a_day_is_not_shown_as_a_day() -> None:
    noon = START - START % DAY_MS + DAY_MS // 2
    points = [point(noon + n * HOUR_MS, 1) for n in range(7 * 24)]
    found = without_partial(window(*points, span=7 * DAY_MS, start=noon), "day")
    whole = gather(found, "day")
    assert [one.count for one in whole[:-1]] == [24] * 6
    assert whole[0].t_from == noon + DAY_MS // 2


def test_stages_lie_in_rows_of_those_that_occur() -> None:
    points = [point(START + n * HOUR_MS, stage) for n, stage in enumerate([0, 2, 0])]
    chart = drawn(window(*points), Kind.STAGE)
    assert [tick.label for tick in chart.up] == ["In bed", "Awake"]
    assert len({place.y for place in chart.places}) == 2
    assert chart.line.count("M") == 3


@pytest.mark.parametrize("kind", list(Kind))
def test_a_window_without_readings_is_drawn_empty(kind: Kind) -> None:
    chart = drawn(window(), kind, Target(70, 180, "x"))
    assert (chart.line, chart.dots, chart.marked, chart.bars, chart.places) == ("", "", "", (), ())
    assert chart.across


@given(
    st.lists(st.tuples(st.integers(0, DAY_MS - 1), values), max_size=40, unique_by=lambda p: p[0])
)
def test_everything_drawn_lies_in_the_box(found: list[tuple[int, float]]) -> None:
    points = [point(START + t, v) for t, v in sorted(found)]
    chart = drawn(window(*points))
    for x, y in vertices(chart.line + chart.envelope + chart.dots):
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT
    assert [place.index for place in chart.places] == list(range(len(points)))


# -- which stretch ---------------------------------------------------------------------------------


def measure(count: int, first: int, last: int) -> Measure:
    return Measure(1, "x", "X", "1", "d", Kind.POINT, (), None, count, first, last)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, (START + 93 * DAY_MS + 1, START + 100 * DAY_MS + 1)),
        ({"span": "day"}, (START + 99 * DAY_MS + 1, START + 100 * DAY_MS + 1)),
        ({"span": "all"}, (START, START + 100 * DAY_MS + 1)),
        ({"from": str(START), "until": str(START + DAY_MS)}, (START, START + DAY_MS)),
        ({"from": "5", "until": "4"}, (START + 93 * DAY_MS + 1, START + 100 * DAY_MS + 1)),
        ({"from": "-5", "until": "9" * 30}, (START + 93 * DAY_MS + 1, START + 100 * DAY_MS + 1)),
        ({"from": "0", "until": "1000"}, (START + 93 * DAY_MS + 1, START + 100 * DAY_MS + 1)),
    ],
)
def test_the_address_says_which_stretch(query: dict[str, str], expected: tuple[int, int]) -> None:
    zoom = zoom_of(query, measure(5000, START, START + 100 * DAY_MS))
    assert (zoom.t_from, zoom.t_until) == expected


def test_a_thin_series_is_shown_whole_and_a_single_reading_has_room() -> None:
    thin = zoom_of({}, measure(20, START, START + 300 * DAY_MS))
    assert thin.t_from == START
    assert thin.earlier is thin.later is None
    single = zoom_of({}, measure(1, START, START))
    assert single.span >= 600_000


@given(st.integers(0, 100), st.integers(1, 40))
def test_earlier_and_later_are_offered_exactly_where_readings_are(start: int, days: int) -> None:
    query = {"from": str(START + start * DAY_MS), "until": str(START + (start + days) * DAY_MS)}
    zoom = zoom_of(query, measure(5000, START, START + 100 * DAY_MS))
    assert (zoom.earlier is not None) == (start > 0)
    assert (zoom.later is not None) == (start + days <= 100)


def test_bins_are_of_a_size_that_can_be_read() -> None:
    sizes = [bin_size(days * DAY_MS) for days in (1, 2, 7, 30, 92, 93, 4000)]
    assert sizes == ["hour", "hour", "day", "day", "day", "month", "month"]
