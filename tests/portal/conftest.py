"""A small node of its own with one person, and a browser without scripts that looks at its portal."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from hilum.exchange.datadir import DataDirectory, Lock
from hilum.exchange.demo_family import FAMILY, directory_bundle, hospital_bundle, member_id
from hilum.exchange.importing import import_files
from hilum.exchange.node import Node
from hilum.exchange.people import add_reader, add_subject, issue_token, own_token
from hilum.exchange.wiring import initialise, open_node
from hilum.portal.app import build_portal
from hilum.signals.model import DAY_MS
from hilum.signals.synthetic import apple_export_xml, clarity_csv

ORIGIN = "http://localhost:8420"
MARA = member_id(FAMILY[0])
TRAP = '<script>alert("x")</script> & "quotes"'


@dataclass(slots=True)
class Browser:
    """Follows links and sends forms like a browser that keeps cookies and runs no scripts."""

    application: Any
    runner: asyncio.Runner
    cookies: httpx.Cookies = field(default_factory=httpx.Cookies)

    def ask(self, method: str, address: str, **options: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.application)
            async with httpx.AsyncClient(
                transport=transport, base_url=ORIGIN, cookies=self.cookies
            ) as client:
                answer = await client.request(method, address, **options)
                self.cookies = client.cookies
                return answer

        return self.runner.run(send())

    def get(self, address: str, **headers: str) -> httpx.Response:
        return self.ask("GET", address, headers=headers)

    def post(self, address: str, fields: dict[str, Any], **headers: str) -> httpx.Response:
        known = {"Origin": ORIGIN, **headers}
        return self.ask("POST", address, data=fields, headers=known)

    def form(self, address: str = "/sharing") -> str:
        """Return the form token of a page."""
        found = re.search(r'name="form" value="([0-9a-f]{64})"', self.get(address).text)
        assert found is not None
        return found[1]


@dataclass(frozen=True, slots=True)
class Place:
    """A node with people, and tokens to it."""

    node: Node
    runner: asyncio.Runner
    clinic: str
    other: str

    def stranger(self) -> Browser:
        return Browser(build_portal(self.node), self.runner)

    def signed_in(self, subject: str = MARA) -> Browser:
        browser = self.stranger()
        answer = browser.post("/sign-in", {"token": own_token(self.node, subject)})
        assert answer.status_code == httpx.codes.SEE_OTHER
        return browser

    def reader_token(self) -> str:
        issued = issue_token(
            self.node, reader=self.clinic, purpose="TREAT", for_subject=None, subject=None, ttl="1h"
        )
        return str(issued["token"])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("portal")
    initialise(folder / "node", custodian="A test node", policy="eu-ehds")
    directory = DataDirectory(folder / "node")
    with asyncio.Runner() as runner, Lock(directory), open_node(directory) as node:
        now = node.clock()
        start = now - 3 * DAY_MS
        take(node, folder / "d.json", directory_bundle(), None)
        take(node, folder / "h.json", hospital_bundle(FAMILY[0], now_ms=now), "new")
        take(node, folder / "c.csv", clarity_csv(3, start, 3, "Europe/Madrid"), MARA)
        phone = b"".join(apple_export_xml(3, start, 3, "Europe/Madrid"))
        take(node, folder / "a.xml", phone, MARA)
        take(node, folder / "t.json", trap(), MARA)
        clinic = add_reader(
            node, name=f"Riverside {TRAP}", kind="organization", role="physician", organization=None
        )["id"]
        other = add_subject(node, name="Other Person", gender=None, birth_date=None)["id"]
        yield Place(node, runner, str(clinic), str(other))


def take(node: Node, path: Path, content: bytes, subject: str | None) -> None:
    path.write_bytes(content)
    import_files(
        node,
        files=[str(path)],
        subject=subject,
        directory=subject is None,
        zone="Europe/Madrid",
        progress=lambda _done, _total: None,
    )


def trap() -> bytes:
    """A problem whose words try to be markup."""
    words = TRAP.replace('"', '\\"')
    return (
        '{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":'
        f'"Condition","id":"trap","subject":{{"reference":"Patient/{MARA}"}},"code":{{"text":"{words}"}}}}}}]}}'
    ).encode()
