"""The sharing page: who may see what; giving access with a preview; ending it in one action."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from hilum.exchange import people
from hilum.exchange import sharing as exchange
from hilum.portal.page import PageRequest, redirect
from hilum.portal.words import (
    GRANTABLE,
    GROUPS,
    ORDINARY_SEGMENTS,
    PURPOSES,
    SEGMENTS,
    TYPES,
    group_of_types,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.responses import Response

    from hilum.portal.language import Language

__all__ = ["Wish", "end", "give", "show_preview", "show_sharing"]

_USUAL_DAYS = 30
_LONGEST_DAYS = 3_660


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person filled in to give access.

    Attributes:
        reader: id of who shall read, or "".
        purpose: v3 code.
        groups: words of `GROUPS`; empty means everything.
        segments: names of segments.
        until: last day, ISO.
    """

    reader: str
    purpose: str
    groups: tuple[str, ...]
    segments: tuple[str, ...]
    until: str

    @property
    def types(self) -> list[str]:
        """FHIR types of the groups; empty for everything."""
        return [kind for name in self.groups for kind in GROUPS[name][1]]

    @property
    def terms(self) -> dict[str, Any]:
        """What a grant is asked for with."""
        return {
            "reader": self.reader,
            "purpose": self.purpose,
            "types": ",".join(self.types) or None,
            "segments": ",".join(self.segments),
        }

    def fields(self) -> list[tuple[str, str]]:
        """Return the fields of a form that says the same."""
        scope = "some" if self.groups else "all"
        return [
            ("reader", self.reader),
            ("purpose", self.purpose),
            ("scope", scope),
            *(("group", name) for name in self.groups),
            *(("segment", name) for name in self.segments),
            ("until", self.until),
        ]


def show_sharing(ask: PageRequest) -> Response:
    """Answer with every directive in words and the form to give access."""
    usual = (_today(ask) + timedelta(days=_USUAL_DAYS)).isoformat()
    return _sharing(ask, Wish("", "TREAT", (), ORDINARY_SEGMENTS, usual))


def show_preview(ask: PageRequest) -> Response:
    """Answer with what the reader would see, before anything is given; or with the form again."""
    wish = _read_wish(ask)
    problem = _problem_of(ask, wish)
    if problem or ask.field("change"):
        return _sharing(ask, wish, problem, status=400 if problem else 200)
    reader = next(one for one in people.list_readers(ask.node) if one["id"] == wish.reader)
    seen = exchange.preview(ask.node, subject=ask.subject, **wish.terms)
    by_type = sorted(seen["by_type"].items(), key=lambda pair: (-pair[1], pair[0]))
    return ask.show(
        "preview.html",
        wish=wish,
        reader=reader,
        total=seen["total"],
        readings=seen["readings"],
        by_type=by_type,
        scope=scope_words(ask.language, wish.types),
        segments=list(wish.segments),
    )


def give(ask: PageRequest) -> Response:
    """Give the access that was previewed."""
    wish = _read_wish(ask)
    problem = _problem_of(ask, wish)
    if problem:
        return _sharing(ask, wish, problem, status=400)
    exchange.grant(ask.node, subject=ask.subject, until=wish.until, **wish.terms)
    return redirect("/sharing?done=given#access")


def end(ask: PageRequest) -> Response:
    """End one directive of the signed-in subject, at once."""
    directive = ask.field("directive")
    if not any(row["directive"] == directive for row in _consents(ask)):
        return ask.show("nothing.html", 404)
    exchange.revoke(ask.node, directive=directive)
    return redirect("/sharing?done=ended#access")


def scope_words(language: Language, types: Sequence[str]) -> str:
    """Return what a list of FHIR types stands for, in words.

    Args:
        language: to say it in.
        types: FHIR types; empty for all.
    """
    if not types:
        return language.say("your record")
    groups, left = group_of_types(list(types))
    said = [language.say(GROUPS[name][0]) for name in groups]
    said += [language.say(TYPES[kind]) if kind in TYPES else kind for kind in left]
    return language.say(", ").join(words[:1].lower() + words[1:] for words in said)


def _sharing(ask: PageRequest, wish: Wish, problem: str = "", status: int = 200) -> Response:
    rows = [_row(ask, found) for found in _consents(ask)]
    today = _today(ask)
    return ask.show(
        "sharing.html",
        status,
        active=[row for row in rows if row["status"] == "active"],
        ended=[row for row in rows if row["status"] != "active"],
        readers=people.list_readers(ask.node),
        wish=wish,
        problem=problem,
        done=ask.query.get("done", ""),
        purposes=[(code, PURPOSES[code]) for code in GRANTABLE],
        earliest=today.isoformat(),
        latest=(today + timedelta(days=_LONGEST_DAYS)).isoformat(),
    )


def _consents(ask: PageRequest) -> list[dict[str, Any]]:
    return list(exchange.consents(ask.node, subject=ask.subject))


def _row(ask: PageRequest, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a directive as the page shows it."""
    purpose = PURPOSES.get(found["purpose"])
    return {
        "directive": found["directive"],
        "reader": found["reader"],
        "status": found["status"],
        "purpose": ask.language.say(purpose) if purpose else found["purpose"],
        "scope": scope_words(ask.language, found["types"]),
        "segments": [ask.language.say(SEGMENTS.get(one, one)) for one in found["segments"]],
        "until": found["until"],
    }


def _read_wish(ask: PageRequest) -> Wish:
    groups = tuple(name for name in GROUPS if name in ask.form.get("group", ()))
    return Wish(
        reader=ask.field("reader"),
        purpose=ask.field("purpose"),
        groups=groups if ask.field("scope") == "some" else (),
        segments=tuple(name for name in SEGMENTS if name in ask.form.get("segment", ())),
        until=ask.field("until"),
    )


def _problem_of(ask: PageRequest, wish: Wish) -> str:
    """Return what is wrong with a filled-in form, as a word that the page explains; "" for nothing."""
    if not any(one["id"] == wish.reader for one in people.list_readers(ask.node)):
        return "reader"
    if wish.purpose not in GRANTABLE:
        return "purpose"
    if ask.field("scope") == "some" and not wish.groups:
        return "scope"
    if not wish.segments:
        return "segments"
    try:
        last = date.fromisoformat(wish.until)
    except ValueError:
        return "until"
    fits = _today(ask) <= last <= _today(ask) + timedelta(days=_LONGEST_DAYS)
    return "" if fits else "until"


def _today(ask: PageRequest) -> date:
    return datetime.fromtimestamp(ask.node.clock() / 1000, UTC).date()
