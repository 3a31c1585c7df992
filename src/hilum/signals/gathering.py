"""Collect mapped readings by series into batches, and count what was left out and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hilum.signals.model import MAX_REFUSALS, Batch, Reading, Refusal, Series

if TYPE_CHECKING:
    from hilum.signals.template import Mapping, Template

__all__ = ["Gathering"]

_MAX_TYPES = 1000


class Gathering:
    """What has been read since the last batch.

    Owned by one reading of one payload.

    Args:
        template: says why a type is left out.
        origin: records of the payload before the first one.
    """

    def __init__(self, template: Template, *, origin: int = 0) -> None:
        self.template = template
        self.origin = origin
        self.pending = 0
        self._lists: dict[tuple[str, str, str], tuple[Series, list[Reading]]] = {}
        self._seen_before = origin
        self._refused: list[Refusal] = []
        self._refused_count = 0
        self._not_mapped: dict[str, int] = {}

    def readings_of(self, mapping: Mapping, device: str) -> list[Reading]:
        """Return the growing list of readings of a series; append to it and raise `pending`."""
        key = mapping.series.key
        place = (key.measure, device, key.unit)
        entry = self._lists.get(place)
        if entry is None:
            full = msgspec.structs.replace(key, device=device)
            entry = self._lists[place] = (msgspec.structs.replace(mapping.series, key=full), [])
        return entry[1]

    def add(self, mapping: Mapping, device: str, reading: Reading) -> None:
        """Add one reading."""
        self.readings_of(mapping, device).append(reading)
        self.pending += 1

    def refuse(self, where: str, why: str) -> None:
        """Count a malformed record and keep its place."""
        self._refused_count += 1
        if len(self._refused) < MAX_REFUSALS:
            self._refused.append(Refusal(where, why))

    def leave_out(self, vendor_type: str) -> None:
        """Count a record of a type that is not mapped."""
        counts = self._not_mapped
        if vendor_type not in counts and len(counts) >= _MAX_TYPES:
            vendor_type = "other types"
        counts[vendor_type] = counts.get(vendor_type, 0) + 1

    def flush(self, *, broken: str = "") -> Batch:
        """Return the batch and start the next one; lists handed out by `readings_of` go on growing.

        Args:
            broken: where the payload ends in rubbish, or "".
        """
        batch = Batch(
            series=[
                (series, list(readings)) for series, readings in self._lists.values() if readings
            ],
            seen=self.origin - self._seen_before,
            refused=self._refused,
            refused_count=self._refused_count,
            not_mapped=self._not_mapped,
            reasons={name: self.template.reason(name) for name in self._not_mapped},
            broken=broken,
        )
        for _, readings in self._lists.values():
            readings.clear()
        self.pending = 0
        self._seen_before = self.origin
        self._refused, self._refused_count, self._not_mapped = [], 0, {}
        return batch
