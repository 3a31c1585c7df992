"""Filters of a search as SQL conditions on one row.

Inside one compartment a condition is a set of row numbers (``x.rid in (select …)``); among very many
it looks at the row's own compartment (``exists (… t.cid = x.cid and t.rid = x.rid)``). Rows that a
chain goes through live in the same compartment or in the shared directory, and must be visible too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from hilum.record.adapters.comparing import compare_date, compare_number
from hilum.record.adapters.composing import add_composites
from hilum.record.adapters.dialect import HAS_GRAMS, has_part
from hilum.record.adapters.linking import add_chain, add_has
from hilum.record.adapters.sight import Home, Sight
from hilum.record.adapters.statement import Statement, marks
from hilum.record.keyed import NO_SYSTEM, UCUM_CANONICAL, URI_BELOW, KeyedHash
from hilum.record.numbers import NumberValue, QuantityValue
from hilum.record.parameters import Kind
from hilum.record.query_tree import (
    AnyFilter,
    ChainFilter,
    CompositeFilter,
    DateFilter,
    Filter,
    HasFilter,
    IdFilter,
    MissingFilter,
    NearFilter,
    NotFilter,
    NumberFilter,
    OfTypeFilter,
    QuantityFilter,
    ReferenceFilter,
    StringFilter,
    StringMatch,
    TokenFilter,
    TokenValue,
    UpdatedFilter,
    UriFilter,
    UriMatch,
)
from hilum.record.strings import KeyedStrings, prefix_end
from hilum.record.ucum import UCUM, canonical
from hilum.record.uris import uri_ancestors

__all__ = ["Conditions"]

_DATES = ("t.lo", "t.hi", "t.wlo", "t.whi")
_TABLES: dict[Kind, tuple[str, ...]] = {
    Kind.TOKEN: ("i_tok", "i_str"),
    Kind.REFERENCE: ("i_ref", "i_tok", "i_str"),
    Kind.DATE: ("i_dat",),
    Kind.URI: ("i_tok",),
    Kind.STRING: ("i_str",),
    Kind.NUMBER: ("i_qty",),
    Kind.QUANTITY: ("i_qty",),
    Kind.COMPOSITE: ("i_comp",),
    Kind.SPECIAL: ("i_near",),
}
"""Where a value of each kind leaves rows."""


class Conditions:
    """Turns filters into conditions.

    Args:
        keyed: hashes of codes and references.
        strings: hashes of strings.
        sight: what rows on the way may be.
    """

    def __init__(self, keyed: KeyedHash, strings: KeyedStrings, sight: Sight) -> None:
        self._keyed = keyed
        self._strings = strings
        self.sight = sight
        self._sets: list[Statement] = []
        self._adders: dict[type, Callable[[Statement, Any, Home], None]] = {
            TokenFilter: self._tokens,
            OfTypeFilter: self._of_type,
            UriFilter: self._uris,
            ReferenceFilter: self._references,
            DateFilter: self._dates,
            StringFilter: self._texts,
            NumberFilter: self._numbers,
            QuantityFilter: self._quantities,
            CompositeFilter: self._composites,
            NearFilter: self._near,
            IdFilter: self._ids,
            UpdatedFilter: self._updates,
            MissingFilter: self._missing,
            NotFilter: self._negation,
            AnyFilter: self._any,
            ChainFilter: self._chain,
            HasFilter: self._has,
        }

    def all_of(self, statement: Statement, filters: Iterable[Filter], home: Home) -> None:
        """Append ``and (…)`` for each filter."""
        for item in filters:
            statement.add("and (")
            self.add(statement, item, home)
            statement.add(")")

    def add(self, statement: Statement, item: Filter, home: Home) -> None:
        """Append the condition of one filter."""
        self._adders[type(item)](statement, item, home)

    def set_of(self, statement: Statement) -> str:
        """Return a name under which the rest of the statement finds the rows of a select.

        Parsers of SQL bear few nested brackets: what a chain goes through stands beside, not inside.
        """
        self._sets.append(statement)
        return f"s{len(self._sets)}"

    def whole(self, statement: Statement) -> Statement:
        """Return a statement with the sets that it names before it."""
        if not self._sets:
            return statement
        found = Statement()
        for number, each in enumerate(self._sets, start=1):
            found.add(f"{'with' if number == 1 else ','} s{number} as ({each.text})", *each.values)
        found.add(statement.text, *statement.values)
        return found

    # -- rows of an index table ----------------------------------------------------------------------

    @staticmethod
    def rows(statement: Statement, table: str, parameter: int, home: Home) -> None:
        """Open ``… in (select …``; the caller adds ``and`` conditions and closes."""
        if home.cid is not None:
            statement.add(
                f"{home.alias}.rid in (select t.rid from {table} t where t.cid = ? and t.p = ?",  # noqa: S608 - constant names
                home.cid, parameter,
            )  # fmt: skip
        else:
            statement.add(
                f"exists (select 1 from {table} t where t.cid = {home.alias}.cid and t.p = ?"  # noqa: S608 - constant names
                f" and t.rid = {home.alias}.rid",
                parameter,
            )

    def _each(
        self,
        statement: Statement,
        table: str,
        item: Any,  # noqa: ANN401 - any filter with values
        home: Home,
        add: Callable[[Any], None],
    ) -> None:
        """Append one set of rows per value, joined by OR."""
        for index, value in enumerate(item.values):
            if index:
                statement.add("or")
            self.rows(statement, table, item.parameter, home)
            statement.add("and")
            add(value)
            statement.add(")")

    # -- tokens and references -----------------------------------------------------------------------

    def _tokens(self, statement: Statement, item: TokenFilter, home: Home) -> None:
        # one look-up per system, not one per value
        of_system: dict[int, list[int]] = {}
        codes: list[int] = []
        systems: list[int] = []
        for value in item.values:
            code, system = self.token(value, is_bare=item.is_bare)
            if code is not None and system is not None:
                of_system.setdefault(system, []).append(code)
            elif code is not None:
                codes.append(code)
            elif system is not None:
                systems.append(system)
        self._codings(statement, item.parameter, of_system, home)
        for column, wanted in (("code", codes), ("sys", systems)):
            if wanted:
                statement.add("or")
                self.rows(statement, "i_tok", item.parameter, home)
                statement.add(f"and t.{column} in ({marks(wanted)})", *wanted)
                statement.add(")")

    def token(self, value: TokenValue, *, is_bare: bool) -> tuple[int | None, int | None]:
        """Return (code, system) as the index holds them; None = any."""
        code = None if value.code is None else self._keyed.code(value.code)
        if is_bare:
            return code, NO_SYSTEM
        return code, None if value.system is None else self._keyed.system(value.system)

    def reference(self, reference: str) -> int:
        """Return a reference as the index holds it."""
        return self._keyed.reference(reference)

    @staticmethod
    def _codings(
        statement: Statement, parameter: int, of_system: dict[int, list[int]], home: Home
    ) -> None:
        """Append ``false or …``: a row of the parameter with one of the codes of a system."""
        statement.add("false")
        for system, wanted in of_system.items():
            at = "?" if home.cid is not None else f"{home.alias}.cid"
            statement.add(
                f"or exists (select 1 from i_tok t where t.cid = {at} and t.p = ?"  # noqa: S608 - constant names
                f" and t.code in ({marks(wanted)}) and t.sys = ?"
                f" and t.ts = {home.alias}.ts and t.rid = {home.alias}.rid)",
                *([] if home.cid is None else [home.cid]), parameter, *wanted, system,
            )  # fmt: skip

    def _of_type(self, statement: Statement, item: OfTypeFilter, home: Home) -> None:
        of_system: dict[int, list[int]] = {}
        for system, code, value in item.values:
            of_system.setdefault(self._keyed.of_type(system, code), []).append(
                self._keyed.code(value)
            )
        self._codings(statement, item.parameter, of_system, home)

    def _uris(self, statement: Statement, item: UriFilter, home: Home) -> None:
        if item.match is UriMatch.BELOW:
            wanted = {URI_BELOW: [self._keyed.code(uri) for uri in item.values]}
        else:
            above = dict.fromkeys(each for uri in item.values for each in uri_ancestors(uri))
            wanted = {NO_SYSTEM: [self._keyed.code(uri) for uri in above]}
        self._codings(statement, item.parameter, wanted, home)

    def _references(self, statement: Statement, item: ReferenceFilter, home: Home) -> None:
        hashes = [self._keyed.reference(reference) for reference in item.references]
        at = "?" if home.cid is not None else f"{home.alias}.cid"
        statement.add(
            f"exists (select 1 from i_ref t where t.cid = {at} and t.p = ?"  # noqa: S608 - constant names
            f" and t.ref in ({marks(hashes)}) and t.ts = {home.alias}.ts"
            f" and t.rid = {home.alias}.rid)",
            *([] if home.cid is None else [home.cid]), item.parameter, *hashes,
        )  # fmt: skip

    # -- dates, strings, numbers, places -------------------------------------------------------------

    def _dates(self, statement: Statement, item: DateFilter, home: Home) -> None:
        self._each(
            statement, "i_dat", item, home, lambda value: compare_date(statement, value, _DATES)
        )

    def _texts(self, statement: Statement, item: StringFilter, home: Home) -> None:
        def add(text: str) -> None:
            self.string(statement, text, item.match, home)

        self._each(statement, "i_str", item, home, add)

    def string(self, statement: Statement, text: str, match: StringMatch, home: Home) -> None:
        """Append how the string of an index row compares with a search value."""
        if match is StringMatch.CONTAINS:
            if home.cid is None:
                statement.add(has_part(home.alias), text)
            else:
                statement.add(HAS_GRAMS, self._strings.grams(text, home.cid))
            return
        _begins(statement, self._strings.starts(text))
        if match is StringMatch.EXACT:
            statement.add("and t.exact = ?", self._strings.exact(text))

    def begins(self, statement: Statement, text: str) -> None:
        """Append that the string of an index row begins with a text."""
        _begins(statement, self._strings.starts(text))

    def _numbers(self, statement: Statement, item: NumberFilter, home: Home) -> None:
        def add(value: NumberValue) -> None:
            statement.add("t.sys = 0 and t.code = 0 and")
            compare_number(statement, value, ("t.lo", "t.hi"))

        self._each(statement, "i_qty", item, home, add)

    def _quantities(self, statement: Statement, item: QuantityFilter, home: Home) -> None:
        def add(value: QuantityValue) -> None:
            self.quantity(statement, value, ("t.sys", "t.code"), ("t.lo", "t.hi"))

        self._each(statement, "i_qty", item, home, add)

    def quantity(
        self,
        statement: Statement,
        value: QuantityValue,
        unit: tuple[str, str],
        ends: tuple[str, str],
    ) -> None:
        """Append how the quantity of an index row compares with a search value.

        A UCUM unit is compared in canonical units, so that 1 g is 1000 mg.
        """
        system, code = unit
        known = canonical(value.unit) if value.system == UCUM and value.unit else None
        if known is not None:
            expression, factor, offset = known
            statement.add(
                f"{system} = ? and {code} = ? and", UCUM_CANONICAL, self._keyed.code(expression)
            )
            compare_number(statement, value.number, ends, (factor, offset))
            return
        if value.system is not None:
            statement.add(f"{system} = ? and", self._keyed.system(value.system))
        else:
            statement.add(f"{system} <> ? and", UCUM_CANONICAL)
        if value.unit is not None:
            statement.add(f"{code} = ? and", self._keyed.code(value.unit))
        compare_number(statement, value.number, ends)

    def _near(self, statement: Statement, item: NearFilter, home: Home) -> None:
        def add(point: tuple[float, float, float]) -> None:
            latitude, longitude, metres = point
            # a degree of latitude is 111.19 km on a sphere of 6371.0088 km
            margin = metres / 111_195 + 1e-9
            statement.add(
                "t.lat between ? and ? and"
                " 12742017.6 * asin(min(1, sqrt(pow(sin(radians(t.lat - ?) / 2), 2)"
                " + cos(radians(?)) * cos(radians(t.lat)) * pow(sin(radians(t.lon - ?) / 2), 2))))"
                " <= ?",
                latitude - margin, latitude + margin, latitude, latitude, longitude, metres,
            )  # fmt: skip

        self._each(statement, "i_near", item, home, add)

    def _composites(self, statement: Statement, item: CompositeFilter, home: Home) -> None:
        add_composites(self, statement, item, home)

    # -- columns and logic ---------------------------------------------------------------------------

    @staticmethod
    def _ids(statement: Statement, item: IdFilter, home: Home) -> None:
        statement.add(f"{home.alias}.id in ({marks(item.ids)})", *item.ids)

    @staticmethod
    def _updates(statement: Statement, item: UpdatedFilter, home: Home) -> None:
        column = f"{home.alias}.updated"
        for index, value in enumerate(item.values):
            statement.add("or" if index else "")
            compare_date(statement, value, (column,) * 4)

    def _missing(self, statement: Statement, item: MissingFilter, home: Home) -> None:
        statement.add("not (" if item.is_missing else "(")
        for index, table in enumerate(_TABLES[item.kind]):
            statement.add("or" if index else "")
            self.rows(statement, table, item.parameter, home)
            statement.add(")")
        statement.add(")")

    def _negation(self, statement: Statement, item: NotFilter, home: Home) -> None:
        statement.add("not (")
        self.add(statement, item.inner, home)
        statement.add(")")

    def _any(self, statement: Statement, item: AnyFilter, home: Home) -> None:
        statement.add("false")
        for inner in item.filters:
            statement.add("or (")
            self.add(statement, inner, home)
            statement.add(")")

    # -- other rows ----------------------------------------------------------------------------------

    def _chain(self, statement: Statement, item: ChainFilter, home: Home) -> None:
        add_chain(self, statement, item, home)

    def _has(self, statement: Statement, item: HasFilter, home: Home) -> None:
        add_has(self, statement, item, home)


def _begins(statement: Statement, starts: bytes) -> None:
    end = prefix_end(starts)
    statement.add("t.starts >= ?", starts)
    if end is not None:
        statement.add("and t.starts < ?", end)
