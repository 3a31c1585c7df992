"""How tests speak to the forge, the process that builds, breaks and inspects data directories."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

HERE = Path(__file__).parent


class Forge:
    """Speaks to a `forge.py` process.

    Args:
        folder: where directories are made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        source = HERE.parents[1] / "src"
        self._log = (folder / "forge.log").open("w")
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "forge.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, "PYTHONPATH": str(source)},
        )

    def __enter__(self) -> Self:
        self.ask(step="build", folder=str(self.folder / "built"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()
        self._log.close()

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        assert answer, (self.folder / "forge.log").read_text()
        said: dict[str, Any] = json.loads(answer)
        assert "crash" not in said, said["crash"]
        return said

    def start_of(self, case: str) -> dict[str, str]:
        """Return where a row works and what is copied there first."""
        root = self.folder / "row" / "node"
        root.parent.mkdir(exist_ok=True)
        kind = {"init": "nothing", "first start of the demo": "empty"}.get(case, "node")
        return {"root": str(root), "copy": str(self.folder / "built" / kind)}
