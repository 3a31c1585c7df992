"""The `hilum` command: names, options and JSON shapes are a contract (docs/reference/commands.md)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from hilum import __version__
from hilum.cli import consent, people, proofs, records
from hilum.cli.options import default_data, exit_code, shared
from hilum.errors import HilumError

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="hilum")
def main() -> None:
    """A health record that belongs to the patient.

    Nothing is read without consent; every read leaves a receipt that anyone can check against Bitcoin.

    \b
    Example:
      hilum demo                 the whole story in half a minute, each step checked
      hilum serve --demo         the node with the demo family at http://localhost:8420
    """


@main.command()
@click.option("--demo", is_flag=True, help="Fill an empty node with the demo family first.")
@click.option("--port", default=8420, show_default=True, help="TCP port on localhost.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Data directory of the node; made when it is not there.",
)
@click.option("--json", "as_json", is_flag=True, help="Print errors as JSON.")
def serve(*, demo: bool, port: int, host: str, data: Path | None, as_json: bool) -> None:
    """Serve a node over HTTP: FHIR under /fhir, the portal under /.

    \b
    Example:
      hilum serve --data ./node --port 8420
    """
    from hilum.cli.serving import serve_node
    from hilum.cli.show import show_error

    try:
        serve_node((data or default_data()).absolute(), host=host, port=port, demo=demo)
    except HilumError as error:
        show_error(error, as_json=as_json)
        sys.exit(exit_code(error))


@main.command()
@click.option("--keep", is_flag=True, help="Keep the throw-away node and say where it is.")
@click.option(
    "--bundle",
    "bundles",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Tell the story with this FHIR bundle instead of the demo family's.",
)
@shared
def demo(_root: Path, *, keep: bool, bundles: tuple[Path, ...]) -> tuple[Any, str]:
    """Tell the main job on a throw-away node, each step checked.

    \b
    Example:
      hilum demo
    """
    from hilum.cli.story import tell

    return tell(keep=keep, bundles=[str(path.absolute()) for path in bundles]), "story"


@main.command()
@click.option(
    "--custodian", default="A Hilum node", show_default=True, help="Who operates this node."
)
@click.option(
    "--policy",
    default="eu-ehds",
    show_default=True,
    help="Base policy: us-hipaa, eu-ehds or cn-pipl.",
)
@click.option(
    "--database",
    default="",
    metavar="URL",
    help="PostgreSQL instead of the embedded database: postgresql://user@host:5432/name.",
)
@shared
def init(root: Path, *, custodian: str, policy: str, database: str) -> tuple[Any, str]:
    """Make a node: its data directory, its key and its chain.

    \b
    Example:
      hilum init --data ./node --custodian "Riverside Clinic"
    """
    from hilum.exchange.wiring import initialise

    return initialise(root, custodian=custodian, policy=policy, database=database), "init"


@main.command()
@shared
def bench(_root: Path) -> tuple[Any, str]:
    """Measure this machine on a throw-away node: import, read, search, verify.

    \b
    Example:
      hilum bench
    """
    from hilum.cli.bench import measure

    return measure(), "table"


for _command in (
    records.import_files,
    records.export,
    records.erase,
    records.fsck,
    people.subject,
    people.reader,
    people.token,
    consent.grant,
    consent.revoke,
    consent.consents,
    consent.log,
    consent.review,
    proofs.seal,
    proofs.prove,
    proofs.headers,
    proofs.verify,
):
    main.add_command(_command)


def _keep_lines(command: click.Command) -> None:
    """Turn the mark of a paragraph that keeps its lines, as docstrings spell it, into click's own."""
    command.help = (command.help or "").replace("\\b\n", "\b\n")
    if isinstance(command, click.Group):
        for each in command.commands.values():
            _keep_lines(each)


_keep_lines(main)
