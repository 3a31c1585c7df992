"""Commands about sealing, proofs and their verification."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hilum.cli.options import call, shared, write_file
from hilum.errors import MalformedInputError, VerificationError

__all__ = ["headers", "prove", "seal", "verify"]


@click.command()
@shared
def seal(root: Path) -> tuple[Any, str]:
    """Seal what is waiting into a batch and anchor it now.

    \b
    Example:
      hilum seal
    """
    return call(root, "seal"), "facts"


@click.command()
@click.option("--receipt", "receipt_id", required=True, metavar="ID")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False))
@shared
def prove(root: Path, *, receipt_id: str, output: Path) -> tuple[Any, str]:
    """Write the proof of a receipt: one file that verifies offline.

    \b
    Example:
      hilum prove --receipt 9f… -o receipt.proof
    """
    result = call(root, "prove", receipt=receipt_id)
    write_file(output, result.pop("proof").encode())
    return {"file": str(output), **result}, "facts"


@click.command()
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False))
@shared
def headers(root: Path, *, output: Path) -> tuple[Any, str]:
    """Write the block headers that proofs are checked against.

    \b
    Example:
      hilum headers -o headers.json
    """
    result = call(root, "headers")
    write_file(output, result.pop("headers").encode())
    return {"file": str(output), **result}, "facts"


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--headers",
    "headers_file",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
)
@shared
def verify(_root: Path, *, file: Path, headers_file: Path) -> tuple[Any, str]:
    """Check a proof offline: needs the file and block headers, no node.

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


def _plain(value: Any) -> Any:  # noqa: ANN401 - a tree of JSON values and bytes
    """Return a report with bytes as hex."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
