"""Durable writes as numbered points that can be traced, refused, misreported or died at.

A point is one call that makes something durable: a commit, a flush to disk, a rename, a removal.
Its name says which call and who made it: ``fsync journal.adapters.tiles:TileStore._write``; a commit
of the writer is named after who asked for it: ``commit exchange.sharing:grant``.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from hilum.exchange.writer import Writer

SYSTEM_CALLS = (
    "fsync", "ftruncate", "link", "pwrite", "remove", "rename", "replace", "rmdir", "unlink",
)  # fmt: skip
STATEMENTS = {"commit": "commit", "vacuum": "vacuum", "pragma wal_checkpoint": "checkpoint"}
_PACKAGE = "hilum."
_NOT_DURABLE = frozenset({"exchange.datadir:Lock.__init__"})
"""The number of the process in the lock file is for people; a lock is not kept on disk."""
_TRANSPARENT = frozenset({"hilum.exchange.writer"})


class Mode(StrEnum):
    """How a point fails."""

    REFUSED = "refused"
    """The call fails and nothing was made durable."""
    MISREPORTED = "misreported"
    """Everything was made durable, but the call fails."""
    KILLED_BEFORE = "killed-before"
    KILLED_AFTER = "killed-after"


@dataclass
class Points:
    """Counts the points that are reached and fails at one of them.

    Attributes:
        at: number of the point that fails; -1 for none.
        mode: how it fails.
        after_each: called after each point; for tracing.
        names: those reached so far, in order.
    """

    at: int = -1
    mode: Mode = Mode.REFUSED
    after_each: Callable[[], None] | None = None
    names: list[str] = field(default_factory=list)
    armed: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def pass_(self, name: str, act: Callable[[], Any], refusal: Callable[[], Exception]) -> Any:
        if not self.armed:
            return act()
        with self.lock:
            number = len(self.names)
            self.names.append(name)
        if number != self.at:
            done = act()
        else:
            if self.mode is Mode.KILLED_BEFORE:
                os.kill(os.getpid(), signal.SIGKILL)
            if self.mode is Mode.REFUSED:
                raise refusal()
            done = act()
            if self.mode is Mode.KILLED_AFTER:
                os.kill(os.getpid(), signal.SIGKILL)
            raise refusal()
        if self.after_each is not None:
            self.after_each()
        return done


def patch(points: Points) -> None:
    """Route every durable write of this process through the points."""
    _patch_system_calls(points)
    _patch_writer()
    real = sqlite3.connect

    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            kind = next((name for start, name in STATEMENTS.items() if sql.startswith(start)), None)
            if kind is None:
                return super().execute(sql, *values)
            name = f"{kind} {_asked_by() or _caller()}"
            return points.pass_(
                name,
                lambda: super(Connection, self).execute(sql, *values),
                lambda: sqlite3.OperationalError("disk I/O error"),
            )

    def connect(*words: Any, **options: Any) -> sqlite3.Connection:
        return real(*words, **{"factory": Connection, **options})

    sqlite3.connect = connect  # type: ignore[assignment]


def _patch_system_calls(points: Points) -> None:
    for name in SYSTEM_CALLS:
        real = getattr(os, name)

        def call(*words: Any, real: Any = real, name: str = name, **options: Any) -> Any:
            site = _caller()
            if site == "" or site in _NOT_DURABLE:
                return real(*words, **options)
            return points.pass_(
                f"{name} {site}",
                lambda: real(*words, **options),
                lambda: OSError(5, "Input/output error"),
            )

        setattr(os, name, call)


_asked = threading.local()


def _patch_writer() -> None:
    submitters: dict[int, str] = {}
    push, commit = Writer._push, Writer._commit

    def push_named(self: Any, item: Any) -> None:
        submitters[id(item)] = _caller()
        push(self, item)

    def commit_named(self: Any, conn: Any, group: Any) -> None:
        _asked.by = "+".join(submitters.pop(id(item)) for item in group)
        try:
            commit(self, conn, group)
        finally:
            _asked.by = ""

    Writer._push, Writer._commit = push_named, commit_named  # type: ignore[method-assign]


def _asked_by() -> str:
    """Who asked for the writer's commit that is under way in this thread, if one is."""
    frame: FrameType | None = sys._getframe(2)
    inside = frame is not None and frame.f_globals.get("__name__") == "hilum.exchange.writer"
    return getattr(_asked, "by", "") if inside else ""


def _caller() -> str:
    """Name the innermost function of Hilum that is on the stack; nothing when there is none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith(_PACKAGE) and module not in _TRANSPARENT:
            return f"{module.removeprefix(_PACKAGE)}:{_qualified(frame.f_code)}"
        frame = frame.f_back
    return ""


def _qualified(code: CodeType) -> str:
    return code.co_qualname.replace(".<lambda>", "").replace("<locals>.", "")


def source_root() -> Path:
    return Path(__file__).resolve().parents[2] / "src"
