"""Readers, tokens and facts about the node in SQLite; nothing is cached."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hilum.base.ids import ReaderId, SubjectId, UnixMs
from hilum.base.sql import Connection
from hilum.errors import ConflictError
from hilum.identity.reader import Reader, ReaderKind
from hilum.identity.token import Token

__all__ = ["SCHEMA", "SqliteIdentity"]

SCHEMA = """
create table if not exists reader(
  id text primary key, name text not null, kind text not null, role text, organization text,
  created integer not null) without rowid;
create table if not exists token(
  hash blob primary key, reader text, subject text, purpose text not null, issued integer not null,
  expires integer not null, for_subject text, revoked integer) without rowid;
create index if not exists token_subject on token(subject) where subject is not null;
create table if not exists node(key text primary key, value blob not null) without rowid;
"""

_READER = "id, name, kind, role, organization"
_TOKEN = "hash, reader, subject, purpose, issued, expires, for_subject, revoked"  # noqa: S105 - columns


class SqliteIdentity:
    """Readers, tokens and the node's own facts; every method takes the connection to use."""

    def add_reader(self, conn: Connection, reader: Reader, *, at: UnixMs) -> None:
        """Keep a new reader.

        Raises:
            ConflictError: when the id is taken.
        """
        row = (reader.id, reader.name, reader.kind.value, reader.role, reader.organization, at)
        sql = "insert into reader values(?,?,?,?,?,?) on conflict do nothing"
        if conn.execute(sql, row).rowcount != 1:
            raise ConflictError("reader-exists", "a reader has this id", where="reader")

    def reader(self, conn: Connection, reader_id: str) -> Reader | None:
        """Return the reader, or None."""
        row = conn.execute(f"select {_READER} from reader where id=?", (reader_id,)).fetchone()  # noqa: S608 - constant columns
        return None if row is None else _reader(row)

    def readers(self, conn: Connection) -> Iterator[Reader]:
        """Yield every reader by id."""
        for row in conn.execute(f"select {_READER} from reader order by id"):  # noqa: S608 - constant columns
            yield _reader(row)

    def add_token(self, conn: Connection, token: Token) -> None:
        """Keep a fresh token.

        Raises:
            ConflictError: when its hash is taken.
        """
        row = (
            token.hash, token.reader, token.subject, token.purpose, token.issued_unix_ms,
            token.expires_unix_ms, token.for_subject, token.revoked_unix_ms,
        )  # fmt: skip
        sql = "insert into token values(?,?,?,?,?,?,?,?) on conflict do nothing"
        if conn.execute(sql, row).rowcount != 1:
            raise ConflictError("token-exists", "a token has this hash", where="token")

    def find(self, conn: Connection, token_hash: bytes) -> tuple[Token, Reader | None] | None:
        """Return the token and the reader that holds it; the `lookup` of a session."""
        row = conn.execute(
            "select t.hash, t.reader, t.subject, t.purpose, t.issued, t.expires,"
            " t.for_subject, t.revoked, r.id, r.name, r.kind, r.role, r.organization"
            " from token t left join reader r on r.id=t.reader where t.hash=?",
            (token_hash,),
        ).fetchone()
        if row is None:
            return None
        return _token(row[:8]), None if row[8] is None else _reader(row[8:])

    def tokens(self, conn: Connection) -> Iterator[Token]:
        """Yield every token, oldest first."""
        for row in conn.execute(f"select {_TOKEN} from token order by issued, hash"):  # noqa: S608 - constant columns
            yield _token(row)

    def revoke_token(self, conn: Connection, token_hash: bytes, *, at: UnixMs) -> bool:
        """Take a token back; tell whether one was in force."""
        done = conn.execute(
            "update token set revoked=? where hash=? and revoked is null", (at, token_hash)
        )
        return done.rowcount > 0

    def purge_tokens(self, conn: Connection, *, before: UnixMs) -> int:
        """Delete tokens that expired before that instant; return how many."""
        return conn.execute("delete from token where expires<?", (before,)).rowcount

    def erase(self, conn: Connection, subject: SubjectId) -> int:
        """Delete every token that names the subject; return how many."""
        return conn.execute(
            "delete from token where subject=? or for_subject=?", (subject, subject)
        ).rowcount

    def fact(self, conn: Connection, key: str) -> bytes | None:
        """Return a fact about the node (format version, genesis …), or None."""
        row = conn.execute("select value from node where key=?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def set_first_fact(self, conn: Connection, key: str, value: bytes) -> None:
        """Keep a fact about the node unless there is one of that name."""
        conn.execute("insert into node values(?,?) on conflict do nothing", (key, value))

    def set_fact(self, conn: Connection, key: str, value: bytes) -> None:
        """Keep a fact about the node; a later value replaces it."""
        conn.execute(
            "insert into node values(?,?) on conflict(key) do update set value=excluded.value",
            (key, value),
        )

    def fact_names(self, conn: Connection, prefix: str) -> list[str]:
        """Return the names of facts that begin with a prefix of letters and ``:``."""
        rows = conn.execute("select key from node where key>=? and key<?", (prefix, prefix + "~"))
        return [str(row[0]) for row in rows.fetchall()]

    def drop_fact(self, conn: Connection, key: str) -> None:
        """Forget a fact; nothing happens when there is none."""
        conn.execute("delete from node where key=?", (key,))


def _reader(row: tuple[Any, ...]) -> Reader:
    return Reader(
        ReaderId(row[0]),
        row[1],
        kind=ReaderKind(row[2]),
        role=row[3],
        organization=None if row[4] is None else ReaderId(row[4]),
    )


def _token(row: tuple[Any, ...]) -> Token:
    return Token(
        hash=bytes(row[0]),
        reader=None if row[1] is None else ReaderId(row[1]),
        subject=None if row[2] is None else SubjectId(row[2]),
        purpose=row[3],
        issued_unix_ms=UnixMs(row[4]),
        expires_unix_ms=UnixMs(row[5]),
        for_subject=None if row[6] is None else SubjectId(row[6]),
        revoked_unix_ms=None if row[7] is None else UnixMs(row[7]),
    )
