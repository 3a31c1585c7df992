"""Fill an empty node with the demo family, through the same import and grant as everybody."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hilum.base.ids import UnixMs
from hilum.exchange.demo_family import FAMILY, directory_bundle, hospital_bundle, member_id
from hilum.exchange.importing import import_files
from hilum.exchange.people import add_reader, list_readers
from hilum.exchange.sharing import consents, grant
from hilum.signals.synthetic import apple_export_xml, clarity_csv

if TYPE_CHECKING:
    from hilum.exchange.node import Node

__all__ = ["DEMO_FACT", "fill_with_family"]

DEMO_FACT = "demo"
_BEGAN = "demo-began"
_CLINIC = "Riverside Clinic"
_DAY_MS = 86_400_000
_DAYS = 30
_ZONE = "Europe/Madrid"


def fill_with_family(node: Node) -> bool:
    """Import the demo family into a node without subjects; return whether it was done.

    What a kill interrupted is finished by the next call: all of it is made for the instant at which
    the first call began, so that what is there already is found to be the same.

    Raises:
        UnavailableError: the disk refuses.
    """
    began = node.identity.fact(node.conn, _BEGAN)
    if node.demo or (began is None and node.record.subjects(node.conn)):
        return False
    now = node.clock() if began is None else UnixMs(int(began))
    if began is None:
        node.writer.write(lambda conn: node.identity.set_fact(conn, _BEGAN, str(now).encode()))
    with tempfile.TemporaryDirectory(prefix="hilum-family-") as folder:
        place = Path(folder)
        _import(node, place / "directory.json", directory_bundle(), subject=None)
        for member in FAMILY:
            _import(
                node,
                place / f"{member.key}.json",
                hospital_bundle(member, now_ms=now),
                subject="new",
            )
            if member.wears:
                start = now - _DAYS * _DAY_MS
                sensor = clarity_csv(11, start, _DAYS, _ZONE)
                phone = b"".join(apple_export_xml(11, start, _DAYS, _ZONE))
                _import(node, place / "clarity.csv", sensor, subject=member_id(member))
                _import(node, place / "export.xml", phone, subject=member_id(member))
    _grant_clinic(node, member_id(FAMILY[0]))
    node.writer.write(lambda conn: node.identity.set_fact(conn, DEMO_FACT, b"1"))
    node.demo = True
    return True


def _grant_clinic(node: Node, subject: str) -> None:
    known = [each["id"] for each in list_readers(node) if each["name"] == _CLINIC]
    if not known:
        known = [
            add_reader(
                node, name=_CLINIC, kind="organization", role="physician", organization=None
            )["id"]
        ]
    if not consents(node, subject=subject):
        grant(node, subject=subject, reader=known[0], purpose="TREAT")


def _import(node: Node, path: Path, content: bytes, *, subject: str | None) -> None:
    path.write_bytes(content)
    import_files(
        node, files=[str(path)], subject=subject, directory=subject is None, zone=_ZONE,
        progress=lambda _done, _total: None,
    )  # fmt: skip
