"""Invariants: FHIRPath over the element that carries them."""

from __future__ import annotations

from typing import Any

from hilum.errors import MalformedInputError
from hilum.record.fhirpath import Environment as Surroundings
from hilum.record.fhirpath import Item, compile_fhirpath
from hilum.record.terminology import is_in
from hilum.record.validation.facts import Constraint
from hilum.record.validation.model import Environment, Findings, Where
from hilum.record.validation.scope import Scope

__all__ = ["Judge"]


class Judge:
    """Evaluates invariants inside one resource.

    Args:
        scope: the resource and those around it.
        environment: what may be looked at.
        findings: where to write.
    """

    def __init__(self, scope: Scope, environment: Environment, findings: Findings) -> None:
        self._findings = findings
        self._surroundings = Surroundings(
            resolve=lambda reference: _resolve(scope, environment, reference),
            member_of=_member_of,
            conforms_to=None,
        )

    def judge(self, constraints: tuple[Constraint, ...], item: Item, where: Where) -> None:
        """Evaluate invariants on one element.

        Args:
            constraints: what must be true.
            item: the element, on its way from the root.
            where: writes its FHIRPath.
        """
        for constraint in constraints:
            self._apply(constraint, item, where)

    def _apply(self, constraint: Constraint, item: Item, where: Where) -> None:
        try:
            expression = compile_fhirpath(constraint.expression)
            holds = expression.is_true(item, environment=self._surroundings)
        except MalformedInputError:
            self._findings.warn(
                "not-supported", where(), f"invariant {constraint.key} could not be evaluated"
            )
            return
        if not holds:
            self._findings.add(
                constraint.severity, "invariant", where(), f"breaks the invariant {constraint.key}"
            )


def _member_of(item: Item, value_set: str) -> bool | None:
    value = item.value
    if isinstance(value, str):
        return is_in(value_set, None, value)
    if isinstance(value, dict) and isinstance(value.get("code"), str):
        return is_in(value_set, value.get("system"), value["code"])
    return None


def _resolve(scope: Scope, environment: Environment, reference: str) -> dict[str, Any] | None:
    if reference.startswith("#"):
        return scope.contained(reference[1:])
    inside = scope.in_bundle(reference)
    return inside[0] if len(inside) == 1 else environment.resolve(reference)
