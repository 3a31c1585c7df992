"""The papers hold: sizes, links, names of what exists, one word per thing."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
_KEEP_A_CHANGELOG = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
_PATH = re.compile(r"(?:src|tests|docs|scripts|benchmarks)/[\w./*-]*\Z")

HOMONYMS = {
    "account": "accounting of disclosures (45 CFR 164.528)",
    "confirmed": "FHIR verificationStatus code",
    "instance": "FHIR: history of an instance; PCF: specific data",
    "login": "FHIR issue code `login`",
    "override": "base policy: whether an emergency overrides denials",
    "owner": "ledger: the owner key of a cell",
    "scope": "ASGI scope",
    "server": "granian's Server class",
}
"""Words the glossary sets aside for one thing that are also another thing's proper word."""


def slug_of(heading: str) -> str:
    """Return the anchor that Markdown viewers make of a heading."""
    plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def broken_links(page: Any, root: Path) -> Iterator[str]:
    for target in _LINK.findall(page.prose):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.path.parent / unquote(name)).resolve() if name else page.path
        if not path.is_relative_to(root) or not path.exists():
            yield f"{page.name} → {target}"
        elif anchor and path.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
            if anchor not in {slug_of(heading) for heading in headings}:
                yield f"{page.name} → {target} (no such heading)"


def test_readme_is_short_and_shows_both_commands(root: Path) -> None:
    text = (root / "README.md").read_text("utf-8")
    assert len(text.split()) <= 500
    for command in ("make run", "make test"):
        assert re.search(rf"^{command}\b", text, re.MULTILINE)


def test_readme_says_what_is_not_claimed(root: Path) -> None:
    text = " ".join((root / "README.md").read_text("utf-8").split())
    for label in (
        "Bitcoin orders, it does not verify",
        "proves nothing to outsiders",
        "not a diagnosis",
        "Unaudited",
    ):
        assert label in text


def test_architecture_fits_200_lines(root: Path) -> None:
    assert len((root / "ARCHITECTURE.md").read_text("utf-8").splitlines()) <= 200


def test_every_relative_link_leads_somewhere(pages: list[Any], root: Path) -> None:
    broken = [link for page in pages for link in broken_links(page, root)]
    assert not broken, broken


def test_a_broken_link_is_noticed(tmp_path: Path, pages: list[Any]) -> None:
    page = type(pages[0])(
        tmp_path / "x.md", "[a](missing.md) [b](x.md#nothing) [c](#here)\n# Here\n"
    )
    page.path.write_text(page.text, "utf-8")
    page_name = property(lambda self: self.path.name)
    shown = type("Shown", (), {"path": page.path, "prose": page.prose, "name": page_name})()
    assert list(broken_links(shown, tmp_path)) == [
        "x.md → missing.md",
        "x.md → x.md#nothing (no such heading)",
    ]


def test_every_page_begins_with_its_title_and_every_fence_says_its_language(
    pages: list[Any], root: Path
) -> None:
    for page in pages:
        assert page.text.startswith("# "), page.name
        assert page.text.endswith("\n"), page.name
        if page.path.is_relative_to(root / "src"):
            continue
        for block in page.blocks():
            assert block.language in {"sh", "python", "json", "text", "toml"}, page.name


def test_packages_of_the_architecture_are_those_of_the_source(root: Path) -> None:
    text = (root / "ARCHITECTURE.md").read_text("utf-8")
    house = text.partition("```text\nsrc/hilum/\n")[2].partition("```")[0]
    told = set(re.findall(r"^  (\w+)/ ", house, re.MULTILINE))
    there = {path.parent.name for path in (root / "src" / "hilum").glob("*/__init__.py")}
    assert told == there
    for page in ("ARCHITECTURE.md", "CONTRIBUTING.md"):
        order = re.search(r"^cli > [\w |>\n]+", (root / page).read_text("utf-8"), re.MULTILINE)
        assert order is not None, page
        assert set(re.findall(r"\w+", order[0])) == there | {"errors"}, page


def test_files_and_modules_named_in_pages_exist(pages: list[Any], root: Path) -> None:
    for page in pages:
        for span in page.spans():
            if _PATH.match(span):
                assert list(root.glob(span.rstrip("/"))), f"{page.name}: {span}"
            elif re.fullmatch(r"hilum(\.\w+)+", span) and span != "hilum.toml":
                assert is_importable(span), f"{page.name}: {span}"


def is_importable(dotted: str) -> bool:
    """Tell whether a dotted name is a module, or something in one."""
    try:
        importlib.import_module(dotted)
    except ModuleNotFoundError:
        module, _, name = dotted.rpartition(".")
        return bool(module) and hasattr(importlib.import_module(module), name)
    return True


def test_pages_name_no_place_of_one_machine(pages: list[Any]) -> None:
    for page in pages:
        found = re.search(r"(?<![\w.$}])/(?:work|tmp|home|root|Users)/", page.text)
        assert found is None, page.name


def test_changelog_keeps_its_form(root: Path) -> None:
    text = (root / "CHANGELOG.md").read_text("utf-8")
    assert text.startswith("# Changelog\n")
    releases = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert releases[0] == "[Unreleased]"
    for release in releases[1:]:
        assert re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", release), release
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= _KEEP_A_CHANGELOG
    for line in text.splitlines():
        assert re.match(r"(?:#|- |  |\Z|\[|\w)", line), line


def test_decisions_are_numbered_without_gaps_and_have_one_form(root: Path) -> None:
    folder = root / "docs" / "decisions"
    names = sorted(path.name for path in folder.glob("*.md"))
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    for name in names:
        text = (folder / name).read_text("utf-8")
        assert re.match(rf"# {int(name[:4])}\. .+\n\nStatus: \w+", text), name
        for heading in ("## Context", "## Decision", "## Consequences"):
            assert heading in text, (name, heading)


def forbidden_words(root: Path) -> set[str]:
    text = (root / "GLOSSARY.md").read_text("utf-8")
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \|([^|]*)\|$", text, re.MULTILINE)
    assert len(rows) > 30
    words = {word.strip() for _, cell in rows[1:] for word in cell.split(",")}
    return {word.lower() for word in words if re.fullmatch(r"[A-Za-z]+", word)}


def public_names(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (where, name) of public classes, functions and their parameters."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.startswith("_"):
                continue
            yield f"{path.name}:{node.lineno}", node.name
            if not isinstance(node, ast.ClassDef):
                for each in (*node.args.args, *node.args.kwonlyargs):
                    yield f"{path.name}:{node.lineno}", each.arg


def words_of(name: str) -> set[str]:
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)
    return {part.lower() for part in parts}


def test_public_names_do_not_use_the_words_that_the_glossary_sets_aside(root: Path) -> None:
    forbidden = forbidden_words(root) - set(HOMONYMS)
    assert forbidden >= {"user", "tenant", "requester", "consumer", "pdp"}
    found = [
        f"{where} {name}"
        for path in sorted((root / "src" / "hilum").rglob("*.py"))
        for where, name in public_names(path)
        if words_of(name) & forbidden
    ]
    assert not found, found


def test_excused_words_stand_in_the_glossary(root: Path) -> None:
    assert set(HOMONYMS) <= forbidden_words(root)


@pytest.mark.parametrize("word", ["utils", "helpers", "common", "manager", "service", "handler"])
def test_no_module_has_a_name_that_says_nothing(root: Path, word: str) -> None:
    assert not list((root / "src" / "hilum").rglob(f"*{word}*.py"))


def test_settings_told_are_those_that_are_read(root: Path) -> None:
    from hilum.exchange.datadir import Settings

    text = (root / "docs" / "reference" / "data-directory.md").read_text("utf-8")
    table = text.partition("## Settings")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(Settings.__slots__)
