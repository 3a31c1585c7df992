"""Install the system packages that some tests drive, where that is possible.

As root on Debian the packages come through apt; elsewhere nothing is installed and the tests that
need a part skip with the reason (under CI=true a missing part is a failure, see tests/conftest.py).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

PACKAGES = {
    "chromium": "chromium",
    "wrk": "wrk",
    "/usr/lib/postgresql/15/bin/postgres": "postgresql-15",
}
"""Command that must be there → Debian package that brings it."""


def main() -> None:
    """Install what is missing; say what was done."""
    missing = [package for command, package in PACKAGES.items() if shutil.which(command) is None]
    if not missing:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        print(f"not installed (needs root on Debian): {', '.join(missing)}", file=sys.stderr)
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-q"],
        ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing],
    ):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}", file=sys.stderr)
            return
    print(f"installed: {', '.join(missing)}")


if __name__ == "__main__":
    main()
