"""The page of receipts: who looked, when and why; and the check of a receipt in the browser."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response

from hilum.errors import UnavailableError
from hilum.exchange import log, proving, sealing
from hilum.portal.page import PageRequest, redirect
from hilum.portal.words import ACTIONS, PURPOSES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hilum.portal.language import Language

__all__ = [
    "seal_now",
    "send_headers",
    "send_proof",
    "sentence",
    "show_receipt",
    "show_receipts",
]

_PAGE = 25
_MOST_OF_BURST = 100
_WHO = ("others", "own", "all")
_OUTCOMES = ("permit", "absent", "emergency")
_LOOKS = ("read", "search", "history")
_ONE_GO = timedelta(minutes=1)
_NOT_SEALED = "not-anchored"


def show_receipts(ask: PageRequest) -> Response:
    """Answer with the receipts, newest first, those of other readers unless asked otherwise."""
    rows = [_row(ask.language, found) for found in reversed(_receipts(ask))]
    who = _one_of(ask.query.get("who", ""), _WHO)
    outcome = ask.query.get("outcome", "")
    shown = [row for row in rows if who == "all" or row["is_own"] == (who == "own")]
    if outcome in _OUTCOMES:
        shown = [row for row in shown if row["outcome"] == outcome]
    bursts = list(_bursts(shown))
    pages = max(1, -(-len(bursts) // _PAGE))
    text = ask.query.get("page", "1")
    number = min(pages, max(1, int(text))) if text.isdecimal() and len(text) < 7 else 1
    return ask.show(
        "looked.html",
        bursts=[_said(ask.language, one) for one in bursts[(number - 1) * _PAGE : number * _PAGE]],
        most=_MOST_OF_BURST,
        total=len(shown),
        own=sum(row["is_own"] for row in rows),
        every=len(rows),
        who=who,
        outcome=outcome if outcome in _OUTCOMES else "",
        number=number,
        pages=pages,
    )


def show_receipt(ask: PageRequest) -> Response:
    """Answer with one receipt: what it says, and its check."""
    found = _find(ask)
    if found is None:
        return ask.show("nothing.html", 404)
    return ask.show(
        "receipt.html",
        row=_row(ask.language, found),
        found=found,
        is_sealed=_proof(ask) is not None,
        sealed_now=ask.query.get("done") == "sealed",
    )


def send_proof(ask: PageRequest) -> Response:
    """Answer with the proof of a receipt, for the script of the page or as a file."""
    if _find(ask) is None:
        return JSONResponse({"error": "absent"}, 404)
    proof = _proof(ask)
    if proof is None:
        return JSONResponse({"error": _NOT_SEALED}, 409)
    return _file(ask, f"receipt-{ask.place['receipt'][:12]}.proof.json", proof)


def send_headers(ask: PageRequest) -> Response:
    """Answer with the block headers that proofs are checked against."""
    return _file(ask, "headers.json", str(proving.headers(ask.node)["headers"]))


def seal_now(ask: PageRequest) -> Response:
    """Seal what is waiting and anchor it, then go back to the receipt."""
    receipt = ask.field("receipt")
    known = any(row["receipt"] == receipt for row in _receipts(ask))
    if not known:
        return ask.show("nothing.html", 404)
    sealing.seal(ask.node)
    return redirect(f"/who-looked/{receipt}?done=sealed#check")


def sentence(language: Language, found: Mapping[str, Any]) -> str:
    """Return what a receipt says in one sentence.

    Args:
        language: to say it in.
        found: a row of the log.
    """
    who = language.say("You") if _is_own(found) else str(found["reader"])
    count = int(found["count"])
    if found["outcome"] == "absent":
        return language.say("%(who)s asked, and was shown nothing.", who=who)
    seen = language.ngettext("%(count)s entry", "%(count)s entries", count)
    if found["outcome"] == "emergency":
        return language.say(
            "%(who)s opened your record in an emergency: %(seen)s.", who=who, seen=seen
        )
    action = language.say(ACTIONS.get(found["action"], "opened"))
    if not count and found["action"] in _LOOKS:
        return language.say("%(who)s %(action)s: nothing found.", who=who, action=action)
    return language.say("%(who)s %(action)s: %(seen)s.", who=who, action=action, seen=seen)


def _receipts(ask: PageRequest) -> list[dict[str, Any]]:
    return list(log.receipts(ask.node, subject=ask.subject))


def _find(ask: PageRequest) -> dict[str, Any] | None:
    """Return the receipt that the address names, if it is about the signed-in subject."""
    name = ask.place["receipt"]
    return next((found for found in _receipts(ask) if found["receipt"] == name), None)


def _proof(ask: PageRequest) -> str | None:
    """Return the proof of the receipt that the address names; None until it is sealed.

    Raises:
        UnavailableError: the chain refuses.
    """
    try:
        return str(proving.prove(ask.node, receipt=ask.place["receipt"])["proof"])
    except UnavailableError as error:
        if error.code != _NOT_SEALED:
            raise
        return None


def _row(language: Language, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a receipt as the page shows it."""
    purpose = PURPOSES.get(found["purpose"])
    return {
        "receipt": found["receipt"],
        "at": found["at"],
        "is_own": _is_own(found),
        "is_look": found["action"] in _LOOKS,
        "reader": found["reader"],
        "who": language.say("You") if _is_own(found) else str(found["reader"]),
        "count": int(found["count"]),
        "sentence": sentence(language, found),
        "purpose": language.say(purpose) if purpose else found["purpose"],
        "outcome": found["outcome"],
    }


def _bursts(rows: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Put together what one reader looked up in one go: the receipts of one page, of one program."""
    burst: list[dict[str, Any]] = []
    for row in rows:
        if burst and not _belongs(row, burst[-1]):
            yield burst
            burst = []
        burst.append(row)
    if burst:
        yield burst


def _belongs(row: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    alike = all(row[name] == after[name] for name in ("reader", "purpose", "outcome", "is_look"))
    apart = datetime.fromisoformat(after["at"]) - datetime.fromisoformat(row["at"])
    return alike and bool(row["is_look"]) and apart <= _ONE_GO


def _said(language: Language, burst: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a burst as the page shows it: its newest row, and one sentence for all."""
    first = burst[0]
    if len(burst) == 1:
        return {**first, "rows": burst}
    seen = language.ngettext(
        "%(count)s entry", "%(count)s entries", sum(row["count"] for row in burst)
    )
    parts = {"who": first["who"], "times": language.number(len(burst)), "seen": seen}
    said = {
        "absent": language.say("%(who)s asked %(times)s times, and was shown nothing.", **parts),
        "emergency": language.say(
            "%(who)s looked %(times)s times in an emergency: %(seen)s in all.", **parts
        ),
    }.get(
        first["outcome"], language.say("%(who)s looked %(times)s times: %(seen)s in all.", **parts)
    )
    return {**first, "sentence": said, "rows": burst}


def _is_own(found: Mapping[str, Any]) -> bool:
    return bool(found.get("own", found["reader"] == "subject"))


def _one_of(text: str, words: tuple[str, ...]) -> str:
    return text if text in words else words[0]


def _file(ask: PageRequest, name: str, text: str) -> Response:
    headers = {"Cache-Control": "no-store"}
    if ask.query.get("as") == "file":
        headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return Response(text, media_type="application/json", headers=headers)
