"""What the disk and the database refuse, in the words of the one error tree."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from hilum.errors import UnavailableError

__all__ = ["disk_errors"]


@contextmanager
def disk_errors(where: str = "") -> Iterator[None]:
    """Turn errors of files and of SQLite into the one that edges know how to tell.

    Args:
        where: the place to name, or ``""``.

    Raises:
        UnavailableError: the data directory cannot be read or written now (code ``disk``).
    """
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        reason = getattr(error, "sqlite_errorname", None) or type(error).__name__
        raise UnavailableError(
            "disk", "the data directory cannot be read or written now", where=where,
            hint=f"check free space and permissions ({reason})",
        ) from error  # fmt: skip
