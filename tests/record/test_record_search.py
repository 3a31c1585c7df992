from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import MalformedInputError
from hilum.record.access import Access, Action, Window
from hilum.record.bundle import parse_bundle, plan
from hilum.record.change import Create
from hilum.record.dates import FAR_FUTURE, FAR_PAST, Interval, read_interval
from hilum.record.query import MAX_VALUES, TokenValue, parse_query
from hilum.record.resource import parse_resource

DAY = 86_400_000


def ms(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc,arg-type] # a short test word


SPANS = [
    ("2020", ms(2020, 1, 1), ms(2021, 1, 1) - 1),
    ("2020-02", ms(2020, 2, 1), ms(2020, 3, 1) - 1),
    ("2020-12", ms(2020, 12, 1), ms(2021, 1, 1) - 1),
    ("9999-12", ms(9999, 12, 1), ms(9999, 12, 31) + DAY - 1),
    ("2020-02-29", ms(2020, 2, 29), ms(2020, 3, 1) - 1),
    ("2020-01-01T10:00Z", ms(2020, 1, 1, 10), ms(2020, 1, 1, 10, 1) - 1),
    ("2020-01-01T10:00:00Z", ms(2020, 1, 1, 10), ms(2020, 1, 1, 10) + 999),
    ("2020-01-01T10:00:00.5Z", ms(2020, 1, 1, 10) + 500, ms(2020, 1, 1, 10) + 599),
    ("2020-01-01T10:00:00.123456Z", ms(2020, 1, 1, 10) + 123, ms(2020, 1, 1, 10) + 123),
    ("2020-01-01T10:00:00+14:00", ms(2019, 12, 31, 20), ms(2019, 12, 31, 20) + 999),
    ("2020-01-01T10:00:00-00:30", ms(2020, 1, 1, 10, 30), ms(2020, 1, 1, 10, 30) + 999),
    ("0001-01-01", ms(1, 1, 1), ms(1, 1, 1) + DAY - 1),
]


@pytest.mark.parametrize(("text", "lo", "hi"), SPANS)
def test_a_date_covers_every_instant_that_it_could_mean(text: str, lo: int, hi: int) -> None:
    span = read_interval(text)
    assert span is not None
    assert (span.lo, span.hi) == (lo, hi)


def test_the_wall_clock_is_the_writers() -> None:
    span = read_interval("2020-01-01T23:30:00-05:00")
    assert span == Interval(
        ms(2020, 1, 2, 4, 30), ms(2020, 1, 2, 4, 30) + 999,
        ms(2020, 1, 1, 23, 30), ms(2020, 1, 1, 23, 30) + 999, zoned=True,
    )  # fmt: skip


def test_a_period_may_be_open() -> None:
    assert read_interval({"start": "2020"}) == Interval(
        ms(2020, 1, 1), FAR_FUTURE, ms(2020, 1, 1), FAR_FUTURE
    )
    assert read_interval({"end": "2020"}).lo == FAR_PAST  # type: ignore[union-attr] # checked by the equality above
    for nothing in ({}, {"start": "x"}, None, 7, "", "2020-13", "2021-02-29", "20200101", "2020-1"):
        assert read_interval(nothing) is None


def naive_match(prefix: str, target: tuple[int, int], search: tuple[int, int]) -> bool:
    (lo, hi), (first, last) = target, search
    inside = first <= lo and hi <= last
    return {
        "eq": inside,
        "ne": not inside,
        "gt": hi > last,
        "lt": lo < first,
        "ge": hi > last or inside,
        "le": lo < first or inside,
        "sa": lo > last,
        "eb": hi < first,
    }[prefix]


INSTANTS = [
    "2020-02-28T22:00:00Z", "2020-02-29T00:00:00+02:00", "2020-02-29T23:59:59-05:00",
    "2020-03-01T00:30:00+14:00", "2020-03-01T00:00:00Z", "2020-02-29T23:59:59.999Z",
]  # fmt: skip
DATES = ["2019", "2020", "2020-02", "2020-03", "2020-02-29", "2020-03-01", *INSTANTS]


def test_date_search_compares_intervals_as_the_specification_says(shelf: Any) -> None:
    ends = [None, "2019", "2020", "2020-02", "2020-02-29", INSTANTS[1], INSTANTS[5]]
    values: list[Any] = list(DATES)
    for start in ends:
        for end in ends:
            period = {"start": start, "end": end}
            values.append({key: date for key, date in period.items() if date})
    spans: dict[str, Interval] = {}
    for index, value in enumerate(values):
        member = "effectivePeriod" if isinstance(value, dict) else "effectiveDateTime"
        shelf.add({"resourceType": "Observation", "id": f"o{index}", member: value})
        span = read_interval(value)
        if span is not None and span.lo <= span.hi:
            spans[f"o{index}"] = span
    for wanted in DATES:
        search = read_interval(wanted)
        assert search is not None
        for prefix in ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"):
            expected = {
                own_id
                for own_id, span in spans.items()
                if naive_match(prefix, line(span, search), line(search, search))
            }
            found = shelf.find("Observation", ("date", prefix + wanted), ("_count", "1000"))
            assert set(found) & spans.keys() == expected


def line(span: Interval, search: Interval) -> tuple[int, int]:
    """A search with a zone is compared on the UTC line, one without on the wall clock."""
    return (span.lo, span.hi) if search.zoned else (span.wall_lo, span.wall_hi)


def test_a_day_is_found_by_its_writers_wall_clock(shelf: Any) -> None:
    shelf.add(
        {"resourceType": "Observation", "id": "x", "effectiveDateTime": "2020-01-01T23:30:00-05:00"}
    )
    assert shelf.find("Observation", ("date", "2020-01-01")) == ["x"]
    assert shelf.find("Observation", ("date", "2020-01-02")) == []
    assert shelf.find("Observation", ("date", "ge2020-01-02T04:30:00Z")) == ["x"]
    assert shelf.find("Observation", ("date", "sa2020-01-02T04:29:59Z")) == ["x"]
    assert shelf.find("Observation", ("date", "ap2020-01-02")) == ["x"]
    assert shelf.find("Observation", ("date", "ap2020-01-03")) == []


@pytest.fixture
def filled(shelf: Any) -> Any:
    def coded(code: str, system: str | None = "http://l") -> dict[str, Any]:
        coding = {"code": code} | ({"system": system} if system else {})
        return {"coding": [coding]}

    shelf.add(
        {
            "resourceType": "Observation", "id": "a", "status": "final", "code": coded("1"),
            "subject": {"reference": "Patient/pat"}, "effectiveDateTime": "2020-01-01",
            "category": [coded("lab"), coded("vital")], "encounter": {"reference": "Encounter/e"},
            "identifier": [{"system": "urn:x", "value": "v|1,2"}],
            "meta": {"tag": [{"system": "t", "code": "red"}], "profile": ["http://p|1.0"],
                     "source": "urn:src"},
        },
        {
            "resourceType": "Observation", "id": "b", "status": "amended", "code": coded("1", None),
            "subject": {"reference": "Patient/pat/_history/3"}, "effectiveDateTime": "2021-01-01",
            "performer": [{"reference": "http://other/fhir/Practitioner/9"}],
        },
        {
            "resourceType": "Observation", "id": "c", "status": "final", "code": coded("2"),
            "subject": {"reference": "Group/pat"}, "effectiveDateTime": "2019-01-01",
            "meta": {"security": [{"system": "s", "code": "R"}]},
        },
        {"resourceType": "Patient", "id": "pat", "gender": "male", "deceasedDateTime": "2021",
         "telecom": [{"system": "phone", "value": "555"}, {"system": "email", "value": "a@b"}]},
        {"resourceType": "Condition", "id": "k", "code": coded("1"), "onsetPeriod": {"end": "2018"},
         "onsetAge": {"value": 3}, "subject": {"reference": "Patient/pat"}},
    )  # fmt: skip
    return shelf


FINDS: list[tuple[str, list[tuple[str, str]], list[str]]] = [
    ("Observation", [], ["b", "a", "c"]),
    ("Observation", [("code", "http://l|1")], ["a"]),
    ("Observation", [("code", "1")], ["b", "a"]),
    ("Observation", [("code", "|1")], ["b"]),
    ("Observation", [("code", "http://l|")], ["a", "c"]),
    ("Observation", [("code", "http://l|1,http://l|2")], ["a", "c"]),
    ("Observation", [("code", "http://l|1"), ("code", "http://l|2")], []),
    ("Observation", [("code", "other|1")], []),
    ("Observation", [("status", "final")], ["a", "c"]),
    ("Observation", [("status", "http://hl7.org/fhir/observation-status|final")], ["a", "c"]),
    ("Observation", [("status", "final,amended")], ["b", "a", "c"]),
    ("Observation", [("category", "lab"), ("category", "vital")], ["a"]),
    ("Observation", [("category", "lab"), ("code", "1"), ("date", "2020")], ["a"]),
    ("Observation", [("identifier", r"urn:x|v\|1\,2")], ["a"]),
    ("Observation", [("identifier", r"v\|1\,2")], ["a"]),
    ("Observation", [("identifier", "v")], []),
    ("Observation", [("subject", "Patient/pat")], ["b", "a"]),
    ("Observation", [("subject", "pat")], ["b", "a", "c"]),
    ("Observation", [("subject:Group", "pat")], ["c"]),
    ("Observation", [("patient", "pat")], ["b", "a"]),
    ("Observation", [("patient", "Patient/pat"), ("code", "http://l|1")], ["a"]),
    ("Observation", [("patient", "Patient/other")], []),
    ("Observation", [("encounter", "Encounter/e")], ["a"]),
    ("Observation", [("encounter", "e,f")], ["a"]),
    ("Observation", [("performer", "http://other/fhir/Practitioner/9")], ["b"]),
    ("Observation", [("_id", "a,c,zzz")], ["a", "c"]),
    ("Observation", [("_id", "a"), ("_id", "c")], []),
    ("Observation", [("_lastUpdated", "1970-01-01T00:16:40Z")], ["b", "a", "c"]),
    ("Observation", [("_lastUpdated", "gt1970-01-01T00:16:40Z")], []),
    ("Observation", [("_lastUpdated", "1970-01-01")], ["b", "a", "c"]),
    ("Observation", [("_tag", "t|red")], ["a"]),
    ("Observation", [("_security", "s|R")], ["c"]),
    ("Observation", [("_profile", "http://p|1.0")], ["a"]),
    ("Observation", [("_source", "urn:src")], ["a"]),
    ("Observation", [("_count", "2")], ["b", "a"]),
    ("Observation", [("_count", "0")], []),
    ("Patient", [("gender", "male")], ["pat"]),
    ("Patient", [("deceased", "true")], ["pat"]),
    ("Patient", [("deceased", "false")], []),
    ("Patient", [("phone", "555")], ["pat"]),
    ("Patient", [("phone", "a@b")], []),
    ("Patient", [("telecom", "a@b")], ["pat"]),
    ("Patient", [("death-date", "2021")], ["pat"]),
    ("Condition", [("onset-date", "le2018")], ["k"]),
    ("Condition", [("code", "http://l|1"), ("patient", "pat")], ["k"]),
    ("Procedure", [], []),
]  # fmt: skip


@pytest.mark.parametrize(("name", "pairs", "ids"), FINDS)
def test_a_search_finds_what_it_should_in_order(
    filled: Any, name: str, pairs: list[tuple[str, str]], ids: list[str]
) -> None:
    assert filled.find(name, *pairs) == ids


def test_pages_give_each_row_once_in_order(shelf: Any) -> None:
    trees = [
        {
            "resourceType": "Observation", "id": f"o{i}", "code": {"coding": [{"system": "s", "code": "c"}]},
            "effectiveDateTime": f"20{10 + i % 4}",
        }
        for i in range(23)
    ]  # fmt: skip
    shelf.add(*trees)
    for pairs in ([], [("code", "s|c")], [("code", "c")], [("date", "ge2010")]):
        whole = shelf.find("Observation", *pairs, ("_count", "100"))
        assert len(whole) == 23
        seen: list[str] = []
        place = None
        query = parse_query("Observation", [*pairs, ("_count", "5")], strict=True)
        while found := shelf.record.find(
            shelf.conn, query, [shelf.access], after=place, limit=query.count
        ):
            seen += [row.id for row, _place in found]
            place = found[-1][1]
        assert seen == whole


def test_several_compartments_are_merged_into_one_order(shelf: Any) -> None:
    other = shelf.record.create_compartment(shelf.conn, "other", 1)
    for index in (3, 5, 0, 4, 1, 2):
        tree = {
            "resourceType": "Observation",
            "id": f"o{index}",
            "effectiveDateTime": f"201{index}",
        }
        resource = parse_resource(json.dumps(tree).encode())
        cid = other if index % 2 else shelf.cid
        shelf.record.apply(shelf.conn, [Create(cid, resource, f"o{index}", 1)], 7)
    both = [shelf.access, Access(other, Action(127), (Window(segments=1),))]
    query = parse_query("Observation", [], strict=True)
    rows = shelf.record.run(shelf.conn, query, both, after=None, limit=4)
    assert [row.id for row in rows] == ["o5", "o4", "o3", "o2"]
    rest = shelf.record.run(
        shelf.conn, query, [*both, both[0]], after=(rows[-1].ts, rows[-1].rid), limit=4
    )
    assert [row.id for row in rest] == ["o1", "o0"]
    assert [row.id for row in shelf.record.run(shelf.conn, query, [], after=None, limit=4)] == []


def test_the_longest_search_still_runs(shelf: Any) -> None:
    shelf.add({
        "resourceType": "Observation", "id": "x", "focus": [{"reference": "Basic/i7"}],
        "code": {"coding": [{"system": "s", "code": "c7"}]}, "effectiveDateTime": "2020",
    })  # fmt: skip
    count = MAX_VALUES
    pairs = [
        ("focus", ",".join(f"Basic/i{i}" for i in range(count))),
        ("code", ",".join(f"s|c{i}" for i in range(count))),
        ("code", ",".join(f"c{i}" for i in range(count))),
        ("date", ",".join(["2020"] * count)),
        ("_lastUpdated", ",".join(["1970"] * count)),
        ("_id", ",".join(["x", "a b", "\ud800", *["y"] * (count - 3)])),
    ]
    assert shelf.find("Observation", *pairs[:3], *pairs[5:]) == ["x"]
    assert shelf.find("Observation", ("focus", ",".join(f"i{i}" for i in range(25)))) == ["x"]
    assert shelf.find("Observation", *pairs[:1] * 9) == ["x"]
    assert shelf.find("Observation", *pairs[1:2] * 19) == ["x"]
    assert shelf.find("Observation", ("date", ",".join(["2020"] * count))) == ["x"]
    for too_much in (
        pairs,
        pairs[3:4] * 2 + pairs[4:5],
        [("status", "final")] * 65,
        [("focus", ",".join("x" * 200))],
    ):
        with pytest.raises(MalformedInputError):
            shelf.find("Observation", *too_much)
    assert shelf.find("Observation", ("_id", "no id")) == []


REFUSED = [
    ("Observation", ("nonsense", "1"), "unknown-parameter"),
    ("Observation", ("_content", "x"), "unknown-parameter"),
    ("Observation", ("code:exact", "x"), "unsupported-modifier"),
    ("Observation", ("status:text", "x"), "unsupported-modifier"),
    ("Observation", ("status:of-type", "a|b|c"), "unsupported-modifier"),
    ("Observation", ("date:not", "2020"), "unsupported-modifier"),
    ("Observation", ("value-quantity:below", "5"), "unsupported-modifier"),
    ("Observation", ("code-value-quantity:exact", "1$5"), "unsupported-modifier"),
    ("Observation", ("_id:exact", "true"), "unsupported-modifier"),
    ("Observation", ("_sort:iterate", "date"), "unsupported-modifier"),
    ("Observation", ("_include:sideways", "Observation:subject"), "unsupported-modifier"),
    ("Observation", ("subject:Practitioner", "x"), "unsupported-modifier"),
    ("Observation", ("subject:Practitioner.name", "x"), "unsupported-modifier"),
    ("Observation", ("code.text", "x"), "unsupported-modifier"),
    ("Patient", ("name:below", "x"), "unsupported-modifier"),
    ("Patient", ("name:text", "x"), "unsupported-modifier"),
    ("Observation", ("subject.nonsense", "x"), "unknown-parameter"),
    ("Observation", ("nonsense.name", "x"), "unknown-parameter"),
    ("Patient", ("_has:Group:nonsense:_id", "x"), "unknown-parameter"),
    ("Patient", ("_has:Group:member:nonsense", "x"), "unknown-parameter"),
    ("Observation", ("_include", "Observation:nonsense"), "unknown-parameter"),
    ("Observation", ("_sort", "nonsense"), "unknown-parameter"),
]


@pytest.mark.parametrize(("name", "pair", "code"), REFUSED)
def test_what_is_not_supported_is_refused_or_left_out_and_named(
    name: str, pair: tuple[str, str], code: str
) -> None:
    with pytest.raises(MalformedInputError) as caught:
        parse_query(name, [pair], strict=True)
    assert caught.value.code == code
    if code == "unsupported-modifier":  # left out, it would change what is found
        with pytest.raises(MalformedInputError, match="modifier"):
            parse_query(name, [pair], strict=False)
        return
    lenient = parse_query(name, [pair, ("_id", "a"), ("_format", "json")], strict=False)
    assert lenient.ignored == (pair[0],)
    assert lenient.applied == (("_id", "a"),)


MALFORMED = [
    ("date", "yesterday"),
    ("date", "xx2020"),
    ("date", ""),
    ("date", "2020-02-30"),
    ("_lastUpdated", "1"),
    ("_count", "-1"),
    ("_count", "many"),
    ("_total", "maybe"),
    ("_sort", "date,date,date,date,date,date,date,date,date"),
    ("_sort", "code-value-quantity"),
    ("_include", "Observation"),
    ("_include", "Nothing:subject"),
    ("_include", "Observation:code"),
    ("_include", "Observation:subject:Nothing"),
    ("code", "|"),
    ("code", ",,"),
    ("code:missing", "perhaps"),
    ("code:in", "http://no/such/value-set"),
    ("code:below", "1"),
    ("code:below", "http://no/such/system|1"),
    ("identifier:of-type", "a|b"),
    ("identifier:of-type", "a||c"),
    ("value-quantity", "five"),
    ("value-quantity", "xx5"),
    ("value-quantity", "5|mg"),
    ("value-quantity", "5|s|c|d"),
    ("value-quantity", "1e9999"),
    ("code-value-quantity", "1"),
    ("code-value-quantity", "1$2$3"),
    ("value-string", "--"),
    ("value-string:contains", "ab"),
    ("_list", "$current-allergies"),
    ("_has:Nothing:subject:_id", "x"),
    ("_has:Group", "x"),
    ("_id", ",".join(["a"] * 201)),
]


@pytest.mark.parametrize("pair", MALFORMED)
@pytest.mark.parametrize("strict", [True, False])
def test_a_malformed_value_is_refused_by_name(pair: tuple[str, str], strict: bool) -> None:
    with pytest.raises(MalformedInputError) as caught:
        parse_query("Observation", [pair], strict=strict)
    assert caught.value.where in {pair[0], pair[0].partition(":")[0]}


@given(st.lists(st.tuples(st.text(max_size=12), st.text(max_size=20)), max_size=4), st.booleans())
def test_reading_a_query_is_total(pairs: list[tuple[str, str]], strict: bool) -> None:
    with contextlib.suppress(MalformedInputError):
        parse_query("Observation", pairs, strict=strict)


@given(
    st.text(min_size=1, max_size=8).filter(lambda t: t != "\\"),
    st.text(min_size=1, max_size=8),
)
def test_escaping_lets_any_text_be_searched(system: str, code: str) -> None:
    def escape(text: str) -> str:
        return "".join("\\" + c if c in "\\,|$" else c for c in text)

    query = parse_query(
        "Observation", [("code", f"{escape(system)}|{escape(code)},z")], strict=True
    )
    [found] = query.filters
    assert found.values == (TokenValue(system, code), TokenValue(None, "z"))  # type: ignore[union-attr] # a token filter


PATIENTS = [
    ("Observation", [("patient", "p")], "p"),
    ("Observation", [("patient", "Patient/p")], "p"),
    ("Observation", [("subject", "Patient/p"), ("code", "x")], "p"),
    ("Observation", [("subject", "p")], "p"),
    ("Observation", [("subject:Group", "p")], None),
    ("Observation", [("subject", "Group/p")], None),
    ("Observation", [("patient", "p,q")], None),
    ("Observation", [("patient", "p"), ("subject", "Patient/q")], None),
    ("Observation", [("patient", "p"), ("subject", "Patient/p,Patient/q")], "p"),
    ("Observation", [("performer", "Patient/p")], None),
    ("Observation", [("_id", "p")], None),
    ("Patient", [("_id", "p")], "p"),
    ("Patient", [("_id", "p,q")], None),
    ("Patient", [], None),
    ("Practitioner", [("identifier", "p")], None),
]


@pytest.mark.parametrize(("name", "pairs", "patient"), PATIENTS)
def test_a_query_knows_the_one_patient_that_it_is_about(
    name: str, pairs: list[tuple[str, str]], patient: str | None
) -> None:
    assert parse_query(name, pairs, strict=True).patient == patient


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(MalformedInputError):
        parse_query("Nonsense", [], strict=False)


def codes_of(tree: dict[str, Any]) -> set[tuple[str, str]]:
    return {(c["system"], c["code"]) for c in tree.get("code", {}).get("coding", [])}


def test_synthea_is_found_as_a_walk_over_the_trees_finds_it(
    shelf: Any, material: Callable[[str], Path]
) -> None:
    paths = sorted(material("synthea-r4").glob("*.json.gz"), key=lambda p: p.stat().st_size)
    data = gzip.decompress(paths[len(paths) // 2].read_bytes())
    bundle = parse_bundle(data)
    operations = plan(bundle, lambda entry: entry.id)  # type: ignore[arg-type,return-value] # Synthea names every entry
    resources = [parse_resource(o.body) for o in operations if o.body]
    shelf.record.apply(
        shelf.conn, [Create(shelf.cid, r, r.id, 1) for r in resources], ms(2022, 1, 1)
    )  # type: ignore[arg-type] # every one has an id
    trees = [json.loads(r.raw) for r in resources]
    [patient] = [t["id"] for t in trees if t["resourceType"] == "Patient"]
    observations = [t for t in trees if t["resourceType"] == "Observation"]
    assert len(observations) > 20
    for system, code in sorted(set().union(*map(codes_of, observations))):
        expected = {
            t["id"]
            for t in observations
            if (system, code) in codes_of(t) and t["effectiveDateTime"] >= "2012"
        }
        pairs = [
            ("patient", patient),
            ("code", f"{system}|{code}"),
            ("date", "ge2012"),
            ("_count", "1000"),
        ]
        assert set(shelf.find("Observation", *pairs)) == expected
    encounters = {t["encounter"]["reference"] for t in observations}
    for reference in sorted(encounters):
        expected = {t["id"] for t in observations if t["encounter"]["reference"] == reference}
        assert (
            set(shelf.find("Observation", ("encounter", reference), ("_count", "1000"))) == expected
        )
    whole = shelf.find("Observation", ("patient", patient), ("_count", "1000"))
    instants = {t["id"]: datetime.fromisoformat(t["effectiveDateTime"]) for t in observations}
    assert [instants[i] for i in whole] == sorted(instants.values(), reverse=True)
    assert shelf.record.check(shelf.conn) == []
