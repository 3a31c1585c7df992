"""A store over an in-memory database with a real cipher, for the tests of this folder."""

from __future__ import annotations

import sqlite3
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hilum.errors import VerificationError
from hilum.record.keyed import KeyedHash
from hilum.signals.adapters.sqlite import SCHEMA, SqliteSeries
from hilum.signals.model import Reading, Rules, Series, SeriesKey

HASHES = KeyedHash(b"index-key-of-the-tests-32-bytes!")
CIPHER = AESGCM(b"k" * 32)
DAY = 86_400_000
T0 = 20_000 * DAY


def _place(cid: Any, type_number: Any, id: Any, ver: Any, seg: Any) -> Any:
    return f"{cid}|{type_number}|{id}|{ver}|{seg}".encode()


def seal(body: Any, *, cid: Any, type_number: Any, id: Any, ver: Any, seg: Any) -> Any:
    nonce = (ver.to_bytes(4, "big") + id.encode()[-8:].rjust(8, b"_"))[:12]
    return nonce + CIPHER.encrypt(nonce, body, _place(cid, type_number, id, ver, seg))


def open_sealed(sealed: Any, *, cid: Any, type_number: Any, id: Any, ver: Any, seg: Any) -> Any:
    try:
        return CIPHER.decrypt(sealed[:12], sealed[12:], _place(cid, type_number, id, ver, seg))
    except InvalidTag:
        raise VerificationError("seal", "altered or moved") from None


def make_store() -> Any:
    conn = sqlite3.connect(":memory:", isolation_level=None)
    for statement in SCHEMA.split(";"):
        conn.execute(statement)
    store = SqliteSeries(
        seal,
        open_sealed,
        index_key=b"index-key-of-the-tests-32-bytes!",
        hash_code=HASHES.coding,
        hash_reference=HASHES.reference,
        subject_of=lambda _conn, cid: f"subject-{cid}",
    )
    return conn, store


def series(
    measure: Any = "heart-rate",
    *,
    device: Any = "Watch",
    unit: Any = "/min",
    loinc: Any = ("8867-4",),
    seg: Any = 128,
    **more: Any,
) -> Any:
    rules = more.pop("rules", Rules())
    key = SeriesKey(measure, device, unit, loinc)
    return Series(
        key, measure.replace("-", " "), "vital-signs", "test/1", rules=rules, seg=seg, **more
    )


def reading(t: Any = T0, value: Any = 60, scale: Any = 0, **more: Any) -> Any:
    return Reading(t, more.pop("offset_minutes", 60), value, scale, **more)
