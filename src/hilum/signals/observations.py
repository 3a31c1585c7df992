"""FHIR Observations that are device readings, from a Bundle, NDJSON or one Observation.

Used when a file is imported explicitly as device data; other Observations stay resources of the
record.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, TypeGuard

import msgspec

from hilum.errors import MalformedInputError
from hilum.signals.clock import clock_flags, parse_instant
from hilum.signals.gathering import Gathering
from hilum.signals.model import MAX_DURATION_MS, Comparator, Flag, Reading
from hilum.signals.numeral import parse_numeral

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hilum.signals.model import Batch
    from hilum.signals.template import Mapping, Template

__all__ = ["is_device_reading", "map_observation", "read_observations"]

_LOINC = "http://loinc.org"
_MDC = "urn:iso:std:iso:11073:10101"
_UCUM = "http://unitsofmeasure.org"
_ACCEPTED = frozenset({"final", "amended", "corrected", "preliminary"})
_COMPARATORS = {
    None: Comparator.EQUAL,
    "<": Comparator.LESS,
    "<=": Comparator.LESS_OR_EQUAL,
    ">=": Comparator.GREATER_OR_EQUAL,
    ">": Comparator.GREATER,
}
_OFF_SCALE = {Comparator.LESS: Flag.OFF_SCALE_LOW, Comparator.GREATER: Flag.OFF_SCALE_HIGH}
_MAX_LINE = 1024 * 1024


class _Coding(msgspec.Struct, frozen=True):
    system: str = ""
    code: str = ""


class _Concept(msgspec.Struct, frozen=True):
    coding: list[_Coding] = []


class _Identifier(msgspec.Struct, frozen=True):
    value: str = ""


class _Reference(msgspec.Struct, frozen=True):
    reference: str = ""
    display: str = ""
    identifier: _Identifier = _Identifier()


class _Quantity(msgspec.Struct, frozen=True):
    value: msgspec.Raw = msgspec.Raw()
    comparator: str | None = None
    system: str = ""
    code: str = ""


class _Period(msgspec.Struct, frozen=True):
    start: str = ""
    end: str = ""


class _Component(msgspec.Struct, frozen=True):
    code: _Concept = _Concept()
    quantity: _Quantity | None = msgspec.field(default=None, name="valueQuantity")


class _Observation(msgspec.Struct, frozen=True):
    resource_type: str = msgspec.field(default="", name="resourceType")
    status: str = ""
    code: _Concept = _Concept()
    device: _Reference | None = None
    quantity: _Quantity | None = msgspec.field(default=None, name="valueQuantity")
    effective: str = msgspec.field(default="", name="effectiveDateTime")
    period: _Period | None = msgspec.field(default=None, name="effectivePeriod")
    component: list[_Component] = []


class _Entry(msgspec.Struct, frozen=True):
    resource: msgspec.Raw = msgspec.Raw(b"null")


class _Bundle(msgspec.Struct, frozen=True):
    resource_type: str = msgspec.field(default="", name="resourceType")
    entry: list[_Entry] = []


_OBSERVATION = msgspec.json.Decoder(_Observation)
_BUNDLE = msgspec.json.Decoder(_Bundle)


def is_device_reading(body: bytes) -> bool:
    """Tell whether a resource is an Observation with a device and a numeric value."""
    try:
        observation = _OBSERVATION.decode(body)
    except msgspec.DecodeError:
        return False
    parts = [observation.quantity, *(part.quantity for part in observation.component)]
    numeric = any(_is_numeric(quantity) for quantity in parts)
    return observation.resource_type == "Observation" and observation.device is not None and numeric


def _device_name(device: _Reference | None) -> str:
    if device is None:
        raise MalformedInputError("no-device", "no device")
    name = device.reference.rpartition("/")[2] or device.identifier.value or device.display
    if not name:
        raise MalformedInputError("no-device", "the device has neither reference nor name")
    return name


def _times(observation: _Observation) -> tuple[int, int, int]:
    """Return start (ms), offset (min), duration (ms).

    Raises:
        MalformedInputError: when there is no instant, or a bad period.
    """
    if observation.period is None:
        start, offset = parse_instant(observation.effective)
        return start, offset, 0
    start, offset = parse_instant(observation.period.start)
    end, _ = parse_instant(observation.period.end)
    if not 0 <= end - start <= MAX_DURATION_MS:
        raise MalformedInputError("bad-period", "ends before it starts or after 24 days")
    return start, offset, end - start


def _type_names(concept: _Concept) -> list[str]:
    """The codings as a template names them; MDC first, since it tells the method apart."""
    mdc = [f"mdc:{c.code}" for c in concept.coding if c.system == _MDC]
    return mdc + [c.code for c in concept.coding if c.system == _LOINC]


def _mapping(template: Template, concept: _Concept, quantity: _Quantity) -> Mapping | None:
    if quantity.system != _UCUM:
        return None
    found = (template.mappings.get((n, quantity.code)) for n in _type_names(concept))
    return next((mapping for mapping in found if mapping is not None), None)


def _is_numeric(quantity: _Quantity | None) -> TypeGuard[_Quantity]:
    return quantity is not None and bytes(quantity.value) not in {b"", b"null"}


def map_observation(
    body: bytes, template: Template, *, now_ms: int, origin: int = 0
) -> list[tuple[Mapping, str, Reading]]:
    """Return the readings of one Observation: (mapping, device, reading), one per mapped quantity.

    An Observation whose codes or units the template does not know gives an empty list.

    Args:
        body: JSON of one Observation.
        template: the FHIR device template.
        now_ms: the caller's clock.
        origin: ordinal in the payload.

    Raises:
        MalformedInputError: when it is no Observation of a device with instant and numeric value.
    """
    try:
        observation = _OBSERVATION.decode(body)
    except msgspec.DecodeError as error:
        raise MalformedInputError("bad-json", "not an Observation in JSON") from error
    if observation.status not in _ACCEPTED:
        raise MalformedInputError("bad-status", "the status is not that of a valid reading")
    device = _device_name(observation.device)
    start, offset, duration = _times(observation)
    parts = [(observation.code, observation.quantity)]
    parts += [(part.code, part.quantity) for part in observation.component]
    numeric = [(concept, quantity) for concept, quantity in parts if _is_numeric(quantity)]
    if not numeric:
        raise MalformedInputError("no-value", "no numeric value")
    readings = []
    for concept, quantity in numeric:
        mapping = _mapping(template, concept, quantity)
        if mapping is None:
            continue
        comparator = _COMPARATORS.get(quantity.comparator)
        if comparator is None:
            raise MalformedInputError("bad-comparator", "unknown comparator")
        unscaled, scale = mapping.factor.apply(*parse_numeral(bytes(quantity.value).decode()))
        flags = clock_flags(start, now_ms) | _OFF_SCALE.get(comparator, 0)
        reading = Reading(
            start, offset, unscaled, scale, int(comparator), duration, int(flags), origin=origin
        )
        readings.append((mapping, device, reading))
    return readings


def _bodies(stream: IO[bytes], limit: int) -> Iterator[bytes]:
    first = stream.readline(_MAX_LINE)
    if _is_whole_resource(first):
        yield first
        yield from _lines(stream, limit)
        return
    body = first + stream.read(limit + 1 - len(first))
    if len(body) > limit:
        raise MalformedInputError("too-large", "the file is larger than the limit", where="file")
    try:
        bundle = _BUNDLE.decode(body)
    except msgspec.DecodeError as error:
        raise MalformedInputError("bad-json", "not FHIR in JSON", where="file") from error
    if bundle.resource_type == "Bundle":
        yield from (bytes(entry.resource) for entry in bundle.entry)
    else:
        yield body


def _is_whole_resource(line: bytes) -> bool:
    try:
        return _BUNDLE.decode(line).resource_type not in {"Bundle", ""}
    except msgspec.DecodeError:
        return False


def _lines(stream: IO[bytes], limit: int) -> Iterator[bytes]:
    while line := stream.readline(_MAX_LINE):
        limit -= len(line)
        if limit < 0:
            raise MalformedInputError(
                "too-large", "the file is larger than the limit", where="file"
            )
        if line.strip():
            yield line


def _resource_type(body: bytes) -> str:
    try:
        return _BUNDLE.decode(body).resource_type
    except msgspec.DecodeError:
        return ""


def read_observations(
    stream: IO[bytes], template: Template, *, now_ms: int, batch_size: int, limit: int
) -> Iterator[Batch]:
    """Yield batches of readings of a Bundle, of NDJSON or of one Observation.

    Args:
        stream: the file.
        template: the FHIR device template.
        now_ms: the caller's clock.
        batch_size: readings per batch.
        limit: largest size read, bytes.

    Raises:
        MalformedInputError: when it is not FHIR JSON or larger than the limit.
    """
    gathering = Gathering(template)
    for body in _bodies(stream, limit):
        gathering.origin += 1
        where = f"resource {gathering.origin}"
        kind = _resource_type(body)
        if kind != "Observation":
            gathering.leave_out(kind or "not a resource")
            continue
        try:
            readings = map_observation(body, template, now_ms=now_ms, origin=gathering.origin)
        except MalformedInputError as error:
            gathering.refuse(where, error.why)
            continue
        if not readings:
            gathering.leave_out("Observation")
        for mapping, device, reading in readings:
            gathering.add(mapping, device, reading)
        if gathering.pending >= batch_size:
            yield gathering.flush()
    yield gathering.flush()
