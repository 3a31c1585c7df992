"""The template of a journey: copy this file, keep its shape.

A journey drives the real process as its users do: the operator through the command line, readers and
subjects over HTTP. It starts as few nodes as it can, makes its own people, and tells what it does in log
lines (shown when it fails) instead of comments.
"""

from __future__ import annotations

import logging

from node import Node

log = logging.getLogger(__name__)


def test_a_clinic_reads_what_it_was_granted_until_it_is_revoked(node: Node) -> None:
    log.info("the custodian makes a subject and a reader")
    subject, reader = node.add_subject(), node.add_reader()
    clinic, own = node.token(reader=reader, purpose="TREAT"), node.token(subject=subject)

    log.info("without consent there is nothing")
    assert node.get(f"/fhir/Patient/{subject}", clinic).status_code == 404

    log.info("the subject grants, the clinic reads")
    directive = node.grant(subject, reader)
    answer = node.get(f"/fhir/Patient/{subject}", clinic)
    assert (answer.status_code, answer.json()["id"]) == (200, subject)

    log.info("the subject revokes, the very next read finds nothing")
    node.operate("revoke", directive=directive)
    assert node.get(f"/fhir/Patient/{subject}", clinic).status_code == 404
    assert node.get(f"/fhir/Patient/{subject}", own).status_code == 200

    log.info("the subject sees all of it")
    outcomes = [row["outcome"] for row in node.operate("log", subject=subject)]
    assert outcomes == ["absent", "permit", "absent", "permit"]
