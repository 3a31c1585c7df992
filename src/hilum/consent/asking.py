"""What callers of the gate need to name: the actions, and the access that shows nothing.

`hilum.record.access` may be imported by record and consent only; use cases ask in these words.
"""

from __future__ import annotations

from hilum.base.ids import CompartmentId
from hilum.record.access import Access, Action

__all__ = ["CONTRIBUTE", "EXPORT", "HISTORY", "NOTHING", "READ", "SEARCH"]

READ = Action.READ
SEARCH = Action.SEARCH
HISTORY = Action.HISTORY
CONTRIBUTE = Action.CONTRIBUTE
EXPORT = Action.EXPORT

NOTHING = Access(CompartmentId(-1), READ | SEARCH | HISTORY, ())
"""Shows nothing: the store is asked with it where the gate said absent, so that both ways cost the same."""
