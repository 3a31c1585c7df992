"""What the tests of the papers share: the pages, and the command tree."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language and its text."""

    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """One Markdown file."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def prose(self) -> str:
        """The page without its fenced blocks."""
        return _FENCE.sub("", self.text)

    def blocks(self) -> Iterator[Block]:
        for match in _FENCE.finditer(self.text):
            yield Block(match[1], match[2])

    def spans(self) -> list[str]:
        """The inline code of the page."""
        return re.findall(r"`([^`\n]+)`", self.prose)


def read_page(name: str) -> Page:
    path = ROOT / name
    return Page(path, path.read_text("utf-8"))


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def pages() -> list[Page]:
    """Every page of the repository: in its root, under docs and beside the packages."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("src/hilum/**/README.md")]
    assert len(found) > 10
    return [Page(path, path.read_text("utf-8")) for path in sorted(found)]


@pytest.fixture(scope="session")
def walk() -> list[Page]:
    """The pages whose blocks run, in their order: the tutorial, then the how-tos."""
    tutorial = read_page("docs/tutorial/first-record.md")
    howtos = sorted((ROOT / "docs" / "howto").glob("*.md"))
    return [tutorial, *(read_page(path.relative_to(ROOT).as_posix()) for path in howtos)]


@pytest.fixture(scope="session")
def reference() -> ModuleType:
    """The script that writes docs/reference/commands.md."""
    spec = importlib.util.spec_from_file_location(
        "write_reference", ROOT / "scripts" / "write_reference.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
