"""Schema migrations of the record's database: numbered, forward only, all or nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from hilum.errors import UnavailableError

__all__ = ["migrate"]


def migrate(conn: sqlite3.Connection, migrations: Sequence[str]) -> int:
    """Bring a database to the newest schema; return its version.

    Args:
        conn: with ``isolation_level=None``.
        migrations: the SQL of version 1, 2, …

    Raises:
        UnavailableError: the database was written by a newer Hilum.
    """
    version = int(conn.execute("pragma user_version").fetchone()[0])
    if version > len(migrations):
        raise UnavailableError(
            "newer-data",
            f"the data directory has schema {version}, this Hilum knows {len(migrations)}",
            hint="use the newer Hilum",
            retryable=False,
        )
    for number, script in enumerate(migrations[version:], start=version + 1):
        conn.execute("begin immediate")
        for statement in script.split(";"):
            if statement.strip():
                conn.execute(statement)
        conn.execute(f"pragma user_version={number}")
        conn.execute("commit")
    return len(migrations)
