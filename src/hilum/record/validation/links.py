"""References and canonical urls: do they lead somewhere, and to what their element may point at?"""

from __future__ import annotations

from typing import Any

from hilum.record.outcome import Severity
from hilum.record.resource import Tree
from hilum.record.types import is_resource_type
from hilum.record.validation.facts import profile_row
from hilum.record.validation.model import Environment, Findings, Where
from hilum.record.validation.plans import Frame
from hilum.record.validation.scope import Scope

__all__ = ["check_canonical", "check_reference", "target_of", "type_said"]


def check_reference(
    frame: Frame, scope: Scope, environment: Environment, findings: Findings
) -> None:
    """Check one Reference: resolvable where it must be, and of a type that may be pointed at."""
    text = frame.node.get("reference")
    said = frame.node.get("type")
    found = None
    if isinstance(text, str):
        found = target_of(text, scope, environment)
        if text.startswith("#"):
            if found is None:
                findings.error("structure", frame.place, "no contained resource has this id")
        else:
            _check_outside(frame, text, scope, environment, findings)
    kind = type_said(text, found) or (said if isinstance(said, str) else "")
    if isinstance(said, str) and kind != said and is_resource_type(said):
        findings.error("structure", f"{frame.place}.type", "is not the type of what is referred to")
    _check_target(frame, kind, found, findings)


def _check_target(frame: Frame, kind: str, found: Tree | None, findings: Findings) -> None:
    targets = frame.step.rule.targets if frame.step is not None else ()
    if targets and kind and is_resource_type(kind) and kind not in targets:
        # What is not at hand is judged by its url alone, which proves little.
        severity = Severity.WARNING if found is None else Severity.ERROR
        findings.add(severity, "structure", frame.place, "may not refer to a resource of this type")


def _check_outside(
    frame: Frame, text: str, scope: Scope, environment: Environment, findings: Findings
) -> None:
    if scope.bundle_type in {"document", "message"}:
        return  # looked at by the rules of those bundles
    inside = scope.in_bundle(text)
    if len(inside) > 1 and "/_history/" not in text:
        findings.warn("invalid", frame.place, "more than one entry of the bundle has this url")
    if inside or ":" in text.partition("/")[0]:
        return
    if environment.with_references and environment.resolve(text) is None:
        findings.error("structure", frame.place, "what is referred to cannot be found")


def target_of(text: str, scope: Scope, environment: Environment) -> Tree | None:
    """Return the resource that a reference leads to, or None when that cannot be told."""
    if text.startswith("#"):
        return scope.contained(text[1:])
    inside = scope.in_bundle(text)
    return inside[0] if inside else environment.resolve(text)


def type_said(text: Any, found: Tree | None) -> str:  # noqa: ANN401 - a decoded JSON value
    """Return the resource type that a reference leads to, ``""`` when it does not show.

    Args:
        text: the reference.
        found: the resource, when it is at hand.
    """
    if found is not None:
        return str(found.get("resourceType", ""))
    if not isinstance(text, str) or text.startswith(("#", "urn:")):
        return ""
    parts = text.partition("?")[0].partition("/_history/")[0].split("/")
    if len(parts) < 2:
        return ""
    return parts[-2] if is_resource_type(parts[-2]) else ""


def check_canonical(value: Any, where: Where, scope: Scope, findings: Findings) -> None:  # noqa: ANN401
    """Check one canonical url: absolute, or the id of a contained resource."""
    if not isinstance(value, str):
        return
    if value.startswith("#"):
        if scope.contained(value[1:]) is None:
            findings.warn("not-found", where(), "no contained resource has this id")
    elif ":" not in value.partition("/")[0]:
        findings.error(
            "invalid", where(), "must be an absolute url or the id of a contained resource"
        )


def type_of_target(target: str) -> str:
    """Return the resource type that a target profile stands for, ``""`` when it is not known."""
    if is_resource_type(target):
        return target
    row = profile_row(target)
    return row.type if row is not None else ""
