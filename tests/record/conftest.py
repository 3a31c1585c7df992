"""A record in memory, sealed with a real cipher, and the accesses to look into it."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hilum.record.access import Access, Action, Window
from hilum.record.adapters.sqlite import SCHEMA, SqliteRecord
from hilum.record.change import Create
from hilum.record.resource import parse_resource

sys.path.insert(0, str(Path(__file__).parent))

EVERYTHING = Action(127)


class Shelf:
    """One open store with one compartment, and short words for what tests do with it."""

    def __init__(self) -> None:
        self.conn = sqlite3.connect(":memory:", isolation_level=None)
        self.conn.executescript(SCHEMA)
        self.cipher = AESGCM(bytes(range(32)))
        self.record = SqliteRecord(self.seal, self.open, b"k" * 32)
        self.cid = self.record.create_compartment(self.conn, "pat", 1)
        self.access = Access(self.cid, EVERYTHING, (Window(segments=0xFFFF),))

    @staticmethod
    def _context(**facts: Any) -> bytes:
        return json.dumps(facts, sort_keys=True).encode()

    def seal(self, body: bytes, **facts: Any) -> bytes:
        nonce = AESGCM.generate_key(128)[:12]
        return nonce + self.cipher.encrypt(nonce, body, self._context(**facts))

    def open(self, sealed: bytes, **facts: Any) -> bytes:
        return self.cipher.decrypt(sealed[:12], sealed[12:], self._context(**facts))

    def add(self, *trees: dict[str, Any], seg: int = 1, at: int = 1_000_000) -> None:
        changes = [
            Create(self.cid, parse_resource(json.dumps(tree).encode()), tree["id"], seg)
            for tree in trees
        ]
        self.record.apply(self.conn, changes, at)

    def find(self, name: str, *pairs: tuple[str, str], access: Access | None = None) -> list[str]:
        from hilum.record.query import parse_query

        query = parse_query(name, pairs, strict=True)
        rows = self.record.run(
            self.conn, query, [access or self.access], after=None, limit=query.count
        )
        return [row.id for row in rows]


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    made = Shelf()
    yield made
    made.conn.close()


@pytest.fixture(scope="session")
def shelf_class() -> type[Shelf]:
    return Shelf
