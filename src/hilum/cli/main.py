"""The `hilum` command: names, options and JSON shapes are a contract (docs/reference/commands.md)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from hilum import __version__
from hilum.errors import HilumError, MalformedInputError, UnavailableError, VerificationError

__all__ = ["main"]

EXIT_REFUSED = 1
EXIT_MALFORMED = 2
EXIT_UNAVAILABLE = 3


def _default_data() -> Path:
    return Path(os.environ.get("HILUM_DATA") or Path.home() / ".local" / "share" / "hilum")


def _shared(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command its `--data` and `--json`, print its result and turn errors into exit codes."""

    @click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
    @click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        default=None,
        help="Data directory of the node (default: $HILUM_DATA or ~/.local/share/hilum).",
    )
    @wraps(function)
    def command(*, as_json: bool, data: Path | None, **arguments: object) -> None:
        from hilum.cli.show import show_error, show_result

        root = (data or _default_data()).absolute()
        try:
            result, words = function(root, **arguments)
        except HilumError as error:
            show_error(error, as_json=as_json)
            sys.exit(_exit_code(error))
        show_result(result, words, as_json=as_json)
        if isinstance(result, dict) and result.get("ok") is False:
            sys.exit(EXIT_REFUSED)

    return command


def _exit_code(error: HilumError) -> int:
    if isinstance(error, MalformedInputError):
        return EXIT_MALFORMED
    if isinstance(error, UnavailableError):
        return EXIT_UNAVAILABLE
    return EXIT_REFUSED


def _call(root: Path, name: str, **arguments: object) -> Any:  # noqa: ANN401 - JSON
    from hilum.cli.link import call

    return call(root, name, arguments)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="hilum")
def main() -> None:
    r"""A health record that belongs to the patient.

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
    r"""Serve a node over HTTP: FHIR under /fhir, the portal under /.

    \b
    Example:
      hilum serve --data ./node --port 8420
    """
    from hilum.cli.serving import serve_node
    from hilum.cli.show import show_error

    try:
        serve_node((data or _default_data()).absolute(), host=host, port=port, demo=demo)
    except HilumError as error:
        show_error(error, as_json=as_json)
        sys.exit(_exit_code(error))


@main.command()
@click.option("--keep", is_flag=True, help="Keep the throw-away node and say where it is.")
@click.option(
    "--bundle",
    "bundles",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Tell the story with this FHIR bundle instead of the demo family's.",
)
@_shared
def demo(_root: Path, *, keep: bool, bundles: tuple[Path, ...]) -> tuple[Any, str]:
    r"""Tell the main job on a throw-away node, each step checked.

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
@_shared
def init(root: Path, *, custodian: str, policy: str) -> tuple[Any, str]:
    r"""Make a node: its data directory, its key and its chain.

    \b
    Example:
      hilum init --data ./node --custodian "Riverside Clinic"
    """
    from hilum.exchange.wiring import initialise

    return initialise(root, custodian=custodian, policy=policy), "init"


@main.command(name="import")
@click.option(
    "--subject", default=None, metavar="ID|new", help="Whose record; `new` makes a subject."
)
@click.option("--directory", is_flag=True, help="The files hold organisations and practitioners.")
@click.option(
    "--zone", default=None, metavar="AREA/CITY", help="Time zone of exports that name none."
)
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@_shared
def import_files(
    root: Path, *, subject: str | None, directory: bool, zone: str | None, files: tuple[Path, ...]
) -> tuple[Any, str]:
    r"""Import FHIR bundles, Apple Health and Dexcom exports, or a zip that `hilum export` made.

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
        "zone": zone,
        "files": [str(path.absolute()) for path in files],
    }
    with progress_bar("importing") as progress:
        return call(root, "import", arguments, progress=progress), "import"


@main.group()
def subject() -> None:
    """Subjects: the people records are about."""


@subject.command(name="add")
@click.option("--name", default=None, help="Name of the person, e.g. 'Mara Demo'.")
@click.option("--gender", default=None, type=click.Choice(["male", "female", "other", "unknown"]))
@click.option("--birth-date", default=None, metavar="YYYY-MM-DD")
@_shared
def subject_add(
    root: Path, *, name: str | None, gender: str | None, birth_date: str | None
) -> tuple[Any, str]:
    r"""Add a subject; the id is the id of the new Patient resource.

    \b
    Example:
      hilum subject add --name "Mara Demo"
    """
    return _call(root, "subject add", name=name, gender=gender, birth_date=birth_date), "id"


@subject.command(name="list")
@_shared
def subject_list(root: Path) -> tuple[Any, str]:
    r"""List the subjects: ids and counts, never clinical content.

    \b
    Example:
      hilum subject list
    """
    return _call(root, "subject list"), "table"


@subject.command(name="show")
@click.argument("subject_id", metavar="ID")
@_shared
def subject_show(root: Path, *, subject_id: str) -> tuple[Any, str]:
    r"""Show what a record holds in numbers: never clinical content.

    \b
    Example:
      hilum subject show 0d9c…
    """
    return _call(root, "subject show", subject=subject_id), "facts"


@main.group()
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
@_shared
def reader_add(
    root: Path, *, name: str, kind: str, role: str | None, organization: str | None
) -> tuple[Any, str]:
    r"""Add a reader.

    \b
    Example:
      hilum reader add --name "Riverside Clinic" --role physician
    """
    return _call(
        root, "reader add", name=name, kind=kind, role=role, organization=organization
    ), "id"


@reader.command(name="list")
@_shared
def reader_list(root: Path) -> tuple[Any, str]:
    r"""List the readers.

    \b
    Example:
      hilum reader list
    """
    return _call(root, "reader list"), "table"


@main.command()
@click.option("--reader", "reader_id", default=None, metavar="ID", help="Token for this reader.")
@click.option("--purpose", default=None, metavar="CODE", help="PurposeOfUse code, e.g. TREAT.")
@click.option("--for-subject", default=None, metavar="ID", help="Narrow the token to one subject.")
@click.option(
    "--subject", "subject_id", default=None, metavar="ID", help="The subject's own token."
)
@click.option("--ttl", default="12h", show_default=True, help="Life: seconds, or 15m, 12h, 30d.")
@_shared
def token(
    root: Path,
    *,
    reader_id: str | None,
    purpose: str | None,
    for_subject: str | None,
    subject_id: str | None,
    ttl: str,
) -> tuple[Any, str]:
    r"""Issue a bearer token for a reader and a purpose, or a subject's own.

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
    return _call(root, "token", **arguments), "facts"


@main.command()
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
@_shared
def grant(
    root: Path,
    *,
    subject_id: str,
    reader_id: str,
    purpose: str,
    types: str | None,
    segments: str | None,
    until: str | None,
) -> tuple[Any, str]:
    r"""Grant a reader access to a record for a purpose and a time.

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
    }
    return _call(root, "grant", **arguments), "facts"


@main.command()
@click.argument("directive")
@_shared
def revoke(root: Path, *, directive: str) -> tuple[Any, str]:
    r"""Revoke a directive; the next request no longer sees anything it gave.

    \b
    Example:
      hilum revoke d-…
    """
    return _call(root, "revoke", directive=directive), "facts"


@main.command()
@click.option("--subject", "subject_id", required=True, metavar="ID")
@_shared
def consents(root: Path, *, subject_id: str) -> tuple[Any, str]:
    r"""List a subject's directives in plain sentences.

    \b
    Example:
      hilum consents --subject 0d9c…
    """
    return _call(root, "consents", subject=subject_id), "table"


@main.command()
@click.option("--subject", "subject_id", required=True, metavar="ID")
@_shared
def log(root: Path, *, subject_id: str) -> tuple[Any, str]:
    r"""List who looked at a record: every receipt, oldest first.

    \b
    Example:
      hilum log --subject 0d9c…
    """
    return _call(root, "log", subject=subject_id), "table"


@main.command()
@_shared
def seal(root: Path) -> tuple[Any, str]:
    r"""Seal what is waiting into a batch and anchor it now.

    \b
    Example:
      hilum seal
    """
    return _call(root, "seal"), "facts"


@main.command()
@click.option("--receipt", "receipt_id", required=True, metavar="ID")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False))
@_shared
def prove(root: Path, *, receipt_id: str, output: Path) -> tuple[Any, str]:
    r"""Write the proof of a receipt: one file that verifies offline.

    \b
    Example:
      hilum prove --receipt 9f… -o receipt.proof
    """
    result = _call(root, "prove", receipt=receipt_id)
    _write(output, result.pop("proof").encode())
    return {"file": str(output), **result}, "facts"


@main.command()
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False))
@_shared
def headers(root: Path, *, output: Path) -> tuple[Any, str]:
    r"""Write the block headers that proofs are checked against.

    \b
    Example:
      hilum headers -o headers.json
    """
    result = _call(root, "headers")
    _write(output, result.pop("headers").encode())
    return {"file": str(output), **result}, "facts"


@main.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--headers",
    "headers_file",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
)
@_shared
def verify(_root: Path, *, file: Path, headers_file: Path) -> tuple[Any, str]:
    r"""Check a proof offline: needs the file and block headers, no node.

    \b
    Example:
      hilum verify receipt.proof --headers headers.json
    """
    from dataclasses import asdict

    from hilum.verifier import verify_proof

    try:
        report = verify_proof(file.read_bytes(), headers_file.read_bytes())
    except VerificationError as error:
        return {"ok": False, "failed_step": error.step, "why": error.why}, "verify"
    except MalformedInputError as error:
        return {"ok": False, "failed_step": "format", "why": error.why}, "verify"
    return {"ok": True, "failed_step": None, "report": _plain(asdict(report))}, "verify"


@main.command()
@click.option("--subject", "subject_id", required=True, metavar="ID")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False))
@_shared
def export(root: Path, *, subject_id: str, output: Path) -> tuple[Any, str]:
    r"""Export a whole record, consents and receipts included, as one zip.

    \b
    Example:
      hilum export --subject 0d9c… -o record.zip
    """
    return _call(root, "export", subject=subject_id, output=str(output.absolute())), "facts"


@main.command()
@click.option("--subject", "subject_id", required=True, metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_shared
def erase(root: Path, *, subject_id: str, yes: bool) -> tuple[Any, str]:
    r"""Erase a subject: keys, salts, rows and ciphertext; then prove that nothing decrypts.

    \b
    Example:
      hilum erase --subject 0d9c… --yes
    """
    if not yes and sys.stdin.isatty():
        click.confirm("This cannot be undone. Erase?", abort=True, err=True)
    return _call(root, "erase", subject=subject_id), "facts"


@main.command()
@_shared
def fsck(root: Path) -> tuple[Any, str]:
    r"""Re-derive everything from raw data and name what does not fit.

    \b
    Example:
      hilum fsck
    """
    return _call(root, "fsck"), "fsck"


@main.command()
@_shared
def bench(_root: Path) -> tuple[Any, str]:
    r"""Measure this machine on a throw-away node: import, read, search, verify.

    \b
    Example:
      hilum bench
    """
    from hilum.cli.bench import measure

    return measure(), "table"


def _plain(value: Any) -> Any:  # noqa: ANN401 - a tree of JSON values and bytes
    """Return a report with bytes as hex."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise UnavailableError(
            "cannot-write", "the file cannot be written", where=str(path), retryable=False
        ) from error
