"""SQL in pieces, with the values of its question marks in order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["Statement", "marks"]


@dataclass(slots=True)
class Statement:
    """SQL text in pieces, and its parameters in order."""

    parts: list[str] = field(default_factory=list)
    values: list[object] = field(default_factory=list)

    def add(self, text: str, *values: object) -> None:
        """Append a piece with the values of its question marks."""
        self.parts.append(text)
        self.values += values

    @property
    def text(self) -> str:
        """The whole SQL."""
        return " ".join(self.parts)


def marks(values: Iterable[object]) -> str:
    """Return question marks for values, separated by commas."""
    return ", ".join("?" for _ in values)
