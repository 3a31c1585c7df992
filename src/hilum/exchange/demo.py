"""Fill an empty node with the demo family, through the same import and grant as everybody."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hilum.exchange.demo_family import FAMILY, directory_bundle, hospital_bundle, member_id
from hilum.exchange.importing import import_files
from hilum.exchange.people import add_reader
from hilum.exchange.sharing import grant
from hilum.signals.synthetic import apple_export_xml, clarity_csv

if TYPE_CHECKING:
    from hilum.exchange.node import Node

__all__ = ["DEMO_FACT", "fill_with_family"]

DEMO_FACT = "demo"
_DAY_MS = 86_400_000
_DAYS = 30
_ZONE = "Europe/Madrid"


def fill_with_family(node: Node) -> bool:
    """Import the demo family into a node without subjects; return whether it was done.

    Raises:
        UnavailableError: the disk refuses.
    """
    if node.demo or node.record.subjects(node.conn):
        return False
    now = node.clock()
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
    clinic = add_reader(
        node, name="Riverside Clinic", kind="organization", role="physician", organization=None
    )
    grant(node, subject=member_id(FAMILY[0]), reader=clinic["id"], purpose="TREAT")
    node.writer.write(lambda conn: node.identity.set_fact(conn, DEMO_FACT, b"1"))
    node.demo = True
    return True


def _import(node: Node, path: Path, content: bytes, *, subject: str | None) -> None:
    path.write_bytes(content)
    import_files(
        node, files=[str(path)], subject=subject, directory=subject is None, zone=_ZONE,
        progress=lambda _done, _total: None,
    )  # fmt: skip
