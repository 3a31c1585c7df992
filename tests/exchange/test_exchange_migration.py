"""A node's directory of the first release opens under this one, and everything in it is found."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from hilum.exchange import wiring
from hilum.exchange.checking import check
from hilum.exchange.datadir import DataDirectory, Lock
from hilum.exchange.people import add_subject


def structure(conn: sqlite3.Connection) -> set[tuple[str, str]]:
    rows = conn.execute("select type, name from sqlite_master where name not like 'sqlite_%'")
    return set(rows.fetchall())


def make_first_release(path: Path) -> None:
    """Take everything away that later releases added; what is left is the first one's, to the table."""
    first = sqlite3.connect(":memory:")
    first.executescript(wiring.MIGRATIONS[0])
    with sqlite3.connect(path, isolation_level=None) as conn:
        for kind, name in sorted(structure(conn) - structure(first)):
            conn.execute(f"drop {kind} if exists {name}")
        # what they took away comes back
        conn.executescript(wiring.MIGRATIONS[0])
        conn.execute("pragma user_version = 1")
        conn.execute("delete from i_tok")
        assert structure(conn) == structure(first)
    conn.close()
    first.close()


def test_a_directory_of_the_first_release_opens_and_is_whole(tmp_path: Path) -> None:
    root = tmp_path / "node"
    wiring.initialise(root, custodian="Test", policy="eu-ehds")
    directory = DataDirectory(root)
    with Lock(directory), wiring.open_node(directory) as node:
        for name in ("Ada Lovelace", "Grace Hopper"):
            add_subject(node, name=name, gender="female", birth_date="1815-12-10")
        before = node.record.count_rows(node.conn)
    assert before["p_str"] > 0
    make_first_release(directory.record)
    with Lock(directory), wiring.open_node(directory) as node:
        assert node.record.indexes.is_current(node.conn)
        assert node.record.count_rows(node.conn) == before
        assert check(node)["problems"] == []
