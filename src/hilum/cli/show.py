"""How results and errors look in a terminal; `--json` prints exactly one JSON document instead."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from hilum.errors import HilumError, VerificationError

if TYPE_CHECKING:
    from hilum.cli.link import Progress

__all__ = ["progress_bar", "show_error", "show_result"]

_MOST_REFUSALS = 20


def show_result(result: Any, words: str, *, as_json: bool) -> None:  # noqa: ANN401 - JSON
    """Print a command's result.

    Args:
        result: JSON-able.
        words: which of the layouts below fits a terminal.
        as_json: print JSON instead.
    """
    if as_json:
        click.echo(json.dumps(result, ensure_ascii=False))
        return
    layout: Callable[[Any], None] = _LAYOUTS.get(words, _facts)
    layout(result)


def show_error(error: HilumError, *, as_json: bool) -> None:
    """Print an error to standard error: the place, the reason, what to do."""
    if as_json:
        fields = {"code": error.code, "why": error.why, "where": error.where, "hint": error.hint}
        if isinstance(error, VerificationError):
            fields["failed_step"] = error.step
        click.echo(json.dumps({"error": fields}, ensure_ascii=False), err=True)
        return
    click.echo(f"hilum: {error}", err=True)


@contextmanager
def progress_bar(words: str) -> Iterator[Progress]:
    """Give a progress function that draws a bar on a terminal's standard error, and nothing else."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(words, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)


def _facts(result: dict[str, Any]) -> None:
    width = max((len(name) for name in result), default=0)
    for name, value in result.items():
        click.echo(f"{name.replace('_', ' '):<{width}}  {_plain(value)}")


def _identity(result: dict[str, Any]) -> None:
    click.echo(result["id"])


def _table(result: list[dict[str, Any]]) -> None:
    if not result:
        click.echo("nothing there")
        return
    columns = list(result[0])
    rows = [[_plain(row.get(column)) for column in columns] for row in result]
    widths = [
        max(len(column), *(len(row[place]) for row in rows)) for place, column in enumerate(columns)
    ]
    for row in (list(columns), *rows):
        line = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())


def _import(result: dict[str, Any]) -> None:
    click.echo(
        f"subject {result['subject']}: {result['accepted']} accepted, "
        f"{result['duplicate']} duplicate, {len(result['refused'])} refused"
    )
    for refusal in result["refused"][:_MOST_REFUSALS]:
        click.echo(f"  refused {refusal['where']}: {refusal['why']}")
    if len(result["refused"]) > _MOST_REFUSALS:
        click.echo(f"  … and {len(result['refused']) - _MOST_REFUSALS} more (--json lists all)")
    for note in result.get("notes", [])[:_MOST_REFUSALS]:
        click.echo(f"  note {note['where']}: {note['why']}")


def _verify(result: dict[str, Any]) -> None:
    if not result["ok"]:
        click.echo(f"REFUSED at step {result['failed_step']}: {result['why']}")
        return
    click.echo("the proof holds")
    _facts(result["report"])


def _fsck(result: dict[str, Any]) -> None:
    if result["ok"]:
        click.echo("clean: everything re-derives from raw data")
    for problem in result["problems"]:
        click.echo(f"problem: {problem}")


def _story(result: dict[str, Any]) -> None:
    click.echo(f"{len(result['steps'])} steps, all held" if result["ok"] else "a step did not hold")


def _plain(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


_LAYOUTS: dict[str, Callable[[Any], None]] = {
    "facts": _facts,
    "fsck": _fsck,
    "id": _identity,
    "import": _import,
    "init": _facts,
    "story": _story,
    "table": _table,
    "verify": _verify,
}
