"""The least server that could do the four workloads: bytes in SQLite, one index, group commit.

Run as a script: port and path of the database. No consent, no receipts, no sealing, no validation, no
history; creates are durable (synchronous=FULL), 64 connections share a commit.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import uuid
from typing import Any

import msgspec
import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server

KIND = (b"content-type", b"application/fhir+json")
SCHEMA = """
pragma journal_mode=wal; pragma synchronous=full;
create table if not exists r(id text primary key, body blob) without rowid;
create table if not exists t(patient text, code text, id text, primary key(patient, code, id)) without rowid;
"""


class Store:
    def __init__(self, path: str) -> None:
        self.conn = sqlite3.connect(path, isolation_level=None)
        self.conn.executescript(SCHEMA)
        self.waiting: list[tuple[list[tuple[str, bytes]], list[tuple[str, str, str]], Any]] = []

    async def keep(self, rows: list[tuple[str, bytes]], index: list[tuple[str, str, str]]) -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        self.waiting.append((rows, index, done))
        if len(self.waiting) == 1:
            loop.call_later(0.001, self.commit)
        await done

    def commit(self) -> None:
        group, self.waiting = self.waiting, []
        self.conn.execute("begin")
        for rows, index, _done in group:
            self.conn.executemany("insert into r values(?,?)", rows)
            self.conn.executemany("insert into t values(?,?,?)", index)
        self.conn.execute("commit")
        for _rows, _index, done in group:
            done.set_result(None)

    def read(self, name: str) -> bytes | None:
        row = self.conn.execute("select body from r where id = ?", (name,)).fetchone()
        return row[0] if row else None

    def search(self, query: str) -> bytes:
        pairs = dict(pair.split("=", 1) for pair in query.split("&"))
        rows = self.conn.execute(
            "select body from t join r using(id) where patient = ? and code = ? limit 20",
            (pairs["patient"], pairs["code"].rpartition("%7C")[2]),
        ).fetchall()
        entries = b",".join(b'{"resource":' + row[0] + b"}" for row in rows)
        return b'{"resourceType":"Bundle","type":"searchset","entry":[' + entries + b"]}"


def indexed(tree: dict[str, Any], name: str) -> list[tuple[str, str, str]]:
    subject = tree.get("subject", {}).get("reference", "").rpartition("/")[2]
    codings = tree.get("code", {}).get("coding", [])
    return [(subject, each.get("code", ""), name) for each in codings[:1]] if subject else []


async def body_of(receive: Any) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def main(port: int, path: str) -> None:
    store = Store(path)

    async def write(data: bytes, is_bundle: bool) -> bytes:
        tree = msgspec.json.decode(data)
        if not is_bundle:
            name = str(uuid.uuid4())
            await store.keep([(name, data)], indexed(tree, name))
            return data
        names = {entry["fullUrl"]: str(uuid.uuid4()) for entry in tree["entry"]}
        text = data.decode()
        for url, name in names.items():
            kind = next(e["resource"]["resourceType"] for e in tree["entry"] if e["fullUrl"] == url)
            text = text.replace(f'"{url}"', f'"{kind}/{name}"')
        entries = msgspec.json.decode(text)["entry"]
        pairs = list(zip(names.values(), entries, strict=True))
        rows = [(name, msgspec.json.encode(entry["resource"])) for name, entry in pairs]
        index = [row for name, entry in pairs for row in indexed(entry["resource"], name)]
        await store.keep(rows, index)
        done = [
            {"response": {"status": "201", "location": f"{e['resource']['resourceType']}/{n}"}}
            for n, e in pairs
        ]
        return msgspec.json.encode({"resourceType": "Bundle", "entry": done})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        status, path = 200, scope["path"]
        if scope["method"] == "POST":
            found = await write(await body_of(receive), path.count("/") == 1)
            status = 200 if path.count("/") == 1 else 201
        elif scope["query_string"]:
            found = store.search(scope["query_string"].decode())
        else:
            known = store.read(path.rpartition("/")[2])
            found, status = (known, 200) if known is not None else (b"{}", 404)
        headers = [KIND, (b"content-length", b"%d" % len(found))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": found})

    async def serve() -> None:
        await Server(
            app, address="127.0.0.1", port=port, interface=Interfaces.ASGI, log_enabled=False
        ).serve()

    uvloop.run(serve())


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
