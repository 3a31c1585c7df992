"""Divide a bulk export into files of about 32 MB, counting only what the gate lets be counted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hilum.errors import HilumError
from hilum.exchange.bulk import Export, ExportFile, is_of_level, queries_of, save_files
from hilum.exchange.bulk_reading import ask_export, rows_of, scope_of
from hilum.exchange.events import report
from hilum.exchange.node import DIRECTORY
from hilum.record.types import is_directory_type

if TYPE_CHECKING:
    from hilum.exchange.node import Node
    from hilum.identity.session import Session
    from hilum.record.access import Access

__all__ = ["FILE_BYTES", "Planner", "Progress", "plan"]

FILE_BYTES = 32 << 20
"""About the most bytes of one file."""
_USUAL_BYTES = 2048
_PAGE = 1000


@dataclass(slots=True)
class _Open:
    """A file that is not full yet."""

    first: int
    last: int
    size: int


@dataclass(slots=True)
class Progress:
    """How far a division is: compartments looked at, of how many."""

    done: int = 0
    total: int = 0


@dataclass(slots=True)
class _Plan:
    """The files of each type so far."""

    files: dict[int, list[ExportFile]] = field(default_factory=dict)
    opened: dict[int, _Open] = field(default_factory=dict)

    def add(self, wanted: int, cid: int, size: int, most: int) -> None:
        """Add a compartment's rows of a type to the file that is open."""
        current = self.opened.get(wanted)
        if current is None:
            current = self.opened[wanted] = _Open(cid, cid, 0)
        current.last = cid
        current.size += size
        if current.size >= most:
            self.close(wanted)

    def close(self, wanted: int) -> None:
        """End the file that is open."""
        current = self.opened.pop(wanted, None)
        if current is not None:
            self.put(ExportFile(wanted, current.first, current.last))

    def put(self, file: ExportFile) -> None:
        """Add a whole file."""
        self.files.setdefault(file.wanted, []).append(file)

    def end(self) -> tuple[ExportFile, ...]:
        """Return all files, by type."""
        for wanted in list(self.opened):
            self.close(wanted)
        return tuple(file for wanted in sorted(self.files) for file in self.files[wanted])


def plan(
    node: Node, session: Session, export: Export, progress: Progress, *, most: int = FILE_BYTES
) -> tuple[ExportFile, ...]:
    """Return the files of an export.

    Args:
        node: where.
        session: who asked.
        export: what was asked.
        progress: told how far it is.
        most: about the most bytes of a file.

    Raises:
        MalformedInputError: a search of the export is not understood.
    """
    made = _Plan()
    scope = scope_of(node, node.conn, session, export)
    progress.total = len(scope)
    numbers = {
        wanted.type: number
        for number, wanted in enumerate(export.wanted)
        if is_of_level(export, wanted.type)
    }
    for name, number in numbers.items():
        if is_directory_type(name):
            made.put(ExportFile(number, DIRECTORY, DIRECTORY))
    for cid in scope:
        access = ask_export(node, session, cid)
        for name, count in _counts(node, access, numbers).items():
            number = numbers[name]
            size = count * _USUAL_BYTES
            if size < most:
                made.add(number, cid, size, most)
                continue
            made.close(number)
            for file in _cut(node, access, export, (number, cid), most):
                made.put(file)
        progress.done += 1
    return made.end()


def _counts(node: Node, access: Access, numbers: dict[str, int]) -> dict[str, int]:
    counts = {
        name: count
        for name, count in node.record.count_visible(node.conn, access).items()
        if name in numbers and not is_directory_type(name)
    }
    if "Observation" in numbers:
        readings = sum(each.count for each in node.series.summary(node.conn, access))
        if readings:
            counts["Observation"] = counts.get("Observation", 0) + readings
    return counts


def _cut(
    node: Node, access: Access, export: Export, what: tuple[int, int], most: int
) -> Iterator[ExportFile]:
    """Yield the files of one compartment that holds more of a type than one file takes."""
    number, cid = what
    queries = queries_of(export, export.wanted[number])
    begun: tuple[int, int] | None = None
    after: tuple[int, int] | None = None
    size = 0
    while rows := rows_of(node, access, queries, after=after, limit=_PAGE):
        for row in rows:
            size += len(row.body) + 1
            after = (row.ts, row.key)
            if size >= most:
                yield ExportFile(number, cid, cid, begun, after)
                begun, size = after, 0
    if size:
        yield ExportFile(number, cid, cid, begun)


class Planner:
    """Divides exports in the background, one thread for each; a killed one begins anew when asked.

    Args:
        node: where.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._running: dict[str, Progress] = {}  # guarded by the lock

    def begin(self, session: Session, export: Export) -> Progress:
        """Divide an export unless that is under way; return how far it is."""
        with self._lock:
            known = self._running.get(export.id)
            if known is not None:
                return known
            progress = self._running[export.id] = Progress()
        work = threading.Thread(
            target=self._run, args=(session, export, progress), name="hilum-export", daemon=True
        )
        work.start()
        return progress

    def _run(self, session: Session, export: Export, progress: Progress) -> None:
        try:
            files = plan(self._node, session, export, progress)
            save_files(self._node, export, files)
        except HilumError as error:
            report("export-not-divided", reason=error.code)
        finally:
            with self._lock:
                self._running.pop(export.id, None)
