"""A private PostgreSQL 15 from the system's package: started, killed, started again, thrown away."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
_START_S = 30.0


def missing(reason: str) -> None:
    """Skip with a reason on a developer's machine; fail where everything must be present."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"missing under CI: {reason}")
    pytest.skip(reason)


class Server:
    """One cluster in a folder of its own, reached by a socket in it; data is synced as in earnest."""

    def __init__(self) -> None:
        if not (PROGRAMS / "postgres").exists():
            missing("PostgreSQL 15 is not on this machine (package postgresql-15)")
        self.folder = Path(tempfile.mkdtemp(prefix="hilum-pg-"))
        self.identity: dict[str, Any] = {}
        if os.geteuid() == 0:  # the server refuses to run as root
            try:
                user = pwd.getpwnam("postgres")
            except KeyError:
                missing("PostgreSQL does not run as root, and there is no user postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self.identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self.process: subprocess.Popen[bytes] | None = None
        made = self._run("initdb", "-D", "data", "-A", "trust", "-E", "UTF8", "--locale=C", "-N",
                         "-U", "hilum")  # fmt: skip
        assert made.returncode == 0, made.stderr.decode()
        self.start()

    def url(self, database: str) -> str:
        """Return how a database is named."""
        return f"postgresql://hilum@/{database}?host={self.folder}"

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            AssertionError: it does not.
        """
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            with (self.folder / "log").open("ab") as log:
                self.process = subprocess.Popen(
                    [PROGRAMS / "postgres", "-D", "data", "-k", self.folder, "-h", "",
                     "-c", "max_connections=200", "-c", "max_locks_per_transaction=256"],
                    cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    **self.identity,
                )  # fmt: skip
            while self.process.poll() is None and time.monotonic() < deadline:
                if self._run("pg_isready", "-h", self.folder, "-q").returncode == 0:
                    return
                time.sleep(0.02)
            time.sleep(0.1)  # backends of a killed server still hold its memory
        raise AssertionError((self.folder / "log").read_text())

    def sql(self, text: str, database: str = "postgres") -> str:
        """Run SQL as the operator of the server; return what it prints, unaligned."""
        done = self._run("psql", "-h", self.folder, "-U", "hilum", "-d", database, "-v",
                         "ON_ERROR_STOP=1", "-qAtc", text)  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def kill(self) -> None:
        """Kill the server without warning."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Stop the server and wait."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=60)

    def throw_away(self) -> None:
        """Stop the server and remove its files."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, name: str, *arguments: object) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [PROGRAMS / name, *map(str, arguments)],
            cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, check=False,
            **self.identity,
        )  # fmt: skip
