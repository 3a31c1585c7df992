"""The deep walk: every element of a sound resource meets the rules of its structure and type."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from hilum.record.resource import Tree
from hilum.record.validation.bindings import check_binding, check_coding
from hilum.record.validation.extensions import check_extension
from hilum.record.validation.invariants import Judge
from hilum.record.validation.links import check_canonical, check_reference
from hilum.record.validation.model import Environment, Findings
from hilum.record.validation.narratives import check_narrative
from hilum.record.validation.plans import Frame, Step, plan_of
from hilum.record.validation.scope import Scope
from hilum.record.validation.values import (
    check_attachment,
    check_identifier,
    check_text,
    check_uri,
)

__all__ = ["Conform", "Inner", "Walk"]

Inner = Callable[[Frame], None]
"""Called with the frame of each resource inside the resource."""
Conform = Callable[[Frame, str], None]
"""Called with a frame and the url of a profile that it must conform to."""

_OTHER_VERSION = re.compile(r"http://hl7\.org/fhir/[0-9]\.[0-9]/StructureDefinition/extension-")
_CODED = ("Coding", "Quantity", "Age", "Count", "Distance", "Duration")
_URIS = frozenset({"oid", "uri", "url", "uuid"})
_TEXTS = frozenset({"markdown", "string"})


class Walk:
    """Walks one resource; what stands inside it as a resource is handed to `inner`.

    Args:
        scope: the resource and those around it.
        environment: what may be looked at.
        findings: where to write.
        inner: takes the resources inside.
        conform: takes the extensions whose definition is known.
        is_long: True when a text of the resource may be longer than R4 lets it be.
    """

    def __init__(
        self,
        scope: Scope,
        environment: Environment,
        findings: Findings,
        *,
        inner: Inner,
        conform: Conform,
        is_long: bool = False,
    ) -> None:
        self._scope = scope
        self._environment = environment
        self._findings = findings
        self._inner = inner
        self._conform = conform
        self._with_texts = environment.html_in_text is not None or is_long
        self.judge = Judge(scope, environment, findings)
        self._looks: Mapping[str, Callable[[Frame], None]] = {
            "Attachment": lambda at: check_attachment(at.node, at.where, findings),
            "Extension": lambda at: check_extension(at, environment, findings, conform),
            "Identifier": lambda at: check_identifier(at.node, at.where, findings),
            "Narrative": lambda at: check_narrative(at, scope, findings),
            **dict.fromkeys(_CODED, lambda at: check_coding(at.node, at.where, findings)),
            "Reference": lambda at: check_reference(at, scope, environment, findings),
        }

    def run(self, frame: Frame) -> None:
        """Walk an object and everything in it."""
        plan = plan_of(frame.type)
        node = frame.node
        if plan.constraints:
            self.judge.judge(plan.constraints, frame.item, frame.where)
        look = self._looks.get(frame.type)
        if look is not None:
            look(frame)
        steps = plan.steps
        for key, value in node.items():
            step = steps.get(key)
            if step is None:
                self._sibling(frame, key, value)
            elif step.is_plain and not self._with_texts:
                continue
            elif step.is_list:
                for index, item in enumerate(value):
                    self._value(frame, step, index, item)
            else:
                self._value(frame, step, -1, value)

    def _value(self, frame: Frame, step: Step, index: int, value: Any) -> None:  # noqa: ANN401
        if step.is_primitive:
            if value is not None:
                self._primitive(frame, step, index, value)
            return
        below = Frame(frame, step, index, value, step.type)
        if step.type == "Resource":
            below.type = value["resourceType"]
            self._inner(below)
            return
        rule = step.rule
        if step.constraints:
            self.judge.judge(step.constraints, below.item, below.where)
        if rule.binding is not None:
            check_binding(rule.binding, value, step.type, below.where, self._findings)
        self.run(below)

    def _primitive(self, frame: Frame, step: Step, index: int, value: Any) -> None:  # noqa: ANN401
        def where() -> str:
            return frame.below(step, index)

        rule = step.rule
        if step.constraints:
            self.judge.judge(step.constraints, frame.primitive(step, index, value), where)
        if rule.binding is not None:
            check_binding(rule.binding, value, step.type, where, self._findings)
        if step.type == "canonical":
            check_canonical(value, where, self._scope, self._findings)
        if step.type in _URIS or step.type == "canonical":
            check_uri(value, where, self._environment, self._findings)
        elif self._with_texts and step.type in _TEXTS:
            check_text(value, where, self._environment, self._findings)

    def _sibling(self, frame: Frame, key: str, value: Any) -> None:  # noqa: ANN401
        step = plan_of(frame.type).steps.get(key[1:]) if key.startswith("_") else None
        if step is None or not step.is_primitive:
            return
        texts = frame.node.get(step.key)
        for index, item in enumerate(value) if step.is_list else ((-1, value),):
            if item is not None:
                self.run(Frame(frame, step, index, item, "Element"))
                if not _has_value(texts, index):
                    self._without_value(frame, step, index, item)

    def _without_value(self, frame: Frame, step: Step, index: int, extra: Tree) -> None:
        binding = step.rule.binding
        urls = [str(each.get("url")) for each in extra.get("extension", ())]
        if binding is not None and binding.strength == "required" and not _stands_in(urls):
            why = "a code of the required value set is needed"
            self._findings.error("code-invalid", frame.below(step, index), why)


def _has_value(values: Any, index: int) -> bool:  # noqa: ANN401 - a decoded JSON value
    """Tell whether a primitive has a value beside its sibling; index -1 is that of no array."""
    if values is None or index < 0:
        return values is not None
    return index < len(values) and values[index] is not None


def _stands_in(urls: list[str]) -> bool:
    """Tell whether an extension carries the element as another version of FHIR has it."""
    return any(_OTHER_VERSION.match(url) for url in urls)
