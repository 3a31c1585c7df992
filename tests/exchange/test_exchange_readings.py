"""FHIR Observations of devices, imported as readings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hilum.exchange.datadir import DataDirectory, Lock
from hilum.exchange.importing import import_files
from hilum.exchange.own import own_session
from hilum.exchange.people import add_subject
from hilum.exchange.reading import search, series_summary
from hilum.exchange.wiring import initialise, open_node


def test_observations_of_a_device_become_readings_once(
    tmp_path: Path, material: Callable[[str], Path]
) -> None:
    source = material("hl7-phd/bundle-continuousnonin.json")
    initialise(tmp_path, custodian="Test", policy="eu-ehds")
    directory = DataDirectory(tmp_path)
    told: list[tuple[int, int]] = []
    with Lock(directory), open_node(directory) as node:
        subject = add_subject(node, name=None, gender=None, birth_date=None)["id"]

        def bring(*, readings: bool) -> dict[str, object]:
            return import_files(
                node,
                files=[str(source)],
                subject=subject,
                directory=False,
                zone=None,
                readings=readings,
                progress=lambda done, total: told.append((done, total)),
            )

        first, again = bring(readings=True), bring(readings=True)
        assert first["accepted"]
        assert not first["duplicate"]
        assert (again["accepted"], again["duplicate"]) == (0, first["accepted"])
        session = own_session(subject)
        placed = series_summary(node, session)
        assert sum(summary.count for summary in placed) == first["accepted"]
        found = search(node, session, "Observation", [("patient", subject)])
        assert found
        assert all(name.startswith(("s-", "h-")) for _type, name, _body in found)
    size = source.stat().st_size
    assert told[-1] == (size, size)
    assert all(0 <= done <= total for done, total in told)
