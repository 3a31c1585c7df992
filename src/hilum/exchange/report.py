"""What an import did: counts, refusals with their places, notes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hilum.base.ids import SubjectId

__all__ = ["Report"]

MAX_REFUSALS = 10_000
MAX_NOTES = 1_000


@dataclass(slots=True)
class Report:
    """Counts up while an import runs.

    Attributes:
        accepted: entries and readings that are new.
        duplicate: entries and readings that were there already, equal.
        refused: (place, reason) of what was not stored, at most `MAX_REFUSALS` spelled out.
        notes: (place, reason) of what was stored all the same, at most `MAX_NOTES`.
        unnamed: how many more were refused than are spelled out.
    """

    accepted: int = 0
    duplicate: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    unnamed: int = 0

    def refuse(self, where: str, why: str) -> None:
        """Note something that was not stored."""
        if len(self.refused) < MAX_REFUSALS:
            self.refused.append((where, why))
        else:
            self.unnamed += 1

    def note(self, where: str, why: str) -> None:
        """Note something remarkable that was stored all the same."""
        if len(self.notes) < MAX_NOTES and (where, why) not in self.notes[-50:]:
            self.notes.append((where, why))

    def as_json(self, subject: SubjectId | None) -> dict[str, Any]:
        """Return the report as the command prints it; what is not spelled out is counted at the end."""
        refused = [{"where": where, "why": why} for where, why in self.refused]
        if self.unnamed:
            refused.append({"where": "", "why": f"{self.unnamed} more, not spelled out"})
        return {
            "subject": subject,
            "accepted": self.accepted,
            "duplicate": self.duplicate,
            "refused": refused,
            "notes": [{"where": where, "why": why} for where, why in self.notes],
        }
