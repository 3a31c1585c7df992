"""What a validation is told and what it finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hilum.record.outcome import Issue, Severity
from hilum.record.resource import Tree

__all__ = ["Environment", "Findings", "Where"]

Where = Callable[[], str]
"""Writes the FHIRPath of an element, when it is asked for."""


def _nothing(_canonical: str) -> Tree | None:
    return None


@dataclass(frozen=True, slots=True)
class Environment:
    """What a validation may look at, and how strict it is.

    Attributes:
        resolve: returns the resource of a reference outside the validated one, or None.
        find_definition: returns the questionnaire, value set or other definition of a canonical url.
        unknown_elements: how an element is rated that R4 does not define.
        unknown_extensions: how an extension is rated whose definition is not known here.
        extension_domains: beginnings of urls of extensions that may be unknown.
        example_urls: how urls of example.org and acme.com are rated; None = not looked at.
        html_in_text: how text is rated that looks like HTML; None = not looked at.
        with_declared: True to check also against the known profiles of ``meta.profile``.
        with_contained: True to check contained resources, too.
        with_references: True when every relative reference must lead to something `resolve` knows.
    """

    resolve: Callable[[str], Tree | None] = _nothing
    find_definition: Callable[[str], Tree | None] = _nothing
    unknown_elements: Severity = Severity.ERROR
    unknown_extensions: Severity = Severity.INFORMATION
    extension_domains: tuple[str, ...] = ()
    example_urls: Severity | None = None
    html_in_text: Severity | None = None
    with_declared: bool = True
    with_contained: bool = True
    with_references: bool = False


@dataclass(slots=True)
class Findings:
    """The issues found so far, each once, in the order of finding."""

    issues: list[Issue] = field(default_factory=list)
    _seen: set[Issue] = field(default_factory=set)

    def add(self, severity: Severity, code: str, place: str, why: str) -> None:
        """Take down one issue.

        Args:
            severity: error, warning or information.
            code: of FHIR issue-type.
            place: FHIRPath of the element.
            why: a sentence without values of the input.
        """
        issue = Issue(severity, code, why, place)
        if issue not in self._seen:
            self._seen.add(issue)
            self.issues.append(issue)

    def error(self, code: str, place: str, why: str) -> None:
        """Take down an error."""
        self.add(Severity.ERROR, code, place, why)

    def warn(self, code: str, place: str, why: str) -> None:
        """Take down a warning."""
        self.add(Severity.WARNING, code, place, why)

    def note(self, code: str, place: str, why: str) -> None:
        """Take down an information."""
        self.add(Severity.INFORMATION, code, place, why)

    @property
    def errors(self) -> int:
        """Return how many errors were found."""
        return sum(1 for each in self.issues if each.severity is Severity.ERROR)
