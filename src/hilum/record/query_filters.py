"""One name and one value of a search become one filter.

A name is ``parameter``, ``parameter:modifier``, a chain ``reference[:Type].name`` or a reverse chain
``_has:Type:reference:name``; chains hold names again, to any depth.

Source: HL7 FHIR R4, search, "modifiers", "chained parameters", "reverse chaining".
"""

from __future__ import annotations

from collections.abc import Callable

from hilum.base.ids import is_fhir_id
from hilum.errors import MalformedInputError
from hilum.record import terminology
from hilum.record.dates import parse_date_value
from hilum.record.numbers import parse_number_value, parse_quantity_value
from hilum.record.parameters import (
    Component,
    Kind,
    Parameter,
    parameter_number,
    parameters_of,
    patient_parameters,
)
from hilum.record.phonetics import phonetic_key
from hilum.record.query_names import UnknownNameError, name_of_place, refuse_modifier
from hilum.record.query_tree import (
    Branch,
    ChainFilter,
    ComponentValue,
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
from hilum.record.query_values import (
    own_reference,
    parse_flag,
    parse_of_type,
    parse_position,
    parse_references,
    parse_token,
    split_alternatives,
    split_parts,
    unescape,
)
from hilum.record.strings import GRAM, normalise
from hilum.record.types import is_resource_type, type_number

__all__ = ["COLUMNS", "MAX_WORK", "Reading"]

COLUMNS = frozenset({"_id", "_lastUpdated", "_list"})
"""Names that every type has beside its parameters."""
MAX_WORK = 4000
"""Most things to compare with in one search; a reference without a type counts once per type."""
_MAX_DEPTH = 8
# The planner looks at every pair of alternatives between intervals.
_DATE_WORK = 10


class Reading:
    """Reads the filters of one search, and counts how much work they are.

    Args:
        base: the node's own address, taken off references; or ``""``.

    Attributes:
        work: things to compare with so far.
        patients: per filter on patients, the ids that it allows.
    """

    def __init__(self, base: str = "") -> None:
        self._base = base
        self.work = 0
        self.patients: list[set[str]] = []
        self._readers: dict[Kind, Callable[[Parameter, str, list[str], int], Filter]] = {
            Kind.TOKEN: self._token,
            Kind.REFERENCE: self._reference,
            Kind.DATE: self._date,
            Kind.URI: self._uri,
            Kind.STRING: self._string,
            Kind.NUMBER: self._number,
            Kind.QUANTITY: self._quantity,
            Kind.COMPOSITE: self._composite,
            Kind.SPECIAL: self._special,
        }

    def read(self, type: str, key: str, text: str, *, depth: int = 0) -> Filter:
        """Return the filter of a name and its value on a type.

        Args:
            type: of the rows.
            key: the name with modifiers and chains.
            text: the value, escapes as sent.
            depth: how many chains lead here.

        Raises:
            UnknownNameError: the type has no such parameter.
            MalformedInputError: a modifier that does not apply, or a malformed value.
        """
        if depth > _MAX_DEPTH:
            raise MalformedInputError("value", "too deep a chain", where="query")
        if key.startswith("_has:"):
            return self._has(key, text, depth)
        head, dot, rest = key.partition(".")
        if dot:
            return self._chain(type, head, rest, text, depth)
        base, colon, modifier = key.partition(":")
        parameter = parameters_of(type).get(base)
        if parameter is None and base not in COLUMNS:
            raise UnknownNameError(base)
        values = split_alternatives(text, where=name_of_place(base))
        self._spend(len(values) * (_DATE_WORK if _is_date(base, parameter) else 1))
        if base in COLUMNS and not colon:
            return self._column(type, base, values, depth)
        if parameter is None:
            refuse_modifier(key)
        if modifier == "missing":
            return MissingFilter(
                base, parameter.number, parameter.kind, parse_flag(text, where=name_of_place(key))
            )
        return self._readers[parameter.kind](parameter, modifier, values, depth)

    def _spend(self, work: int) -> None:
        self.work += work
        if self.work > MAX_WORK:
            raise MalformedInputError(
                "value", "too many values", where="query", hint="name the types of references"
            )

    # -- columns and chains ------------------------------------------------------------------------

    def _column(self, type: str, base: str, values: list[str], depth: int) -> Filter:
        if base == "_lastUpdated":
            return UpdatedFilter(tuple(parse_date_value(v, where=base) for v in values))
        # what is no id cannot be one of a resource: it finds nothing
        ids = tuple(v for v in values if is_fhir_id(v))
        if base == "_list":
            if any(v.startswith("$") for v in values):
                raise MalformedInputError(
                    "value", "no functional lists here", where=base, hint="name a List by its id"
                )
            lists = Branch("List", type_number("List"), (IdFilter(ids),))
            return HasFilter(base, parameter_number("List", "item"), lists)
        if type == "Patient" and depth == 0:
            self.patients.append(set(ids))
        return IdFilter(ids)

    def _chain(self, type: str, head: str, rest: str, text: str, depth: int) -> Filter:
        base, _, named = head.partition(":")
        parameter = parameters_of(type).get(base)
        if parameter is None:
            raise UnknownNameError(base)
        if parameter.kind is not Kind.REFERENCE or (named and named not in parameter.targets):
            refuse_modifier(head)
        branches: list[Branch] = []
        for target in (named,) if named else parameter.targets:
            try:
                inner = self.read(target, rest, text, depth=depth + 1)
            except UnknownNameError:
                continue  # another target may have it
            branches.append(Branch(target, type_number(target), (inner,)))
        if not branches:
            raise UnknownNameError(rest)
        return ChainFilter(base, parameter.number, tuple(branches))

    def _has(self, key: str, text: str, depth: int) -> Filter:
        parts = key.split(":", 3)
        if len(parts) != 4 or not is_resource_type(parts[1]):
            raise MalformedInputError(
                "value", "not a reverse chain", where=name_of_place(key),
                hint="_has:Type:reference:parameter",
            )  # fmt: skip
        _, source, reference, rest = parts
        parameter = parameters_of(source).get(reference)
        if parameter is None or parameter.kind is not Kind.REFERENCE:
            raise UnknownNameError(reference)
        inner = self.read(source, rest, text, depth=depth + 1)
        return HasFilter("_has", parameter.number, Branch(source, type_number(source), (inner,)))

    # -- one reader per kind -----------------------------------------------------------------------

    def _date(self, parameter: Parameter, modifier: str, values: list[str], _depth: int) -> Filter:
        _no_modifier(parameter, modifier)
        dates = tuple(parse_date_value(v, where=parameter.name) for v in values)
        return DateFilter(parameter.name, parameter.number, dates)

    def _uri(self, parameter: Parameter, modifier: str, values: list[str], _depth: int) -> Filter:
        name, number = parameter.name, parameter.number
        uris = tuple(unescape(v) for v in values)
        if modifier in set(UriMatch):
            return UriFilter(name, number, uris, UriMatch(modifier))
        _no_modifier(parameter, modifier)
        return TokenFilter(name, number, tuple(TokenValue("", u) for u in uris), is_bare=True)

    def _token(self, parameter: Parameter, modifier: str, values: list[str], _depth: int) -> Filter:
        name, number = parameter.name, parameter.number
        if modifier in {"text", "of-type"} and parameter.is_bare:
            refuse_modifier(f"{name}:{modifier}")
        match modifier:
            case "text":
                return _strings(parameter, values, StringMatch.STARTS)
            case "of-type":
                of_type = tuple(parse_of_type(v, where=name) for v in values)
                return OfTypeFilter(name, number, of_type)
            case "in" | "not-in":
                found: Filter = self._codes_of(parameter, values)
            case "above" | "below":
                found = self._hierarchy(parameter, modifier, values)
            case "" | "not":
                tokens = tuple(parse_token(v, where=name) for v in values)
                found = TokenFilter(name, number, tokens, parameter.is_bare)
            case _:
                refuse_modifier(f"{name}:{modifier}")
        return NotFilter(name, found) if modifier in {"not", "not-in"} else found

    def _codes_of(self, parameter: Parameter, values: list[str]) -> TokenFilter:
        tokens: set[TokenValue] = set()
        for value in values:
            codes = terminology.codes_of(unescape(value))
            if codes is None:
                raise MalformedInputError(
                    "value-set", "the codes of this value set are not known here",
                    where=parameter.name, hint="a value set of R4, US Core or IPS by its url",
                )  # fmt: skip
            tokens.update(TokenValue(system, code) for system, code in codes)
        ordered = sorted(tokens, key=lambda t: (t.system or "", t.code or ""))
        return TokenFilter(parameter.name, parameter.number, tuple(ordered), parameter.is_bare)

    def _hierarchy(self, parameter: Parameter, modifier: str, values: list[str]) -> TokenFilter:
        related = terminology.descendants if modifier == "below" else terminology.ancestors
        tokens: list[TokenValue] = []
        for value in values:
            token = parse_token(value, where=parameter.name)
            if (
                not token.system
                or token.code is None
                or not terminology.is_known_system(token.system)
            ):
                raise MalformedInputError(
                    "code-system", "the hierarchy of this code is not known here",
                    where=parameter.name, hint="system|code with a code system of R4, v2 or v3",
                )  # fmt: skip
            tokens.append(token)
            tokens += [
                TokenValue(token.system, c) for c in sorted(related(token.system, token.code))
            ]
        return TokenFilter(
            parameter.name, parameter.number, tuple(dict.fromkeys(tokens)), parameter.is_bare
        )

    def _string(
        self, parameter: Parameter, modifier: str, values: list[str], _depth: int
    ) -> Filter:
        if modifier and modifier not in {"exact", "contains"}:
            refuse_modifier(f"{parameter.name}:{modifier}")
        return _strings(
            parameter, values, StringMatch(modifier) if modifier else StringMatch.STARTS
        )

    def _number(
        self, parameter: Parameter, modifier: str, values: list[str], _depth: int
    ) -> Filter:
        _no_modifier(parameter, modifier)
        numbers = tuple(parse_number_value(v, where=parameter.name) for v in values)
        return NumberFilter(parameter.name, parameter.number, numbers)

    def _quantity(
        self, parameter: Parameter, modifier: str, values: list[str], _depth: int
    ) -> Filter:
        _no_modifier(parameter, modifier)
        quantities = tuple(parse_quantity_value(v, where=parameter.name) for v in values)
        return QuantityFilter(parameter.name, parameter.number, quantities)

    def _special(
        self, parameter: Parameter, modifier: str, values: list[str], _depth: int
    ) -> Filter:
        _no_modifier(parameter, modifier)
        points = tuple(parse_position(v, where=parameter.name) for v in values)
        return NearFilter(parameter.name, parameter.number, points)

    def _composite(
        self, parameter: Parameter, modifier: str, values: list[str], _depth: int
    ) -> Filter:
        _no_modifier(parameter, modifier)
        parts = parameter.components
        alternatives = []
        for value in values:
            texts = split_parts(value, len(parts), where=parameter.name)
            alternatives.append(
                tuple(
                    self._component(part, text, parameter.name)
                    for part, text in zip(parts, texts, strict=True)
                )
            )
        return CompositeFilter(
            parameter.name, parameter.number, tuple(part.kind for part in parts),
            tuple(part.is_bare for part in parts), tuple(alternatives),
        )  # fmt: skip

    def _component(self, part: Component, text: str, where: str) -> tuple[ComponentValue, ...]:
        if part.kind is Kind.REFERENCE:
            found = parse_references(own_reference(unescape(text), self._base), part.targets)
            self._spend(len(found))
            return tuple(found)
        if part.kind is Kind.URI:
            return (TokenValue("", unescape(text)),)
        parse = _PARSERS.get(part.kind)
        return (unescape(text),) if parse is None else (parse(text, where=where),)

    def _reference(
        self, parameter: Parameter, modifier: str, values: list[str], depth: int
    ) -> Filter:
        if modifier == "identifier":
            tokens = tuple(parse_token(v, where=parameter.name) for v in values)
            return TokenFilter(parameter.name, parameter.number, tokens, is_bare=False)
        if modifier == "text":
            return _strings(parameter, values, StringMatch.STARTS)
        if modifier and modifier not in parameter.targets:
            refuse_modifier(f"{parameter.name}:{modifier}")
        targets = (modifier,) if modifier else parameter.targets
        found: list[str] = []
        for value in values:
            found += parse_references(own_reference(unescape(value), self._base), targets)
        self._spend(len(found))
        is_patient = "Patient" in targets and parameter.name in (
            patient_parameters(parameter.type) | {"patient", "subject"}
        )
        # A bare id may mean any target; only where it can mean a patient alone, or says so, is it
        # one.
        patients = [r.removeprefix("Patient/") for r in found if r.startswith("Patient/")]
        if depth == 0 and is_patient and patients and parameter.name in {"patient", "subject"}:
            self.patients.append(set(patients))
        return ReferenceFilter(
            parameter.name, parameter.number, tuple(dict.fromkeys(found)), is_patient
        )


def _is_date(base: str, parameter: Parameter | None) -> bool:
    return base == "_lastUpdated" or (parameter is not None and parameter.kind is Kind.DATE)


def _strings(parameter: Parameter, values: list[str], match: StringMatch) -> StringFilter:
    texts = tuple(unescape(v) for v in values)
    if parameter.is_phonetic:
        texts = tuple(phonetic_key(text) for text in texts)
    if match is not StringMatch.EXACT:
        for text in texts:
            length = len(normalise(text))
            if not length or (match is StringMatch.CONTAINS and length < GRAM):
                least = GRAM if match is StringMatch.CONTAINS else 1
                raise MalformedInputError(
                    "value", f"fewer than {least} letters or digits to look for",
                    where=parameter.name, hint=":exact compares every character",
                )  # fmt: skip
    return StringFilter(parameter.name, parameter.number, texts, match)


def _no_modifier(parameter: Parameter, modifier: str) -> None:
    if modifier:
        refuse_modifier(f"{parameter.name}:{modifier}")


_PARSERS: dict[Kind, Callable[..., ComponentValue]] = {
    Kind.TOKEN: parse_token,
    Kind.DATE: parse_date_value,
    Kind.NUMBER: parse_number_value,
    Kind.QUANTITY: parse_quantity_value,
}
