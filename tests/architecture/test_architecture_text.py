"""What no tracked file may hold: places of one machine, hosts of registries, unfinished work."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# written so that this file does not match itself
MACHINE = re.compile(r"(?<![\w.])/(?:wo[r]k|ho[m]e/\w+|ro[o]t|Use[r]s/\w+|tm[p])/[\w.]")
REGISTRY = re.compile(
    r"files\.pythonhoste[d]\.org|pypi\.or[g]/(?:simple|pypi)|registry\.npmj[s]\.org|"
    r"proxy\.golan[g]\.org|--(?:extra-)?index-ur[l]\b|--trusted-hos[t]\b|deb\.debia[n]\.org"
)
UNFINISHED = re.compile(r"\b(?:TOD[O]|FIXM[E]|XX[X]|raise NotImplemente[d]\w*)\b")


def tracked() -> list[Path]:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("this is not a git checkout")
    listed = subprocess.run(
        [git, "-C", str(ROOT), "ls-files", "-z"], check=True, capture_output=True, text=True
    ).stdout
    paths = [ROOT / name for name in listed.split("\0") if name]
    return [path for path in paths if path.is_file()]


def text_of(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""


def hits(pattern: re.Pattern[str], paths: list[Path]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{text_of(path).count(chr(10), 0, found.start()) + 1}"
        for path in paths
        for found in pattern.finditer(text_of(path))
    ]


def test_no_file_names_a_place_of_one_machine() -> None:
    assert hits(MACHINE, tracked()) == []


def test_no_file_names_a_registrys_host() -> None:
    assert hits(REGISTRY, tracked()) == []


def test_no_source_is_unfinished() -> None:
    assert hits(UNFINISHED, [path for path in tracked() if path.suffix == ".py"]) == []


@pytest.mark.parametrize(
    ("pattern", "text", "seen"),
    [
        (MACHINE, "see /wo" + "rk/main/x", True),
        (MACHINE, "in /ho" + "me/somebody/x", True),
        (MACHINE, "/tm" + "p/file", True),
        (MACHINE, "https://example.org/wo" + "rk/x", False),
        (MACHINE, "GET /fhir/Patient", False),
        (REGISTRY, "https://files.pythonhoste" + "d.org/packages", True),
        (REGISTRY, "--index-ur" + "l https://mirror", True),
        (UNFINISHED, "# TOD" + "O: later", True),
        (UNFINISHED, "    raise NotImplemente" + "dError", True),
        (UNFINISHED, "except NotImplementedError:", False),
        (UNFINISHED, "todos", False),
    ],
)
def test_these_rules_see_what_they_should(pattern: re.Pattern[str], text: str, seen: bool) -> None:
    assert bool(pattern.search(text)) is seen
