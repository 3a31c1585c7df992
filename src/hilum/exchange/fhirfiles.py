"""FHIR files as bundles: a Bundle, one resource, or NDJSON; bad entries are told, not fatal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hilum.errors import MalformedInputError
from hilum.record.bundle import Bundle, Entry, parse_bundle
from hilum.record.types import is_resource_type

if TYPE_CHECKING:
    from hilum.exchange.report import Report

__all__ = ["MAX_FILE", "bundle_of", "kind_of", "patient_of", "text_of"]

MAX_FILE = 1 << 30
"""Largest FHIR file taken, decompressed, in bytes."""
_TOP = msgspec.json.Decoder(dict[str, msgspec.Raw])


def bundle_of(data: bytes, name: str, report: Report) -> Bundle:
    """Return a file as a Bundle; entries that are no resources are refused in the report.

    Raises:
        MalformedInputError: the file as a whole is not FHIR JSON or NDJSON.
    """

    def refuse(error: MalformedInputError) -> None:
        report.refuse(f"{name} {error.where}".strip(), error.why)

    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise MalformedInputError(
            "bad-encoding", "not UTF-8", where=f"{name} byte {error.start}"
        ) from None
    kind = kind_of(data)
    if kind == "Bundle":
        try:
            return parse_bundle(data, max_bytes=MAX_FILE, refuse=refuse)
        except MalformedInputError as error:
            raise MalformedInputError(
                error.code, error.why, where=f"{name} {error.where}".strip(), hint=error.hint
            ) from None
    lines = [data] if kind is not None else data.splitlines()
    entries: list[Entry] = []
    for index, line in enumerate(lines):
        if not line.strip():
            continue
        found = kind_of(line)
        place = f"{name} line {index + 1}" if len(lines) > 1 else name
        if found is None or not is_resource_type(found):
            if len(lines) == 1 or (index == 0 and not entries and found is None):
                raise MalformedInputError("bad-json", "not FHIR JSON or NDJSON", where=place)
            report.refuse(place, "not a FHIR R4 resource")
            continue
        own_id = text_of(_TOP.decode(line).get("id"))
        entries.append(Entry(index, None, found, own_id, line))
    return Bundle("collection", tuple(entries))


def kind_of(data: bytes) -> str | None:
    """Return the resource type that JSON says, or None when it says none."""
    try:
        members = _TOP.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return text_of(members.get("resourceType"))


def text_of(raw: msgspec.Raw | None) -> str | None:
    """Return the text of a raw JSON string, or None."""
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw, type=str)
    except msgspec.DecodeError:
        return None


def patient_of(bundle: Bundle, name: str) -> Entry | None:
    """Return the entry of the one Patient that the file is about, or None.

    Raises:
        MalformedInputError: there are several.
    """
    patients = [entry for entry in bundle.entries if entry.type == "Patient"]
    if len(patients) > 1:
        raise MalformedInputError(
            "several-people", "the file is about several patients", where=name,
            hint="one subject, one patient per file",
        )  # fmt: skip
    return patients[0] if patients else None
