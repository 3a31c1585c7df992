from __future__ import annotations

import json
from typing import Any

import pytest
from signals_store import DAY, HASHES, T0, make_store, reading, series

from hilum.errors import ConflictError, MalformedInputError
from hilum.record.access import Access, Action, Window
from hilum.record.resource import parse_resource
from hilum.record.validate import Unknown, list_issues
from hilum.signals.answers import Filter
from hilum.signals.model import Flag, Kind, Rules, Stage

ALL = Access(1, Action.READ | Action.SEARCH, (Window(255),))
MINUTE = 60_000
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


# -- rendering ---------------------------------------------------------------------------------------


def _pressure(conn: Any, store: Any, *, times: Any = (0,), diastolic: Any = True) -> Any:
    sides = (("systolic", "8480-6", 120), ("diastolic", "8462-4", 80))
    for side, code, value in sides[: 2 if diastolic else 1]:
        made = series(f"blood-pressure-{side}", unit="mm[Hg]", loinc=(code,))
        store.place(conn, 1, [(made, [reading(T0 + t * MINUTE, value) for t in times])], at=T0)


def test_both_pressures_of_one_instant_are_one_panel() -> None:
    conn, store = make_store()
    _pressure(conn, store, times=(0, 5))
    bodies = found(conn, store, codes=codes((LOINC, "85354-9")))
    assert len(bodies) == len(found(conn, store)) == 2
    assert [c["valueQuantity"]["value"] for c in bodies[0]["component"]] == [120, 80]
    assert found(conn, store, codes=codes((LOINC, "8480-6"))) == []


def test_a_pressure_alone_is_found_by_its_own_code() -> None:
    conn, store = make_store()
    _pressure(conn, store, diastolic=False)
    (body,) = found(conn, store, codes=codes((LOINC, "8480-6")))
    assert body["valueQuantity"]["value"] == 120
    assert found(conn, store, codes=codes((LOINC, "85354-9"))) == []


def test_a_hidden_half_of_a_panel_stays_hidden() -> None:
    conn, store = make_store()
    _pressure(conn, store)
    hidden = Window(255, codes=frozenset({HASHES.coding(LOINC, "8462-4")}))
    (body,) = found(conn, store, open_to(Window(255), denies=(hidden,)))
    assert "component" not in body
    assert body["valueQuantity"]["value"] == 120


def test_a_panel_permitted_by_its_id_shows_both_halves() -> None:
    conn, store = make_store()
    _pressure(conn, store, times=(0, 5))
    row = store.find(conn, ALL, Filter())[0]
    by_id = Window(255, instances=frozenset({HASHES.reference(f"Observation/{row.id}")}))
    (body,) = found(conn, store, open_to(by_id))
    assert body["id"] == row.id
    assert len(body["component"]) == 2


def test_dense_readings_are_one_row_per_hour_with_every_value() -> None:
    conn, store = make_store()
    starts = [T0 + s * 1000 for s in range(7200) if s % 100 != 50]
    store.place(
        conn, 1, [(series(), [reading(t, value=50 + i % 90) for i, t in enumerate(starts)])], at=T0
    )
    rows = store.find(conn, ALL, Filter())
    assert [row.ts for row in rows] == [T0 + 3_600_000, T0]
    data = json.loads(rows[1].body)["valueSampledData"]
    slots = data["data"].split()
    assert (data["period"], len(slots)) == (1000, 3600)
    assert [i for i, slot in enumerate(slots) if slot == "E"] == list(range(50, 3600, 100))
    assert [int(s) for s in slots if s != "E"] == [50 + i % 90 for i in range(3564)]
    assert store.fetch(conn, ALL, rows[0].id) == rows[0]


def test_an_hour_is_cut_to_the_period_that_may_be_seen() -> None:
    conn, store = make_store()
    store.place(conn, 1, [(series(), [reading(T0 + s * 1000) for s in range(3600)])], at=T0)
    access = open_to(Window(255, data_from=T0 + 600_000, data_until=T0 + 1_200_000))
    (body,) = found(conn, store, access)
    assert len(body["valueSampledData"]["data"].split()) == 600
    assert body["effectivePeriod"]["start"].startswith("2024-10-04T01:10:00+01:00")


def test_off_scale_samples_are_letters_and_limits() -> None:
    conn, store = make_store()
    values = [reading(T0 + s * 1000, value=100) for s in range(60)]
    values[5] = reading(T0 + 5000, value=40, comparator=1, flags=int(Flag.OFF_SCALE_LOW))
    store.place(conn, 1, [(series(), values)], at=T0)
    (body,) = found(conn, store)
    sampled = body["valueSampledData"]
    assert sampled["data"].split()[5] == "L"
    assert sampled["lowerLimit"] == 40


def test_every_shape_of_row_is_a_valid_observation() -> None:
    conn, store = make_store()
    _pressure(conn, store, times=(0, 5))
    stages = series("sleep", unit="{stage}", loinc=(), kind=Kind.STAGE, stages=(Stage("a", "A"),))
    low = reading(value=40, comparator=1, flags=int(Flag.OFF_SCALE_LOW))
    day = [reading(T0 + DAY + s * 2000, value=s, scale=1) for s in range(100)]
    made = [
        (stages, [reading(value=0, duration_ms=60_000)]),
        (series("glucose-cgm", unit="mg/dL", loinc=("99504-3",)), [low]),
        (
            series("resp", rules=Rules(high=1)),
            [reading(value=1200, scale=2, t=-T0, offset_minutes=-330)],
        ),
        (series("dense"), day),
    ]
    store.place(conn, 1, made, at=T0)
    rows = store.find(conn, ALL, Filter())
    assert len(rows) == 6
    for row in rows:
        assert list_issues(parse_resource(row.body), unknown=Unknown.REFUSE) == ()
        assert store.fetch(conn, ALL, row.id) == row


def test_digits_offset_and_quality_are_in_the_rendered_text() -> None:
    conn, store = make_store()
    store.place(
        conn,
        1,
        [(series(rules=Rules(high=10)), [reading(value=200, scale=2, offset_minutes=345)])],
        at=T0,
    )
    text = store.find(conn, ALL, Filter())[0].body.decode()
    assert '"value":2.00,' in text
    assert '"effectiveDateTime":"2024-10-04T05:45:00+05:45"' in text
    store.place(conn, 1, [(series(rules=Rules(high=1)), [reading(T0 + 1, value=2)])], at=T0)
    assert "range" in store.find(conn, ALL, Filter())[0].body.decode()


# -- charts, upkeep ------------------------------------------------------------------------------------


def test_a_chart_keeps_extremes_gaps_flags_and_totals() -> None:
    conn, store = make_store()
    readings = [
        reading(T0 + i * 300_000, value=100 + i % 50) for i in range(800) if not 400 <= i < 450
    ]
    made = series("glucose-cgm", unit="mg/dL", rules=Rules(interval_s=300, high=148))
    store.place(conn, 1, [(made, readings)], at=T0)
    (summary,) = store.summary(conn, ALL)
    assert (summary.count, summary.first, summary.last) == (750, T0, T0 + 799 * 300_000)
    span = {"t_from": T0, "t_until": T0 + 9 * DAY}
    raw = store.window(conn, ALL, summary.sid, **span, max_points=1000)
    assert [p.low for p in raw] == [r.unscaled for r in readings]
    assert [p.t for p in raw if p.gap] == [T0 + 450 * 300_000]
    thin = store.window(conn, ALL, summary.sid, **span, max_points=100)
    assert len(thin) <= 100
    assert sum(p.count for p in thin) == 750
    assert sum(p.total for p in thin) == sum(r.unscaled for r in readings)
    assert (min(p.low for p in thin), max(p.high for p in thin)) == (100, 149)
    assert sum(p.gap for p in thin) == 1
    assert any(p.flags & Flag.RANGE for p in thin)
    assert store.window(conn, open_to(), summary.sid, **span, max_points=10) == []


def test_readings_are_paged_by_their_start() -> None:
    conn, store = make_store()
    store.place(
        conn, 1, [(series(), [reading(T0 + h * 3_600_000, value=h) for h in range(60)])], at=T0
    )
    ((sid, _),) = store.series_of(conn, ALL)
    got, after = [], None
    while page := store.readings(
        conn, ALL, sid, t_from=T0 + 3_600_000, t_until=T0 + 50 * 3_600_000, after=after, limit=13
    ):
        got += page
        after = page[-1].t_unix_ms
    assert [r.unscaled for r in got] == list(range(1, 50))


def _filled() -> Any:
    conn, store = make_store()
    _pressure(conn, store, times=range(0, 4000, 90))
    store.place(conn, 2, [(series(), [reading()])], at=T0)
    return conn, store


def test_an_export_restored_elsewhere_answers_the_same() -> None:
    conn, store = _filled()
    lines = [json.loads(json.dumps(line)) for line in store.export_lines(conn, 1)]
    empty, other = make_store()
    for line in lines + lines:
        other.restore_line(empty, 1, line)
    assert other.find(empty, ALL, Filter(), limit=999) == store.find(conn, ALL, Filter(), limit=999)
    assert [json.loads(json.dumps(line)) for line in other.export_lines(empty, 1)] == lines
    assert other.check(empty) == []
    made = series("blood-pressure-systolic", unit="mm[Hg]", loinc=("8480-6",))
    assert other.place(empty, 1, [(made, [reading(T0, 120)])], at=T0).duplicate == 1


def test_a_restore_into_a_taken_place_is_a_conflict() -> None:
    conn, store = _filled()
    lines = list(store.export_lines(conn, 1))
    with pytest.raises(ConflictError):
        store.restore_line(conn, 2, lines[0])
    changed = json.loads(json.dumps(next(line for line in lines if line["kind"] == "chunk")))
    changed["columns"]["unscaled"][0] += 1
    with pytest.raises(ConflictError):
        store.restore_line(conn, 1, changed)
    with pytest.raises(ConflictError):
        store.restore_line(make_store()[0], 1, changed)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 9},
        {"kind": "other"},
        {"columns": {}},
        {"day": 3},
        {"columns": None},
    ],
)
def test_a_bad_line_is_refused(change: Any) -> None:
    conn, store = _filled()
    chunk = next(line for line in store.export_lines(conn, 1) if line["kind"] == "chunk")
    store.erase(conn, 2)
    conn.execute("delete from chunk")
    with pytest.raises(MalformedInputError):
        store.restore_line(conn, 1, chunk | change)


def test_erasing_leaves_no_row_of_that_person() -> None:
    conn, store = _filled()
    assert store.erase(conn, 1) == 2
    assert found(conn, store) == []
    assert store.check(conn) == []
    for table in ("series", "series_code", "chunk"):
        mine = conn.execute(f"select count(distinct sid) from {table}").fetchone()
        assert mine == (1,)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("update chunk set count = count + 1", "count or times"),
        ("update chunk set t_min = t_min + 1", "count or times"),
        ("update chunk set ver = ver + 1", "altered or moved"),
        ("update chunk set body = cast(x'00' || body as blob)", "altered or moved"),
        ("update series set seg = 129", "altered or moved"),
        ("update series set key_hash = zeroblob(16) where cid = 2", "key or segment"),
        ("delete from series_code", "codes do not fit"),
        ("delete from series where cid = 2", "without series"),
    ],
)
def test_check_names_what_does_not_fit(damage: Any, says: Any) -> None:
    conn, store = _filled()
    assert store.check(conn) == []
    conn.execute(damage)
    assert any(says in problem for problem in store.check(conn))


def test_a_chunk_put_in_anothers_place_does_not_open() -> None:
    conn, store = _filled()
    conn.execute(
        "update chunk set body = (select body from chunk order by sid desc, day desc limit 1)"
    )
    assert len(store.check(conn)) >= 2
