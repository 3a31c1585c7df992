"""Canonical units, judged by the functional tests of UCUM."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.record.decimals import HIGHEST, double_of
from hilum.record.ucum import canonical

ON_A_LOGARITHM = {"dB[10.nV]", "dB[SPL]", "dB"}
"""Valid units without a linear form: compared as written."""
ROUNDED = {"3-113", "3-115"}
"""Outcomes that the functional tests round to two digits."""


def cases_of(material: Callable[[str], Path], group: str) -> list[dict[str, str]]:
    root = ElementTree.parse(material("ucum/UcumFunctionalTests.xml")).getroot()
    found = root.find(group)
    assert found is not None
    return [case.attrib for case in found]


def test_every_valid_unit_has_a_canonical_form_and_no_other(
    material: Callable[[str], Path],
) -> None:
    cases = cases_of(material, "validation")
    wrong = {
        case["unit"]
        for case in cases
        if (canonical(case["unit"]) is not None) != (case["valid"] == "true")
    }
    assert wrong == ON_A_LOGARITHM
    assert len(cases) > 500


def test_conversions_of_the_functional_tests_come_out(material: Callable[[str], Path]) -> None:
    cases = cases_of(material, "conversion")
    for case in cases:
        source, target = canonical(case["srcUnit"]), canonical(case["dstUnit"])
        assert source is not None, case
        assert target is not None, case
        assert source.expression == target.expression, case
        exact = Fraction(case["value"]) * source.factor + source.offset - target.offset
        tolerance = 0.02 if case["id"] in ROUNDED else 0.002
        assert math.isclose(exact / target.factor, float(case["outcome"]), rel_tol=tolerance), case
    assert len(cases) >= 25


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("5", "mg"), ("5000", "ug")),
        (("120", "mm[Hg]"), ("15.99864", "kPa")),
        (("5.5", "mmol/L"), ("5500", "umol/L")),
        (("37", "Cel"), ("98.6", "[degF]")),
        (("1", "[lb_av]"), ("453.59237", "g")),
        (("70", "/min"), ("70", "{beats}/min")),
        (("7", "10*3/uL"), ("7", "10*9/L")),
        (("1", "kg/m2"), ("1000", "g.m-2")),
        (("2", "[IU]/L"), ("2000", "m[IU]/L")),
    ],
)
def test_equal_measures_are_equal_doubles(one: tuple[str, str], other: tuple[str, str]) -> None:
    units = [canonical(unit) for _, unit in (one, other)]
    assert units[0] is not None
    assert units[1] is not None
    assert units[0].expression == units[1].expression
    assert units[0].convert(Decimal(one[0])) == units[1].convert(Decimal(other[0]))


@pytest.mark.parametrize(
    "unit",
    ["", " ", "m ", "m/", "(m", "m)", "{a", "10+3/ul", "[pH]", "B", "Cel/min", "Cel2", "mg/[pH]",
     "m999", "x" * 200, "kk", "é", "[nothing]"],
)  # fmt: skip
def test_what_is_no_linear_unit_has_no_canonical_form(unit: str) -> None:
    assert canonical(unit) is None


@given(st.text(alphabet="mgkLul/.()[]{}10*^-+2HdICel%", max_size=24))
def test_any_text_is_a_unit_or_is_not(text: str) -> None:
    found = canonical(text)
    assert found is None or found.factor > 0


@given(st.decimals(allow_nan=False, allow_infinity=False) | st.integers())
def test_a_double_is_the_nearest_or_the_highest(value: Decimal | int) -> None:
    made = double_of(value)
    try:
        wanted = float(value)
    except OverflowError:
        wanted = math.inf if value > 0 else -math.inf
    if math.isinf(wanted):
        wanted = math.copysign(HIGHEST, wanted)
    assert made == pytest.approx(wanted, rel=1e-15, abs=5e-324)
