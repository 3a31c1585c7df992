"""Codes: are they of the system they name, and in the value set that their element is bound to?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hilum.record.outcome import Severity
from hilum.record.terminology import is_code, is_in, is_known_value_set
from hilum.record.validation.facts import Binding
from hilum.record.validation.model import Findings, Where

__all__ = ["check_binding", "check_coding", "is_bound"]

_QUANTITIES = frozenset({"Quantity", "Age", "Count", "Distance", "Duration", "MoneyQuantity"})
_NOT_IN = "not a code of the value set that is {} here"


def check_coding(coding: dict[str, Any], where: Where, findings: Findings) -> None:
    """Check one Coding or quantity on its own: an absolute system, a code that the system has."""
    system, code = coding.get("system"), coding.get("code")
    if not isinstance(system, str):
        return
    if ":" not in system.partition("/")[0] and not system.startswith("#"):
        findings.error("invalid", f"{where()}.system", "must be an absolute url")
    elif is_known_value_set(system):
        findings.error("invalid", f"{where()}.system", "is a value set, not a code system")
    elif isinstance(code, str) and is_code(system, code) is False:
        findings.error("code-invalid", f"{where()}.code", "not a code of its code system")


def check_binding(
    binding: Binding,
    value: Any,  # noqa: ANN401 - a decoded JSON value
    kind: str,
    where: Where,
    findings: Findings,
) -> None:
    """Check a value against the binding of its element.

    Args:
        binding: what the element is bound to.
        value: its JSON value.
        kind: its type.
        where: writes the FHIRPath of the element.
        findings: where to write.
    """
    answer = is_bound(binding.value_set, value, kind)
    if answer is False:
        _rate(binding.strength, where(), findings)
    elif answer is None and binding.strength == "required" and _is_uncoded(value, kind):
        findings.error("code-invalid", where(), "a code of the required value set is needed")
    if binding.largest and is_bound(binding.largest, value, kind) is False:
        findings.error("code-invalid", where(), "not a code of the largest value set allowed here")


def _rate(strength: str, place: str, findings: Findings) -> None:
    if strength == "required":
        findings.error("code-invalid", place, _NOT_IN.format("required"))
    elif strength == "extensible":
        findings.add(Severity.WARNING, "code-invalid", place, _NOT_IN.format("expected"))


def _is_uncoded(value: Any, kind: str) -> bool:  # noqa: ANN401 - a decoded JSON value
    return kind == "CodeableConcept" and not any(
        isinstance(each, dict) and each.get("code") for each in value.get("coding", ())
    )


def is_bound(value_set: str, value: Any, kind: str) -> bool | None:  # noqa: ANN401
    """Tell whether a value is in a value set; None when that cannot be told or does not arise.

    Args:
        value_set: url.
        value: JSON value of a code, string, uri, Coding, CodeableConcept or Quantity.
        kind: its type.
    """
    if isinstance(value, str):
        return is_in(value_set, None, value)
    if not isinstance(value, dict):
        return None
    if kind == "CodeableConcept":
        return _any_of(_of_coding(value_set, each) for each in value.get("coding", ()))
    if kind == "Coding" or kind in _QUANTITIES:
        return _of_coding(value_set, value)
    return None


def _any_of(answers: Iterable[bool | None]) -> bool | None:
    found = list(answers)
    if True in found:
        return True
    return None if None in found or not found else False


def _of_coding(value_set: str, coding: Any) -> bool | None:  # noqa: ANN401 - a decoded JSON value
    if not isinstance(coding, dict):
        return None
    system, code = coding.get("system"), coding.get("code")
    if not isinstance(code, str):
        return None
    if not isinstance(system, str):  # a code of no system is a code of no value set
        return False if is_known_value_set(value_set) else None
    return is_in(value_set, system, code)
