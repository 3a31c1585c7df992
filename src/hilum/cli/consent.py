"""Commands about directives and receipts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hilum.cli.options import call, shared

__all__ = ["consents", "grant", "log", "review", "revoke"]


@click.command()
@click.option("--subject", "subject_id", required=True, metavar="ID")
@click.option("--reader", "reader_id", required=True, metavar="ID")
@click.option("--purpose", required=True, metavar="CODE", help="PurposeOfUse code, e.g. TREAT.")
@click.option(
    "--types", default=None, metavar="A,B", help="Resource types (default: all clinical)."
)
@click.option(
    "--segments",
    default=None,
    metavar="A,B",
    help="NORMAL PSY SUD HIV SEX ETH GEN DEV or ALL (default: NORMAL,DEV).",
)
@click.option("--until", default=None, metavar="DATE", help="Last day, or an instant with zone.")
@click.option(
    "--actions",
    default=None,
    metavar="A,B",
    help="read search history contribute export (default: read,search,history).",
)
@shared
def grant(  # noqa: PLR0913 - the options of one command
    root: Path,
    *,
    subject_id: str,
    reader_id: str,
    purpose: str,
    types: str | None,
    segments: str | None,
    until: str | None,
    actions: str | None,
) -> tuple[Any, str]:
    """Grant a reader access to a record for a purpose and a time.

    \b
    Example:
      hilum grant --subject 0d9c… --reader r-… --purpose TREAT --until 2027-06-30
    """
    arguments = {
        "subject": subject_id,
        "reader": reader_id,
        "purpose": purpose,
        "types": types,
        "segments": segments,
        "until": until,
        "actions": actions,
    }
    return call(root, "grant", **arguments), "facts"


@click.command()
@click.argument("directive")
@shared
def revoke(root: Path, *, directive: str) -> tuple[Any, str]:
    """Revoke a directive; the next request no longer sees anything it gave.

    \b
    Example:
      hilum revoke d-…
    """
    return call(root, "revoke", directive=directive), "facts"


@click.command()
@click.option("--subject", "subject_id", required=True, metavar="ID")
@shared
def consents(root: Path, *, subject_id: str) -> tuple[Any, str]:
    """List a subject's directives in plain sentences.

    \b
    Example:
      hilum consents --subject 0d9c…
    """
    return call(root, "consents", subject=subject_id), "table"


@click.command()
@click.option("--subject", "subject_id", required=True, metavar="ID")
@shared
def log(root: Path, *, subject_id: str) -> tuple[Any, str]:
    """List who looked at a record: every receipt, oldest first.

    \b
    Example:
      hilum log --subject 0d9c…
    """
    return call(root, "log", subject=subject_id), "table"


@click.group()
def review() -> None:
    """Emergency accesses that wait for the custodian's review."""


@review.command(name="list")
@shared
def review_list(root: Path) -> tuple[Any, str]:
    """List who broke the glass and why, until somebody has reviewed it.

    \b
    Example:
      hilum review list
    """
    return call(root, "review list"), "table"


@review.command(name="done")
@click.argument("emergency_id", metavar="ID")
@shared
def review_done(root: Path, *, emergency_id: str) -> tuple[Any, str]:
    """Note that an emergency access was reviewed.

    \b
    Example:
      hilum review done 3f…
    """
    return call(root, "review done", id=emergency_id), "facts"
