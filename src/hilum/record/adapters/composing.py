"""Composite parameters as SQL: all parts of a value hold in one row, which is one occurrence.

Source: HL7 FHIR R4, search, "composite search parameters".
"""

from __future__ import annotations

from typing import Any, Protocol

from hilum.record.adapters.comparing import compare_date, compare_number
from hilum.record.adapters.sight import Home
from hilum.record.adapters.statement import Statement
from hilum.record.numbers import QuantityValue
from hilum.record.parameters import Kind
from hilum.record.query_tree import CompositeFilter, TokenValue

__all__ = ["add_composites"]

_DATES = ("t.lo", "t.hi", "t.wlo", "t.whi")
_NUMBERS = (("t.qlo", "t.qhi"), ("t.qlo", "t.qhi"), ("t.qlo2", "t.qhi2"))
_CODES = (("t.c1", "t.s1"), ("t.c2", "t.s2"), ("t.c2", "t.s2"))
"""(code, system) of each part."""


class _Conditions(Protocol):
    def rows(self, statement: Statement, table: str, parameter: int, home: Home) -> None: ...

    def token(self, value: TokenValue, *, is_bare: bool) -> tuple[int | None, int | None]: ...

    def reference(self, reference: str) -> int: ...

    def begins(self, statement: Statement, text: str) -> None: ...

    def quantity(
        self,
        statement: Statement,
        value: QuantityValue,
        unit: tuple[str, str],
        ends: tuple[str, str],
    ) -> None: ...


def add_composites(
    conditions: _Conditions, statement: Statement, item: CompositeFilter, home: Home
) -> None:
    """Append that one occurrence matches all parts of one of the values."""
    for index, alternative in enumerate(item.values):
        statement.add("or" if index else "")
        conditions.rows(statement, "i_comp", item.parameter, home)
        for place, options in enumerate(alternative):
            statement.add("and (")
            for number, option in enumerate(options):
                statement.add("or" if number else "")
                part = (item.kinds[place], place, item.is_bare[place])
                _add_part(conditions, statement, option, part)
            statement.add(")")
        statement.add(")")


def _add_part(
    conditions: _Conditions,
    statement: Statement,
    value: Any,  # noqa: ANN401 - as the kind says
    part: tuple[Kind, int, bool],
) -> None:
    kind, place, is_bare = part
    code, system = _CODES[place]
    match kind:
        case Kind.TOKEN | Kind.URI:
            wanted = conditions.token(value, is_bare=is_bare or kind is Kind.URI)
            tests = [(c, w) for c, w in zip((code, system), wanted, strict=True) if w is not None]
            statement.add(
                " and ".join(f"{column} = ?" for column, _ in tests), *(w for _, w in tests)
            )
        case Kind.REFERENCE:
            statement.add(f"{code} = ? and {system} = 0", conditions.reference(value))
        case Kind.DATE:
            compare_date(statement, value, _DATES)
        case Kind.QUANTITY:
            conditions.quantity(statement, value, (system, code), _NUMBERS[place])
        case Kind.NUMBER:
            compare_number(statement, value, _NUMBERS[place])
        case _:
            conditions.begins(statement, value)
