"""The whole validation of one resource: what ``$validate`` answers.

The write gate asks whether a resource is shaped as R4 says; this asks everything that can be told
here without a terminology server: codes, invariants, extensions, references, bundles, narratives,
questionnaires, definitions, and the profiles of US Core and IPS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from hilum.errors import MalformedInputError
from hilum.record.outcome import Issue, Severity, issue_of
from hilum.record.resource import Tree, parse_resource
from hilum.record.structure import find_issues
from hilum.record.validate import is_sound, parameter_resources
from hilum.record.validation.artifacts import check_artifact
from hilum.record.validation.bundles import check_bundle, entries_of, scope_of_entry
from hilum.record.validation.conformance import Conformer, root_spot
from hilum.record.validation.identities import check_contained, check_element_ids
from hilum.record.validation.magic import magic_profiles
from hilum.record.validation.model import Environment, Findings
from hilum.record.validation.nodes import Spot, profile_node
from hilum.record.validation.plans import Frame
from hilum.record.validation.questionnaires import check_answers, check_questionnaire
from hilum.record.validation.scope import Entries, Scope
from hilum.record.validation.values import LONGEST
from hilum.record.validation.walk import Walk

__all__ = ["validate_whole"]

_DEFAULT = Environment()


def validate_whole(
    resource: bytes | Tree,
    *,
    profiles: Iterable[str] = (),
    environment: Environment = _DEFAULT,
) -> list[Issue]:
    """Validate a resource as deeply as this node can.

    Args:
        resource: its bytes, or the tree that `parse_resource` made of them.
        profiles: urls of profiles that it must conform to, beside those it declares.
        environment: what may be looked at, and how strict to be.

    Returns:
        Every finding; none of severity error when the resource is valid. Never holds values of it.
    """
    try:
        tree = parse_resource(resource).tree if isinstance(resource, bytes) else resource
    except MalformedInputError as error:
        return [issue_of(error)]
    findings = Findings()
    if not is_sound(tree):
        _take_structure(tree, environment, findings)
        if findings.errors:
            return findings.issues
    if tree["resourceType"] == "Parameters":
        environment = replace(environment, resolve=_with_parameters(tree, environment))
    is_long = not isinstance(resource, bytes) or len(resource) > LONGEST
    root = Frame(None, None, -1, tree, tree["resourceType"])
    whole = _Whole(environment, findings, is_long=is_long)
    whole.check(Scope.of(tree), root)
    whole.conform_all(Scope.of(tree), root, profiles, unknown=Severity.ERROR)
    return findings.issues


def _take_structure(tree: Tree, environment: Environment, findings: Findings) -> None:
    for each in find_issues(tree, unknown=environment.unknown_elements):
        if environment.with_contained or ".contained[" not in each.expression:
            findings.add(each.severity, each.code, each.expression, each.why)


def _with_parameters(tree: Tree, environment: Environment) -> Callable[[str], Tree | None]:
    """Return a resolver that knows the resources of the parameters, too."""
    inside = {
        f"{each.get('resourceType')}/{each.get('id')}": each
        for each in parameter_resources(tree.get("parameter", ()))
    }
    return lambda reference: inside.get(reference) or environment.resolve(reference)


class _Whole:
    """Checks one resource and those inside it."""

    def __init__(self, environment: Environment, findings: Findings, *, is_long: bool) -> None:
        self._environment = environment
        self._findings = findings
        self._is_long = is_long

    def check(self, scope: Scope, root: Frame) -> None:
        tree, findings = scope.tree, self._findings
        entries = entries_of(tree) if root.type == "Bundle" else Entries()

        def inner(frame: Frame) -> None:
            self._check_inner(scope, root, frame, entries)

        def conform(frame: Frame, url: str) -> None:
            spot = Spot(frame.node, None, frame.type, frame.place, frame.item)
            Conformer(scope, self._environment, findings).check_profile(spot, url)

        walk = Walk(
            scope, self._environment, findings,
            inner=inner, conform=conform, is_long=self._is_long,
        )  # fmt: skip
        walk.run(root)
        check_element_ids(tree, root.place, findings)
        if self._environment.with_contained and not scope.is_contained:
            check_contained(tree, root.place, findings)
        self._check_kind(scope, root)
        # an array of primitives may hold nulls, where only a sibling is given
        declared = [url for url in tree.get("meta", {}).get("profile", ()) if url is not None]
        if self._environment.with_declared:
            self.conform_all(scope, root, declared)
        self.conform_all(scope, root, magic_profiles(tree))

    def _check_kind(self, scope: Scope, root: Frame) -> None:
        """Apply the rules of single resource types."""
        tree, findings = scope.tree, self._findings
        if root.type == "Bundle":
            check_bundle(tree, root.place, findings)
        elif root.type == "Questionnaire":
            check_questionnaire(tree, root.place, findings)
        elif root.type == "QuestionnaireResponse":
            check_answers(scope, root.place, self._environment, findings)
        else:
            check_artifact(scope, root.place, findings)

    def _check_inner(self, scope: Scope, root: Frame, frame: Frame, entries: Entries) -> None:
        inside = frame.node
        key = frame.step.key if frame.step is not None else ""
        if key == "contained":
            if not self._environment.with_contained:
                return
            below = Scope(inside, scope.inside, scope.entries, scope.full_url, scope.bundle_type)
        elif root.type == "Bundle" and frame.parent is not None and key == "resource":
            below = scope_of_entry(root.node, frame.parent.node, entries, inside)
        else:
            below = Scope.of(inside)
        self.check(below, frame)

    def conform_all(
        self,
        scope: Scope,
        root: Frame,
        profiles: Iterable[str],
        *,
        unknown: Severity = Severity.WARNING,
    ) -> None:
        """Check a resource against profiles; one that is not known is rated as `unknown`."""
        conformer = Conformer(scope, self._environment, self._findings)
        for url in profiles:
            if profile_node(url) is None:
                why = "a profile is not known here and has not been looked at"
                self._findings.add(unknown, "not-found", f"{root.place}.meta.profile", why)
                continue
            conformer.check_profile(root_spot(root.node, root.place, root.item), url)
