"""Definitions as instances: value sets, code systems, profiles, search parameters, capabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hilum.errors import MalformedInputError
from hilum.record.fhirpath import compile_fhirpath
from hilum.record.resource import Tree
from hilum.record.tables import tables
from hilum.record.terminology import is_code
from hilum.record.validation.ecl import is_broken_constraint
from hilum.record.validation.model import Findings
from hilum.record.validation.scope import Scope

__all__ = ["check_artifact"]

_FHIR = "http://hl7.org/fhir/SearchParameter/"
_EXPRESSION = "http://hl7.org/fhir/StructureDefinition/cqf-expression"
_PARAMETER = "http://hl7.org/fhir/tools/StructureDefinition/valueset-parameter"
_SNOMED = "http://snomed.info/sct"
_Check = Callable[[Tree, str, Findings], None]


def check_artifact(scope: Scope, place: str, findings: Findings) -> None:
    """Check a conformance resource by the rules of its type; others pass.

    Args:
        scope: the resource.
        place: its FHIRPath.
        findings: where to write.
    """
    tree = scope.tree
    check = _CHECKS.get(str(tree["resourceType"]))
    if check is None:
        return
    url = tree.get("url")
    if isinstance(url, str) and ":" not in url.partition("/")[0]:
        findings.error("invalid", f"{place}.url", "a canonical url must be absolute")
    check(tree, place, findings)


# -- value sets and code systems -------------------------------------------------------------------


def _value_set(tree: Tree, place: str, findings: Findings) -> None:
    parameters = set(_parameters_of(tree))
    for part in ("include", "exclude"):
        for index, rule in enumerate(tree.get("compose", {}).get(part, ())):
            at = f"{place}.compose.{part}[{index}]"
            _check_rule(rule, at, findings)
            for number, each in enumerate(rule.get("filter", ())):
                _check_filter(each, rule, f"{at}.filter[{number}]", findings)
                _check_expression(each, parameters, f"{at}.filter[{number}]", findings)


def _parameters_of(tree: Tree) -> Iterator[str]:
    for extension in tree.get("extension", ()):
        if extension.get("url") == _PARAMETER:
            for part in extension.get("extension", ()):
                if part.get("url") == "name":
                    yield str(part.get("valueCode"))


def _check_rule(rule: Tree, place: str, findings: Findings) -> None:
    system = rule.get("system")
    if not isinstance(system, str):
        return
    if ":" not in system.partition("/")[0]:
        findings.error("invalid", place, "the system must be an absolute url")
        return
    for index, concept in enumerate(rule.get("concept", ())):
        code = concept.get("code")
        if isinstance(code, str) and is_code(system, code) is False:
            findings.error("business-rule", f"{place}.concept[{index}]", "not a code of the system")


def _check_filter(each: Tree, rule: Tree, place: str, findings: Findings) -> None:
    prop, value, system = each.get("property"), each.get("value"), rule.get("system")
    if prop == "notSelectable" and value is not None and value not in {"true", "false"}:
        findings.error("invalid", place, "the value must be true or false")
    if system == _SNOMED and prop == "constraint" and isinstance(value, str):
        if is_broken_constraint(value):
            findings.error("invalid", place, "the value is no expression constraint of SNOMED CT")
        return
    is_one = each.get("op") in {"=", "is-a", "descendent-of", "is-not-a", "generalizes"}
    is_code_asked = prop in {"concept", "parent"} and is_one and isinstance(value, str)
    if is_code_asked and is_code(str(system), str(value)) is False:
        findings.error("invalid", place, "the value must be a code of the system")


def _check_expression(each: Tree, parameters: set[str], place: str, findings: Findings) -> None:
    for extension in (each.get("_value") or {}).get("extension", ()):
        if extension.get("url") != _EXPRESSION:
            continue
        expression = extension.get("valueExpression", {})
        at = f"{place}.value.extension[0].value.ofType(Expression)"
        text = expression.get("expression")
        if expression.get("language") != "text/fhirpath":
            findings.error("invalid", at, "the language must be text/fhirpath")
        elif isinstance(text, str):
            if not _compiles(text):
                findings.error("invalid", at, "is not FHIRPath")
            elif text.startswith("%") and text[1:] not in parameters:
                findings.error("not-found", at, "names a parameter that is not declared")


def _compiles(expression: str) -> bool:
    try:
        compile_fhirpath(expression)
    except MalformedInputError:
        return False
    return True


def _code_system(tree: Tree, place: str, findings: Findings) -> None:
    content, count = tree.get("content"), tree.get("count")
    if "supplements" in tree and content != "supplement":
        findings.error("business-rule", f"{place}.content", "a supplement must say that it is one")
    is_counted = content == "complete" and isinstance(count, int)
    if is_counted and count != sum(1 for _ in _concepts(tree)):
        findings.error("invalid", f"{place}.count", "is not the number of concepts")


def _concepts(node: Tree) -> Iterator[Tree]:
    for concept in node.get("concept", ()):
        yield concept
        yield from _concepts(concept)


# -- structure definitions -------------------------------------------------------------------------


def _structure_definition(tree: Tree, place: str, findings: Findings) -> None:
    kind = tree.get("type")
    for index, element in enumerate(tree.get("differential", {}).get("element", ())):
        at = f"{place}.differential.element[{index}]"
        path = element.get("path")
        if not isinstance(path, str):
            continue
        parts = path.split(".")
        if len(parts) == 1 and "slicing" in element and tree.get("derivation") == "constraint":
            findings.error("invalid", at, "a profile must not be sliced at its root")
        if "" in parts:
            findings.error("invalid", at, "a name of the path is empty")
        elif parts[0] != kind and tree.get("derivation") == "constraint":
            findings.error("invalid", at, "the path does not begin with the type")
        elif tree.get("derivation") == "constraint" and not _leads(parts):
            findings.error("invalid", at, "the base type has no such element")


def _leads(parts: list[str]) -> bool:
    """Tell whether a path leads to an element; True where types are open and it cannot be told."""
    names = set(tables().names())
    current = parts[0]
    for part in parts[1:]:
        if current not in names:
            return True
        found = None
        for element in tables().structure(current):
            forms = {element.name, *(key for key, _kind in element.options())}
            if part.removesuffix("[x]") in forms or part == element.name + "[x]":
                found = element
                break
        if found is None:
            return False
        kinds = {kind for key, kind in found.options() if key == part} or set(found.types)
        if len(kinds) != 1 or "Resource" in kinds:
            return True
        current = kinds.pop().removeprefix("#")
    return True


# -- search parameters and capabilities ------------------------------------------------------------


def _known_parameter(url: Any, kind: str = "") -> tuple[str, tuple[str, ...]] | None:  # noqa: ANN401
    """Return (type, bases) of an R4 search parameter by its url."""
    if not isinstance(url, str) or not url.startswith(_FHIR):
        return None
    base, _, code = url.partition("|")[0].removeprefix(_FHIR).partition("-")
    for fact in tables().parameters:
        is_named = base in fact.bases or base in {"clinical", "conformance"}
        if fact.code == code and is_named and (not kind or kind in fact.bases):
            return fact.kind, fact.bases
    return None


def _search_parameter(tree: Tree, place: str, findings: Findings) -> None:
    kind = tree.get("type")
    if kind == "composite" and len(tree.get("component", ())) < 2:
        findings.error("business-rule", place, "a composite needs two components or more")
    expression = tree.get("expression")
    if isinstance(expression, str) and not _compiles(expression):
        findings.error("invalid", f"{place}.expression", "is not FHIRPath")
    known = _known_parameter(tree.get("derivedFrom"))
    if known is None:
        return
    if known[0] != kind:
        findings.error("business-rule", place, "is of another type than what it is derived from")
    if not set(tree.get("base", ())) <= set(known[1]):
        findings.error("business-rule", place, "has a base that what it is derived from has not")


def _capability_statement(tree: Tree, place: str, findings: Findings) -> None:
    for number, rest in enumerate(tree.get("rest", ())):
        for index, resource in enumerate(rest.get("resource", ())):
            for turn, each in enumerate(resource.get("searchParam", ())):
                known = _known_parameter(each.get("definition"), str(resource.get("type")))
                if known is not None and known[0] != each.get("type"):
                    at = f"{place}.rest[{number}].resource[{index}].searchParam[{turn}]"
                    findings.error("invalid", at, "is of another type than its definition")


def _nothing_more(_tree: Tree, _place: str, _findings: Findings) -> None:
    """Look at the url only."""


_CHECKS: Mapping[str, _Check] = {
    "ActivityDefinition": _nothing_more,
    "CapabilityStatement": _capability_statement,
    "CodeSystem": _code_system,
    "ConceptMap": _nothing_more,
    "Library": _nothing_more,
    "Measure": _nothing_more,
    "PlanDefinition": _nothing_more,
    "SearchParameter": _search_parameter,
    "StructureDefinition": _structure_definition,
    "ValueSet": _value_set,
}
