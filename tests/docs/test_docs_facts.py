"""Numbers and lists that pages tell are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hilum.api.wire import MAX_BODY
from hilum.consent.terms import MAX_CLAUSES
from hilum.exchange.auditing import AUDIT_PARAMETERS
from hilum.identity.token import PREFIX
from hilum.journal.tiles import WIDTH
from hilum.record.access import Segment
from hilum.record.dates import Prefix
from hilum.record.query import DEFAULT_COUNT, MAX_COUNT
from hilum.verifier import STEPS


def told(root: Path, name: str) -> str:
    """Return a page with its line breaks taken out."""
    return " ".join((root / name).read_text("utf-8").split())


def test_steps_of_verification_are_told_in_their_order(root: Path) -> None:
    text = (root / "docs/reference/receipts-and-proofs.md").read_text("utf-8")
    table = text.partition("## Steps of verification")[2]
    assert tuple(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE)) == STEPS


def test_segments_of_the_glossary_are_those_of_the_access(root: Path) -> None:
    names = re.search(r"sensitivity partition of a record \(([^)]*)\)", told(root, "GLOSSARY.md"))
    assert names is not None
    assert names[1].split(", ") == [str(each.name) for each in Segment]


def test_policies_told_are_those_that_ship(root: Path) -> None:
    folder = root / "src" / "hilum" / "consent" / "policies"
    text = told(root, "docs/reference/data-directory.md")
    row = re.search(r"base policy: (.*?) \|", text)
    assert row is not None
    assert set(re.findall(r"`([\w-]+)`", row[1])) == {path.stem for path in folder.glob("*.toml")}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("docs/reference/http.md", f"default {DEFAULT_COUNT}, at most {MAX_COUNT}"),
        ("docs/reference/http.md", f"up to {MAX_BODY >> 20} MiB"),
        ("docs/reference/http.md", f"date prefixes `{' '.join(each.value for each in Prefix)}`"),
        ("docs/reference/http.md", f"Bearer {PREFIX}"),
        ("GLOSSARY.md", f"at most {MAX_CLAUSES} clauses"),
        ("GLOSSARY.md", f"{WIDTH} hashes of one level"),
    ],
)
def test_a_number_that_is_told_is_the_number_that_holds(root: Path, name: str, words: str) -> None:
    assert words in told(root, name)


def test_what_audit_events_are_searched_by_is_told(root: Path) -> None:
    text = told(root, "docs/reference/http.md")
    sentence = re.search(r"Receipts are found as AuditEvents[^.]*\.", text)
    assert sentence is not None
    assert set(re.findall(r"`(\w+)`", sentence[0])) == set(AUDIT_PARAMETERS)
