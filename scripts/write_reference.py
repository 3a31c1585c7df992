"""Write docs/reference/commands.md from the command line itself (`make docs`).

The page cannot drift: a test renders it again and compares.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from hilum.cli.main import main as command_line
from hilum.cli.options import exit_code
from hilum.errors import ConflictError, MalformedInputError, UnavailableError

TARGET = Path(__file__).resolve().parents[1] / "docs" / "reference" / "commands.md"

EXIT_CODES = {
    0: "done; for `verify`, `fsck` and `demo`: everything held",
    exit_code(ConflictError("", "")): "refused, in conflict, or something did not hold",
    exit_code(MalformedInputError("", "")): "the input is wrong; nothing was changed",
    exit_code(UnavailableError("", "")): "cannot be done now, or no node there",
}

SHARED = {"as_json", "data"}
"""Parameters that every command has; the introduction tells of them once."""

MARKS = ("\b", "\\b")
"""Click's mark for a paragraph that keeps its lines, as a character or as written."""

RESULTS = {
    "subject add": '{"id"}',
    "reader add": '{"id"}',
    "token": '{"token", "expires"}',
    "grant": '{"directive"}',
    "import": '{"subject", "accepted", "duplicate", "refused": [{"where", "why"}]}',
    "log": '[{"receipt", "at", "reader", "purpose", "action", "outcome", "count"}]',
    "seal": '{"batch", "operations", "anchor", "height"}',
    "verify": '{"ok", "failed_step"}',
    "fsck": '{"ok", "problems": []}',
}
"""JSON that scripts may rely on; other members can come beside these. Held by tests/docs."""

INTRODUCTION = """\
# Commands

Written by `make docs` from the command line itself; do not edit.

Every command takes `--help`, `--json` (exactly one JSON document on standard output) and
`--data DIR` (default: `$HILUM_DATA`, else `~/.local/share/hilum`). While a node runs on a data
directory, commands reach it through its local socket; otherwise they open the directory themselves.
Two writers on one directory are impossible. Errors go to standard error.
"""


def commands_of(
    group: click.Group = command_line, prefix: str = ""
) -> Iterator[tuple[str, click.Command]]:
    """Yield (words after `hilum`, command) for every command that does something."""
    for name, command in sorted(group.commands.items()):
        words = f"{prefix}{name}"
        if isinstance(command, click.Group):
            yield from commands_of(command, f"{words} ")
        else:
            yield words, command


def render() -> str:
    """Return the page."""
    parts = [INTRODUCTION, "| exit code | meaning |\n|---|---|"]
    parts[-1] += "".join(f"\n| {code} | {words} |" for code, words in sorted(EXIT_CODES.items()))
    parts[-1] += "\n"
    parts += [render_command(words, command) for words, command in commands_of()]
    return "\n".join(parts)


def render_command(words: str, command: click.Command) -> str:
    """Return the section of one command: what it does, usage, options, example, JSON."""
    about, example = split_help(command.help or "")
    context = click.Context(command, info_name=f"hilum {words}", max_content_width=100)
    usage = command.get_usage(context).removeprefix("Usage: ")
    lines = [f"## hilum {words}", "", about, "", "```text", " ".join(usage.split()), "```", ""]
    lines += ["| parameter | meaning |", "|---|---|"]
    own = [each for each in command.params if each.name not in SHARED]
    lines += [render_parameter(each, context) for each in own] or ["| - | none of its own |"]
    lines += ["", "Example:", "", "```text", example, "```", ""]
    if words in RESULTS:
        lines += [f"With `--json`: `{RESULTS[words]}`", ""]
    return "\n".join(lines)


def render_parameter(parameter: click.Parameter, context: click.Context) -> str:
    """Return the table row of one option or argument."""
    if isinstance(parameter, click.Argument):
        return f"| `{parameter.make_metavar(context)}` | argument |"
    record = parameter.get_help_record(context) or ("", "")
    names, meaning = (text.replace("|", "\\|") for text in record)
    return f"| `{names}` | {' '.join(meaning.split()) or '-'} |"


def split_help(text: str) -> tuple[str, str]:
    """Return (what it does, the example's lines) of a command's help text."""
    lines = [line for line in inspect.cleandoc(text).splitlines() if line.strip() not in MARKS]
    at = next((n for n, line in enumerate(lines) if line.strip() == "Example:"), len(lines))
    example = "\n".join(line.strip() for line in lines[at + 1 :] if line.strip())
    return "\n".join(lines[:at]).strip(), example


def main() -> None:
    """Write the page."""
    TARGET.write_text(render(), "utf-8")
    print(f"written: {TARGET.relative_to(TARGET.parents[2])}")


if __name__ == "__main__":
    main()
