"""What the disk and the database refuse, in the words of the one error tree."""

from __future__ import annotations

import sqlite3

from hilum.errors import UnavailableError

__all__ = ["disk_errors"]


class disk_errors:  # noqa: N801 - reads as the verb it is in a with statement
    """Turn errors of files and of SQLite into the one that edges know how to tell.

    A class, not a generator: it stands around every request.

    Args:
        where: the place to name, or ``""``.

    Raises:
        UnavailableError: the data directory cannot be read or written now (code ``disk``).
    """

    __slots__ = ("_where",)

    def __init__(self, where: str = "") -> None:
        self._where = where

    def __enter__(self) -> None:
        """Nothing to do before."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: object
    ) -> None:
        """Raise what the edges know for what the disk said.

        Raises:
            UnavailableError: the disk or the database refused.
        """
        if isinstance(error, (sqlite3.Error, OSError)):
            reason = getattr(error, "sqlite_errorname", None) or type(error).__name__
            raise UnavailableError(
                "disk", "the data directory cannot be read or written now", where=self._where,
                hint=f"check free space and permissions ({reason})",
            ) from error  # fmt: skip
