"""Questionnaires and their answers.

Source: HL7 FHIR R4, questionnaire.html, questionnaireresponse.html.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hilum.record.resource import Tree
from hilum.record.terminology import is_known_system, is_known_value_set
from hilum.record.validation.facts import profile_row
from hilum.record.validation.model import Environment, Findings
from hilum.record.validation.scope import Scope

__all__ = ["check_answers", "check_questionnaire"]

_ANSWERS = {
    "boolean": {"valueBoolean"},
    "decimal": {"valueDecimal"},
    "integer": {"valueInteger"},
    "date": {"valueDate"},
    "dateTime": {"valueDateTime", "valueDate"},
    "time": {"valueTime"},
    "string": {"valueString"},
    "text": {"valueString"},
    "url": {"valueUri"},
    "choice": {"valueCoding", "valueString", "valueInteger", "valueDate", "valueTime"},
    "open-choice": {"valueCoding", "valueString", "valueInteger", "valueDate", "valueTime"},
    "attachment": {"valueAttachment"},
    "reference": {"valueReference"},
    "quantity": {"valueQuantity"},
}
"""Item type → forms of its answers."""
_PENDING = frozenset({"in-progress", "stopped", "entered-in-error"})


def _items(node: Tree, place: str) -> Iterator[tuple[Tree, str]]:
    for index, item in enumerate(node.get("item", ())):
        at = f"{place}.item[{index}]"
        yield item, at
        yield from _items(item, at)


def check_questionnaire(tree: Tree, place: str, findings: Findings) -> None:
    """Check that conditions name questions of the questionnaire."""
    links = {item.get("linkId") for item, _at in _items(tree, place)}
    for item, at in _items(tree, place):
        for index, condition in enumerate(item.get("enableWhen", ())):
            if condition.get("question") not in links:
                why = "no question of this questionnaire has this linkId"
                findings.error("business-rule", f"{at}.enableWhen[{index}].question", why)


def check_answers(scope: Scope, place: str, environment: Environment, findings: Findings) -> None:
    """Check answers against their questionnaire, when it is at hand."""
    url = scope.tree.get("questionnaire")
    if not isinstance(url, str):
        return
    at = f"{place}.questionnaire"
    plain = url.partition("|")[0]
    if is_known_value_set(plain) or is_known_system(plain) or profile_row(plain) is not None:
        findings.error("invalid", at, "is not the url of a questionnaire")
        return
    found = scope.contained(url[1:]) if url.startswith("#") else environment.find_definition(url)
    if found is None or found.get("resourceType") != "Questionnaire":
        findings.warn("not-found", at, "the questionnaire is not known here: answers not looked at")
        return
    _check_level(scope.tree, found, place, findings, is_pending=_is_pending(scope.tree))


def _is_pending(tree: Tree) -> bool:
    return tree.get("status") in _PENDING


def _check_level(
    answers: Tree, questions: Tree, place: str, findings: Findings, *, is_pending: bool
) -> None:
    asked = {item.get("linkId"): item for item in questions.get("item", ())}
    order = list(asked)
    last = -1
    given: dict[object, int] = {}
    for index, item in enumerate(answers.get("item", ())):
        at, link = f"{place}.item[{index}]", item.get("linkId")
        question = asked.get(link)
        if question is None:
            findings.error("business-rule", at, "the questionnaire asks no such question here")
            continue
        if order.index(link) < last:
            findings.error("business-rule", at, "is not in the order of the questionnaire")
        last = max(last, order.index(link))
        given[link] = given.get(link, 0) + 1
        _check_item(item, question, at, findings, is_pending=is_pending)
    if is_pending:
        return
    for link, question in asked.items():
        if question.get("required") and link not in given and "enableWhen" not in question:
            findings.error("required", place, "a required question has no answer")


def _check_item(
    item: Tree, question: Tree, place: str, findings: Findings, *, is_pending: bool
) -> None:
    kind = question.get("type")
    answers = item.get("answer", ())
    if kind in {"group", "display"}:
        if answers:
            findings.error("business-rule", place, "a group or display takes no answer")
        _check_level(item, question, place, findings, is_pending=is_pending)
        return
    if len(answers) > 1 and not question.get("repeats"):
        findings.error("business-rule", place, "only one answer may be given")
    for index, answer in enumerate(answers):
        at = f"{place}.answer[{index}]"
        forms = {key for key in answer if key.startswith("value")}
        if forms and not forms <= _ANSWERS.get(str(kind), forms):
            findings.error("structure", f"{at}.value", "is not of the type that is asked for")
        elif forms:
            _check_option(answer[next(iter(forms))], question, f"{at}.value", findings)
        _check_level(answer, question, at, findings, is_pending=is_pending)


def _check_option(value: Any, question: Tree, place: str, findings: Findings) -> None:  # noqa: ANN401
    options = question.get("answerOption")
    if not options or question.get("type") != "choice":
        return
    allowed = [option[key] for option in options for key in option if key.startswith("value")]
    if not any(_is_option(value, each) for each in allowed):
        findings.error("code-invalid", place, "is none of the answers to choose from")


def _is_option(value: Any, option: Any) -> bool:  # noqa: ANN401 - decoded JSON values
    if isinstance(value, dict) and isinstance(option, dict):
        return all(value.get(key) == option.get(key) for key in ("system", "code"))
    return bool(value == option)
