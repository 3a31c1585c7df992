"""Files are told apart by content and unpacked within limits; reports never lose count."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import pytest

from hilum.errors import MalformedInputError
from hilum.exchange import payloads
from hilum.exchange.payloads import Kind, open_payloads
from hilum.exchange.report import MAX_NOTES, MAX_REFUSALS, Report
from hilum.signals.model import Source

FHIR = b'{"resourceType":"Patient"}'
APPLE = b'<?xml version="1.0"?>\n<HealthData locale="en"></HealthData>'


def zipped(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return out.getvalue()


def kinds(tmp_path: Path, content: bytes) -> list[tuple[str, Kind, Source | None, bytes]]:
    path = tmp_path / "any.name"
    path.write_bytes(content)
    with open_payloads(path) as found:
        return [(each.name, each.kind, each.source, each.stream.read()) for each in found]


def test_the_content_says_what_a_file_is(tmp_path: Path) -> None:
    plain = ("any.name", Kind.FHIR, None, FHIR)
    assert kinds(tmp_path, FHIR) == [plain]
    assert kinds(tmp_path, gzip.compress(FHIR)) == [plain]
    assert kinds(tmp_path, b"\xef\xbb\xbf" + FHIR)[0][1] is Kind.FHIR
    assert kinds(tmp_path, APPLE)[0][1:3] == (Kind.DEVICE, Source.APPLE_XML)
    assert kinds(tmp_path, zipped(("x/export.xml", APPLE)))[0][1] is Kind.DEVICE
    export = zipped(("hilum-export.json", b"{}"), ("resources.ndjson", b""))
    assert kinds(tmp_path, export)[0][1] is Kind.EXPORT


def test_the_members_of_a_zip_come_in_their_order_under_their_names(tmp_path: Path) -> None:
    two = zipped(("b.json", FHIR), ("folder/a.json.gz", gzip.compress(FHIR)), ("folder/", b""))
    assert [(name, body) for name, _kind, _source, body in kinds(tmp_path, two)] == [
        ("any.name!b.json", FHIR),
        ("any.name!folder/a.json.gz", FHIR),
    ]


def test_a_limit_of_members_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payloads, "MAX_MEMBERS", 3)
    with pytest.raises(MalformedInputError) as caught:
        kinds(tmp_path, zipped(*((f"{n}.json", FHIR) for n in range(4))))
    assert caught.value.code == "too-large"


def test_a_limit_of_all_members_together_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payloads, "MAX_UNPACKED", 100)
    assert len(kinds(tmp_path, zipped(("a.json", FHIR), ("b.json", FHIR)))) == 2
    with pytest.raises(MalformedInputError) as caught:
        kinds(tmp_path, zipped(*((f"{n}.json", FHIR) for n in range(4))))
    assert caught.value.where == "any.name!3.json"


@pytest.mark.parametrize("inner", ["gzip", "zip"])
def test_a_ratio_holds_at_every_depth(tmp_path: Path, inner: str) -> None:
    bomb = gzip.compress(b" " * (8 << 20), 9)
    packed = gzip.compress(bomb, 9) if inner == "gzip" else zipped(("a.json.gz", bomb))
    with pytest.raises(MalformedInputError) as caught:
        kinds(tmp_path, packed)
    assert caught.value.code == "too-large"


def test_small_files_may_pack_well(tmp_path: Path) -> None:
    body = FHIR + b" " * 100_000
    assert kinds(tmp_path, gzip.compress(body, 9))[0][3] == body


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(MalformedInputError) as caught, open_payloads(tmp_path / "nothing.json"):
        pass
    assert (caught.value.code, caught.value.where) == ("unreadable", "nothing.json")


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    data = bytearray(zipped(("a.json", FHIR)))
    local, central = data.index(b"PK\x03\x04"), data.index(b"PK\x01\x02")
    data[local + 6] |= 1
    data[central + 8] |= 1
    with pytest.raises(MalformedInputError) as caught:
        kinds(tmp_path, bytes(data))
    assert caught.value.code == "damaged"


def test_a_report_counts_what_it_does_not_spell_out() -> None:
    report = Report()
    for number in range(MAX_REFUSALS + 7):
        report.refuse(f"line {number}", "why")
    refused = report.as_json(None)["refused"]
    assert len(refused) == MAX_REFUSALS + 1
    assert refused[-1] == {"where": "", "why": "7 more, not spelled out"}
    assert Report().as_json(None)["refused"] == []


def test_a_report_says_a_note_once() -> None:
    report = Report()
    for _ in range(3):
        report.note("file", "same")
    for number in range(MAX_NOTES + 5):
        report.note("file", str(number))
    assert len(report.as_json(None)["notes"]) == MAX_NOTES
    assert report.as_json(None)["notes"][:2] == [
        {"where": "file", "why": "same"}, {"where": "file", "why": "0"},
    ]  # fmt: skip
