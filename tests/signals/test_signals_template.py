from __future__ import annotations

import json
import re
import warnings
from functools import lru_cache
from typing import Any

import pytest

from hilum.errors import MalformedInputError
from hilum.signals.lint import Entry, entries_of, is_loinc_code, lint_entries, load_loinc
from hilum.signals.template import load_template, parse_template

NAMES = ["apple-health", "dexcom-clarity", "fhir-device"]


@pytest.fixture(scope="module")
def dimension() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the parser's dependencies warn on import
        from ucumvert import PintUcumRegistry, get_ucum_parser

        registry, parser = PintUcumRegistry(), get_ucum_parser()

    @lru_cache
    def find(code: Any) -> Any:
        try:
            parser.parse(code)
            plain = re.sub(r"\{[^}]*\}", "", code)  # annotations have no dimension
            return str(registry.from_ucum(plain).dimensionality) if plain else "dimensionless"
        except Exception as error:  # the foreign parser has no error tree of its own
            raise MalformedInputError("bad-unit", "not UCUM") from error

    return find


@pytest.mark.parametrize("name", NAMES)
def test_every_unit_and_code_of_our_templates_passes_lint(name: Any, dimension: Any) -> None:
    assert lint_entries(entries_of(load_template(name)), dimension=dimension) == []


@pytest.mark.parametrize("name", NAMES)
def test_ranges_are_ordered_and_rules_positive(name: Any) -> None:
    for mapping in load_template(name).mappings.values():
        rules = mapping.series.rules
        assert rules.low is None or rules.high is None or rules.low < rules.high
        assert rules.rate_per_minute is None or rules.rate_per_minute > 0
        assert mapping.series.seg & 128


@pytest.mark.parametrize("name", NAMES)
def test_ranges_name_units_that_the_type_has(name: Any) -> None:
    for mapping in load_template(name).mappings.values():
        series = mapping.series
        same = [
            m.series.rules
            for m in load_template(name).mappings.values()
            if m.series.key.measure == series.key.measure and m.series.key.unit == series.key.unit
        ]
        assert len(set(same)) == 1


def test_every_shipped_loinc_code_is_used_and_has_its_check_digit() -> None:
    used = {
        c for n in NAMES for m in load_template(n).mappings.values() for c in m.series.key.loinc
    }
    assert set(load_loinc()) - used == {"85354-9"}  # the panel is rendered, not mapped
    assert all(is_loinc_code(code) for code in load_loinc())


def test_apple_template_maps_every_quantity_type_of_the_public_list(material: Any) -> None:
    given = json.loads(material("healthkit-on-fhir/HKSampleMapping.json").read_text())
    quantities = set(given["HKQuantitySamples"])
    template = load_template("apple-health")
    assert len(quantities) == 119
    assert quantities <= template.types()
    coded = {t for (t, _), m in template.mappings.items() if m.series.key.loinc} & quantities
    assert len(coded) >= 30


def test_lint_finds_the_known_defects_of_a_public_mapping_file(
    material: Any, dimension: Any
) -> None:
    given = json.loads(material("healthkit-on-fhir/HKSampleMapping.json").read_text())
    entries = []
    for name, entry in given["HKQuantitySamples"].items():
        codings = entry["codings"]
        vendor = next(c["code"] for c in codings if "healthkit" in c["system"])
        loinc = tuple(c["code"] for c in codings if c["system"] == "http://loinc.org")
        entries.append(Entry(name, vendor, loinc, entry["unit"].get("code", "")))
    found = lint_entries(entries, dimension=dimension)
    assert sum("carries the code of" in line for line in found) == 3
    assert sum("is not a UCUM code" in line for line in found) == 6
    assert any("LP203183-1 is not a LOINC code" in line for line in found)


def test_measures_of_two_sources_agree_on_their_codes() -> None:
    apple = {
        m.series.key.measure: m.series.key for m in load_template("apple-health").mappings.values()
    }
    for mapping in load_template("fhir-device").mappings.values():
        other = apple.get(mapping.series.key.measure)
        if other is not None and other.unit == mapping.series.key.unit:
            assert other.loinc == mapping.series.key.loinc


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "id: x",
        "{id: x, version: 1, groups: [{category: c, types: {A: {display: a}}}]}",
        "{id: x, version: 1, groups: [{category: c, units: [m], types: {A: {display: a, sort: b}}}]}",
        "{id: x, version: 1, groups: [{category: c, units: [m], types: {A: a, B: {display: b, also: [A]}}}]}",
        "{id: x, version: 1, groups: [{category: c, types: {A: {display: a,"
        " units: {m: {ucum: m, factor: 1/3}}}}}]}",
        "{id: x, version: 1, groups: [{category: c, units: [m],"
        " types: {A: {display: a, segments: [NONE]}}}]}",
        "id: [",
    ],
)
def test_a_bad_template_is_refused(text: Any) -> None:
    with pytest.raises(MalformedInputError):
        parse_template(text, where="test")


def test_a_type_left_out_has_its_reason() -> None:
    template = load_template("apple-health")
    assert "episode" in template.reason("Workout")
    assert template.reason("HKQuantityTypeIdentifierHeartRate") == "unit not known for this type"
    assert template.reason("HKQuantityTypeIdentifierNeverHeardOf") == template.otherwise
