"""Commands about subjects, readers and tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hilum.cli.options import call, shared

__all__ = ["reader", "subject", "token"]


@click.group()
def subject() -> None:
    """Subjects: the people records are about."""


@subject.command(name="add")
@click.option("--name", default=None, help="Name of the person, e.g. 'Mara Demo'.")
@click.option("--gender", default=None, type=click.Choice(["male", "female", "other", "unknown"]))
@click.option("--birth-date", default=None, metavar="YYYY-MM-DD")
@shared
def subject_add(
    root: Path, *, name: str | None, gender: str | None, birth_date: str | None
) -> tuple[Any, str]:
    """Add a subject; the id is the id of the new Patient resource.

    \b
    Example:
      hilum subject add --name "Mara Demo"
    """
    return call(root, "subject add", name=name, gender=gender, birth_date=birth_date), "id"


@subject.command(name="list")
@shared
def subject_list(root: Path) -> tuple[Any, str]:
    """List the subjects: ids and counts, never clinical content.

    \b
    Example:
      hilum subject list
    """
    return call(root, "subject list"), "table"


@subject.command(name="show")
@click.argument("subject_id", metavar="ID")
@shared
def subject_show(root: Path, *, subject_id: str) -> tuple[Any, str]:
    """Show what a record holds in numbers: never clinical content.

    \b
    Example:
      hilum subject show 0d9c…
    """
    return call(root, "subject show", subject=subject_id), "facts"


@click.group()
def reader() -> None:
    """Readers: who may ask to read."""


@reader.command(name="add")
@click.option("--name", required=True, help="Name shown to subjects.")
@click.option(
    "--kind",
    default="organization",
    show_default=True,
    type=click.Choice(["person", "organization", "client"]),
)
@click.option("--role", default=None, help="Role the custodian attests, e.g. physician.")
@click.option("--organization", default=None, help="Organisation the reader acts for.")
@shared
def reader_add(
    root: Path, *, name: str, kind: str, role: str | None, organization: str | None
) -> tuple[Any, str]:
    """Add a reader.

    \b
    Example:
      hilum reader add --name "Riverside Clinic" --role physician
    """
    return call(
        root, "reader add", name=name, kind=kind, role=role, organization=organization
    ), "id"


@reader.command(name="list")
@shared
def reader_list(root: Path) -> tuple[Any, str]:
    """List the readers.

    \b
    Example:
      hilum reader list
    """
    return call(root, "reader list"), "table"


@click.command()
@click.option("--reader", "reader_id", default=None, metavar="ID", help="Token for this reader.")
@click.option("--purpose", default=None, metavar="CODE", help="PurposeOfUse code, e.g. TREAT.")
@click.option("--for-subject", default=None, metavar="ID", help="Narrow the token to one subject.")
@click.option(
    "--subject", "subject_id", default=None, metavar="ID", help="The subject's own token."
)
@click.option("--ttl", default="12h", show_default=True, help="Life: seconds, or 15m, 12h, 30d.")
@shared
def token(
    root: Path,
    *,
    reader_id: str | None,
    purpose: str | None,
    for_subject: str | None,
    subject_id: str | None,
    ttl: str,
) -> tuple[Any, str]:
    """Issue a bearer token for a reader and a purpose, or a subject's own.

    \b
    Example:
      hilum token --reader r-… --purpose TREAT --ttl 1h
      hilum token --subject 0d9c…
    """
    arguments = {
        "reader": reader_id,
        "purpose": purpose,
        "for_subject": for_subject,
        "subject": subject_id,
        "ttl": ttl,
    }
    return call(root, "token", **arguments), "facts"
