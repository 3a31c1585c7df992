from __future__ import annotations

import json
from typing import Any

import pytest

from hilum.record.outcome import Severity
from hilum.record.validation.ecl import is_broken_constraint
from hilum.record.validation.facts import constraint_keys, constraint_of, profile_urls
from hilum.record.validation.model import Environment
from hilum.record.validation.nodes import profile_node
from hilum.record.validation.whole import validate_whole

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"
FHIR = "http://hl7.org/fhir/StructureDefinition/"
XHTML = "http://www.w3.org/1999/xhtml"
LOINC = "http://loinc.org"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
VITAL = {"coding": [{"system": CATEGORY, "code": "vital-signs"}]}
Tree = dict[str, Any]


def found(tree: Tree, severity: Severity = Severity.ERROR, **more: Any) -> list[tuple[str, str]]:
    issues = validate_whole(json.dumps(tree).encode(), **more)
    return [(each.code, each.expression) for each in issues if each.severity is severity]


def patient(**members: Any) -> Tree:
    return {"resourceType": "Patient", **members}


def observation(**members: Any) -> Tree:
    tree = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, **members}
    return {key: value for key, value in tree.items() if value is not ...}


def div(text: str) -> Tree:
    return {"status": "generated", "div": f'<div xmlns="{XHTML}">{text}</div>'}


def bundle(kind: str, *entries: Tree, **members: Any) -> Tree:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries), **members}


def document(*entries: Tree, author: str = "Practitioner/1") -> Tree:
    composition = {
        "resourceType": "Composition",
        "id": "c",
        "status": "final",
        "type": {"text": "x"},
        "date": "2020",
        "title": "t",
        "author": [{"reference": author}],
    }
    return bundle(
        "document",
        {"fullUrl": "http://x.org/Composition/c", "resource": composition},
        *entries,
        identifier={"system": "urn:ietf:rfc:3986", "value": "urn:oid:1.2.3"},
        timestamp="2020-01-01T00:00:00Z",
    )


def entry(kind: str, own_id: str = "1") -> Tree:
    return {
        "fullUrl": f"http://x.org/{kind}/{own_id}",
        "resource": {"resourceType": kind, "id": own_id},
    }


BIRTH_PLACE = FHIR + "patient-birthPlace"
WRONG: list[tuple[Tree, str, str]] = [
    # codes
    (
        observation(code={"coding": [{"system": ACT, "code": "zzz"}]}),
        "code-invalid",
        "Observation.code.coding[0].code",
    ),
    (
        observation(code={"coding": [{"system": "local", "code": "a"}]}),
        "invalid",
        "Observation.code.coding[0].system",
    ),
    (
        observation(code={"coding": [{"system": "http://hl7.org/fhir/ValueSet/languages"}]}),
        "invalid",
        "Observation.code.coding[0].system",
    ),
    (patient(language="not a tag"), "code-invalid", "Patient.language"),
    (
        patient(_gender={"extension": [{"url": "http://x.org/e", "valueCode": "a"}]}),
        "code-invalid",
        "Patient.gender",
    ),
    (
        {"resourceType": "Coverage", "status": "active", "beneficiary": {}, "payor": []},
        "structure",
        "Coverage.beneficiary",
    ),
    # invariants, on the root, on types, on elements
    (
        observation(dataAbsentReason={"text": "x"}, valueInteger=1),
        "invariant",
        "Observation",
    ),
    (
        observation(effectivePeriod={"start": "2021", "end": "2020"}),
        "invariant",
        "Observation.effective.ofType(Period)",
    ),
    (patient(contact=[{"gender": "male"}]), "invariant", "Patient.contact[0]"),
    (patient(telecom=[{"value": "1"}]), "invariant", "Patient.telecom[0]"),
    (observation(referenceRange=[{"age": {}}]), "structure", "Observation.referenceRange[0].age"),
    # extensions
    (
        patient(extension=[{"url": BIRTH_PLACE, "valueString": "x"}]),
        "structure",
        "Patient.extension[0].value.ofType(string)",
    ),
    (
        observation(extension=[{"url": BIRTH_PLACE, "valueAddress": {"text": "x"}}]),
        "structure",
        "Observation.extension[0]",
    ),
    (patient(extension=[{"url": BIRTH_PLACE}]), "invariant", "Patient.extension[0]"),
    (
        patient(extension=[{"url": "relative", "valueString": "x"}]),
        "invalid",
        "Patient.extension[0].url",
    ),
    (
        patient(modifierExtension=[{"url": BIRTH_PLACE, "valueAddress": {"text": "x"}}]),
        "structure",
        "Patient.modifierExtension[0]",
    ),
    # references
    (observation(subject={"reference": "#nobody"}), "structure", "Observation.subject"),
    (
        observation(
            subject={"reference": "#m"}, contained=[{"resourceType": "Medication", "id": "m"}]
        ),
        "structure",
        "Observation.subject",
    ),
    (
        observation(contained=[patient(id="p")]),
        "invariant",
        "Observation.contained[0]",
    ),
    (observation(contained=[patient()]), "required", "Observation.contained[0].id"),
    (
        observation(subject={"reference": "Patient/1", "type": "Group"}),
        "structure",
        "Observation.subject.type",
    ),
    # small types
    (patient(identifier=[{"system": "local"}]), "invalid", "Patient.identifier[0].system"),
    (
        patient(photo=[{"data": "aGk=", "size": 3}]),
        "structure",
        "Patient.photo[0]",
    ),
    (patient(meta={"profile": ["relative"]}), "invalid", "Patient.meta.profile[0]"),
    (
        patient(meta={"source": "urn:uuid:6A2EE390"}),
        "invalid",
        "Patient.meta.source",
    ),
    (
        patient(name=[{"id": "a"}, {"id": "a"}]),
        "business-rule",
        "Patient",
    ),
    # narratives
    (patient(text=div("<script>x</script>")), "invalid", "Patient.text.div"),
    (patient(text=div("<p></p>")), "invariant", "Patient.text.div"),
    (patient(text=div("<p>x")), "invalid", "Patient.text.div"),
    (patient(text=div("&nbsp;x")), "invalid", "Patient.text.div"),
    (patient(text=div('<a href="#nowhere">x</a>')), "not-found", "Patient.text.div"),
    (patient(text={"status": "generated", "div": "<div>x</div>"}), "invalid", "Patient.text.div"),
    (patient(text=div('<p onclick="x()">x</p>')), "invalid", "Patient.text.div"),
    # bundles
    (bundle("collection", {"resource": patient()}), "required", "Bundle.entry[0]"),
    (
        bundle("collection", {"fullUrl": "Patient/1", "resource": patient()}),
        "invalid",
        "Bundle.entry[0]",
    ),
    (
        bundle("collection", {"fullUrl": "http://x.org/Patient/2", "resource": patient(id="1")}),
        "invalid",
        "Bundle.entry[0]",
    ),
    (
        bundle("searchset", {"fullUrl": "http://x.org/Patient/2", "resource": patient()}),
        "invalid",
        "Bundle.entry[0].resource",
    ),
    (document(), "not-found", "Bundle.entry[0].resource.author[0]"),
    (document(entry("Practitioner"), entry("Patient")), "invalid", "Bundle.entry[2]"),
    (
        bundle(
            "collection", {"fullUrl": "urn:oid:1.2", "resource": patient(contact=[{"id": "c"}])}
        ),
        "invariant",
        "Bundle.entry[0].resource.contact[0]",
    ),
    # questionnaires and definitions
    (
        {
            "resourceType": "Questionnaire",
            "status": "draft",
            "item": [
                {
                    "linkId": "1",
                    "type": "string",
                    "enableWhen": [{"question": "9", "operator": "exists", "answerBoolean": True}],
                }
            ],
        },
        "business-rule",
        "Questionnaire.item[0].enableWhen[0].question",
    ),
    (
        {
            "resourceType": "ValueSet",
            "status": "draft",
            "compose": {"include": [{"system": ACT, "concept": [{"code": "zzz"}]}]},
        },
        "business-rule",
        "ValueSet.compose.include[0].concept[0]",
    ),
    (
        {
            "resourceType": "CodeSystem",
            "status": "draft",
            "content": "complete",
            "count": 2,
            "concept": [{"code": "a"}],
        },
        "invalid",
        "CodeSystem.count",
    ),
]


@pytest.mark.parametrize(("tree", "code", "place"), WRONG)
def test_what_breaks_a_rule_is_named_by_its_place(tree: Tree, code: str, place: str) -> None:
    assert (code, place) in found(tree)


RIGHT: list[Tree] = [
    observation(),
    observation(code={"coding": [{"system": ACT, "code": "IMP"}]}),
    observation(code={"coding": [{"system": LOINC, "code": "whatever"}]}),
    observation(subject={"reference": "#p"}, contained=[patient(id="p")]),
    observation(subject={"reference": "urn:uuid:6a2ee390-978e-42c6-8f88-c17dff3bd8a3"}),
    observation(effectivePeriod={"start": "2020-11", "end": "2020-12"}),
    patient(extension=[{"url": BIRTH_PLACE, "valueAddress": {"text": "x"}}]),
    patient(extension=[{"url": "http://x.org/anything", "valueString": "x"}]),
    patient(text=div('<a name="here">x</a><a href="#here">y</a>')),
    patient(photo=[{"contentType": "text/plain", "data": "aGk=", "size": 2}]),
    patient(name=[{"given": ["a", None], "_given": [None, {"id": "x"}]}]),
    bundle("transaction", {"resource": patient(), "request": {"method": "POST", "url": "Patient"}}),
    document(entry("Practitioner")),
    {"resourceType": "Parameters", "parameter": [{"name": "a", "resource": patient()}]},
]


@pytest.mark.parametrize("tree", RIGHT)
def test_what_is_right_has_no_errors(tree: Tree) -> None:
    assert found(tree) == []


def test_structure_is_looked_at_first_and_alone() -> None:
    tree = observation(status="finale", effectivePeriod={"start": "2021", "end": "2020"})
    assert found(tree) == [("code-invalid", "Observation.status")]
    assert validate_whole(b'{"resourceType": "Nothing"}')[0].code == "not-supported"
    assert validate_whole(b"{")[0].code == "structure"


def test_an_unknown_extension_is_rated_as_the_environment_says() -> None:
    tree = patient(extension=[{"url": "http://x.org/anything", "valueString": "x"}])
    place = ("not-found", "Patient.extension[0]")
    assert place in found(tree, Severity.INFORMATION)
    strict = Environment(unknown_extensions=Severity.ERROR)
    assert found(tree, environment=strict) == [place]
    free = Environment(unknown_extensions=Severity.ERROR, extension_domains=("http://x.org/",))
    assert found(tree, environment=free) == []


def test_a_reference_must_lead_somewhere_where_that_is_asked_for() -> None:
    tree = observation(subject={"reference": "Patient/1"})
    known = {"Patient/1": patient(id="1")}
    assert found(tree, environment=Environment(with_references=True)) == [
        ("structure", "Observation.subject")
    ]
    there = Environment(with_references=True, resolve=known.get)
    assert found(tree, environment=there) == []


def test_text_that_looks_like_html_is_found_where_that_is_asked_for() -> None:
    tree = patient(name=[{"text": "a <script>b</script>"}])
    assert found(tree) == []
    strict = Environment(html_in_text=Severity.ERROR)
    assert found(tree, environment=strict) == [("invalid", "Patient.name[0].text")]


def test_answers_are_held_against_their_questionnaire() -> None:
    questionnaire = {
        "resourceType": "Questionnaire",
        "status": "active",
        "item": [
            {"linkId": "1", "type": "integer", "required": True},
            {"linkId": "2", "type": "choice", "answerOption": [{"valueString": "a"}]},
        ],
    }
    environment = Environment(find_definition=lambda _url: questionnaire)

    def answered(*items: Tree) -> list[tuple[str, str]]:
        tree = {
            "resourceType": "QuestionnaireResponse",
            "status": "completed",
            "questionnaire": "http://x.org/Questionnaire/q",
            "item": list(items),
        }
        return found(tree, environment=environment)

    one = {"linkId": "1", "answer": [{"valueInteger": 1}]}
    two = {"linkId": "2", "answer": [{"valueString": "a"}]}
    top = "QuestionnaireResponse"
    assert answered(one, two) == []
    assert answered(two) == [("required", top)]
    assert answered(two, one) == [("business-rule", f"{top}.item[1]")]
    assert answered(one, {"linkId": "9"}) == [("business-rule", f"{top}.item[1]")]
    wrong = {"linkId": "1", "answer": [{"valueString": "1"}]}
    assert answered(wrong) == [("structure", f"{top}.item[0].answer[0].value")]
    other = {"linkId": "2", "answer": [{"valueString": "b"}]}
    assert answered(one, other) == [("code-invalid", f"{top}.item[1].answer[0].value")]


def test_findings_hold_no_values() -> None:
    secret = "Zebedee-4711"
    tree = observation(
        subject={"reference": f"#{secret}", "display": secret},
        code={"coding": [{"system": ACT, "code": secret}]},
        identifier=[{"system": secret}],
        text=div(f'<a href="#{secret}">{secret}</a>'),
        extension=[{"url": secret, "valueString": secret}],
        meta={"profile": [secret, f"http://x.org/{secret}"]},
    )
    issues = validate_whole(json.dumps(tree).encode())
    assert len(issues) >= 6
    assert secret not in repr(issues)


def test_every_invariant_and_profile_compiles() -> None:
    from hilum.record.fhirpath import compile_fhirpath

    for key in constraint_keys():
        compile_fhirpath(constraint_of(key).expression)
    assert len(constraint_keys()) == 239
    for url in profile_urls():
        assert profile_node(url) is not None
    assert len(profile_urls()) == 531


@pytest.mark.parametrize(
    "text",
    [
        "<< 73211009 |Diabetes mellitus|",
        "*",
        "(<< 404684003 OR < 71388002) MINUS 64572001",
        "< 404684003: 363698007 = << 39057004, 116676008 = *",
        "< 404684003: {363698007 = < 39057004, [1..3] 116676008 != 415582006}",
        "< 373873005: 1142135004 >= #250, 732945000 < #500",
        "^ 700043003 . 127489000",
        '< 64572001 {{ term = "heart" }}',
        "<! 64572001 /* children */",
    ],
)
def test_expression_constraints_are_taken(text: str) -> None:
    assert not is_broken_constraint(text)


@pytest.mark.parametrize(
    "text",
    ["", "234234567 << 234234567", "(< 404684003", "< 404684003)", "<<", "404684003 71388002", "§"],
)
def test_what_is_no_expression_constraint_is_found(text: str) -> None:
    assert is_broken_constraint(text)
