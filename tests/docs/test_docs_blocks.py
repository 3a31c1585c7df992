"""Every `sh` and `python` block of the tutorial and the how-tos runs, in order, against a served node."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PORT = "8420"
_HEREDOC = "END_OF_PYTHON_BLOCK"
_LONGEST_S = 240


def missing(reason: str) -> None:
    """Skip with a reason on a developer's machine; fail where everything must be present."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"missing under CI: {reason}")
    pytest.skip(reason)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def put_on_path(folder: Path, root: Path) -> None:
    """Make `hilum`, `python` and `python3` of this checkout and this environment."""
    folder.mkdir()
    for name, words in (("hilum", "-m hilum "), ("python", ""), ("python3", "")):
        tool = folder / name
        tool.write_text(
            f'#!/bin/sh\nPYTHONPATH="{root / "src"}" exec "{sys.executable}" {words}"$@"\n', "utf-8"
        )
        tool.chmod(0o755)


def script_of(pages: list[Any]) -> str:
    """Return one bash script of all blocks; a block that fails ends it and is named.

    The status is looked at after each block as well, because `set -e` overlooks `! command`.
    """
    lines = ["set -Eeuo pipefail", "trap 'kill ${NODE:-} 2>/dev/null || true' EXIT"]
    for page in pages:
        for number, block in enumerate(page.blocks(), start=1):
            if block.language not in {"sh", "python"}:
                continue
            place = f"{page.name} block {number}"
            text = block.text
            if block.language == "python":
                text = f"python - <<'{_HEREDOC}'\n{text}{_HEREDOC}\n"
            lines += [
                f"BLOCK='{place}'; trap 'echo \"failed: $BLOCK\" >&2' ERR; echo \"--- $BLOCK\"",
                text.rstrip("\n"),
                'if [ $? -ne 0 ]; then echo "failed: $BLOCK" >&2; exit 1; fi',
            ]
    return "\n".join(lines) + "\necho all blocks ran\n"


def run_script(script: str, folder: Path, root: Path) -> tuple[int, str]:
    """Run a script in a folder; whatever it started is gone afterwards."""
    put_on_path(folder / "bin", root)
    work = folder / "work"
    work.mkdir()
    environment = {
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "no_proxy": "localhost,127.0.0.1",
    }
    (folder / "blocks.sh").write_text(script, "utf-8")
    process = subprocess.Popen(
        ["bash", str(folder / "blocks.sh")],
        cwd=work,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=_LONGEST_S)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return process.returncode, output.decode("utf-8", "replace")


@pytest.fixture
def _tools() -> None:
    for tool in ("bash", "curl", "grep"):
        if shutil.which(tool) is None:
            missing(f"the blocks call {tool}, which is not on this machine")


@pytest.mark.slow
@pytest.mark.usefixtures("_tools")
def test_every_block_of_tutorial_and_howtos_runs(
    walk: list[Any], root: Path, tmp_path: Path
) -> None:
    script = script_of(walk).replace(PORT, str(free_port()))
    status, output = run_script(script, tmp_path, root)
    assert status == 0, output[-6000:]
    assert output.rstrip().endswith("all blocks ran")


@pytest.mark.usefixtures("_tools")
@pytest.mark.parametrize(
    "block", ["```sh\nfalse\n```\n", "```sh\n! true\n```\n", "```python\nassert 1 == 2\n```\n"]
)
def test_a_block_that_fails_is_named(
    block: str, walk: list[Any], root: Path, tmp_path: Path
) -> None:
    page = type(walk[0])(root / "docs" / "x.md", f"```sh\ntrue\n```\n{block}")
    status, output = run_script(script_of([page]), tmp_path, root)
    assert status != 0
    assert "failed: docs/x.md block 2" in output
    assert "all blocks ran" not in output


def test_walk_covers_the_tutorial_and_every_howto(walk: list[Any]) -> None:
    assert [page.name for page in walk] == [
        "docs/tutorial/first-record.md",
        "docs/howto/break-glass.md",
        "docs/howto/export-and-move.md",
        "docs/howto/postgresql.md",
        "docs/howto/study-data-engineer.md",
    ]
    for page in walk:
        if page.name == "docs/howto/postgresql.md":
            continue  # it needs a server and a second machine: tests/contracts does the same steps
        assert any(block.language == "sh" for block in page.blocks()), page.name
