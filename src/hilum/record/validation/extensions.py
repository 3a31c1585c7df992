"""Extensions: an absolute url, a known definition, a place where that definition lets them stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hilum.record.fhirpath.kinds import kind_named
from hilum.record.outcome import Severity
from hilum.record.types import is_resource_type
from hilum.record.validation.facts import ProfileRow, profile_row
from hilum.record.validation.model import Environment, Findings
from hilum.record.validation.nodes import profile_node
from hilum.record.validation.plans import Frame, plan_of

__all__ = ["check_extension"]


def check_extension(
    frame: Frame,
    environment: Environment,
    findings: Findings,
    conform: Callable[[Frame, str], None],
) -> None:
    """Check one extension.

    Args:
        frame: of the extension.
        environment: how unknown ones are rated.
        findings: where to write.
        conform: checks the extension against its definition.
    """
    url, holder = frame.node.get("url"), frame.parent
    has_value = any(key.lstrip("_").startswith("value") for key in frame.node)
    if has_value == ("extension" in frame.node):
        findings.error("invariant", frame.place, "breaks the invariant ext-1")
    if not isinstance(url, str) or holder is None:
        return
    if holder.type == "Extension" and ":" not in url:
        _check_part(frame, holder, url, findings)
        return
    if ":" not in url.partition("/")[0]:
        findings.error("invalid", f"{frame.place}.url", "must be an absolute url")
    elif "|" in url:
        findings.error("invalid", f"{frame.place}.url", "must not carry a version")
    else:
        _check_known(frame, url, environment, findings, conform)


def _check_part(frame: Frame, whole: Frame, url: str, findings: Findings) -> None:
    """Check a part of a complex extension against the definition of the whole, where it is known."""
    node = profile_node(str(whole.node.get("url")))
    if node is None or node.children.get("extension") is None:
        return
    slices = node.children["extension"].slices.values()
    names = {each.children["url"].fixed for each in slices if "url" in each.children}
    if names and url not in names:
        findings.error("structure", frame.place, "the extension has no part of this name")


def _check_known(
    frame: Frame,
    url: str,
    environment: Environment,
    findings: Findings,
    conform: Callable[[Frame, str], None],
) -> None:
    row = profile_row(url)
    if row is None or row.type != "Extension":
        why = "the definition of this extension is not known here"
        is_free = url.startswith(environment.extension_domains)
        severity = Severity.INFORMATION if is_free else environment.unknown_extensions
        findings.add(severity, "not-found", frame.place, why)
        return
    if not _may_stand(frame, row):
        why = "this extension is not allowed on this element"
        findings.error("structure", frame.place, why)
    is_modifier = frame.step is not None and frame.step.key == "modifierExtension"
    if is_modifier != row.modifier:
        word = "a modifier extension" if row.modifier else "no modifier extension"
        findings.error("structure", frame.place, f"this is {word}")
    conform(frame, url)


def _may_stand(frame: Frame, row: ProfileRow) -> bool:
    if not row.context or frame.parent is None:
        return True
    names = set(_names_of(frame.parent))
    return any(kind == "fhirpath" or expression in names for kind, expression in row.context)


def _names_of(holder: Frame) -> Iterator[str]:
    """Yield every name that a context may use for an element: paths, its type and those above it."""
    yield "Element"
    yield holder.path
    step, parent = holder.step, holder.parent
    if step is None or parent is None or is_resource_type(holder.type):
        yield from (holder.type, "Resource", "DomainResource")
        return
    yield f"{plan_of(parent.type).path}.{step.leaf}"
    kind = step.type
    if kind.startswith("#"):
        yield from ("BackboneElement", kind[1:])
    if kind == "Extension" and isinstance(holder.node.get("url"), str):
        yield holder.node["url"]
    yield from kind_named(kind).lineage
