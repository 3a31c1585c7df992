"""Background work as plain objects: `step()` does what is due and says when it wants to be called next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hilum.errors import HilumError
from hilum.exchange.disk import disk_errors
from hilum.exchange.events import report
from hilum.exchange.sealing import is_due, seal

if TYPE_CHECKING:
    from hilum.exchange.node import Node

__all__ = ["BackgroundSteps"]

_LOOK_EVERY_S = 5.0


class BackgroundSteps:
    """The sealer: seals and anchors when something has waited long enough.

    Args:
        node: whose work.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._next_seal = node.clock() + node.settings.seal_every_s * 1000

    def step(self) -> float:
        """Do what is due; return the seconds until the next call."""
        now = self._node.clock()
        if self._node.settings.seals and now >= self._next_seal:
            self._next_seal = now + self._node.settings.seal_every_s * 1000
            try:
                with disk_errors():
                    if is_due(self._node):
                        seal(self._node)
            except HilumError as error:
                report("seal-failed", code=error.code)
        return _LOOK_EVERY_S
