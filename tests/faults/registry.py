"""Every place in the source that makes something durable, found by reading the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from faulting import STATEMENTS, SYSTEM_CALLS

_PATH_METHODS = {"replace": 1, "rename": 1, "unlink": 0, "rmdir": 0}
"""Method of a path → how many positional arguments it takes there (`str.replace` takes two)."""
_WRITER_VERBS = frozenset({"write", "submit", "append", "append_now"})


def list_points(source: Path) -> set[str]:
    """Return the names of all points that the source can reach, as `faulting` names them."""
    return {
        point
        for path in sorted((source / "hilum").rglob("*.py"))
        for point in _points_of(path, source)
    }


def _points_of(path: Path, source: Path) -> Iterator[str]:
    module = ".".join(path.relative_to(source).with_suffix("").parts).removeprefix("hilum.")
    yield from _walk(ast.parse(path.read_text("utf-8")), module, ())


def _walk(node: ast.AST, module: str, inside: tuple[str, ...]) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if (kind := _kind(child)) is not None:
            yield f"{kind} {module}:{'.'.join(inside)}"
        yield from _walk(child, module, (*inside, child.name) if named else inside)


def _kind(node: ast.AST) -> str | None:
    if isinstance(node, ast.Attribute) and node.attr in _WRITER_VERBS:
        return "commit" if ast.unparse(node.value).endswith("writer") else None
    is_method = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    return _kind_of_call(node, node.func) if is_method else None


def _kind_of_call(call: ast.Call, method: ast.Attribute) -> str | None:
    name, owner = method.attr, ast.unparse(method.value)
    first = call.args[0] if call.args else None
    if owner == "os":
        return name if name in SYSTEM_CALLS else None
    if name == "execute" and isinstance(first, ast.Constant):
        return next((k for s, k in STATEMENTS.items() if str(first.value).startswith(s)), None)
    is_path = name in _PATH_METHODS and len(call.args) == _PATH_METHODS[name]
    return name if is_path and not owner.startswith("msgspec.") else None
