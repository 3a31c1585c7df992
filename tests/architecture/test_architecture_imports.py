"""Who may import whom: the contracts of pyproject.toml, and what they cannot see."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "hilum"
MODULES = sorted(SOURCE.rglob("*.py"))
SHELL = {"api", "portal", "cli", "exchange", "__main__"}
READS_THE_CLOCK = {"now", "utcnow", "today", "time", "time_ns", "monotonic", "monotonic_ns"}
TIME_OWNERS = {"datetime", "date", "time"}
OPENS_OR_RUNS = {"open", "print", "input", "exec", "eval"}
ASKS_THE_SYSTEM = {"urandom", "getrandom", "environ", "getenv", "fsync"}


def room_of(path: Path) -> str:
    """Return the first folder below the package, or the module's own name."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def is_core(path: Path) -> bool:
    return room_of(path) not in SHELL and "adapters" not in path.parts


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def place(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


def test_the_import_contracts_hold(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "src"))
    code = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert code == 0, capsys.readouterr().out


def test_every_room_has_a_layer_and_every_layer_a_room() -> None:
    rooms = {room_of(path) for path in MODULES} - {"__init__"}
    config = (ROOT / "pyproject.toml").read_text()
    block = config.split("exhaustive = true")[1].split("]")[0]
    layers = {part.strip(' ",') for line in block.splitlines() for part in line.split("|")}
    assert rooms == layers - {"", "layers = ["}


def private_names(path: Path) -> Iterator[str]:
    """Yield imports of names that another room keeps to itself."""
    for node in ast.walk(tree_of(path)):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("hilum."):
            continue
        names = [*(node.module or "").split(".")[1:], *(alias.name for alias in node.names)]
        hidden = [name for name in names if name.startswith("_") and not name.endswith("__")]
        if hidden and names[0] != room_of(path):
            yield f"{place(path, node)} {hidden[0]}"


def test_no_room_uses_a_private_name_of_another() -> None:
    assert [found for path in MODULES for found in private_names(path)] == []


def test_no_private_module_is_imported_from_another_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "src"))
    graph = grimp.build_graph("hilum", cache_dir=None)
    for module in graph.modules:
        parts = module.split(".")
        if not any(part.startswith("_") and not part.endswith("__") for part in parts):
            continue
        importers = graph.find_modules_that_directly_import(module)
        assert {importer.split(".")[1] for importer in importers} <= {parts[1]}, module


def impurity(node: ast.AST) -> str:
    """Return what a core may not do here: read the clock, ask the system, open files; or nothing."""
    match node:
        case ast.Attribute(value=ast.Name(id=owner), attr=name):
            reads = owner in TIME_OWNERS and name in READS_THE_CLOCK
            asks = owner == "os" and name in ASKS_THE_SYSTEM
            return f"{owner}.{name}" if reads or asks else ""
        case ast.Call(func=ast.Name(id=name)) if name in OPENS_OR_RUNS:
            return f"{name}()"
        case _:
            return ""


def impurities(path: Path) -> Iterator[str]:
    for node in ast.walk(tree_of(path)):
        if found := impurity(node):
            yield f"{place(path, node)} {found}"


def test_cores_take_time_and_chance_as_arguments_and_open_nothing() -> None:
    assert [found for path in MODULES if is_core(path) for found in impurities(path)] == []


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("datetime.now(UTC)", 1),
        ("time.time()", 1),
        ("os.urandom(32)", 1),
        ("open('x')", 1),
        ("from hilum.vault.keyring import _open_it", 1),
        ("from hilum.vault._inner import open_it", 1),
        ("from hilum.base.hashes import tagged_hash", 0),
        ("self.open('x'); now = clock()", 0),
    ],
)
def test_these_rules_see_what_they_should(tmp_path: Path, code: str, count: int) -> None:
    folder = SOURCE / "record"
    probe = folder / "probe_that_is_not_written.py"
    tree = ast.parse(code)

    def parsed(_: Path) -> ast.Module:
        return tree

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "tree_of", parsed)
        assert len([*private_names(probe), *impurities(probe)]) == count
