"""The command reference is complete and current; pages name only commands and options that exist."""

from __future__ import annotations

import re
import shlex
from types import ModuleType
from typing import Any

import click
import pytest
from click.testing import CliRunner

from hilum.cli.main import main

_SHARED = {"--json", "--data", "--help", "-h", "--version"}


def options_of(command: click.Command) -> set[str]:
    return {name for each in command.params if isinstance(each, click.Option) for name in each.opts}


def find_command(words: list[str]) -> tuple[str, click.Command, list[str]]:
    """Return (name, command, words left over) of words after `hilum`."""
    command: click.Command = main
    name = []
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.commands.get(rest[0])
        assert found is not None, f"there is no command hilum {' '.join([*name, rest[0]])}"
        command = found
        name.append(rest.pop(0))
    return " ".join(name), command, rest


def verify_words(line: str) -> None:
    """Fail when a command line names a command or an option that does not exist."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        words = line.split()
    name, command, rest = find_command(words[1:])
    known = options_of(command) | _SHARED
    for word in rest:
        if word in {"|", ">", "&", "&&", "||"}:
            break
        if re.match(r"--?[a-z]", word):
            option = word.partition("=")[0]
            assert option in known, f"hilum {name} has no option {option}"


def command_lines(page: Any) -> list[str]:
    """Return every `hilum …` line of a page, in blocks and in inline code."""
    lines = [span for span in page.spans() if span.startswith("hilum ")]
    for block in page.blocks():
        if block.language not in {"sh", "text"}:
            continue
        for line in block.text.splitlines():
            found = re.search(r"(?:^|\$\(|[!;] )hilum (?=[a-z-])([^)]*)", line)
            if found:
                lines.append("hilum " + found[1])
    return lines


def test_command_reference_is_what_the_command_line_says(root: Any, reference: ModuleType) -> None:
    written = (root / "docs" / "reference" / "commands.md").read_text("utf-8")
    assert written == reference.render(), "stale: run `make docs`"


def test_every_command_and_option_is_documented(root: Any, reference: ModuleType) -> None:
    text = (root / "docs" / "reference" / "commands.md").read_text("utf-8")
    sections = {
        part.partition("\n")[0]: part for part in re.split(r"^## ", text, flags=re.MULTILINE)
    }
    introduction = text.partition("\n## ")[0]
    commands = list(reference.commands_of())
    assert len(commands) >= 20
    for words, command in commands:
        section = sections[f"hilum {words}"]
        for option in options_of(command):
            assert option in section or option in introduction, f"hilum {words} {option}"


def test_contract_of_json_results_names_commands_that_exist(reference: ModuleType) -> None:
    known = {words for words, _ in reference.commands_of()}
    assert set(reference.RESULTS) <= known


@pytest.mark.parametrize("group", ["", "subject", "reader"])
def test_help_of_a_group_lists_every_command_below_it(group: str) -> None:
    _, command, _ = find_command(group.split())
    assert isinstance(command, click.Group)
    shown = CliRunner().invoke(main, [*group.split(), "--help"]).output
    for name in command.commands:
        assert re.search(rf"^  {name} ", shown, re.MULTILINE), name


def test_help_of_each_command_shows_its_example_on_lines_of_its_own(reference: ModuleType) -> None:
    for words, _command in reference.commands_of():
        shown = CliRunner().invoke(main, [*words.split(), "--help"], terminal_width=100).output
        example = shown.partition("  Example:\n")[2]
        assert example.lstrip().startswith(f"hilum {words}"), shown


def test_examples_of_help_texts_use_options_that_exist(reference: ModuleType) -> None:
    for words, command in reference.commands_of():
        _, example = reference.split_help(command.help)
        assert example, words
        for line in example.splitlines():
            verify_words(line)


def test_pages_name_only_commands_and_options_that_exist(pages: list[Any]) -> None:
    seen = 0
    for page in pages:
        for line in command_lines(page):
            try:
                verify_words(line)
            except AssertionError as error:
                raise AssertionError(f"{page.name}: `{line}`: {error}") from None
            seen += 1
    assert seen > 50


@pytest.mark.parametrize("line", ["hilum fetch", "hilum grant --whom x", "hilum subject drop 1"])
def test_a_command_line_that_does_not_exist_is_noticed(line: str) -> None:
    with pytest.raises(AssertionError):
        verify_words(line)


def test_five_verbs_of_the_contributing_page_are_those_of_the_makefile(root: Any) -> None:
    makefile = (root / "Makefile").read_text("utf-8")
    verbs = set(re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[1].split())  # type: ignore[index]
    for name in ("CONTRIBUTING.md", "README.md"):
        named = set(re.findall(r"\bmake ([a-z]+)\b", (root / name).read_text("utf-8")))
        assert named <= verbs, name
    assert named >= {"run", "test"}
    contributing = (root / "CONTRIBUTING.md").read_text("utf-8")
    assert set(re.findall(r"^\| `make ([a-z]+)` \|", contributing, re.MULTILINE)) == verbs
