"""FHIRPath is total: whatever the text and the tree, the answer is items or a plain refusal."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.errors import MalformedInputError
from hilum.record.fhirpath import Environment, Item, compile_fhirpath
from hilum.record.fhirpath.compiler import FUNCTIONS
from hilum.record.fhirpath.parser import _BINARY

ENVIRONMENT = Environment(now=datetime(2026, 1, 1, tzinfo=UTC), max_work=5_000)
PATIENT = {
    "resourceType": "Patient",
    "id": "p1",
    "active": True,
    "birthDate": "1974-12-25",
    "_birthDate": {
        "extension": [{"url": "http://x", "valueDateTime": "1974-12-25T14:35:45-05:00"}]
    },
    "name": [{"use": "official", "family": "Chalmers", "given": ["Peter", "James"]}],
    "multipleBirthInteger": 2,
    "extension": [{"url": "http://q", "valueQuantity": {"value": Decimal("1.50"), "code": "mg"}}],
    "contained": [{"resourceType": "Organization", "id": "o1", "name": "A"}],
    "managingOrganization": {"reference": "#o1"},
}
PIECES = [
    "name", "given", "birthDate", "extension", "value", "Patient", "$this", "$index", "$total", "%resource",
    "%context", "'a'", "'a|b'", "1", "0", "-1", "2.50", "@2015", "@2015-02-04T14:34:28Z", "@T10:30", "4 days",
    "1.5 'mg'", "{}", "true", "(", ")", "[", "]", ".", ",", "+", "-", "*", "/", "div", "mod", "&", "|", "=",
    "!=", "~", "!~", "<", ">=", "and", "or", "xor", "implies", "in", "contains", "is", "as", "String",
    "FHIR.string", "System.Integer", *(f"{name}(" for name in FUNCTIONS), *(f".{n}()" for n in FUNCTIONS),
]  # fmt: skip
ARGUMENTS = [
    "'a'",
    "1",
    "-1",
    "2.5",
    "{}",
    "$this",
    "name",
    "@2015",
    "4 days",
    "true",
    "(1|2)",
    "'('",
]
INPUTS = [
    *ARGUMENTS,
    "birthDate",
    "extension",
    "extension.value",
    "multipleBirth",
    "Patient",
    "name.given",
]

scalars = (
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False) | st.text(max_size=12)
)
trees = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [*PATIENT, "_active", "given", "family", "value", "url", "_given", "period"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def answer(text: str, tree: dict[str, Any]) -> list[Item] | None:
    """Evaluate; anything but a refusal with the engine's own code is an error of the test."""
    try:
        return compile_fhirpath(text).evaluate(tree, type="Patient", environment=ENVIRONMENT)
    except MalformedInputError as error:
        assert (error.code, bool(error.why)) == ("fhirpath", True)  # noqa: PT017 - both ways are right
        return None


@given(st.text(max_size=60))
def test_any_text_is_an_expression_or_refused_with_its_place(text: str) -> None:
    try:
        compile_fhirpath(text)
    except MalformedInputError as error:
        assert re.fullmatch(r"(offset \d+)?", error.where)  # noqa: PT017 - both ways are right


@settings(max_examples=600)
@given(st.lists(st.sampled_from(PIECES), max_size=12))
def test_any_tokens_are_evaluated_or_refused(pieces: list[str]) -> None:
    answer(" ".join(pieces), PATIENT)


@pytest.mark.parametrize("name", [*FUNCTIONS, "sort", "defineVariable"])
def test_a_function_is_total_over_inputs_and_arguments(name: str) -> None:
    for start in INPUTS:
        answer(f"({start}).{name}()", PATIENT)
        for one in ARGUMENTS:
            answer(f"({start}).{name}({one})", PATIENT)
            answer(f"({start}).{name}({one}, {one})", PATIENT)
            answer(f"({start}).{name}({one}, 'x')", PATIENT)


@pytest.mark.parametrize("operator", [*_BINARY])
def test_an_operator_is_total_over_operands(operator: str) -> None:
    for one in INPUTS:
        for other in INPUTS:
            answer(f"({one}) {operator} ({other})", PATIENT)


@settings(max_examples=300)
@given(
    st.dictionaries(st.sampled_from([*PATIENT, "_active", "_birthDate"]), trees, max_size=6),
    st.sampled_from(
        [
            "descendants().count()",
            "name.given.where($this = 'a').first()",
            "birthDate < today()",
            "active and birthDate.exists()",
            "extension.value + extension.value",
            "multipleBirth + 1",
            "name.select(given.join(','))",
            "managingOrganization.resolve()",
            "children() = children()",
            "descendants().distinct() ~ descendants()",
        ]
    ),
)
def test_a_malformed_tree_is_evaluated_or_refused(tree: dict[str, Any], text: str) -> None:
    answer(text, tree)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000 + "1" + ")" * 5000,
        "-" * 5000 + "1",
        " or ".join(["true"] * 3000),
        "name" + ".where(name" * 500 + ")" * 500,
        "a" * 20_000,
        "1" * 400,
    ],
)
def test_a_text_beyond_the_limits_is_refused(text: str) -> None:
    with pytest.raises(MalformedInputError, match=r"nested|longer|digits"):
        compile_fhirpath(text)


def test_a_long_path_is_not_deep() -> None:
    assert answer("name" + ".first()" * 1500 + ".family", PATIENT) is not None


@pytest.mark.parametrize(
    "text",
    [
        "repeatAll($this | 1)",
        "descendants().select(%resource.descendants().select(%resource.descendants()))",
        "'aaaaaaaaaaaaaaaaaaaa'" + ".select($this & $this)" * 40,
        "'aaaaaaaaaaaaaaaaaaaa'" + ".replace('a', 'aaaaaaaaaaaaaaaaaaaa')" * 20,
        "(1|2|3|4|5|6|7|8|9).repeat($this + 1)",
    ],
)
def test_work_without_end_is_refused(text: str) -> None:
    assert answer(text, PATIENT) is None


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|aa)+$", "(.*a){12}", "a*a*a*a*a*b", "((a{1,9}){1,9}){1,9}b"]
)
@pytest.mark.parametrize(
    "call", ["matches('{}')", "matchesFull('{}')", "replaceMatches('{}', 'x')"]
)
def test_a_pattern_cannot_run_away(pattern: str, call: str) -> None:
    answer(f"'{'a' * 400}!'.{call.format(pattern)}", PATIENT)


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("b|" + "a?" * 30 + "c", 30),
        ("b|(a?){30}c", 30),
        ("b|" + "(?:a|a)" * 30 + "c", 30),
        ("b|a*a*a*c", 3000),
        ("b|(?:a+)+c", 30),
        ("b|(?<n>a*)*c", 30),
        ("b|a{1,9}a{1,9}a{1,9}a{1,9}a{1,9}a{1,9}a{1,9}a{1,9}c", 3000),
    ],
)
def test_a_replacement_cannot_run_away(pattern: str, count: int) -> None:
    # the b is found, so that the places of all matches are looked for
    assert answer(f"'b{'a' * count}'.replaceMatches('{pattern}', 'x')", PATIENT) is None


def test_a_replacement_cannot_grow_without_end() -> None:
    long = "'" + "y" * 8000 + "'"
    assert answer(f"'{'a' * 4000}'.replaceMatches('a', {long})", PATIENT) is None


def test_a_plain_pattern_replaces_in_a_text_of_ordinary_length() -> None:
    found = answer(
        r"'Patient.name.given'.replaceMatches('\\..*', '') & 'ab'.replaceMatches('(a)(b)', '$2$1')",
        PATIENT,
    )
    assert found is not None
    assert found[0].value == "Patientba"


def test_an_error_shows_no_value() -> None:
    with pytest.raises(MalformedInputError) as caught:
        compile_fhirpath("name.given + 1").evaluate(PATIENT)
    assert "Peter" not in str(caught.value)
    assert caught.value.where == "offset 11"


def test_items_show_their_place_and_no_value() -> None:
    found = compile_fhirpath("name.given[1]").evaluate(PATIENT)
    assert repr(found) == "[Item(Patient.name[0].given[1])]"
