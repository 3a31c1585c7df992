"""The page docs/reference/conformance.md: one row per foreign suite, held by that suite's own test.

A suite's test hands its count to `told`; the row must say the same. `CONFORMANCE=write` in the
environment writes the row instead, so the page comes from the runs and from nothing else.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "conformance.md"
SUITES = {
    "fhirpath": ("FHIRPath R4, fhir-test-cases, strict mode", "≥ 95 %"),
    "fhirpath-parameters": ("expressions of the R4 search parameters, run by FHIRPath", "100 %"),
    "fhirpath-invariants": ("R4 base invariants compiled by FHIRPath", "100 %"),
    "patch": ("FHIRPath Patch R4, fhir-test-cases", "100 %"),
    "validator": ("validator, base R4 JSON cases: verdict of the HL7 validator", "≥ 92 %"),
    "example:fhir-r4-examples": ("R4 specification examples without a false error", "100 %"),
    "example:fhir-test-cases/r4/examples": (
        "fhir-test-cases examples without a false error",
        "100 %",
    ),
    "example:us-core-7.0.0": ("US Core 7.0.0 examples without a false error", "100 %"),
    "example:ips-2.0.0-examples": ("IPS 2.0.0 examples without a false error", "100 %"),
    "example:ips-samples": ("IPS samples without a false error", "100 %"),
    "example:hl7-phd": ("PHD examples without a false error", "100 %"),
    "example:synthea-r4": ("Synthea bundles without a false error", "100 %"),
    "us-core": ("US Core 7.0.0 metadata: every SHALL search, by GET and by POST", "100 %"),
    "us-core-rest": (
        "US Core 7.0.0 metadata: SHALL reads, comparators, alternatives, includes",
        "100 %",
    ),
    "parameters": ("R4 search parameters that are indexed and claimed", "100 %"),
    "openapi": ("operations of our OpenAPI under schemathesis: no 5xx, no violation", "100 %"),
}
"""Key → (suite as the page names it, goal), in the order of the page."""

HEAD = """\
# Conformance

Written by the suites themselves: `CONFORMANCE=write` with `make test` writes each row from its run, and
without it a row that no longer holds fails its suite. What fails is pinned, by name and with its reason,
in the test of the row. An error in an example is false when the HL7 validator (HAPI 8.8 with the HL7
validation core, offline) finds none in the same file; the files with true errors are listed beside the test.
Search parameters left out: `_text`, `_content`, `_query`, which R4 gives no expression.

| suite | passed | of | share | goal | test |
| --- | --- | --- | --- | --- | --- |
"""
_ROW = re.compile(r"^\| (?P<suite>[^|]+) \| \d+ \|")


def row(key: str, passed: int, total: int, test: str) -> str:
    """Return the row of a suite."""
    suite, goal = SUITES[key]
    share = f"{100 * passed / total:.1f} %"
    return f"| {suite} | {passed} | {total} | {share} | {goal} | `{test}` |"


def rows() -> dict[str, str]:
    """Return the rows of the page by suite."""
    lines = PAGE.read_text("utf-8").splitlines() if PAGE.exists() else []
    return {match["suite"]: line for line in lines if (match := _ROW.match(line))}


def told(key: str, passed: int, total: int, test: str) -> None:
    """Hold the row of a suite against a run of it, or write it.

    Args:
        key: of `SUITES`.
        passed: cases that pass.
        total: all cases.
        test: path of the test from the root of the repository.
    """
    wanted = row(key, passed, total, test)
    found = rows()
    if os.environ.get("CONFORMANCE") == "write":
        found[SUITES[key][0]] = wanted
        body = "\n".join(found[suite] for suite, _ in SUITES.values() if suite in found)
        PAGE.write_text(HEAD + body + "\n", "utf-8")
    else:
        assert found.get(SUITES[key][0]) == wanted
