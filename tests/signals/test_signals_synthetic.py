from __future__ import annotations

import io
import itertools
from collections import Counter
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from signals_store import make_store

from hilum.record.access import Access, Action, Window
from hilum.signals.answers import Filter
from hilum.signals.model import Comparator, Flag, Source
from hilum.signals.pipeline import detect, read_payload
from hilum.signals.synthetic import apple_export_xml, clarity_csv

START = int(datetime(2026, 3, 20, tzinfo=ZoneInfo("Europe/Berlin")).timestamp() * 1000)
NOW = START + 400 * 86_400_000
ALL = Access(1, Action.READ | Action.SEARCH, (Window(255),))


def apple(seed: Any = 1, days: Any = 3) -> Any:
    return b"".join(apple_export_xml(seed, START, days, "Europe/Berlin"))


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert apple() == apple()
    assert apple() != apple(seed=2)
    assert clarity_csv(1, START, 2, "Asia/Tokyo") == clarity_csv(1, START, 2, "Asia/Tokyo")


def test_a_made_up_clarity_export_has_what_real_ones_have() -> None:
    body = clarity_csv(7, START, 14, "Europe/Berlin")  # the clocks change on day 9
    assert detect(body[:65536]) is Source.CLARITY
    (batch,) = read_payload(io.BytesIO(body), Source.CLARITY, now_ms=NOW, zone="Europe/Berlin")
    assert batch.refused_count == 0
    series = {s.key.measure: r for s, r in batch.series}
    glucose = series["glucose-cgm"]
    assert len(series["glucose-meter"]) >= 10
    assert any(r.comparator == Comparator.LESS for r in glucose)
    values = [r.unscaled for r in glucose if not r.comparator]
    assert 90 < sum(values) / len(values) < 160
    assert max(values) > 180
    assert {r.offset_minutes for r in glucose} == {60, 120}
    assert not any(r.flags & (Flag.CLOCK | Flag.AMBIGUOUS_HOUR) for r in glucose)
    steps = Counter(b.t_unix_ms - a.t_unix_ms for a, b in itertools.pairwise(glucose))
    assert max(steps) > 3_600_000  # the gap


def test_a_made_up_apple_export_goes_through_and_is_judged_mostly_good() -> None:
    conn, store = make_store()
    accepted = seen = 0
    for batch in read_payload(io.BytesIO(apple()), Source.APPLE_XML, now_ms=NOW):
        answer = store.place(conn, 1, batch.series, NOW)
        assert (batch.refused_count, answer.refused_count, batch.broken) == (0, 0, "")
        assert set(batch.not_mapped) <= {"Correlation"}
        accepted, seen = accepted + answer.accepted, seen + batch.seen
    assert seen > 2500
    assert accepted == seen - 2 * 3  # pressures stand in the correlation again
    assert len(store.summary(conn, ALL)) == 13
    panel = Filter(codes=((("http://loinc.org", "85354-9"),),))
    assert len(store.find(conn, ALL, panel)) == 3
    for sid, _ in store.series_of(conn, ALL):
        readings = store.readings(conn, ALL, sid, t_from=0, t_until=NOW, limit=10**6)
        assert sum(r.score for r in readings) / len(readings) >= 80


def test_the_source_says_that_it_is_made_up() -> None:
    assert b"Synthetic" in apple()
    assert b"Synthetic" in clarity_csv(1, START, 1, "UTC")
