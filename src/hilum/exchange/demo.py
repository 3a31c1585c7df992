"""Fill an empty node with the demo family, through the same import and grant as everybody."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hilum.base.ids import UnixMs
from hilum.exchange.demo_family import FAMILY, directory_bundle, hospital_bundle, member_id
from hilum.exchange.importing import import_files
from hilum.exchange.log import receipts
from hilum.exchange.people import add_reader, issue_token, list_readers, session_of
from hilum.exchange.reading import read, search
from hilum.exchange.sealing import seal
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
    clinic = _grant_clinic(node, member_id(FAMILY[0]))
    if not receipts(node, subject=member_id(FAMILY[0])):
        _look(node, clinic)
        seal(node)
    node.writer.write(lambda conn: node.identity.set_fact(conn, DEMO_FACT, b"1"))
    node.demo = True
    return True


def _look(node: Node, clinic: str) -> None:
    """Let the clinic look as it would: at what was granted, and in vain at somebody else's record.

    Its token is narrow and ends in minutes; the receipts are real ones.
    """
    issued = issue_token(
        node, reader=clinic, purpose="TREAT", for_subject=None, subject=None, ttl="5m"
    )
    session = session_of(node, issued["token"])
    if session is None:
        return
    for member in FAMILY[:2]:
        subject = member_id(member)
        read(node, session, "Patient", subject)
        for kind in ("Condition", "MedicationRequest", "AllergyIntolerance"):
            search(node, session, kind, [("patient", subject)])


def _grant_clinic(node: Node, subject: str) -> str:
    known = [each["id"] for each in list_readers(node) if each["name"] == _CLINIC]
    if not known:
        known = [
            add_reader(
                node, name=_CLINIC, kind="organization", role="physician", organization=None
            )["id"]
        ]
    if not consents(node, subject=subject):
        grant(node, subject=subject, reader=known[0], purpose="TREAT")
    return str(known[0])


def _import(node: Node, path: Path, content: bytes, *, subject: str | None) -> None:
    path.write_bytes(content)
    import_files(
        node, files=[str(path)], subject=subject, directory=subject is None, zone=_ZONE,
        progress=lambda _done, _total: None,
    )  # fmt: skip
