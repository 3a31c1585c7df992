import sqlite3
import string
from base64 import urlsafe_b64encode
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import ConflictError, MalformedInputError
from hilum.identity import Reader, ReaderKind, Sessions, authenticate, grantee_of, issue, parse_ttl
from hilum.identity.adapters.sqlite import SCHEMA, SqliteIdentity
from hilum.identity.token import hash_of_text

CLINIC = Reader("clinic", "Clinic North", ReaderKind.ORGANIZATION, role="physician")
DOCTOR = Reader("house", "Dr House", ReaderKind.PERSON, role="physician", organization="clinic")
BOX = SqliteIdentity()


def dice(size: Any) -> Any:
    return bytes(range(size))


@pytest.fixture
def conn() -> Any:
    conn = sqlite3.connect(":memory:", isolation_level=None)
    conn.executescript(SCHEMA)
    yield conn
    conn.close()


@pytest.fixture
def held(conn: Any) -> Any:
    BOX.add_reader(conn, DOCTOR, at=1)
    text, token = issue("house", "TREAT", now=1000, ttl_ms=500, entropy=dice)
    BOX.add_token(conn, token)
    return text, token


def ask(conn: Any, header: Any, now: Any = 1000) -> Any:
    return authenticate(header, lambda token_hash: BOX.find(conn, token_hash), now)


def test_a_token_becomes_the_session_of_its_reader(conn: Any, held: Any) -> None:
    session = ask(conn, b"Bearer " + held[0].encode())
    assert session.reader == DOCTOR
    assert session.subject is None
    assert session.purpose.code == "TREAT"
    assert session.grantees == {grantee_of("Practitioner/house"), grantee_of("Organization/clinic")}
    assert session.reference == "Practitioner/house"


@pytest.mark.parametrize(
    ("now", "is_known"), [(999, False), (1000, True), (1499, True), (1500, False), (10**15, False)]
)
def test_a_token_holds_from_its_issue_until_its_expiry(
    conn: Any, held: Any, now: Any, is_known: Any
) -> None:
    header = b"bearer " + held[0].encode()
    assert (ask(conn, header, now) is not None) == is_known
    sessions = Sessions(lambda token_hash: BOX.find(conn, token_hash))
    sessions.authenticate(header, 1000)
    assert (sessions.authenticate(header, now) is not None) == is_known


def test_a_revoked_token_is_unknown_at_once(conn: Any, held: Any) -> None:
    sessions = Sessions(lambda token_hash: BOX.find(conn, token_hash))
    header = b"Bearer " + held[0].encode()
    assert sessions.authenticate(header, 1000)
    assert BOX.revoke_token(conn, held[1].hash, at=1001)
    assert not BOX.revoke_token(conn, held[1].hash, at=1002)
    sessions.forget()
    assert sessions.authenticate(header, 1100) is None
    assert ask(conn, header, 1100) is None


@pytest.mark.parametrize(
    "header",
    [
        None, b"", b"Bearer", b"Bearer ", b"Basic aGxtOng=", b"Bearer hlm_",
        b"Bearer hlm_" + b"A" * 42,
        b"Bearer hlm_" + b"A" * 44, b"Bearer hlm_" + b"\xff" * 43, b"Bearer  hlm_" + b"A" * 43,
        b"Bearer hlm_" + b"A" * 43, b"Bearer hlm_" + b"A" * 43 + b"\n", b"Bearer " + b"x" * 100_000,
        b"Bearer eyJhbGciOiJub25lIn0.e30.", b"Bearer hlm_" + b"+" * 43,
    ],
)  # fmt: skip
def test_what_is_not_a_known_token_is_nobody(conn: Any, held: Any, header: Any) -> None:
    assert ask(conn, header) is None
    assert (
        Sessions(lambda token_hash: BOX.find(conn, token_hash)).authenticate(header, 1000) is None
    )


def test_one_token_has_one_spelling(held: Any) -> None:
    text = held[0]
    twins = [text[:-1] + letter for letter in string.ascii_letters + string.digits + "-_"]
    assert [twin for twin in twins if hash_of_text(twin) == hash_of_text(text)] == [text]


def test_the_text_of_a_token_is_not_stored(conn: Any, held: Any) -> None:
    dump = "\n".join(conn.iterdump())
    assert held[0] not in dump
    assert dice(32).hex().upper() not in dump.upper()


def test_a_subjects_own_token_is_for_that_subject_alone(conn: Any) -> None:
    text, token = issue("pat-1", None, now=1, entropy=dice)
    BOX.add_token(conn, token)
    session = ask(conn, b"Bearer " + text.encode(), 2)
    assert (session.subject, session.for_subject, session.purpose.code) == (
        "pat-1",
        "pat-1",
        "PATRQT",
    )
    assert session.reader is None
    assert session.reference == "Patient/pat-1"


def test_a_token_whose_reader_is_gone_is_nobody(conn: Any) -> None:
    text, token = issue("ghost", "TREAT", now=1, entropy=dice)
    BOX.add_token(conn, token)
    assert ask(conn, b"Bearer " + text.encode(), 2) is None


def test_erasing_a_subject_deletes_every_token_that_names_it(conn: Any) -> None:
    for number, (holder, purpose, target) in enumerate(
        [("pat-1", None, None), ("house", "TREAT", "pat-1"), ("house", "TREAT", None)]
    ):
        entropy = bytes([number]) * 32
        _, token = issue(holder, purpose, now=1, for_subject=target, entropy=lambda _, e=entropy: e)
        BOX.add_token(conn, token)
    assert BOX.erase(conn, "pat-1") == 2
    assert [token.reader for token in BOX.tokens(conn)] == ["house"]


def test_expired_tokens_can_be_purged(conn: Any, held: Any) -> None:
    assert BOX.purge_tokens(conn, before=1500) == 0
    assert BOX.purge_tokens(conn, before=1501) == 1


def test_reader_ids_and_token_hashes_are_unique(conn: Any, held: Any) -> None:
    with pytest.raises(ConflictError):
        BOX.add_reader(conn, DOCTOR, at=2)
    with pytest.raises(ConflictError):
        BOX.add_token(conn, held[1])


def test_readers_come_back_as_they_went_in(conn: Any) -> None:
    BOX.add_reader(conn, DOCTOR, at=1)
    BOX.add_reader(conn, CLINIC, at=1)
    assert list(BOX.readers(conn)) == [CLINIC, DOCTOR]
    assert BOX.reader(conn, "house") == DOCTOR
    assert BOX.reader(conn, "nobody") is None


def test_facts_about_the_node_are_kept(conn: Any) -> None:
    assert BOX.fact(conn, "version") is None
    BOX.set_fact(conn, "version", b"1")
    BOX.set_fact(conn, "version", b"2")
    assert BOX.fact(conn, "version") == b"2"


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("3600", 3_600_000),
        ("90s", 90_000),
        ("15m", 900_000),
        ("12h", 43_200_000),
        ("30d", 2_592_000_000),
    ],
)
def test_a_length_of_time_is_read(text: Any, ms: Any) -> None:
    assert parse_ttl(text) == ms


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "1.5h", "h", "1w", "367d", "9999999999", " 5", "1h\n", "٣"]
)
def test_what_is_not_a_length_of_time_is_refused(text: Any) -> None:
    with pytest.raises(MalformedInputError):
        parse_ttl(text)


@given(st.text())
def test_reading_a_length_of_time_is_total(text: Any) -> None:
    with suppress(MalformedInputError):
        assert 0 < parse_ttl(text) <= 366 * 86_400_000


@pytest.mark.parametrize("ttl_ms", [0, -1, 366 * 86_400_000 + 1])
def test_a_token_cannot_be_made_for_ever(ttl_ms: Any) -> None:
    with pytest.raises(MalformedInputError):
        issue("house", "TREAT", now=1, ttl_ms=ttl_ms, entropy=dice)


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "a/b"}, {"id": ""}, {"name": ""}, {"name": "  "}, {"name": "x" * 201},
        {"name": "a\nb"},
        {"role": "two words"}, {"organization": "a b"},
    ],
)  # fmt: skip
def test_a_reader_out_of_its_domain_is_refused(fields: Any) -> None:
    with pytest.raises(MalformedInputError):
        Reader(**{"id": "x", "name": "X", "kind": ReaderKind.PERSON, **fields})


@given(st.binary(min_size=32, max_size=32))
def test_every_secret_makes_a_token_that_hashes(secret: Any) -> None:
    text, token = issue("house", "TREAT", now=1, entropy=lambda _: secret)
    assert text == "hlm_" + urlsafe_b64encode(secret).decode().rstrip("=")
    assert hash_of_text(text) == token.hash
