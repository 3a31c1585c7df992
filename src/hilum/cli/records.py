"""Commands about whole records: import, export, erase, fsck."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from hilum.cli.options import call, shared

__all__ = ["erase", "export", "fsck", "import_files"]


@click.command(name="import")
@click.option(
    "--subject", default=None, metavar="ID|new", help="Whose record; `new` makes a subject."
)
@click.option(
    "--readings",
    is_flag=True,
    help="FHIR files hold Observations of devices: place them as readings.",
)
@click.option("--directory", is_flag=True, help="The files hold organisations and practitioners.")
@click.option(
    "--zone", default=None, metavar="AREA/CITY", help="Time zone of exports that name none."
)
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@shared
def import_files(
    root: Path,
    *,
    subject: str | None,
    directory: bool,
    zone: str | None,
    readings: bool,
    files: tuple[Path, ...],
) -> tuple[Any, str]:
    """Import FHIR bundles, Apple Health and Dexcom exports, or a zip that `hilum export` made.

    Plain, .gz or .zip. The report counts accepted, duplicate and refused entries with reasons.

    \b
    Example:
      hilum import --subject new bundle.json.gz clarity.csv --zone Europe/Madrid
      hilum import --directory hospitals.json.gz
    """
    from hilum.cli.link import call
    from hilum.cli.show import progress_bar

    arguments = {
        "subject": subject,
        "directory": directory,
        "readings": readings,
        "zone": zone,
        "files": [str(path.absolute()) for path in files],
    }
    with progress_bar("importing") as progress:
        return call(root, "import", arguments, progress=progress), "import"


@click.command()
@click.option("--subject", "subject_id", required=True, metavar="ID")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False))
@shared
def export(root: Path, *, subject_id: str, output: Path) -> tuple[Any, str]:
    """Export a whole record, consents and receipts included, as one zip.

    \b
    Example:
      hilum export --subject 0d9c… -o record.zip
    """
    return call(root, "export", subject=subject_id, output=str(output.absolute())), "facts"


@click.command()
@click.option("--subject", "subject_id", required=True, metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@shared
def erase(root: Path, *, subject_id: str, yes: bool) -> tuple[Any, str]:
    """Erase a subject: keys, salts, rows and ciphertext; then prove that nothing decrypts.

    \b
    Example:
      hilum erase --subject 0d9c… --yes
    """
    if not yes and sys.stdin.isatty():
        click.confirm("This cannot be undone. Erase?", abort=True, err=True)
    return call(root, "erase", subject=subject_id), "facts"


@click.command()
@shared
def fsck(root: Path) -> tuple[Any, str]:
    """Re-derive everything from raw data and name what does not fit.

    \b
    Example:
      hilum fsck
    """
    return call(root, "fsck"), "fsck"
