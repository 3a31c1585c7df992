"""The data directory: its paths, its lock, its key and its settings.

```
DATA/ hilum.toml · node.key (0600) · lock · node.sock · record.db · keys.db
      journal/ · chain/ · objects/
```
"""

from __future__ import annotations

import fcntl
import os
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from hilum.errors import MalformedInputError, UnavailableError
from hilum.exchange.disk import disk_errors

__all__ = ["DataDirectory", "Lock", "Settings", "check_database", "database_password"]

_SETTINGS = """\
# Hilum node settings. Every line has a default; remove what you do not change.
custodian = "{custodian}"   # who operates this node and answers for it
policy = "{policy}"         # base policy: us-hipaa, eu-ehds or cn-pipl
seal_every_s = {seal_every_s}          # seal and anchor what waits at least this often while serving
client_ids = true           # clients may choose ids, each in a name space of its own
delete_matching = 1         # most resources that one conditional delete may delete
"""
_DATABASE = """\
database = "{database}"     # rows and wrapped keys are on this PostgreSQL server
"""


@dataclass(frozen=True, slots=True)
class Settings:
    """What `hilum.toml` says.

    Attributes:
        custodian: words for people: who operates the node.
        policy: name of the base policy.
        seal_every_s: longest time between two seals while serving, seconds; 0: another process of
            this node seals, and keeps the tiles and the chain.
        database: ``postgresql://user@host:port/name`` without a password, or ``""`` for the embedded
            database.
        client_ids: whether clients may choose ids for new resources, in name spaces of their own.
        delete_matching: most resources that one conditional delete may delete.
    """

    custodian: str = "A Hilum node"
    policy: str = "eu-ehds"
    seal_every_s: int = 600
    database: str = ""
    client_ids: bool = True
    delete_matching: int = 1

    @property
    def seals(self) -> bool:
        """Tell whether this process seals, and keeps the tiles and the chain."""
        return self.seal_every_s > 0


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """Where one node keeps everything.

    Attributes:
        root: the directory itself.
    """

    root: Path

    @property
    def record(self) -> Path:
        """The record's database; holds ciphertext and keyed hashes only."""
        return self.root / "record.db"

    @property
    def keys(self) -> Path:
        """Wrapped segment keys, in a file of their own so that backups can leave them out."""
        return self.root / "keys.db"

    @property
    def journal(self) -> Path:
        """Tiles and checkpoint."""
        return self.root / "journal"

    @property
    def chain(self) -> Path:
        """The embedded Bitcoin chain."""
        return self.root / "chain"

    @property
    def objects(self) -> Path:
        """Sealed original payloads, named by keyed hash."""
        return self.root / "objects"

    @property
    def socket(self) -> Path:
        """The local socket of a running node."""
        return self.root / "node.sock"

    @property
    def key_file(self) -> Path:
        """The node key: 32 bytes, mode 0600; `HILUM_KEY_FILE` names another place."""
        return Path(os.environ.get("HILUM_KEY_FILE") or self.root / "node.key")

    def is_initialised(self) -> bool:
        """Tell whether a node was made here."""
        return (self.root / "hilum.toml").exists()

    def write_settings(self, settings: Settings) -> None:
        """Write `hilum.toml` unless it is there."""
        config = self.root / "hilum.toml"
        if not config.exists():
            text = _SETTINGS.format(
                custodian=settings.custodian,
                policy=settings.policy,
                seal_every_s=settings.seal_every_s,
            )
            if settings.database:
                text += _DATABASE.format(database=settings.database)
            _write_private(config, text.encode())

    def read_settings(self) -> Settings:
        """Return what `hilum.toml` says.

        Raises:
            MalformedInputError: not TOML, an unknown name or a wrong type.
        """
        path = self.root / "hilum.toml"
        try:
            found = tomllib.loads(path.read_text())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise MalformedInputError("bad-settings", "not valid TOML", where=str(path)) from error
        known = {
            "custodian": str, "policy": str, "seal_every_s": int, "database": str,
            "client_ids": bool, "delete_matching": int,
        }  # fmt: skip
        for name, value in found.items():
            if name not in known or not isinstance(value, known[name]):
                raise MalformedInputError(
                    "bad-settings",
                    f"unknown or wrong setting {name!r}",
                    where=str(path),
                    hint="known: " + ", ".join(known),
                )
        settings = Settings(**found)
        check_database(settings.database)
        return settings


def check_database(url: str) -> None:
    """See that a database is named as one of PostgreSQL, without a password.

    Raises:
        MalformedInputError: it is not.
    """
    if not url:
        return
    parts = urlsplit(url)
    if parts.scheme not in {"postgresql", "postgres"} or not parts.path.strip("/"):
        raise MalformedInputError(
            "bad-database", "not a PostgreSQL database", where="database",
            hint="postgresql://user@host:5432/name",
        )  # fmt: skip
    if parts.password is not None or "password" in parts.query:
        raise MalformedInputError(
            "bad-database", "a password does not belong into settings", where="database",
            hint="HILUM_DATABASE_PASSWORD_FILE, PGPASSFILE or PGPASSWORD",
        )  # fmt: skip


def database_password() -> str | None:
    """Return what the file named by `HILUM_DATABASE_PASSWORD_FILE` holds; None without one.

    Raises:
        OSError: it cannot be read.
    """
    name = os.environ.get("HILUM_DATABASE_PASSWORD_FILE")
    return None if name is None else Path(name).read_text().strip()


class Lock:
    """Holds the data directory for one process; two writers are impossible.

    Args:
        directory: whose lock.

    Raises:
        UnavailableError: another process holds it (code ``"directory-busy"``), or the directory cannot
            be made or used (code ``"disk"``).
    """

    def __init__(self, directory: DataDirectory) -> None:
        self._path = directory.root / "lock"
        with disk_errors(str(directory.root)):
            directory.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = self._path.read_text().strip() or "unknown"
            os.close(self._file)
            raise UnavailableError(
                "directory-busy",
                f"another hilum process (pid {holder}) is using this data directory",
                where=str(directory.root),
                hint="wait for it or stop it; two writers on one directory are impossible",
            ) from error
        with suppress(OSError):  # the number is for people only: a full disk does not matter here
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Let go of the directory."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _write_private(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
