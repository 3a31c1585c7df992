"""Which rows may be seen, as SQL: the access filter of one compartment, and that of a crowd.

Everything that decides whether a row may be seen stands in the SQL: no hidden row reaches Python.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from hilum.record.access import Access, Action, Window
from hilum.record.adapters.dialect import is_permitted
from hilum.record.adapters.statement import Statement, marks
from hilum.record.crowd import Crowd

__all__ = ["Home", "Sight", "access_filter", "crowd_filter"]

_SEGMENT_BITS = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Home:
    """Where the rows of one alias live.

    Attributes:
        alias: of table ``resource``.
        cid: their compartment; None = that which the row itself says, among those of a crowd.
    """

    alias: str
    cid: int | None


@dataclass(frozen=True, slots=True)
class Sight:
    """What the rows that a search looks at may be.

    Attributes:
        action: what is being done.
        accesses: per compartment; empty when a crowd is looked at.
        crowd: the accesses of very many compartments, or None.
        directory: what may be seen of the shared directory, or None.
    """

    action: Action
    accesses: tuple[Access, ...]
    crowd: Crowd | None = None
    directory: Access | None = None

    def admit(self, statement: Statement, type_number: int, home: Home) -> None:
        """Append the condition that a row is in its home and visible."""
        if home.cid is None:
            text, values = crowd_filter(self.crowd, self.action, type_number, home.alias)
        else:
            access = self._access(home.cid)
            if access is None:
                text, values = "false", ()
            else:
                text, values = access_filter(access, self.action, type_number, home.alias)
        statement.add(text, *values)

    def _access(self, cid: int) -> Access | None:
        for access in self.accesses:
            if access.compartment == cid:
                return access
        if self.directory is not None and self.directory.compartment == cid:
            return self.directory
        return None


@lru_cache(maxsize=4096)
def access_filter(
    access: Access, action: Action, type_number: int, alias: str = "x"
) -> tuple[str, tuple[object, ...]]:
    """Return the condition that a row of one type is visible, and its parameters.

    Args:
        access: what the gate made.
        action: what is being done.
        type_number: the type of all rows looked at.
        alias: the table whose ``seg ts inst codes parts authors encs`` are asked.
    """
    statement = Statement()
    statement.add(f"{alias}.cid = ? and", access.compartment)
    _windows(statement, access, action, (type_number, alias))
    return statement.text, tuple(statement.values)


def crowd_filter(
    crowd: Crowd | None, action: Action, type_number: int, alias: str
) -> tuple[str, tuple[object, ...]]:
    """Return the condition that a row of one type is visible in its own compartment.

    ``permitted(cid)`` is the number of the compartment's group, null when the reader has no access
    there (see `adapters.sqlite`).
    """
    statement = Statement()
    for group, access in crowd.groups() if crowd is not None else ():
        part = Statement()
        _windows(part, access, action, (type_number, alias))
        if part.text != "false":
            joint = "or" if statement.parts else "("
            statement.add(f"{joint} ({is_permitted(alias)} and {part.text})", group, *part.values)
    if not statement.parts:
        return "false", ()
    statement.add(")")
    return statement.text, tuple(statement.values)


def _windows(statement: Statement, access: Access, action: Action, row: tuple[int, str]) -> None:
    type_number, alias = row
    permits = (
        [w for w in access.permits if w.types >> type_number & 1] if access.admits(action) else []
    )
    if not permits:
        statement.add("false")
        return
    statement.add("(")
    for index, window in enumerate(permits):
        statement.add("or (" if index else "(")
        statement.add(f"{alias}.seg & ? = 0", ~window.segments & _SEGMENT_BITS)
        _conjunction(statement, window, alias, ("codes",))
        statement.add(")")
    statement.add(")")
    for window in access.denies:
        if window.types >> type_number & 1:
            statement.add(f"and not ({alias}.seg & ? != 0", window.segments & _SEGMENT_BITS)
            _conjunction(statement, window, alias, ("codes", "parts"))
            statement.add(")")


def _conjunction(
    statement: Statement, window: Window, alias: str, code_columns: tuple[str, ...]
) -> None:
    if window.data_from is not None:
        statement.add(f"and {alias}.ts >= ?", window.data_from)
    if window.data_until is not None:
        statement.add(f"and {alias}.ts < ?", window.data_until)
    _any_of(statement, [f"{alias}.{column}" for column in code_columns], window.codes)
    _any_of(statement, [f"{alias}.authors"], window.authors)
    _any_of(statement, [f"{alias}.encs"], window.encounters)
    if window.instances:
        statement.add(f"and {alias}.inst in ({marks(window.instances)})", *sorted(window.instances))


def _any_of(statement: Statement, columns: list[str], hashes: Iterable[int]) -> None:
    words = [value.to_bytes(8, "little", signed=True) for value in sorted(hashes)]
    if not words:
        return
    tests = [f"instr({column}, ?) > 0" for word in words for column in columns]
    statement.add(f"and ({' or '.join(tests)})", *(word for word in words for _ in columns))
