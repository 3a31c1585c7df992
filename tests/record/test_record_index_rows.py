"""The odd shapes of values, each with the rows that must follow: written by hand from the specification."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hilum.record.decimals import HIGHEST
from hilum.record.index import Indexer
from hilum.record.keyed import NO_SYSTEM, UCUM_CANONICAL, URI_BELOW, KeyedHash
from hilum.record.parameters import parameters_of
from hilum.record.resource import parse_json
from hilum.record.rows import IndexRows
from hilum.record.strings import KeyedStrings

KEY = b"k" * 32
KEYED, STRINGS = KeyedHash(KEY), KeyedStrings(KEY)
INDEXER = Indexer(KEYED, STRINGS)
UCUM = "http://unitsofmeasure.org"
LOINC = "http://loinc.org"


def index(name: str, cid: int = 1, /, **members: Any) -> IndexRows:
    body = json.dumps({"resourceType": name, **members}).encode()
    return INDEXER.rows(parse_json(body, max_bytes=len(body)), cid)


def number(name: str, code: str) -> int:
    return parameters_of(name)[code].number


def tokens(rows: IndexRows, name: str, code: str) -> set[tuple[int, int]]:
    return {row[1:] for row in rows.tokens if row[0] == number(name, code)}


def references(rows: IndexRows, name: str, code: str) -> set[int]:
    return {ref for p, ref in rows.references if p == number(name, code)}


def dates(rows: IndexRows, name: str, code: str) -> set[tuple[int, ...]]:
    return {row[1:] for row in rows.dates if row[0] == number(name, code)}


def quantities(rows: IndexRows, name: str, code: str) -> set[tuple[Any, ...]]:
    return {row[1:] for row in rows.quantities if row[0] == number(name, code)}


def composites(rows: IndexRows, name: str, code: str) -> set[tuple[Any, ...]]:
    return {row[1:] for row in rows.composites if row[0] == number(name, code)}


def holds(rows: IndexRows, name: str, code: str, text: str) -> bool:
    """Whether a parameter has exactly this string, parts included."""
    wanted = (STRINGS.starts(text), STRINGS.exact(text), STRINGS.grams(text, rows.cid))
    return (number(name, code), *wanted) in rows.strings


def ref(text: str) -> int:
    return KEYED.reference(text)


def test_a_selected_relation_is_found_under_its_own_parameter_alone() -> None:
    rows = index("Library", relatedArtifact=[
        {"type": "composed-of", "resource": "http://x/A|1.0"},
        {"type": "depends-on", "resource": "http://x/B"},
    ])  # fmt: skip
    assert references(rows, "Library", "composed-of") == {ref("http://x/A|1.0"), ref("http://x/A")}
    assert references(rows, "Library", "depends-on") == {ref("http://x/B")}
    assert references(rows, "Library", "successor") == set()


def test_a_document_points_to_its_first_entry_alone() -> None:
    composition = {"resourceType": "Composition", "id": "c"}
    rows = index(
        "Bundle", entry=[{"resource": composition}, {"resource": composition | {"id": "d"}}]
    )
    assert references(rows, "Bundle", "composition") == {ref("Composition/c")}
    assert references(rows, "Bundle", "message") == set()


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ({"reference": "Patient/1"}, True),
        ({"reference": "Patient/1/_history/2"}, True),
        ({"reference": "http://x/fhir/Patient/1"}, True),
        ({"reference": "urn:uuid:1", "type": "Patient"}, True),
        ({"reference": "urn:uuid:1"}, False),
        ({"reference": "Group/1"}, False),
        ({"reference": "Group/Patient"}, False),
        ({"reference": "#p"}, False),
    ],
)
def test_only_what_resolves_to_a_patient_is_found_by_patient(
    reference: dict[str, str], found: bool
) -> None:
    rows = index(
        "Observation", subject=reference, contained=[{"resourceType": "Patient", "id": "p"}]
    )
    text = reference["reference"].partition("/_history")[0]
    assert references(rows, "Observation", "patient") == ({ref(text)} if found else set())
    is_contained = text.startswith("#")
    assert references(rows, "Observation", "subject") == (set() if is_contained else {ref(text)})


def test_a_logical_reference_is_found_by_its_identifier() -> None:
    named = {"identifier": {"system": "urn:mrn", "value": "7"}, "type": "Patient"}
    token = (KEYED.code("7"), KEYED.system("urn:mrn"))
    rows = index("Observation", subject=named, performer=[{"identifier": {"value": "8"}}])
    assert tokens(rows, "Observation", "subject") == {token}
    assert tokens(rows, "Observation", "patient") == {token}
    assert tokens(rows, "Observation", "performer") == {(KEYED.code("8"), NO_SYSTEM)}
    assert references(rows, "Observation", "subject") == set()
    group = index("Observation", subject=named | {"type": "Group"})
    assert tokens(group, "Observation", "patient") == set()


def test_an_identifier_is_found_by_its_type_and_its_words() -> None:
    rows = index("Patient", identifier=[{
        "system": "urn:mrn", "value": "7",
        "type": {"coding": [{"system": "urn:t", "code": "MR"}], "text": "Medical record"},
    }])  # fmt: skip
    code = KEYED.code("7")
    assert tokens(rows, "Patient", "identifier") == {
        (code, KEYED.system("urn:mrn")),
        (code, KEYED.of_type("urn:t", "MR")),
    }
    [text] = [row for row in rows.texts if row[0] == number("Patient", "identifier")]
    assert text[1].startswith(STRINGS.starts("medical"))


def test_words_beside_codes_are_found_by_how_they_begin_but_not_across_records() -> None:
    rows = index("Observation", code={
        "coding": [{"system": LOINC, "code": "1", "display": "Körper-Gewicht"}], "text": "Weight",
    })  # fmt: skip
    p = number("Observation", "code")
    found = {starts for q, starts, _, _ in rows.texts if q == p}
    assert found == {STRINGS.starts("korper gewicht"), STRINGS.starts("weight")}
    assert p in rows.population
    assert rows.strings == set()


def test_a_uri_is_found_below_each_of_its_ancestors() -> None:
    rows = index("ValueSet", url="http://acme.org/fhir/ValueSet/123")
    below = {
        "http://acme.org", "http://acme.org/fhir", "http://acme.org/fhir/ValueSet",
        "http://acme.org/fhir/ValueSet/123",
    }  # fmt: skip
    assert tokens(rows, "ValueSet", "url") == {
        (KEYED.code("http://acme.org/fhir/ValueSet/123"), NO_SYSTEM),
        *((KEYED.code(uri), URI_BELOW) for uri in below),
    }
    oid = index("ValueSet", url="urn:oid:1.2.3")
    found = {code for code, system in tokens(oid, "ValueSet", "url") if system == URI_BELOW}
    assert found == {
        KEYED.code(u) for u in ("urn:oid", "urn:oid:1", "urn:oid:1.2", "urn:oid:1.2.3")
    }


def test_a_name_is_found_by_each_part_and_as_a_whole() -> None:
    rows = index("Patient", name=[
        {"family": "Chalmers", "given": ["Peter", "James"], "prefix": ["Dr"], "suffix": ["Jr"],
         "text": "Dr Pete"},
    ])  # fmt: skip
    for text in ("Chalmers", "Peter", "James", "Dr", "Jr", "Dr Pete", "Peter James Chalmers"):
        assert holds(rows, "Patient", "name", text), text
    assert holds(rows, "Patient", "family", "Chalmers")
    assert not holds(rows, "Patient", "family", "Peter")
    assert holds(rows, "Patient", "phonetic", "C456")
    assert not holds(rows, "Patient", "phonetic", "Chalmers")


def test_an_address_is_found_by_each_part() -> None:
    rows = index("Patient", address=[
        {"line": ["Erewhon St 1"], "city": "Pleasant", "district": "Rain", "state": "Vic",
         "postalCode": "3999", "country": "AU", "use": "home", "text": "PO box"},
    ])  # fmt: skip
    for text in ("Erewhon St 1", "Pleasant", "Rain", "Vic", "3999", "AU", "PO box"):
        assert holds(rows, "Patient", "address", text), text
    assert holds(rows, "Patient", "address-postalcode", "3999")
    assert not holds(rows, "Patient", "address-city", "Rain")
    assert tokens(rows, "Patient", "address-use") == {(KEYED.code("home"), NO_SYSTEM)}


def test_equal_strings_in_two_records_share_no_parts() -> None:
    one, two = (index("Patient", cid, name=[{"family": "Chalmers"}]) for cid in (1, 2))
    grams = [{row[3] for row in rows.strings} for rows in (one, two)]
    assert grams[0].isdisjoint(grams[1])
    assert {row[:3] for row in one.strings} == {row[:3] for row in two.strings}


DAY = 86_400_000


def test_a_timing_covers_its_outer_limits() -> None:
    rows = index("CarePlan", activity=[{"detail": {"scheduledTiming": {
        "event": ["1970-01-03", "1970-01-02T00:00:00Z"],
        "repeat": {"boundsPeriod": {"start": "1970-01-02", "end": "1970-01-05"}},
    }}}])  # fmt: skip
    assert dates(rows, "CarePlan", "activity-date") == {(DAY, 5 * DAY - 1, DAY, 5 * DAY - 1)}
    nothing = index("CarePlan", activity=[{"detail": {"scheduledTiming": {"code": {"text": "x"}}}}])
    assert dates(nothing, "CarePlan", "activity-date") == set()


def test_a_period_may_be_open_at_either_end_and_an_age_is_no_date() -> None:
    rows = index("Condition", onsetPeriod={"start": "1970-01-02"})
    [(lo, hi, *_)] = dates(rows, "Condition", "onset-date")
    assert (lo, hi) == (DAY, 1 << 60)
    aged = index("Condition", onsetAge={"value": 4, "unit": "years", "system": UCUM, "code": "a"})
    assert dates(aged, "Condition", "onset-date") == set()
    assert quantities(aged, "Condition", "onset-age") == {
        (KEYED.system(UCUM), KEYED.code("a"), 4.0, 4.0),
        (NO_SYSTEM, KEYED.code("years"), 4.0, 4.0),
        (UCUM_CANONICAL, KEYED.code("s"), 126_230_400.0, 126_230_400.0),
    }


def test_a_quantity_is_found_in_its_unit_in_its_words_and_in_canonical_units() -> None:
    rows = index("Observation", valueQuantity={
        "value": 5.40, "unit": "mg per dl", "system": UCUM, "code": "mg/dL", "comparator": "<",
    })  # fmt: skip
    assert quantities(rows, "Observation", "value-quantity") == {
        (KEYED.system(UCUM), KEYED.code("mg/dL"), -HIGHEST, 5.4),
        (NO_SYSTEM, KEYED.code("mg per dl"), -HIGHEST, 5.4),
        (UCUM_CANONICAL, KEYED.code("g.m-3"), -HIGHEST, 54.0),
    }
    bare = index("Observation", valueQuantity={"value": 3})
    assert quantities(bare, "Observation", "value-quantity") == {(NO_SYSTEM, NO_SYSTEM, 3.0, 3.0)}
    words = index("Observation", valueQuantity={"value": 3, "unit": "drops", "comparator": ">="})
    assert quantities(words, "Observation", "value-quantity") == {
        (NO_SYSTEM, KEYED.code("drops"), 3.0, HIGHEST)
    }
    assert (
        quantities(
            index("Observation", valueQuantity={"unit": "mg"}), "Observation", "value-quantity"
        )
        == set()
    )


def test_ranges_samples_and_money_are_quantities() -> None:
    year = {"system": UCUM, "code": "a"}
    rows = index("Condition", onsetRange={"low": {"value": 1, **year}})
    given = {
        row for row in quantities(rows, "Condition", "onset-age") if row[0] == KEYED.system(UCUM)
    }
    assert given == {(KEYED.system(UCUM), KEYED.code("a"), 1.0, HIGHEST)}
    mixed = index("Condition", onsetRange={
        "low": {"value": 12, "system": UCUM, "code": "mo"}, "high": {"value": 2, **year},
    })  # fmt: skip
    assert quantities(mixed, "Condition", "onset-age") == {
        (UCUM_CANONICAL, KEYED.code("s"), 31_557_600.0, 63_115_200.0)
    }
    samples = {"origin": {"value": 2, "unit": "mV"}, "period": 1, "dimensions": 1, "data": "1 2"}
    drawn = index("Observation", valueSampledData=samples | {"lowerLimit": -3, "upperLimit": 3})
    assert quantities(drawn, "Observation", "value-quantity") == {
        (NO_SYSTEM, KEYED.code("mV"), -3.0, 3.0)
    }
    money = index("Invoice", totalNet={"value": 9.5, "currency": "EUR"})
    assert quantities(money, "Invoice", "totalnet") == {
        (KEYED.system("urn:iso:std:iso:4217"), KEYED.code("EUR"), 9.5, 9.5)
    }


def test_numbers_and_their_ranges_have_no_unit() -> None:
    rows = index("RiskAssessment", prediction=[
        {"probabilityDecimal": 0.25},
        {"probabilityRange": {"low": {"value": 0.5}, "high": {"value": 0.75}}},
    ])  # fmt: skip
    assert quantities(rows, "RiskAssessment", "probability") == {
        (NO_SYSTEM, NO_SYSTEM, 0.25, 0.25),
        (NO_SYSTEM, NO_SYSTEM, 0.5, 0.75),
    }


@pytest.mark.parametrize(
    ("written", "kept"),
    [("1e400", HIGHEST), ("-1e400", -HIGHEST), ("1e-400", 0.0), ("1e999999999", HIGHEST),
     ("0e999999999", 0.0), ("-0.0", 0.0), ("0.1", 0.1), ("9007199254740993", 9007199254740992.0),
     ("0." + "3" * 5000, 1 / 3)],
)  # fmt: skip
def test_numbers_at_their_limits_are_kept_as_doubles(written: str, kept: float) -> None:
    body = b'{"resourceType":"Observation","valueQuantity":{"value":%s}}' % written.encode()
    rows = INDEXER.rows(parse_json(body, max_bytes=len(body)), 1)
    assert {row[2:] for row in quantities(rows, "Observation", "value-quantity")} == {(kept, kept)}


def component(code: str, value: float) -> dict[str, Any]:
    return {
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "valueQuantity": {"value": value, "unit": "mm[Hg]"},
    }


def test_parts_of_two_components_never_mix() -> None:
    rows = index("Observation", code={"coding": [{"system": LOINC, "code": "85354-9"}]},
                 component=[component("8480-6", 120), component("8462-4", 80)])  # fmt: skip
    unit, system, none = KEYED.code("mm[Hg]"), KEYED.system(LOINC), NO_SYSTEM
    wanted = {
        (KEYED.code(code), system, unit, none, 0, 0, 0, 0, value, value, 0.0, 0.0, b"")
        for code, value in (("8480-6", 120.0), ("8462-4", 80.0))
    }
    assert composites(rows, "Observation", "component-code-value-quantity") == wanted
    assert composites(rows, "Observation", "combo-code-value-quantity") == wanted
    assert composites(rows, "Observation", "code-value-quantity") == set()


def test_composites_of_the_resource_itself_join_code_and_value() -> None:
    code = {"coding": [{"system": LOINC, "code": "1"}, {"code": "2"}]}
    first = {(KEYED.code("1"), KEYED.system(LOINC)), (KEYED.code("2"), NO_SYSTEM)}
    zeros = (0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0)
    concept = index("Observation", code=code, valueCodeableConcept={"coding": [{"code": "x"}]})
    wanted = {(*one, KEYED.code("x"), NO_SYSTEM, *zeros, b"") for one in first}
    assert composites(concept, "Observation", "code-value-concept") == wanted
    assert composites(concept, "Observation", "combo-code-value-concept") == wanted
    text = index("Observation", code=code, valueString="Positive")
    assert composites(text, "Observation", "code-value-string") == {
        (*one, 0, 0, *zeros, STRINGS.starts("positive")) for one in first
    }
    day = index("Observation", code=code, valueDateTime="1970-01-02")
    span = (DAY, 2 * DAY - 1, DAY, 2 * DAY - 1)
    assert composites(day, "Observation", "code-value-date") == {
        (*one, 0, 0, *span, 0.0, 0.0, 0.0, 0.0, b"") for one in first
    }


def test_composites_of_three_parts_and_of_references() -> None:
    rows = index("MolecularSequence", referenceSeq={
        "chromosome": {"coding": [{"code": "1"}]}, "windowStart": 5, "windowEnd": 9,
    }, variant=[{"start": 1, "end": 2}, {"start": 3, "end": 4}])  # fmt: skip
    name, chromosome = "MolecularSequence", (KEYED.code("1"), NO_SYSTEM)
    times = (0, 0, 0, 0, 0, 0)
    assert composites(rows, name, "chromosome-window-coordinate") == {
        (*chromosome, *times, 5.0, 5.0, 9.0, 9.0, b"")
    }
    assert composites(rows, name, "chromosome-variant-coordinate") == {
        (*chromosome, *times, 1.0, 1.0, 2.0, 2.0, b""),
        (*chromosome, *times, 3.0, 3.0, 4.0, 4.0, b""),
    }
    target = {"reference": "DocumentReference/1"}
    document = index("DocumentReference", relatesTo=[{"code": "replaces", "target": target}])
    [row] = composites(document, "DocumentReference", "relationship")
    assert row[:4] == (ref("DocumentReference/1"), NO_SYSTEM, KEYED.code("replaces"), NO_SYSTEM)


def test_a_position_is_kept_in_degrees() -> None:
    rows = index("Location", position={"latitude": 52.52, "longitude": 13.405})
    assert rows.positions == {(number("Location", "near"), 52.52, 13.405)}
    assert index("Location", position={"latitude": 1}).positions == set()
