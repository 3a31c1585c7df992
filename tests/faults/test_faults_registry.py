"""No write without a row: the source is read for everything that makes something durable."""

from __future__ import annotations

from faulting import source_root
from registry import list_points
from table import DEMO, ELSEWHERE, POINTS

from hilum.exchange.commands import COMMANDS

READ_ONLY = frozenset({
    "subject list", "subject show", "reader list", "consents", "log", "prove", "headers", "fsck",
    "review list",
})  # fmt: skip
CHANGING = {"import": "import of a record"}
"""Commands whose row has another name."""


def in_table() -> set[str]:
    return {name for points in POINTS.values() for name in points} | {name for name, _ in DEMO}


def test_every_durable_write_of_the_source_is_in_the_table_or_looked_after_elsewhere() -> None:
    assert list_points(source_root()) - in_table() - set(ELSEWHERE) == set()


def test_the_table_names_nothing_that_the_source_no_longer_does() -> None:
    reached_through_a_library = {"unlink", "rmdir", "remove"}
    stale = {
        name
        for name in (in_table() | set(ELSEWHERE)) - list_points(source_root())
        if name.split()[0] not in reached_through_a_library
    }
    assert stale == set()


def test_no_point_is_both_in_the_table_and_elsewhere() -> None:
    assert in_table() & set(ELSEWHERE) == set()


def test_every_command_that_changes_something_has_a_row() -> None:
    changing = set(COMMANDS) - READ_ONLY
    assert {CHANGING.get(name, name) for name in changing} - set(POINTS) == set()
