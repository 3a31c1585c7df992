from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signals_store import DAY, HASHES, T0, make_store, reading, series

from hilum.record.access import Access, Action, Window
from hilum.record.dates import parse_date_value
from hilum.record.types import type_number
from hilum.signals.answers import Filter
from hilum.signals.identity import ReadingId, format_id
from hilum.signals.model import Rules

ALL = Access(1, Action.READ | Action.SEARCH, (Window(255),))
OBSERVATION = 1 << type_number("Observation")
LOINC = "http://loinc.org"


def open_to(
    *permits: Any, denies: Any = (), actions: Any = Action.READ | Action.SEARCH, cid: Any = 1
) -> Any:
    return Access(cid, actions, permits, denies)


def found(conn: Any, store: Any, access: Any = ALL, **wanted: Any) -> Any:
    rows = store.find(conn, access, Filter(**wanted), limit=10_000)
    return [json.loads(row.body) for row in rows]


def codes(*tokens: Any) -> Any:
    return (tuple(tokens),)


def dates(*texts: Any) -> Any:
    return tuple((parse_date_value(text, where="date"),) for text in texts)


# -- placing ------------------------------------------------------------------------------------


def test_replaying_a_batch_adds_no_rows_and_changes_nothing() -> None:
    conn, store = make_store()
    batch = [(series(), [reading(T0 + i * 7 * 3_600_000) for i in range(20)])]
    first = store.place(conn, 1, batch, at=T0)
    before = list(conn.execute("select * from chunk"))
    again = store.place(conn, 1, batch, at=T0 + 999)
    assert (first.accepted, first.duplicate) == (20, 0)
    assert (again.accepted, again.duplicate, again.refused_count) == (0, 20, 0)
    assert again.high_water == first.high_water == T0 + 19 * 7 * 3_600_000
    assert list(conn.execute("select * from chunk")) == before


def test_another_value_for_the_same_instant_is_refused_and_the_first_stays() -> None:
    conn, store = make_store()
    store.place(conn, 1, [(series(), [reading(value=60)])], at=T0)
    answer = store.place(conn, 1, [(series(), [reading(value=61, origin=7)])], at=T0)
    assert (answer.accepted, answer.refused_count) == (0, 1)
    assert answer.refused[0].where == "record 7"
    (body,) = found(conn, store)
    assert body["valueQuantity"]["value"] == 60


def test_two_devices_two_units_and_two_people_are_kept_apart() -> None:
    conn, store = make_store()
    for cid, made in (
        (1, series()),
        (1, series(device="Ring")),
        (1, series(unit="Hz")),
        (2, series()),
    ):
        assert store.place(conn, cid, [(made, [reading()])], at=T0).accepted == 1
    assert conn.execute("select count(*) from series").fetchone() == (4,)
    assert len(found(conn, store)) == 3
    assert len(found(conn, store, open_to(Window(255), cid=2))) == 1


def test_impossible_instants_and_durations_are_refused() -> None:
    conn, store = make_store()
    bad = [reading(t=1 << 53), reading(duration_ms=-1), reading(duration_ms=1 << 31), reading()]
    answer = store.place(conn, 1, [(series(), bad)], at=T0)
    assert (answer.accepted, answer.refused_count) == (1, 3)


def test_a_newer_template_renews_the_meaning_but_not_the_segment() -> None:
    conn, store = make_store()
    store.place(conn, 1, [(series(), [reading()])], at=T0)
    newer = series(loinc=("8867-4", "40443-4"), seg=128 | 16, rules=Rules(high=50))
    store.place(conn, 1, [(newer, [reading(T0 + 1000)])], at=T0)
    ((_, stored),) = store.series_of(conn, ALL)
    assert (stored.seg, stored.key.loinc) == (128, ("8867-4", "40443-4"))
    assert all("range" in json.dumps(body["extension"]) for body in found(conn, store))
    assert store.check(conn) == []


BATCHES = st.lists(
    st.lists(
        st.tuples(st.integers(0, 3 * 24), st.integers(0, 3), st.sampled_from("ab")), max_size=8
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=40)
@given(BATCHES, st.randoms(use_true_random=False))
def test_the_store_does_not_depend_on_how_readings_are_cut_into_batches(
    batches: Any, rng: Any
) -> None:
    def stored(parts: Any) -> Any:
        conn, store = make_store()
        for part in parts:
            by_device = {
                d: [
                    reading(T0 + h * 3_600_000, value=60 + h, duration_ms=n)
                    for h, n, e in part
                    if e == d
                ]
                for d in "ab"
            }
            store.place(conn, 1, [(series(device=d), r) for d, r in by_device.items()], at=T0)
        assert store.check(conn) == []
        return sorted(json.dumps({**b, "meta": 0}) for b in found(conn, store))

    whole = [item for part in batches for item in part]
    rng.shuffle(whole)
    assert stored(batches) == stored([whole])


# -- reading under an access -----------------------------------------------------------------------

MEASURES = [
    ("heart-rate", "8867-4", 128),
    ("glucose-cgm", "99504-3", 128),
    ("alcohol", "5640-8", 128 | 4),
]
WINDOWS = st.builds(
    Window,
    segments=st.sampled_from([128, 255, 127, 4, 128 | 16]),
    types=st.sampled_from([OBSERVATION, (1 << 192) - 1, 1 << type_number("Patient")]),
    codes=st.sampled_from([frozenset(), *({HASHES.coding(LOINC, c)} for _, c, _ in MEASURES)]).map(
        frozenset
    ),
    data_from=st.none() | st.integers(0, 72).map(lambda h: T0 + h * 3_600_000),
    data_until=st.none() | st.integers(0, 72).map(lambda h: T0 + h * 3_600_000),
    authors=st.sampled_from([frozenset(), frozenset(), frozenset({1})]),
    encounters=st.sampled_from([frozenset(), frozenset(), frozenset({1})]),
    instances=st.sampled_from([None, None, 0, 1, 2]).map(
        lambda n: frozenset() if n is None else frozenset({n})
    ),
)


def _touches(window: Any, facts: Any, *, permit: Any) -> Any:
    seg, hashes, t, name = facts
    inside = seg & ~window.segments == 0 if permit else seg & window.segments != 0
    return (
        inside
        and bool(window.types & OBSERVATION)
        and (not window.codes or bool(window.codes & hashes))
        and (window.data_from is None or t >= window.data_from)
        and (window.data_until is None or t < window.data_until)
        and not window.authors
        and not window.encounters
        and (not window.instances or name in window.instances)
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(WINDOWS, max_size=3), st.lists(WINDOWS, max_size=2))
def test_what_is_found_equals_a_naive_filter_over_all_readings(permits: Any, denies: Any) -> None:
    conn, store = make_store()
    facts = {}
    for measure, code, seg in MEASURES:
        readings = [reading(T0 + h * 3_600_000, value=h) for h in range(0, 72, 7)]
        store.place(conn, 1, [(series(measure, loinc=(code,), seg=seg), readings)], at=T0)
    for sid, made in store.series_of(conn, ALL):
        code = made.key.loinc[0]
        for h in range(0, 72, 7):
            t = T0 + h * 3_600_000
            name = format_id(ReadingId(sid, t, 0))
            facts[name] = (
                made.seg,
                {HASHES.coding(LOINC, code)},
                t,
                HASHES.reference(f"Observation/{name}"),
            )
    names = sorted(facts)

    def real(window: Any) -> Any:
        picked = frozenset(facts[names[5 * n]][3] for n in window.instances)
        return msgspec.structs.replace(window, instances=picked)

    access = open_to(*map(real, permits), denies=tuple(map(real, denies)))
    expected = {
        name
        for name, fact in facts.items()
        if any(_touches(w, fact, permit=True) for w in access.permits)
        and not any(_touches(w, fact, permit=False) for w in access.denies)
    }
    rows = store.find(conn, access, Filter(), limit=1000)
    assert {row.id for row in rows} == expected
    assert {n for n in names if store.fetch(conn, access, n) is not None} == expected
    assert sum(s.count for s in store.summary(conn, access)) == len(expected)
    listed = [
        r
        for sid, _ in store.series_of(conn, access)
        for r in store.readings(conn, access, sid, t_from=T0, t_until=T0 + 9 * DAY)
    ]
    assert len(listed) == len(expected)


@pytest.mark.parametrize("actions", [Action(0), Action.EXPORT, Action.CONTRIBUTE])
def test_without_read_or_search_nothing_is_there(actions: Any) -> None:
    conn, store = make_store()
    store.place(conn, 1, [(series(), [reading()])], at=T0)
    assert found(conn, store, open_to(Window(255), actions=actions)) == []
    assert found(conn, store, open_to()) == []


def test_the_compartment_of_a_series_is_told_and_of_no_other_number() -> None:
    conn, store = make_store()
    store.place(conn, 5, [(series(), [reading()])], at=T0)
    ((sid, _),) = store.series_of(conn, open_to(Window(255), cid=5))
    assert store.compartment_of(conn, sid) == 5
    assert store.compartment_of(conn, sid + 1) is None


def test_another_compartment_sees_nothing() -> None:
    conn, store = make_store()
    store.place(conn, 1, [(series(), [reading()])], at=T0)
    (row,) = store.find(conn, ALL, Filter())
    other = open_to(Window(255), cid=2)
    assert store.find(conn, other, Filter()) == []
    assert store.fetch(conn, other, row.id) is None


# -- search ----------------------------------------------------------------------------------------


def test_pages_joined_are_the_whole_in_order() -> None:
    conn, store = make_store()
    for device in ("a", "b", "c"):
        readings = [
            reading(T0 + h * 5 * 3_600_000, duration_ms=d) for h in range(12) for d in (0, 1000)
        ]
        store.place(conn, 1, [(series(device=device), readings)], at=T0)
    whole = store.find(conn, ALL, Filter(), limit=1000)
    assert len(whole) == 72
    assert all((a.ts, a.key) > (b.ts, b.key) for a, b in pairwise(whole))
    paged, after = [], None
    while rows := store.find(conn, ALL, Filter(), after=after, limit=7):
        paged += rows
        after = (rows[-1].ts, rows[-1].key)
    assert paged == whole


def test_codes_are_found_with_and_without_system() -> None:
    conn, store = make_store()
    store.place(conn, 1, [(series(), [reading()]), (series("x", loinc=()), [reading()])], at=T0)
    for token in ((LOINC, "8867-4"), (None, "8867-4"), (LOINC, None)):
        assert len(found(conn, store, codes=codes(token))) == 1
    assert (
        len(found(conn, store, codes=codes(("urn:hilum:fhir:measure", "x"), (LOINC, "8867-4"))))
        == 2
    )
    for token in (("urn:other", "8867-4"), (LOINC, "1-8"), ("", "8867-4")):
        assert found(conn, store, codes=codes(token)) == []
    assert len(found(conn, store, categories=codes((None, "vital-signs")))) == 2
    assert found(conn, store, categories=codes((None, "laboratory"))) == []


@pytest.mark.parametrize(
    ("texts", "hours"),
    [
        (["2024-10-04"], {0, 6, 12, 18}),
        (["ge2024-10-05"], {24, 30}),
        (["gt2024-10-04T12:00:00Z"], {18, 24, 30}),
        (["lt2024-10-04T12:00:00Z"], {0, 6}),
        (["le2024-10-04T12:00:00Z"], {0, 6, 12}),
        (["ge2024-10-04T06:00:00Z", "lt2024-10-05"], {6, 12, 18}),
        (["eq2024-10-04T06:00:00Z"], {6}),
        (["ne2024-10-04"], {24, 30}),
        (["2023"], set()),
    ],
)
def test_dates_select_by_their_prefix(texts: Any, hours: Any) -> None:
    conn, store = make_store()
    assert parse_date_value("2024-10-04T00:00:00Z", where="").interval.lo == T0
    readings = [reading(T0 + h * 3_600_000, offset_minutes=0) for h in range(0, 36, 6)]
    store.place(conn, 1, [(series(), readings)], at=T0)
    rows = store.find(conn, ALL, Filter(dates=dates(*texts)))
    assert {(row.ts - T0) // 3_600_000 for row in rows} == hours


def test_a_date_without_zone_means_the_day_where_it_was_measured() -> None:
    conn, store = make_store()
    late = reading(T0 + 23 * 3_600_000, offset_minutes=120)  # 01:00 of the next day there
    store.place(conn, 1, [(series(), [late])], at=T0)
    assert found(conn, store, dates=dates("2024-10-04")) == []
    assert len(found(conn, store, dates=dates("2024-10-05"))) == 1


def test_last_updated_is_searched() -> None:
    conn, store = make_store()
    store.place(conn, 1, [(series(), [reading()])], at=T0 + 5 * DAY)
    assert len(found(conn, store, updated=dates("ge2024-10-09"))) == 1
    assert found(conn, store, updated=dates("lt2024-10-09")) == []
