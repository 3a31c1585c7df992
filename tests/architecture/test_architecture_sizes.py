"""How large things may grow, and that what is public is explained."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "hilum"
MODULES = sorted(SOURCE.rglob("*.py"))
PACKAGES = sorted(path.parent for path in SOURCE.glob("*/__init__.py"))
MOST_LINES = 400
EXEMPT: dict[str, str] = {}
"""Files of pure data: path below src/hilum -> reason."""
AVOIDED = {"utils", "helpers", "common", "manager", "service", "handler", "misc"}


def lines_of(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_no_module_is_longer_than_it_can_be_read() -> None:
    long = {
        name: lines_of(path)
        for path in MODULES
        if lines_of(path) > MOST_LINES
        and (name := path.relative_to(SOURCE).as_posix()) not in EXEMPT
    }
    assert long == {}


def test_every_exemption_is_still_needed() -> None:
    assert all(lines_of(SOURCE / name) > MOST_LINES for name in EXEMPT)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_a_package_explains_itself_in_forty_lines(package: Path) -> None:
    readme = package / "README.md"
    assert readme.exists(), "a package README says purpose, signature, invariants, key items"
    assert lines_of(readme) <= 40


def test_the_front_documents_stay_short() -> None:
    assert len((ROOT / "README.md").read_text().split()) <= 500
    assert lines_of(ROOT / "ARCHITECTURE.md") <= 200


def test_names_of_modules_say_what_is_in_them() -> None:
    assert [path for path in MODULES if AVOIDED & set(path.stem.split("_"))] == []


def public_without_docstring(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if node.name.startswith("_"):
                continue
            overload = any("overload" in ast.unparse(mark) for mark in node.decorator_list)
            setter = any(ast.unparse(mark).endswith(".setter") for mark in node.decorator_list)
            if ast.get_docstring(node) is None and not overload and not setter:
                yield f"{prefix}{node.name}"
            if isinstance(node, ast.ClassDef):
                yield from public_without_docstring(node.body, f"{prefix}{node.name}.")


def test_everything_public_has_a_docstring() -> None:
    found = []
    for path in MODULES:
        tree = ast.parse(path.read_text())
        name = path.relative_to(SOURCE).as_posix()
        if ast.get_docstring(tree) is None and tree.body:
            found.append(name)
        found += [f"{name} {each}" for each in public_without_docstring(tree.body)]
    assert found == []


def test_the_docstring_rule_sees_what_it_should() -> None:
    code = """
def a(): "said"
def b(): pass
def _c(): pass
class D:
    "said"
    def e(self): pass
    def _f(self): pass
"""
    assert list(public_without_docstring(ast.parse(code).body)) == ["b", "D.e"]
