"""A directive in words: parts that the portal translates, and plain English for the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hilum.base.ids import UnixMs
from hilum.consent.directive import Directive
from hilum.consent.instants import render_period
from hilum.consent.terms import ALL_SEGMENTS, ANY_PURPOSE, Clause, Effect
from hilum.errors import MalformedInputError
from hilum.identity.purpose import ALL_PURPOSES, parse_purpose, purpose_codes, purpose_names
from hilum.record.access import ANY_TYPE, Action, Segment
from hilum.record.types import type_names

__all__ = ["ClauseWords", "describe", "in_english"]

_PURPOSE_WORDS = {
    "TREAT": "treatment",
    "ETREAT": "emergency treatment",
    "BTG": "break-glass",
    "COC": "coordination of care",
    "HPAYMT": "payment",
    "HOPERAT": "healthcare operations",
    "HRESCH": "research",
    "PUBHLTH": "public health",
    "PATRQT": "the patient's own request",
    "FAMRQT": "the family's request",
    "HMARKT": "marketing",
}
_ACTION_WORDS = {
    Action.READ: "read",
    Action.SEARCH: "search",
    Action.HISTORY: "see the history of",
    Action.CONTRIBUTE: "add to",
    Action.EXPORT: "export",
    Action.SUBSCRIBE: "follow changes of",
    Action.AGGREGATE: "count in statistics",
}
_SEGMENT_WORDS = {
    Segment.NORMAL: "general data",
    Segment.PSY: "mental health",
    Segment.SUD: "drug use",
    Segment.HIV: "HIV",
    Segment.SEX: "sexual and reproductive health",
    Segment.ETH: "alcohol use",
    Segment.GEN: "genetic data",
    Segment.DEV: "own devices",
}


@dataclass(frozen=True, slots=True)
class ClauseWords:
    """What one clause says; an empty tuple means "any", None means "no bound".

    Attributes:
        effect: ``permit`` or ``deny``.
        readers: references, or names where `describe` was given them.
        but_these_readers: True when all readers but these are meant.
        purposes: v3 codes or ``system|code``.
        but_these_purposes: True when every purpose but these is meant.
        actions: names in lower case.
        segments: names of `Segment`.
        types: names of resource types.
        codes: ``system|code``.
        authors: references.
        encounters: references.
        instances: references.
        data_period: dates (first, last), each maybe None.
        validity: dates (first, last), each maybe None.
        uses: how often, or None.
        price_msat: what one use costs, or None.
    """

    effect: str
    readers: tuple[str, ...]
    but_these_readers: bool
    purposes: tuple[str, ...]
    but_these_purposes: bool
    actions: tuple[str, ...]
    segments: tuple[str, ...]
    types: tuple[str, ...]
    codes: tuple[str, ...]
    authors: tuple[str, ...]
    encounters: tuple[str, ...]
    instances: tuple[str, ...]
    data_period: tuple[str | None, str | None]
    validity: tuple[str | None, str | None]
    uses: int | None
    price_msat: int | None


def describe(
    directive: Directive, *, name_of: Callable[[str], str] | None = None
) -> tuple[ClauseWords, ...]:
    """Return what each clause of a directive says.

    Args:
        directive: with its names.
        name_of: reference of a reader → name to show.
    """
    shown = name_of or (lambda reference: reference)
    return tuple(_words(clause, directive.names, shown) for clause in directive.terms.clauses)


def in_english(words: ClauseWords) -> str:
    """Return one English sentence."""
    who = _listed(words.readers, "and") or "Anyone"
    if words.but_these_readers:
        who = f"Anyone but {who}"
    may = "may" if words.effect == "permit" else "may not"
    actions = [_ACTION_WORDS[Action[name.upper()]] for name in words.actions]
    text = f"{who} {may} {_listed(actions, 'and' if words.effect == 'permit' else 'or')} "
    return text + ", ".join([_what(words), *_conditions(words)]) + "."


def _what(words: ClauseWords) -> str:
    kinds = [*words.types, *words.codes]
    what = f"{_listed(kinds, 'and')} resources" if kinds else "all data"
    if words.segments:
        inside = [_SEGMENT_WORDS[Segment[name]] for name in words.segments]
        what += f" about {_listed(inside, 'and')}" if words.effect == "deny" else ""
        what += f" within {_listed(inside, 'and')}" if words.effect == "permit" else ""
    if words.authors:
        what += f" written by {_listed(words.authors, 'or')}"
    if words.encounters:
        what += f" of {_listed(words.encounters, 'or')}"
    if words.instances:
        what += f", namely {_listed(words.instances, 'and')}"
    return what + _period(words.data_period, " from the time")


def _conditions(words: ClauseWords) -> list[str]:
    found = []
    if words.purposes:
        purposes = [_PURPOSE_WORDS.get(code, code) for code in words.purposes]
        but = "any purpose but " if words.but_these_purposes else ""
        found.append(f"for {but}{_listed(purposes, 'and')}")
    else:
        found.append("for any purpose")
    if any(words.validity):
        found.append(_period(words.validity, "valid").strip())
    if words.uses is not None:
        found.append(f"at most {words.uses} times")
    if words.price_msat is not None:
        found.append(f"for {words.price_msat} millisatoshi each time")
    return found


def _period(dates: tuple[str | None, str | None], lead: str) -> str:
    start, end = dates
    if start is None and end is None:
        return ""
    first = f" from {start}" if start is not None else ""
    last = f" until {end}" if end is not None else ""
    return f"{lead}{first}{last}"


def _listed(items: tuple[str, ...] | list[str], word: str) -> str:
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {word} {items[-1]}"


def _words(
    clause: Clause, names: Mapping[bytes, str], name_of: Callable[[str], str]
) -> ClauseWords:
    def texts(digests: frozenset[bytes]) -> tuple[str, ...]:
        return tuple(sorted(names[digest] for digest in digests))

    purposes, but_these = _purposes(clause, texts)
    segments = () if clause.segments == ALL_SEGMENTS else Segment(clause.segments)
    return ClauseWords(
        effect="permit" if clause.effect is Effect.PERMIT else "deny",
        readers=tuple(name_of(text) for text in texts(clause.grantees)),
        but_these_readers=clause.grantees_excluded,
        purposes=purposes,
        but_these_purposes=but_these,
        actions=tuple(str(action.name).lower() for action in clause.actions),
        segments=tuple(str(segment.name) for segment in segments),
        types=_types(clause.types),
        codes=texts(clause.codes),
        authors=texts(clause.authors),
        encounters=texts(clause.encounters),
        instances=texts(clause.instances),
        data_period=_dates(clause.data_from, clause.data_until),
        validity=_dates(clause.valid_from, clause.valid_until),
        uses=clause.uses or None,
        price_msat=clause.price_msat or None,
    )


def _purposes(
    clause: Clause, texts: Callable[[frozenset[bytes]], tuple[str, ...]]
) -> tuple[tuple[str, ...], bool]:
    if clause.purposes == ANY_PURPOSE:
        return (), False
    if clause.purposes & ~ALL_PURPOSES:
        return _codes(ALL_PURPOSES & ~clause.purposes), True
    return (*_codes(clause.purposes), *texts(clause.further_purposes)), False


def _codes(mask: int) -> tuple[str, ...]:
    try:
        return purpose_codes(mask)
    except MalformedInputError:
        # a purpose without those below it: name every code that is meant
        return tuple(code for code in purpose_names() if parse_purpose(code).bit & mask)


def _types(mask: int) -> tuple[str, ...]:
    if mask == ANY_TYPE:
        return ()
    return tuple(name for number, name in enumerate(type_names()) if mask >> number & 1)


def _dates(start: UnixMs | None, until: UnixMs | None) -> tuple[str | None, str | None]:
    period = render_period(start, until) or {}
    return period.get("start"), period.get("end")
