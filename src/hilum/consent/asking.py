"""What callers of the gate need to name: the actions, and the access that shows nothing.

`hilum.record.access` may be imported by record and consent only; use cases ask in these words.
"""

from __future__ import annotations

from hilum.base.ids import CompartmentId
from hilum.record.access import Access, Action, Window
from hilum.record.types import type_number

__all__ = ["CONTRIBUTE", "EXPORT", "HISTORY", "NOTHING", "READ", "SEARCH", "admits_row"]

READ = Action.READ
SEARCH = Action.SEARCH
HISTORY = Action.HISTORY
CONTRIBUTE = Action.CONTRIBUTE
EXPORT = Action.EXPORT

NOTHING = Access(CompartmentId(-1), READ | SEARCH | HISTORY, ())
"""Shows nothing: the store is asked with it where the gate said absent, so that both ways cost the same."""


def admits_row(access: Access, type_name: str, segments: int) -> bool:
    """Tell whether a row of this type and these segments may be written under an access.

    A window that speaks of codes, periods, authors, encounters or instances admits no new row
    (fail closed): those facts are not asked here.
    """
    bit = 1 << type_number(type_name)

    def is_plain(window: Window) -> bool:
        narrowed = window.codes or window.authors or window.encounters or window.instances
        return not narrowed and window.data_from is None and window.data_until is None

    if any(window.types & bit and window.segments & segments for window in access.denies):
        return False
    return any(
        window.types & bit and not segments & ~window.segments and is_plain(window)
        for window in access.permits
    )
